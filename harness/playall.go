package harness

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/lastack/lastack/harness/record"
)

// Job is one run to be played: a scenario under options.
type Job struct {
	Scenario Scenario
	Options  Options
	// Refute plays the refutation of the claim of this number, counted from 1,
	// in the scenario's place; 0 plays the scenario as it stands.
	Refute int
}

// PlayAll plays jobs side by side, as many as the pool has room for, and calls
// done with each as it ends, one call at a time, in no fixed order. A job that
// could not be begun has an error and no record. It returns when all have
// ended; where ctx ends first, those not yet begun are left out, and the
// result is false.
//
// Scenarios are bound by kernel timers, not by the processor: the longest are
// begun first, and a catalogue takes little longer than its longest scenario.
func PlayAll(ctx context.Context, pool *Pool, jobs []Job, done func(i int, r *record.Run, err error)) (whole bool) {
	var (
		all sync.WaitGroup
		one sync.Mutex
	)
	whole = true
	for _, i := range longestFirst(jobs) {
		job := jobs[i]
		leave, err := take(ctx, pool.begin)
		if err != nil {
			one.Lock()
			whole = false
			one.Unlock()
			break
		}
		job.Options.Pool = pool
		all.Add(1)
		go func() {
			defer all.Done()
			defer leave()
			var r *record.Run
			var err error
			if job.Refute > 0 {
				r, err = Refute(ctx, job.Scenario, job.Refute-1, job.Options)
			} else {
				r, err = Play(ctx, job.Scenario, job.Options)
			}
			one.Lock()
			defer one.Unlock()
			if ctx.Err() != nil {
				whole = false
				return
			}
			done(i, r, err)
		}()
	}
	all.Wait()
	return whole
}

// longestFirst are the indexes of jobs in the order in which they are begun.
func longestFirst(jobs []Job) []int {
	order := make([]int, len(jobs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(jobs[b].Scenario.Lasts, jobs[a].Scenario.Lasts) })
	return order
}
