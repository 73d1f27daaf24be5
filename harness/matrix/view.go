package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/lastack/lastack/harness/record"
)

// legend explains the glyphs.
const legend = `a  ACK     r  RST     s  SYN, SYN-ACK     f  FIN     ·  no answer
x  no socket is left     >  another state     !  departs from the RFC
–  N/A     ?  INCONCLUSIVE     E  ERROR     ≠  IPv4 and IPv6 differ
`

// The colours, by agreement with the RFC.
const (
	agreeing  = "32"
	departing = "33"
	dim       = "2"
	red       = "31"
)

// glyph is a cell in three columns: what was answered, what became of the state,
// and whether the RFC asks for something else.
func (p pair) glyph() (text, color string) {
	if !p.alike() {
		return "≠", red
	}
	c := p[0]
	switch c.Verdict {
	case record.Pass:
	case NotApplicable:
		return "–", dim
	case record.Inconclusive:
		return "?", red
	default:
		return "E", red
	}
	text = "·"
	if len(c.Answers) > 0 {
		text = letter(c.Answers[0].Flags)
	}
	switch {
	case c.StateAfter == c.State:
	case c.StateAfter == "CLOSED":
		text += "x"
	default:
		text += ">"
	}
	if c.Departs {
		return text + "!", departing
	}
	return text, agreeing
}

func letter(flags string) string {
	for _, l := range []struct{ flag, letter string }{{"R", "r"}, {"S", "s"}, {"F", "f"}} {
		if strings.Contains(flags, l.flag) {
			return l.letter
		}
	}
	return "a"
}

// How wide the table is: 14 + 13 × 5 columns.
const (
	nameWidth  = 14
	glyphWidth = 5
)

// grid is the table of glyphs, one line an arrival, without trailing blanks.
func (d *Document) grid(paint func(color, text string) string) string {
	var states, arrivals []string
	glyphs := map[[2]string]pair{}
	for _, p := range d.pairs() {
		c := p[0]
		if !slices.Contains(states, c.State) {
			states = append(states, c.State)
		}
		if !slices.Contains(arrivals, c.Arrival) {
			arrivals = append(arrivals, c.Arrival)
		}
		glyphs[[2]string{c.Arrival, c.State}] = p
	}
	var b strings.Builder
	line := func(name string, column func(state string) (text, color string)) {
		fmt.Fprintf(&b, "%-*s", nameWidth, name)
		for i, s := range states {
			text, color := column(s)
			b.WriteString(paint(color, text))
			if i < len(states)-1 {
				b.WriteString(strings.Repeat(" ", max(glyphWidth-len([]rune(text)), 1)))
			}
		}
		b.WriteByte('\n')
	}
	line("", func(state string) (string, string) { return short(state), "" })
	for _, a := range arrivals {
		line(a, func(state string) (string, string) {
			p, ok := glyphs[[2]string{a, state}]
			if !ok {
				return " ", ""
			}
			return p.glyph()
		})
	}
	return b.String()
}

func short(state string) string {
	for _, s := range States() {
		if s.Name == state {
			return s.Short
		}
	}
	return state
}

