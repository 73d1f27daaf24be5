package analyze

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/shell"
)

// TextOptions say how a Text prints. The zero value is for a file: plain text
// in 80 columns.
type TextOptions struct {
	// All shows every connection, also those that ended well. Without it a few
	// of each kind that did not are shown.
	All bool
	// Explain says of every segment what it does, in place of the ladder.
	Explain bool
	// Stream prints each connection when it ends, and the summary behind them.
	Stream bool
	Color  bool
	// Width is the number of columns; 0 means 80.
	Width int
}

// shownOfEach is how many connections of a kind are shown without All: who
// wants to see ten thousand that are alike asks for them.
const shownOfEach = 5

// Text shows connections to people: what they have in common first, and then
// each one. Make it with NewText. Its methods are called one at a time.
type Text struct {
	out     io.Writer
	opts    TextOptions
	summary Summary
	shown   []*Connection
	hidden  int // that did not end well, beyond those that are shown
	well    int // that ended well, and are not shown
	count   int
	err     error
}

// NewText makes a report on a writer.
func NewText(out io.Writer, o TextOptions) *Text {
	if o.Width == 0 {
		o.Width = 80
	}
	o.Width = max(o.Width, 60)
	return &Text{out: out, opts: o}
}

// Add takes a connection.
func (t *Text) Add(c *Connection) {
	n := t.summary.Add(c)
	t.count++
	switch {
	case t.opts.All || t.opts.Explain:
	case !c.Ended.Bad():
		t.well++
		if !t.opts.Stream {
			return
		}
	case n > shownOfEach && !t.opts.Stream:
		t.hidden++
		return
	}
	c.keepSteps()
	if !t.opts.Stream {
		t.shown = append(t.shown, c)
		return
	}
	if c.Ended.Bad() || t.opts.All || t.opts.Explain {
		t.write(t.connection(c))
		return
	}
	t.write(t.head(c) + "\n")
}

// Summary is what was counted so far.
func (t *Text) Summary() *Summary { return &t.summary }

// Close prints what has not been printed, and returns the first error of the
// writer.
func (t *Text) Close(totals Totals) error {
	if t.opts.Stream {
		t.write("\n" + t.overview(totals))
	} else {
		t.write(t.overview(totals))
		order := Endings()
		slices.SortStableFunc(t.shown, func(a, b *Connection) int {
			return slices.Index(order, a.Ended) - slices.Index(order, b.Ended)
		})
		for _, c := range t.shown {
			t.write("\n" + t.connection(c))
		}
		if t.hidden > 0 {
			t.write(fmt.Sprintf("\n%s: --all shows %s, --filter picks some\n", more(t.hidden), them(t.hidden)))
		}
	}
	if t.err != nil {
		return fmt.Errorf("write analysis: %w", t.err)
	}
	return nil
}

func more(n int) string {
	if n == 1 {
		return "1 more connection that did not end well and is like these"
	}
	return fmt.Sprintf("%d more connections that did not end well and are like these", n)
}

func them(n int) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

func (t *Text) write(text string) {
	if _, err := io.WriteString(t.out, text); err != nil && t.err == nil {
		t.err = err
	}
}

