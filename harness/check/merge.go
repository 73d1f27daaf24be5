package check

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/shell"
)

// Merge puts the reports of shards together. Of a cell that several played the worst
// counts, of a finding that several made the first one's replays. What is missing
// makes the result partial.
func Merge(reports []*Report) (*Report, error) {
	if len(reports) == 0 {
		return nil, errors.New("merge reports: there are none")
	}
	first := reports[0]
	out := *first
	out.Points = slices.Clone(first.Points)
	out.Cells, out.Findings, out.Unrepeatable = nil, nil, nil
	out.Partial, out.Shard, out.DurationMS = false, 0, 0
	had := map[int]bool{}
	at := map[string]int{}
	for _, r := range reports {
		if !slices.Equal(r.Server, first.Server) || !slices.Equal(r.Client, first.Client) || r.UnderTest != first.UnderTest || r.IP != first.IP {
			return nil, fmt.Errorf("merge reports: one is of %s against %s, another of %s against %s: they are not of one sweep",
				shell.Join(first.Client), shell.Join(first.Server), shell.Join(r.Client), shell.Join(r.Server))
		}
		if r.Shards != first.Shards {
			return nil, fmt.Errorf("merge reports: one is a part of %d, another of %d", first.Shards, r.Shards)
		}
		out.Partial = out.Partial || r.Partial
		out.DurationMS = max(out.DurationMS, r.DurationMS)
		had[r.Shard] = true
		for _, p := range r.Points {
			if !slices.Contains(out.Points, p) {
				out.Points = append(out.Points, p)
			}
		}
		for _, c := range r.Cells {
			i, known := at[c.Cell]
			switch {
			case !known:
				at[c.Cell] = len(out.Cells)
				out.Cells = append(out.Cells, c)
			case record.Worst(true, out.Cells[i].Verdict, c.Verdict) != out.Cells[i].Verdict:
				out.Cells[i] = c
			}
		}
		out.Findings = together(out.Findings, r.Findings)
		out.Unrepeatable = append(out.Unrepeatable, r.Unrepeatable...)
	}
	for i := range first.Shards {
		out.Partial = out.Partial || !had[i+1]
	}
	out.Shards = 0
	order := func(c CellReport) int { return slices.Index(out.Points, c.Point) }
	slices.SortStableFunc(out.Cells, func(a, b CellReport) int {
		if d := order(a) - order(b); d != 0 {
			return d
		}
		return rank(a.Fault+"/"+a.Side) - rank(b.Fault+"/"+b.Side)
	})
	slices.SortStableFunc(out.Findings, func(a, b FindingReport) int {
		return slices.Index(Symptoms(), a.Symptom) - slices.Index(Symptoms(), b.Symptom)
	})
	if out.DurationMS > 0 {
		out.CellsPerS = float64(10*len(out.Cells)*1000/int(out.DurationMS)) / 10
	}
	out.conclude()
	return &out, nil
}

// together adds findings: one of a symptom that is there already adds its cells.
func together(list, more []FindingReport) []FindingReport {
	for _, f := range more {
		i := slices.IndexFunc(list, func(o FindingReport) bool { return o.Symptom == f.Symptom })
		if i < 0 {
			f.Cells = slices.Clone(f.Cells)
			list = append(list, f)
			continue
		}
		for _, c := range f.Cells {
			if !slices.Contains(list[i].Cells, c) {
				list[i].Cells = append(list[i].Cells, c)
			}
		}
	}
	return list
}
