package expect_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// TestSetTo: what counts is when the timer runs out, however late the kernel was
// asked, and however long it took to answer.
func TestSetTo(t *testing.T) {
	const s = time.Second
	reading := func(at, expires, latest time.Duration) record.State {
		return record.State{T: at, State: tcp.TimeWait, Timer: "timewait", Expires: expires, Latest: latest}
	}
	for name, c := range map[string]struct {
		state any
		want  bool
		fails bool
	}{
		"at once":                          {reading(1*s, 60*s, 60*s), true, false},
		"seconds later":                    {reading(9*s, 52*s, 52*s), true, false},
		"set later than asked for":         {reading(9*s, 58*s, 58*s), true, false},
		"the question waited":              {reading(9*s, 44*s, 60*s), true, false},
		"less":                             {reading(1*s, 50*s, 50*s), false, false},
		"less, and the question waited":    {reading(9*s, 20*s, 50*s), false, false},
		"more":                             {reading(1*s, 62*s, 62*s), false, false},
		"more, though the question waited": {reading(9*s, 62*s, 80*s), false, false},
		"a tick early":                     {reading(1*s, 60*s-5*time.Millisecond, 60*s-5*time.Millisecond), true, false},
		"before that time":                 {reading(s/2, 60*s, 60*s), false, false},
		"no timer":                         {record.State{T: 1 * s, State: tcp.FinWait2}, false, false},
		"not a reading":                    {"60 s", false, true},
	} {
		m := expect.SetTo(60*s, 1*s)
		got, err := m.Match(c.state)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
		if text := m.FailureMessage(c.state); err == nil && (!strings.Contains(text, "set to 1m0s") || !strings.Contains(text, "left")) {
			t.Errorf("%s: the failure says %q", name, text)
		}
	}
}
