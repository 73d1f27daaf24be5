package harness

import (
	"sync"
	"sync/atomic"
	"testing"
)

// What is played again is never beside a first attempt, and never more than there are
// places; all of it ends.
func TestCalm(t *testing.T) {
	c := newCalm()
	var first, again, most atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if i%3 != 0 {
				defer c.first()()
				defer first.Add(-1)
				if first.Add(1); again.Load() > 0 {
					t.Error("a first attempt beside one that is played again")
				}
				return
			}
			defer c.again()()
			defer again.Add(-1)
			n := again.Add(1)
			if first.Load() > 0 {
				t.Error("played again beside a first attempt")
			}
			for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
			}
		})
	}
	all.Wait()
	if int(most.Load()) > cap(c.places) {
		t.Errorf("%d at once, of %d places", most.Load(), cap(c.places))
	}
}