func (t *Text) paint(e Ended, text string) string {
	if !t.opts.Color {
		return text
	}
	color := "32" // green
	switch {
	case e.Bad():
		color = "31" // red
	case e == Unknown || e == Open:
		color = "33" // yellow
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// overview is the summary by kind, and what was read.
func (t *Text) overview(totals Totals) string {
	var b strings.Builder
	names := make([]string, 0, len(totals.Files))
	for _, f := range totals.Files {
		names = append(names, record.Printable(f))
	}
	of := fmt.Sprintf("%s in %s of %s", record.Count(t.count, "connection"), record.Count(totals.Packets, "packet"), strings.Join(names, ", "))
	t.paragraph(&b, "", of)
	var skipped []string
	for _, reason := range slices.Sorted(maps.Keys(totals.Skipped)) {
		skipped = append(skipped, fmt.Sprintf("%d %s", totals.Skipped[reason], reason))
	}
	if len(skipped) > 0 {
		t.paragraph(&b, "  ", "skipped: "+strings.Join(skipped, ", "))
	}
	if totals.Duplicates > 0 {
		t.paragraph(&b, "  ", fmt.Sprintf("%s in the capture twice, as one on all interfaces has them; they are counted once", areIn(totals.Duplicates)))
	}
	if totals.Partial {
		b.WriteString("  partial: interrupted before the end of the capture\n")
	}
	for _, cut := range totals.Cut {
		t.paragraph(&b, "  ", cut)
	}
	groups := t.summary.Groups()
	if len(groups) > 0 {
		b.WriteString("\n")
	}
	digits := 1
	for _, g := range groups {
		digits = max(digits, len(fmt.Sprint(g.Connections)))
	}
	for _, g := range groups {
		indent := strings.Repeat(" ", digits+4)
		fmt.Fprintf(&b, "%*d  %s\n", digits+2, g.Connections, t.paint(g.Ended, string(g.Ended)))
		t.paragraph(&b, indent, g.what())
		t.paragraph(&b, indent, g.Reading)
	}
	if t.well > 0 && !t.opts.Stream {
		fmt.Fprintf(&b, "\n%s not shown: --all shows %s\n", endedWell(t.well), them(t.well))
	}
	return b.String()
}

func areIn(n int) string {
	if n == 1 {
		return "1 frame is"
	}
	return fmt.Sprintf("%d frames are", n)
}

func endedWell(n int) string {
	if n == 1 {
		return "1 connection that ended well or goes on is"
	}
	return fmt.Sprintf("%d connections that ended well or go on are", n)
}

func (t *Text) paragraph(b *strings.Builder, indent, text string) {
	if text == "" {
		return
	}
	// What has no blanks, as an address of a page, is not broken.
	room := t.opts.Width - len(indent)
	line := ""
	for _, word := range strings.Fields(record.Printable(text)) {
		if line != "" && record.Width(line)+1+record.Width(word) > room {
			b.WriteString(indent + line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	b.WriteString(indent + line + "\n")
}

// head is a connection in one line.
func (t *Text) head(c *Connection) string {
	return fmt.Sprintf("%s  %d: %s ► %s  %s", c.End.Format("15:04:05.000"), c.Conn, c.Client, c.Server, t.end(c, "  "))
}

// end is how a connection ended, with what there is to say of it.
func (t *Text) end(c *Connection, between string) string {
	g := Group{Ended: c.Ended, ClosedFirst: c.ClosedFirst}
	if c.Reset != nil {
		g.By, g.Why, g.InState = c.Reset.By, c.Reset.Why, c.Reset.InState
	}
	text := t.paint(c.Ended, string(c.Ended))
	if what := g.what(); what != "" {
		text += between + what
	}
	return text
}

// connection is everything that is said of one.
func (t *Text) connection(c *Connection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %s ► %s\n", c.Conn, c.Client, c.Server)
	b.WriteString("  " + t.end(c, "\n  ") + "\n")
	if c.Reset != nil {
		t.paragraph(&b, "  ", fmt.Sprintf("%s (%s)", c.Reset.Evidence, c.Reset.Confidence))
	}
	facts := []string{fmt.Sprintf("%s from %s to %s UTC, %d and %d bytes of data", record.Count(c.Packets, "segment"),
		c.Start.Format("2006-01-02 15:04:05.000"), c.End.Format("15:04:05.000"), c.Bytes.Client, c.Bytes.Server)}
	if c.Confidence != Seen {
		facts = append(facts, fmt.Sprintf("that it ended so is %s", map[Confidence]string{Inferred: "inferred", Guess: "a guess"}[c.Confidence]))
	}
	if c.HalfClosed != nil {
		facts = append(facts, "half-closed for "+milliseconds(*c.HalfClosed))
	}
	if c.Idle != nil {
		facts = append(facts, "before the end nothing was said for "+milliseconds(*c.Idle))
	}
	t.paragraph(&b, "  ", strings.Join(facts, "; "))
	t.paragraph(&b, "  ", fmt.Sprintf("believed in the end: client %s, server %s", believed(c.States.Client), believed(c.States.Server)))
	if len(c.Lost) > 0 {
		t.paragraph(&b, "  ", "lost: "+listed(len(c.Lost), func(i int) string { return c.Lost[i] }))
	}
	if len(c.Repeats) > 0 {
		t.paragraph(&b, "  ", "sent again: "+repeats(c.Repeats))
	}
	for _, n := range c.Notes {
		t.paragraph(&b, "  ", "note: "+n)
	}
	if c.Nearest != nil && c.Ended.Bad() {
		fmt.Fprintf(&b, "  the same on your desk: lastack run %s\n", shell.Quote(c.Nearest.Scenario))
		if c.Nearest.Story != "" {
			fmt.Fprintf(&b, "  a bug that does it:    lastack run %s\n", shell.Quote(string(c.Nearest.Story)))
		}
	}
	b.WriteString("\n")
	if t.opts.Explain {
		b.WriteString(c.Explanation(t.opts.Width))
	} else {
		b.WriteString(c.Ladder(t.opts.Width, t.opts.Color))
	}
	return b.String()
}

func believed(s StateName) string {
	if s == "" {
		return "unknown"
	}
	return string(s)
}

// segmentsShown is how many of a connection's segments a line tells.
const segmentsShown = 8

// listed are the first of n items, and how many more there are.
func listed(n int, item func(i int) string) string {
	var parts []string
	for i := range min(n, segmentsShown) {
		parts = append(parts, item(i))
	}
	if n > segmentsShown {
		parts = append(parts, fmt.Sprintf("and %d more", n-segmentsShown))
	}
	return strings.Join(parts, ", ")
}

func repeats(list []Repeat) string {
	return listed(len(list), func(i int) string {
		r := list[i]
		at := fmt.Sprintf("%s at %s", r.Name, short(r.AtUS*1000))
		if i > 0 && r.AtUS > list[i-1].AtUS {
			at += fmt.Sprintf(" (+%s)", short((r.AtUS-list[i-1].AtUS)*1000))
		}
		return at
	})
}

func milliseconds(ms int64) string { return short(ms * int64(time.Millisecond)) }
