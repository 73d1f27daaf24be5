package expect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onsi/gomega/types"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// HaveStates succeeds where the host's end of connection 1 was seen in these
// states in this order, whatever it was seen in between. Another connection is
// said before the host, as in names: "2:client". The same state again right
// after itself counts once.
func HaveStates(host string, states ...tcp.State) types.GomegaMatcher {
	return &statesMatcher{host: host, want: states, how: "to be seen in these states, in this order"}
}

// OnlyStates is HaveStates with nothing between, before or after: the states
// are all in which the host's end was seen.
func OnlyStates(host string, states ...tcp.State) types.GomegaMatcher {
	return &statesMatcher{host: host, want: states, how: "to be seen in exactly these states", exact: true}
}

// HaveTimer succeeds where the host's end of a connection (as in HaveStates)
// was seen in a state with a timer running under the kernel's name:
// "retransmit", "keepalive", "timewait", "persist", or "" for none.
func HaveTimer(host string, state tcp.State, timer string) types.GomegaMatcher {
	return onRun(fmt.Sprintf("%s to be seen in %s with the timer %q", host, state, timer), func(r *record.Run) (bool, []string, error) {
		conn, name, err := endOf(host, r)
		if err != nil {
			return false, nil, err
		}
		if !slices.Contains([]string{"", "retransmit", "keepalive", "timewait", "persist"}, timer) {
			return false, nil, fmt.Errorf("there is no timer %q", timer)
		}
		var rows []string
		found := false
		for _, s := range r.States {
			if s.Conn == conn && s.Host == name {
				rows = append(rows, fmt.Sprintf("%s %s %q", ms(s.T), s.State, s.Timer))
				found = found || s.State == state && s.Timer == timer
			}
		}
		return found, rows, nil
	})
}

// HaveDelta succeeds where a counter of the host's kernel moved by n during the
// play. n is a number, or a matcher of an int: HaveDelta("server",
// "TcpExt.TCPTimeouts", BeNumerically(">=", 1)). A counter that is not in the
// record did not move.
func HaveDelta(host, counter string, n any) types.GomegaMatcher {
	m := &runMatcher{want: fmt.Sprintf("the move of %s of %s", counter, host), number: &amount{want: n}}
	m.look = func(r *record.Run) (bool, []string, error) {
		if err := known(host, hosts(r)); err != nil {
			return false, nil, err
		}
		if group, name, ok := strings.Cut(counter, "."); !ok || group == "" || name == "" {
			return false, nil, fmt.Errorf("counter %q: want its group too, as in TcpExt.TCPTimeouts", counter)
		}
		var delta int64
		var rows []string
		for _, c := range r.Counters {
			if c.Host != host {
				continue
			}
			rows = append(rows, fmt.Sprintf("%+d %s", c.Delta, c.Name))
			if c.Name == counter {
				delta = c.Delta
			}
		}
		ok, err := m.number.match(delta)
		return ok, rows, err
	}
	return m
}

// Returned succeeds where a system call of the host's peer returned that
// number: Returned("server", "read", 0) is an end of file. The call is named as
// in record.Call.Name.
func Returned(host, call string, result int) types.GomegaMatcher {
	return aCall(host, call, fmt.Sprintf("to return %d", result), func(c *record.Call) bool {
		return c.Errno == "" && c.Result == int64(result)
	})
}

// Failed succeeds where a system call of the host's peer failed with that
// error: Failed("client", "write", "EPIPE").
func Failed(host, call, errno string) types.GomegaMatcher {
	return aCall(host, call, "to fail with "+errno, func(c *record.Call) bool { return c.Errno == errno })
}

func aCall(host, call, how string, is func(*record.Call) bool) types.GomegaMatcher {
	return onRun(fmt.Sprintf("a %s of %s %s", call, host, how), func(r *record.Run) (bool, []string, error) {
		if err := known(host, hosts(r)); err != nil {
			return false, nil, err
		}
		found := false
		var rows []string
		for i := range r.Calls {
			c := &r.Calls[i]
			if c.Host != host {
				continue
			}
			rows = append(rows, ms(c.T)+" "+callText(c))
			found = found || c.Name == call && c.End >= 0 && is(c)
		}
		return found, rows, nil
	})
}

func callText(c *record.Call) string {
	text := c.Call
	if text == "" {
		text = c.Name + "()"
	}
	switch {
	case c.End < 0:
		text += " had not returned"
	case c.Errno != "":
		text += " → " + c.Errno
	default:
		text += " → " + strconv.FormatInt(c.Result, 10)
	}
	return record.Printable(text)
}

// endOf reads [conn:]host.
func endOf(text string, r *record.Run) (conn int, host string, err error) {
	conn, host = 1, text
	if number, rest, ok := strings.Cut(text, ":"); ok {
		if conn, err = strconv.Atoi(number); err != nil || conn < 1 {
			return 0, "", fmt.Errorf("%q: want a connection's number before the colon, from 1", text)
		}
		host = rest
	}
	return conn, host, known(host, hosts(r))
}

