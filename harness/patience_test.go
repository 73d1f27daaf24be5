package harness

import (
	"testing"
	"time"

	"github.com/lastack/lastack/harness/record"
)

// TestPatience: how late a segment may leave is the scenario's to say.
func TestPatience(t *testing.T) {
	for patience, late := range map[time.Duration]bool{tolerance: true, 300 * time.Millisecond: false} {
		l := &lab{stage: &Stage{}, patience: patience}
		r := &record.Run{Verdict: record.Pass, Segments: []record.Segment{{Departures: []record.Departure{{T: 250 * time.Millisecond}}}}}
		if got := l.late(r); got != late || (r.Verdict == record.Inconclusive) != late {
			t.Errorf("with a patience of %v a segment that left 250 ms late makes the run late: %v, %s", patience, got, r.Verdict)
		}
	}
}
