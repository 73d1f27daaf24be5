package expect

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
)

// Segments succeeds where segments of these names came to the wire in this
// order, whatever came between them and whatever became of them. Each name is
// met by the first segment after that of the name before; none counts twice.
// Not met: NotTo(Segments("server.RST")) says that none came.
func Segments(names ...string) types.GomegaMatcher {
	return &segments{how: "these segments to come to the wire, in this order", names: names, view: arrivals}
}

// Delivered is Segments over what left the wire, in the order of departure: a
// held segment stands where it was let go, a copy wherever it left, and what
// was dropped does not occur.
func Delivered(names ...string) types.GomegaMatcher {
	return &segments{how: "these segments to be delivered, in this order", names: names, view: departures}
}

// Dropped is Segments over what the wire lost, in the order of arrival.
func Dropped(names ...string) types.GomegaMatcher {
	return &segments{how: "these segments to be dropped, in this order", names: names, view: drops}
}

// OnlySegments is Segments with nothing between, before or after: the names
// are the whole story of the wire, of all connections. ARP and the like do not
// count.
func OnlySegments(names ...string) types.GomegaMatcher {
	return &segments{how: "exactly these segments to come to the wire", names: names, view: arrivals, exact: true}
}

// HaveCount succeeds where n segments of that name came to the wire, whatever
// became of them. n is a number, or a matcher of an int:
// HaveCount("client.SYN", BeNumerically(">=", 2)).
func HaveCount(name string, n any) types.GomegaMatcher {
	return &count{name: name, n: amount{want: n}}
}

// item is one line of what was there: a segment, once for each time that it is
// looked at.
type item struct {
	at time.Duration
	*record.Segment
}

func arrivals(list []record.Segment) []item {
	var items []item
	for i := range list {
		if !list[i].Other {
			items = append(items, item{list[i].T, &list[i]})
		}
	}
	return items
}

func departures(list []record.Segment) []item {
	var items []item
	for _, x := range arrivals(list) {
		for _, d := range x.Departures {
			items = append(items, item{d.T, x.Segment})
		}
	}
	slices.SortStableFunc(items, func(a, b item) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	return items
}

func drops(list []record.Segment) []item {
	return slices.DeleteFunc(arrivals(list), func(x item) bool { return x.Fate != record.Dropped })
}

// text is the line of an item in a failure.
func (x item) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", ms(x.at), strings.Join(x.Texts(), " = "), x.Flags)
	if x.Fate != record.Delivered && x.Fate != "" {
		fmt.Fprintf(&b, ", %s", x.Fate)
	}
	return record.Printable(b.String())
}

func ms(t time.Duration) string {
	return fmt.Sprintf("%9.3f ms ", float64(t)/float64(time.Millisecond))
}

// taken gives the segments of what a matcher was handed, and the hosts where
// they are known.
func taken(actual any) ([]record.Segment, []string, error) {
	switch x := actual.(type) {
	case *record.Run:
		if x == nil {
			return nil, nil, fmt.Errorf("want a run, got a nil one")
		}
		return x.Segments, hosts(x), nil
	case []record.Segment:
		return x, nil, nil
	}
	return nil, nil, fmt.Errorf("want a *record.Run or its Segments, got %T", actual)
}

func hosts(r *record.Run) []string {
	var names []string
	for _, h := range r.Hosts {
		names = append(names, h.Name)
	}
	return names
}

// known refuses a host that the run does not have. A run that lists no hosts
// is not asked.
func known(host string, hosts []string) error {
	if len(hosts) > 0 && !slices.Contains(hosts, host) {
		return fmt.Errorf("there is no host %q: the hosts are %s", host, strings.Join(hosts, ", "))
	}
	return nil
}