// run gives the run that a matcher was handed.
func run(actual any) (*record.Run, error) {
	r, ok := actual.(*record.Run)
	if !ok || r == nil {
		return nil, fmt.Errorf("want a *record.Run, got %T", actual)
	}
	return r, nil
}

// runMatcher looks at a run by a function, which also says what was there.
type runMatcher struct {
	want   string
	number *amount // of what is wanted, where it is a number
	look   func(*record.Run) (bool, []string, error)
	rows   []string
}

func onRun(want string, look func(*record.Run) (bool, []string, error)) types.GomegaMatcher {
	return &runMatcher{want: want, look: look}
}

// Match implements GomegaMatcher.
func (m *runMatcher) Match(actual any) (bool, error) {
	r, err := run(actual)
	if err != nil {
		return false, err
	}
	ok := false
	ok, m.rows, err = m.look(r)
	return ok, err
}

// FailureMessage implements GomegaMatcher.
func (m *runMatcher) FailureMessage(any) string { return m.message(false) }

// NegatedFailureMessage implements GomegaMatcher.
func (m *runMatcher) NegatedFailureMessage(any) string { return m.message(true) }

func (m *runMatcher) message(negated bool) string {
	lead := "Expected"
	if negated && m.number == nil {
		lead = "Expected not"
	}
	want := record.Printable(m.want)
	if m.number != nil {
		want += "\n" + m.number.failure(negated)
	}
	return fmt.Sprintf("%s\n    %s\nthere was\n%s", lead, want, list(m.rows))
}

func list(rows []string) string {
	if len(rows) == 0 {
		return "    nothing"
	}
	return "    " + strings.Join(rows, "\n    ")
}

// statesMatcher is the matcher of lists of states.
type statesMatcher struct {
	how   string
	host  string
	want  []tcp.State
	exact bool

	seen  []record.State
	met   int // how many of the wanted states were found
	extra bool
}

// Match implements GomegaMatcher.
func (m *statesMatcher) Match(actual any) (bool, error) {
	r, err := run(actual)
	if err != nil {
		return false, err
	}
	conn, host, err := endOf(m.host, r)
	if err != nil {
		return false, err
	}
	if len(m.want) == 0 {
		return false, fmt.Errorf("want at least one state")
	}
	m.seen, m.met, m.extra = r.Visited(conn, host), 0, false
	for _, s := range m.seen {
		switch {
		case m.met < len(m.want) && s.State == m.want[m.met]:
			m.met++
		case m.exact && m.met < len(m.want):
			return false, nil
		case m.exact:
			m.extra = true
		}
	}
	return m.met == len(m.want) && !m.extra, nil
}

// FailureMessage implements GomegaMatcher.
func (m *statesMatcher) FailureMessage(any) string { return m.message("Expected") }

// NegatedFailureMessage implements GomegaMatcher.
func (m *statesMatcher) NegatedFailureMessage(any) string { return m.message("Expected not") }

func (m *statesMatcher) message(lead string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n", lead, m.host, m.how)
	for i, s := range m.want {
		mark := "ok         "
		if i == m.met {
			mark = "MISSING -> "
		} else if i > m.met {
			mark = "not reached"
		}
		fmt.Fprintf(&b, "    %s %s\n", mark, s)
	}
	if m.extra {
		b.WriteString("    and nothing more\n")
	}
	var rows []string
	for _, s := range m.seen {
		rows = append(rows, ms(s.T)+" "+s.State.String())
	}
	fmt.Fprintf(&b, "there was\n%s", list(rows))
	return b.String()
}

// Find is the first segment of that name; the expectation fails where there is
// none. It never returns nil.
func Find(g types.Gomega, r *record.Run, name string) *record.Segment {
	return all(g, r, name)[0]
}

// All are the segments of that name in the order in which they came to the
// wire; the expectation fails where there is none. There is always one at
// least, if only an empty one after a failure that did not end the claim.
func All(g types.Gomega, r *record.Run, name string) []*record.Segment {
	return all(g, r, name)
}

func all(g types.Gomega, r *record.Run, name string) []*record.Segment {
	if !g.ExpectWithOffset(2, r).To(Segments(name)) {
		return []*record.Segment{{}}
	}
	p, err := flow.ParsePattern(name)
	var found []*record.Segment
	for _, x := range arrivals(r.Segments) {
		if err == nil && p.Matches(&x.Sighting) {
			found = append(found, x.Segment)
		}
	}
	return found
}

// Gap is the time between the arrivals of two segments at the wire; negative
// where the first came later.
func Gap(first, second *record.Segment) time.Duration { return second.T - first.T }
