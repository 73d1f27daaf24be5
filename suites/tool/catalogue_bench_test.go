package tool_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/scenarios"
)

// BenchmarkCatalogue plays what `lastack run --all --ip both` plays, keeper and
// clean-up included, and says how much longer that takes than the longest run of
// it, as its record tells.
func BenchmarkCatalogue(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("labs need Linux")
	}
	var jobs []harness.Job
	for _, s := range scenarios.All() {
		for _, ip := range []int{4, 6} {
			jobs = append(jobs, harness.Job{Scenario: s, Options: harness.Options{IP: ip}})
		}
	}
	middle := func(all []time.Duration) time.Duration { slices.Sort(all); return all[len(all)/2] }
	var walls, longests []time.Duration
	var ratios []float64
	for b.Loop() {
		var longest time.Duration
		begin := time.Now()
		pool, err := harness.NewPool(context.Background(), 0)
		if err != nil {
			b.Fatal(err)
		}
		harness.PlayAll(context.Background(), pool, jobs, func(_ int, r *record.Run, err error) {
			if err != nil {
				b.Error(err)
				return
			}
			if r.Verdict != record.Pass {
				b.Errorf("%s over IPv%d: %s: %s", r.Scenario, r.IP, r.Verdict, r.Why)
			}
			longest = max(longest, r.Duration)
		})
		if err := pool.Close(); err != nil {
			b.Fatal(err)
		}
		wall := time.Since(begin)
		walls, longests = append(walls, wall), append(longests, longest)
		ratios = append(ratios, float64(wall)/float64(longest))
	}
	slices.Sort(ratios)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(middle(walls))/1e6, "wall-ms")
	b.ReportMetric(float64(middle(longests))/1e6, "longest-ms")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
	b.ReportMetric(float64(len(jobs)), "runs")
}