// pattern parses a name, and refuses what a finished record cannot answer.
func pattern(name string, hosts []string) (flow.Pattern, error) {
	p, err := flow.ParsePattern(name)
	if err != nil {
		return p, err
	}
	if p.FromEnd() {
		return p, fmt.Errorf("%s counts from the end of a turn, which a record does not know: count from its beginning", name)
	}
	for _, h := range p.Hosts() {
		if err := known(h, hosts); err != nil {
			return p, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p, nil
}

// segments is the matcher of lists of names.
type segments struct {
	how   string
	names []string
	view  func([]record.Segment) []item
	exact bool

	items []item
	met   []int // by name: the index of its item, -1 where it is missing
	extra bool  // exact: there are more items than names
}

// Match implements GomegaMatcher.
func (m *segments) Match(actual any) (bool, error) {
	list, hosts, err := taken(actual)
	if err != nil {
		return false, err
	}
	if len(m.names) == 0 && !m.exact {
		return false, fmt.Errorf("want at least one name")
	}
	m.items, m.met, m.extra = m.view(list), nil, false
	ok := true
	patterns := make([]flow.Pattern, 0, len(m.names))
	for _, name := range m.names {
		p, err := pattern(name, hosts)
		if err != nil {
			return false, err
		}
		patterns = append(patterns, p)
	}
	next := 0
	for i := range patterns {
		at := -1
		for k := next; k < len(m.items) && ok; k++ {
			if patterns[i].Matches(&m.items[k].Sighting) {
				at = k
			}
			if at >= 0 || m.exact {
				break
			}
		}
		m.met = append(m.met, at)
		ok = ok && at >= 0
		next = at + 1
	}
	if m.exact && ok && next < len(m.items) {
		m.extra, ok = true, false
	}
	return ok, nil
}

// FailureMessage implements GomegaMatcher.
func (m *segments) FailureMessage(any) string { return m.message("Expected") }

// NegatedFailureMessage implements GomegaMatcher.
func (m *segments) NegatedFailureMessage(any) string { return m.message("Expected not") }

func (m *segments) message(lead string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", lead, m.how)
	missing, end := false, 0
	for i, name := range m.names {
		switch {
		case m.met[i] >= 0:
			fmt.Fprintf(&b, "    ok          %s\n", name)
			end = m.met[i] + 1
		case !missing:
			fmt.Fprintf(&b, "    MISSING ->  %s\n", name)
			missing = true
		default:
			fmt.Fprintf(&b, "    not reached %s\n", name)
		}
	}
	if m.extra {
		b.WriteString("    and nothing more\n")
	}
	b.WriteString("there was\n")
	if len(m.items) == 0 {
		b.WriteString("    nothing")
		return b.String()
	}
	for i, x := range m.items {
		mark := "  "
		if slices.Contains(m.met, i) {
			mark = "ok"
		} else if m.exact && i == end {
			mark = "->"
		}
		fmt.Fprintf(&b, "    %s %s\n", mark, x.text())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// count is the matcher of numbers of segments.
type count struct {
	name string
	n    amount

	items []item
}

// Match implements GomegaMatcher.
func (m *count) Match(actual any) (bool, error) {
	list, hosts, err := taken(actual)
	if err != nil {
		return false, err
	}
	p, err := pattern(m.name, hosts)
	if err != nil {
		return false, err
	}
	m.items = arrivals(list)
	var got int64
	for _, x := range m.items {
		if p.Matches(&x.Sighting) {
			got++
		}
	}
	return m.n.match(got)
}

// FailureMessage implements GomegaMatcher.
func (m *count) FailureMessage(any) string { return m.message(false) }

// NegatedFailureMessage implements GomegaMatcher.
func (m *count) NegatedFailureMessage(any) string { return m.message(true) }

func (m *count) message(negated bool) string {
	var rows []string
	for _, x := range m.items {
		rows = append(rows, x.text())
	}
	return fmt.Sprintf("Expected the number of segments that came to the wire as\n    %s\n%s\nthere was\n%s", m.name, m.n.failure(negated), list(rows))
}

// amount is a number that is wanted, or a matcher of one.
type amount struct {
	want any
	got  int
}

func (a *amount) match(got int64) (bool, error) {
	a.got = int(got)
	if m, ok := a.want.(types.GomegaMatcher); ok {
		return m.Match(a.got)
	}
	return gomega.BeNumerically("==", a.want).Match(a.got)
}

// failure says what was wanted. A matcher speaks for itself.
func (a *amount) failure(negated bool) string {
	m, ok := a.want.(types.GomegaMatcher)
	switch {
	case ok && negated:
		return m.NegatedFailureMessage(a.got)
	case ok:
		return m.FailureMessage(a.got)
	case negated:
		return fmt.Sprintf("not to be %v", a.want)
	}
	return fmt.Sprintf("to be %v, not %d", a.want, a.got)
}
