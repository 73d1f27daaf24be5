package application

import (
	"slices"
	"testing"

	"github.com/lastack/lastack/harness/record"
)

// BenchmarkSweep sweeps a client and a server that start in a millisecond, with all
// faults at all points: what remains is what lastack costs. No cell waits longer than
// for the programs' own timers, 1.5 and 1.7 s.
func BenchmarkSweep(b *testing.B) {
	pool := newPool(b)
	p := &pairs[slices.IndexFunc(pairs, func(p pair) bool { return p.twin == "c/until-eof-WHICH" })]
	c := p.config(b, pool, programs(b), "mended")
	cells, took, n := 0, int64(0), 0
	for b.Loop() {
		r := sweep(b, c)
		if r == nil {
			return
		}
		if r.Verdict != record.Pass {
			b.Errorf("the sweep did not acquit:\n%s", text(b, r))
		}
		cells, took, n = cells+len(r.Cells), took+r.DurationMS, n+1
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(cells)/float64(n), "cells")
	b.ReportMetric(float64(took)/float64(n), "ms")
	b.ReportMetric(1000*float64(cells)/float64(took), "cells/s")
}
