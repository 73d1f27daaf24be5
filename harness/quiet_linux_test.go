package harness

import (
	"testing"
	"time"

	"github.com/lastack/lastack/inject"
)

// TestQuiet: a lab whose programs sleep is quiet, and one in which a program
// works is not, even if what works was left behind by one that has ended.
func TestQuiet(t *testing.T) {
	showEffects(t, []effect{
		{name: "asleep", play: func(t *testing.T, s *Stage) {
			s.Server.Start("sleep", "1000")
			if !s.Quiet(20 * time.Second) {
				t.Error("it is not quiet, though its only program sleeps")
			}
		}},
		{name: "at work", play: func(t *testing.T, s *Stage) {
			s.Server.Start("sh", "-c", "while :; do :; done")
			if s.Quiet(300 * time.Millisecond) {
				t.Error("it is quiet, though a program works")
			}
		}},
		{name: "left behind", play: func(t *testing.T, s *Stage) {
			p := s.Server.Start("sh", "-c", "(while :; do :; done) & sleep 1000")
			if s.Quiet(300 * time.Millisecond) {
				t.Error("it is quiet, though what a program started works")
			}
			if p.Ended() {
				t.Error("the program has ended")
			}
		}},
		{name: "a segment", play: func(t *testing.T, s *Stage) {
			client, server := s.Established()
			client.Write("x")
			server.Read(1)
			if !s.Quiet(20 * time.Second) {
				t.Error("it is not quiet, though nothing is under way")
			}
			seen := 0
			s.Wire.wire.Do(func(e *inject.Engine, _ time.Duration) { seen = len(e.Log()) })
			if seen < 4 {
				t.Errorf("the wire has %d segments", seen)
			}
		}},
	})
}