// WriteTerminal prints the table for a terminal of 80 columns, with a legend.
func (d *Document) WriteTerminal(w io.Writer, color bool) error {
	paint := func(code, text string) string {
		if !color || code == "" {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	text := d.Kernel + ", " + d.familiesText() + "\n\n" + d.grid(paint) + "\n" + legend
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write matrix: %w", err)
	}
	return nil
}

func (d *Document) familiesText() string {
	var has [2]bool
	for i := range d.Cells {
		has[d.Cells[i].IP/6] = true
	}
	switch has {
	case [2]bool{true, true}:
		return "IPv4 and IPv6"
	case [2]bool{false, true}:
		return "IPv6"
	}
	return "IPv4"
}

// Summary counts the cells in one sentence, N/A apart.
func (d *Document) Summary() string {
	count := d.Count()
	departs := 0
	for i := range d.Cells {
		if d.Cells[i].Departs {
			departs++
		}
	}
	text := fmt.Sprintf("%s measured, %d depart from an RFC; %d N/A", record.Count(count[record.Pass], "cell"), departs, count[NotApplicable])
	if n := count[record.Inconclusive]; n > 0 {
		text += fmt.Sprintf("; %d INCONCLUSIVE", n)
	}
	if n := count[record.Error]; n > 0 {
		text += fmt.Sprintf("; %d ERROR", n)
	}
	return text
}

// WriteDetail prints all that is known of a cell, with the ladder of its play,
// which may be empty.
func (c *Cell) WriteDetail(w io.Writer, ladder string, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, IPv%d: %s\n", c.Name(), c.IP, c.Verdict)
	say := func(label, text string) {
		if text != "" {
			for i, line := range record.Wrap(text, width-12) {
				if i > 0 {
					label = ""
				}
				fmt.Fprintf(&b, "  %-9s %s\n", label, line)
			}
		}
	}
	say("arrives", arrives(c.Arrival))
	if c.Measured() {
		say("answers", answersText(c.Answers))
		after := c.StateAfter
		if c.Timer != "" {
			after += fmt.Sprintf(", timer %s in %d ms", c.Timer, c.ExpiresMS)
		}
		say("state", after)
		if c.SOError != nil {
			say("program", fmt.Sprintf("SO_ERROR %s, read() %s, write() %s", optional(c.SOError), optional(c.Read), optional(c.Write)))
		}
	}
	say("why", c.Why)
	say("asked", c.RFC)
	if c.Departs {
		say("departs", orNothing(c.Because))
	}
	if ladder != "" {
		b.WriteString("\n" + ladder)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write cell: %w", err)
	}
	return nil
}

func arrives(name string) string {
	for _, a := range Arrivals() {
		if a.Name == name {
			return a.Segment
		}
	}
	return ""
}

// WriteMarkdown writes the whole matrix as a document to be kept. It holds no
// times, so that it is the same from run to run.
func (d *Document) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, markdownHead, d.Kernel, d.familiesText(), d.Summary())
	b.WriteString("```\n" + d.grid(func(_, text string) string { return text }) + "\n" + legend + "```\n")
	b.WriteString("\n## What arrives\n\n| arrival | segment |\n|---|---|\n")
	for _, a := range Arrivals() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", a.Name, a.Segment)
	}
	b.WriteString("\n## Where it departs from an RFC\n\n| state | arrival | what Linux does, and where |\n|---|---|---|\n")
	pairs := d.pairs()
	for _, p := range pairs {
		for _, c := range p.distinct() {
			if c.Departs {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.State, p.arrival(c), orNothing(c.Because))
			}
		}
	}
	state := ""
	for _, p := range pairs {
		for _, c := range p.distinct() {
			if c.State != state {
				state = c.State
				fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n%s", state, sentence(entered(state)), markdownColumns)
			}
			c.markdownRow(&b, p)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write matrix: %w", err)
	}
	return nil
}

func (c *Cell) markdownRow(b *strings.Builder, p pair) {
	name := p.arrival(c)
	if !c.Measured() {
		fmt.Fprintf(b, "| %s | %s | | | | | %s |\n", name, c.Verdict, c.Why)
		return
	}
	after := c.StateAfter
	if after == c.State {
		after = "stays"
	}
	asked := c.RFC
	if c.Departs {
		asked = "**departs:** " + asked
	}
	fmt.Fprintf(b, "| %s | `%s` | %s | %s | %s | %s | %s |\n",
		name, answersText(c.Answers), after, optional(c.SOError), optional(c.Read), optional(c.Write), asked)
}

// arrival is the arrival of a cell of distinct, with its family where they differ.
func (p pair) arrival(c *Cell) string {
	name := "`" + c.Arrival + "`"
	if !p.alike() {
		name += fmt.Sprintf(", IPv%d", c.IP)
	}
	return name
}

func entered(state string) string {
	for _, s := range States() {
		if s.Name == state {
			return s.Entered
		}
	}
	return state
}

// sentence begins with a capital letter, but for what is a name of C.
func sentence(text string) string {
	if name, _, ok := strings.Cut(text, "("); ok && !strings.Contains(name, " ") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

const markdownColumns = `| arrival | answers | state after | SO_ERROR | read() | write() | asked |
|---|---|---|---|---|---|---|
`

const markdownHead = `# The arrival matrix of %s

What this kernel does with any segment in any closing state, over %s:
%s.

Made by ` + "`lastack matrix --markdown`" + `; do not edit. Play one cell and see its ladder:
` + "`lastack matrix --state TIME_WAIT --arrival rst-exact`" + `.

R is RCV.NXT, U SND.UNA, N SND.NXT (1 where there is none), W the window that was
last sent. Numbers are relative: each SYN is 0, and where the state allows it 100
bytes went each way before. An answer is written as flags, seq, after a slash ack,
after a plus its length. From the arrival on nothing passes between the two hosts.

`
