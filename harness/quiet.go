package harness

import (
	"maps"
	"time"

	"github.com/lastack/lastack/inject"
)

// Quiet waits until nothing moves any more by itself: every program of every
// host sleeps or has ended, and nothing new has come to the wire or from a program
// since it was last looked. What is left to happen then waits for a timer. It
// returns whether that was so within the time; programs that never sleep, and a
// system that does not tell, are never quiet.
func (s *Stage) Quiet(within time.Duration) bool {
	end := time.Now().Add(Timescale(within))
	before, calm := s.look(), 0
	for time.Now().Before(end) {
		if s.AwaitFirst(0, s.Wire.After(quietStep)); s.ctx.Err() != nil {
			return false
		}
		now := s.look()
		if now.asleep && before.asleep && now.passed == before.passed && now.written == before.written && maps.Equal(now.switches, before.switches) {
			if calm++; calm == quietSteps {
				return true
			}
		} else {
			calm = 0
		}
		before = now
	}
	return false
}

// Two looks are so far apart, and so many must see the same: a thread that has
// something to do shows in one of them, unless the machine kept it from the
// processor all the while.
const (
	quietStep  = 5 * time.Millisecond
	quietSteps = 3
)

// calmness is what is compared.
type calmness struct {
	asleep   bool
	passed   int           // segments, and those that left
	written  int64         // by programs
	switches map[int]int64 // how often each thread was given the processor
}

func (s *Stage) look() calmness {
	c := calmness{asleep: true, switches: map[int]int64{}}
	s.Wire.wire.Do(func(e *inject.Engine, _ time.Duration) {
		for _, p := range e.Log() {
			c.passed += 1 + len(p.Departures)
		}
	})
	var pids []int
	for _, h := range s.hosts {
		for _, p := range h.programs {
			c.written += p.stdout.size() + p.stderr.size()
			if !p.Ended() {
				pids = append(pids, p.process.PID())
			}
		}
	}
	if len(pids) > 0 {
		c.asleep = s.census.threads(pids, c.switches)
	}
	return c
}
