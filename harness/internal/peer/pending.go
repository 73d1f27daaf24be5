package peer

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Pending is a call or a sequence under way in a peer. It is safe for concurrent
// use; nothing needs to be released.
type Pending struct {
	begun []chan struct{}
	done  chan struct{}

	mu      sync.Mutex // guards what follows, and the closing of the channels
	results []Result
	err     error
}

func newPending(calls int) *Pending {
	p := &Pending{begun: make([]chan struct{}, calls), done: make(chan struct{})}
	for i := range p.begun {
		p.begun[i] = make(chan struct{})
	}
	return p
}

// Begun is closed when the peer is about to enter the first call, or will never
// enter it because the request failed: look at Done too. The thread has nothing
// left to do but the system call; it may still be microseconds away.
func (p *Pending) Begun() <-chan struct{} { return p.BegunCall(0) }

// BegunCall is Begun for call i of a sequence, counted from 0. Without
// Sequence.Announce the beginning of a later call is told when all are done.
func (p *Pending) BegunCall(i int) <-chan struct{} {
	if i < 0 || i >= len(p.begun) {
		return p.done
	}
	return p.begun[i]
}

// Done is closed when all results are known, or none will come any more.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Wait waits for the result of the last call that was made. Its errors are those
// of Do. It may be called again after the context ended.
func (p *Pending) Wait(ctx context.Context) (Result, error) {
	results, err := p.WaitAll(ctx)
	if err != nil {
		return Result{}, err
	}
	return results[len(results)-1], nil
}

// WaitAll waits for the results of a sequence, which are fewer than its calls
// where UntilError ended it. With an error it returns those that are known.
func (p *Pending) WaitAll(ctx context.Context) ([]Result, error) {
	select {
	case <-p.done:
	default:
		select {
		case <-p.done:
		case <-ctx.Done():
			return p.Results(), ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.results), p.err
}

// Results are those known by now.
func (p *Pending) Results() []Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.results)
}

// take notes what the peer said.
func (p *Pending) take(e event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Refused != "" {
		p.end(errors.New(e.Refused))
		return
	}
	p.begin(e.Index)
	if e.Result != nil {
		p.results = append(p.results, *e.Result)
	}
	if e.Last {
		p.end(nil)
	}
}

// finish ends the waiting without a result. A request that could not be sent and
// the end of the peer may both call it; the first counts.
func (p *Pending) finish(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(err)
}

// begin is called with the lock held.
func (p *Pending) begin(i int) {
	if i < 0 || i >= len(p.begun) {
		return
	}
	select {
	case <-p.begun[i]:
	default:
		close(p.begun[i])
	}
}

// end is called with the lock held.
func (p *Pending) end(err error) {
	select {
	case <-p.done:
		return
	default:
	}
	p.err = err
	for i := range p.begun {
		p.begin(i)
	}
	close(p.done)
}
