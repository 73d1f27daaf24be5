package analyze

import (
	"fmt"
	"slices"
	"testing"
)

// What had no answer decides which scenario shows the same.
func TestNearestOfAbandoned(t *testing.T) {
	for _, tt := range []struct{ name, script, scenario string }{
		{"keep-alives", request + "+60s c ASK\n+60s c ASK\n+60s c ASK", "detect/keepalive-finds-dead-peer"},
		{"probes", request + "c DATA 10\ns ACK win=0\n+200ms c ASK\n+400ms c ASK\n+800ms c ASK", "detect/zero-window-probes-unanswered"},
		{"data", request + "c DATA 10\n+200ms c DATA again\n+400ms c DATA again", "detect/retransmission-timeout{tcp_retries2=3}"},
	} {
		c := analysed(t, tt.script)[0]
		if c.Ended != Abandoned || c.Nearest == nil || c.Nearest.Scenario != tt.scenario {
			t.Errorf("%s: %s, nearest %+v, want %s\n%s", tt.name, c.Ended, c.Nearest, tt.scenario, drawn([]*Connection{c}))
		}
	}
}

// Notes are bound while packets come, which their reader is told; what is said in
// the end is not.
func TestNotesAreBound(t *testing.T) {
	var c conn
	for i := range 3 * notesKept {
		c.note(fmt.Sprint("something ", i/2))
	}
	if len(c.notes) != notesKept+1 {
		t.Errorf("%d notes: %q", len(c.notes), c.notes)
	}
	c.remark("the end")
	if !slices.Contains(c.notes, "the end") {
		t.Errorf("what is said in the end is missing: %q", c.notes)
	}
}
