package file

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// phrase is text. A number stands for how it is written; true and false do not,
// because YAML has many spellings of them.
type phrase struct {
	text string
	at   *node
}

func (p *phrase) read(n *node) {
	switch n.kind {
	case text, integer:
	case float, boolean:
		panic(n.fail("want text, not %s: put it in quotes", n.says()))
	default:
		panic(n.fail("want text, not %s", n.says()))
	}
	p.text, p.at = n.word, n
}

func texts(list []phrase) (out []string) {
	for _, p := range list {
		out = append(out, p.text)
	}
	return out
}

// span is a duration.
type span struct {
	d  time.Duration
	at *node
}

func (s *span) read(n *node) {
	d, err := time.ParseDuration(n.word)
	if n.kind != text || err != nil || d < 0 {
		panic(n.fail("want a duration as 200ms or 2s, not %s", n.says()))
	}
	s.d, s.at = d, n
}

// number is a whole number.
type number struct {
	n  int64
	at *node
}

func (x *number) read(n *node) {
	v, err := strconv.ParseInt(n.word, 0, 64)
	if n.kind != integer || err != nil {
		panic(n.fail("want a whole number, not %s", n.says()))
	}
	x.n, x.at = v, n
}

// between refuses a number outside of its bounds.
func (x *number) between(least, most int64) {
	if x.at != nil && (x.n < least || x.n > most) {
		panic(x.at.fail("want a number from %d to %d, not %d", least, most, x.n))
	}
}

// size is a number of bytes.
type size struct {
	n  int64
	at *node
}

var sizeUnits = []struct {
	unit string
	n    int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}}

func (s *size) read(n *node) {
	digits, unit := n.word, int64(1)
	if n.kind == text {
		for _, u := range sizeUnits {
			if rest, ok := strings.CutSuffix(n.word, u.unit); ok {
				digits, unit = strings.TrimSpace(rest), u.n
				break
			}
		}
	}
	v, err := strconv.ParseInt(digits, 10, 32)
	if n.kind != text && n.kind != integer || err != nil || v < 0 {
		panic(n.fail("want a size as 500, 64KiB or 1MiB, not %s", n.says()))
	}
	s.n, s.at = v*unit, n
}

// flag is true or false.
type flag struct {
	on bool
	at *node
}

func (f *flag) read(n *node) {
	if n.kind != boolean {
		panic(n.fail("want true or false, not %s", n.says()))
	}
	f.on, f.at = n.word == "true" || n.word == "True" || n.word == "TRUE", n
}

// match is a name or an expression.
type match struct {
	match inject.Match
	at    *node
}

func (m *match) read(n *node) {
	m.at = n
	n.want(text, "a match, as in client.FIN")
	var err error
	if m.match, err = inject.ParseMatch(n.word); err != nil {
		panic(syntaxError(n, err))
	}
}

// segment is a name without an expression: what a finished record can be asked.
type segment struct {
	name    string
	pattern flow.Pattern
	at      *node
}

func (s *segment) read(n *node) {
	s.at = n
	n.want(text, "the name of a segment, as in client.FIN")
	var err error
	if s.pattern, err = flow.ParsePattern(n.word); err != nil {
		panic(syntaxError(n, err))
	}
	if s.pattern.FromEnd() {
		panic(n.fail("a finished play is asked here, which does not know where a turn would have ended: count from its beginning"))
	}
	s.name = n.word
}

// condition is what something waits for.
type condition struct {
	when inject.Condition
	at   *node
}

func (c *condition) read(n *node) {
	c.at = n
	n.want(text, "a condition, as in server.FIN or client in FIN_WAIT_2")
	var err error
	if c.when, err = inject.ParseCondition(n.word); err != nil {
		panic(syntaxError(n, err))
	}
}

