package harness

import (
	"context"
	"errors"
	"time"

	"github.com/lastack/lastack/inject"
)

// turn is one turn of a host on connection 1; 0 is its whole stream.
type turn struct {
	who string
	n   int
}

// errUnmeasured: something counts bytes from the end of a turn, which no wire can
// know while the turn lasts.
var errUnmeasured = errors.New("where a turn ends a fault-free play must show, which is played first")

// measureBound is how long a fault-free play may wait for one thing that peers
// do. It may well wait in vain, for what only the fault brings about: all that it
// is asked for is how long the turns before that were. Programs have the whole
// bound: one may take long to start.
const measureBound = 3 * time.Second

// measure plays the scenario without its rules, and notes how long each turn
// was.
func measure(ctx context.Context, sc *Scenario, v variant, o Options) error {
	o.measuring, o.Out = true, ""
	_, _, err := once(ctx, sc, variant{name: v.name, play: v.play, claim: -1}, o, nil)
	return err
}

// measured notes the lengths of all turns of connection 1.
func (l *lab) measured(turns map[turn]int64) error {
	l.wire.Do(func(e *inject.Engine, _ time.Duration) {
		conn := e.Flow().Conn(1)
		if conn == nil {
			return
		}
		for _, h := range l.hosts {
			end := conn.EndOf(h.name)
			if end == nil {
				continue
			}
			for n := 0; ; n++ {
				begin, upTo, ok := end.Stream(n)
				if !ok {
					break
				}
				turns[turn{h.name, n}] = upTo - begin
			}
		}
	})
	return nil
}

// turnLen is how long a turn was in the fault-free play.
func (s *Stage) turnLen(who string, n int) (int64, bool) {
	length, ok := s.turns[turn{who, n}]
	return length, ok
}

// Rehearsal tells that this is the fault-free play before a play that counts bytes
// from a turn's end: it gives no verdict.
func (s *Stage) Rehearsal() bool { return s.measuring }