// syntaxError puts an error of a match, a rule or a condition where it stands.
func syntaxError(n *node, err error) *Error {
	var at *flow.SyntaxError
	if errors.As(err, &at) {
		before := at.Text[:min(max(at.Column-1, 0), len(at.Text))]
		return n.within(len([]rune(before))+1).fail("%s", at.What)
	}
	return n.fail("%v", err)
}

// pattern is a regular expression.
type pattern struct {
	re *regexp.Regexp
	at *node
}

func (p *pattern) read(n *node) {
	n.want(text, "a regular expression")
	re, err := regexp.Compile(n.word)
	if err != nil {
		panic(n.fail("%v; see https://pkg.go.dev/regexp/syntax", err))
	}
	p.re, p.at = re, n
}

// state is a TCP state.
type state struct {
	state tcp.State
	at    *node
}

func (s *state) read(n *node) {
	s.at = n
	if n.kind == text && n.word == tcp.Closed.String() {
		s.state = tcp.Closed
		return
	}
	v, err := tcp.ParseState(n.word)
	if n.kind != text || err != nil {
		panic(n.fail("want a state as the kernel spells it, FIN_WAIT_2, not %s", n.says()))
	}
	s.state = v
}

// amount is how many there are: 2, at least 2, at most 2.
type amount struct {
	least, most int64
	at          *node
}

const many = 1 << 40

func (a *amount) read(n *node) {
	a.at, a.least, a.most = n, 0, many
	digits := n.word
	least, atLeast := strings.CutPrefix(digits, "at least ")
	most, atMost := strings.CutPrefix(digits, "at most ")
	switch {
	case atLeast:
		digits = least
	case atMost:
		digits = most
	}
	v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32)
	if n.kind != integer && !(n.kind == text && (atLeast || atMost)) || err != nil || v < 0 {
		panic(n.fail("want a number, or at least 2, or at most 2, not %s", n.says()))
	}
	if !atMost {
		a.least = v
	}
	if !atLeast {
		a.most = v
	}
}

func (a amount) holds(n int64) bool { return n >= a.least && n <= a.most }

func (a amount) String() string {
	switch {
	case a.least == a.most:
		return strconv.FormatInt(a.least, 10)
	case a.most == many:
		return fmt.Sprintf("at least %d", a.least)
	}
	return fmt.Sprintf("at most %d", a.most)
}

// choice reads one of some words.
func choice(n *node, what string, words ...string) string {
	if n.kind != text || !slices.Contains(words, n.word) {
		panic(n.fail("want %s: %s, not %s", what, strings.Join(words, " or "), n.says()))
	}
	return n.word
}

// what is the complaint of a syntax error without its place.
func what(err error) string {
	var at *flow.SyntaxError
	if errors.As(err, &at) {
		return at.What
	}
	return err.Error()
}

// bound is a duration, or a multiple of what a kernel's timer said.
type bound struct {
	d     time.Duration
	times float64
	of    segment
	at    *node
}

// timerOf joins a factor and the segment that started the timer.
const timerOf = " x timer of "

func (b *bound) read(n *node) {
	b.at = n
	if factor, name, ok := strings.Cut(n.word, timerOf); ok && n.kind == text {
		v, err := strconv.ParseFloat(strings.TrimSpace(factor), 64)
		if err != nil || v <= 0 || v > 1e6 {
			panic(n.fail("want a factor before x, as in 0.9%sserver.FIN", timerOf))
		}
		inner := *n.within(len([]rune(factor)) + len(timerOf) + 1)
		inner.word = name
		b.times = v
		b.of.read(&inner)
		if b.of.pattern.Conn != 1 || b.of.pattern.Who == flow.Forged {
			panic(inner.fail("want a segment that a host sent on the first connection"))
		}
		return
	}
	d, err := time.ParseDuration(n.word)
	if n.kind != text || err != nil || d < 0 {
		panic(n.fail("want a duration as 200ms, or 0.9%sserver.FIN, not %s", timerOf, n.says()))
	}
	b.d = d
}
