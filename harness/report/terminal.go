package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lastack/lastack/harness/record"
)

// Options say how a Terminal prints. The zero value is for a file: plain text
// in 80 columns.
type Options struct {
	// Color paints the verdicts; see UseColor.
	Color bool
	// Live keeps a line for each run while it is played at the end of what was
	// printed, and rewrites it. Only where the progress goes to a terminal.
	Live bool
	// Verbose prints the ladder of every run.
	Verbose bool
	// Width is the number of columns; 0 means 80. Commands and the names of
	// files are never broken.
	Width int
	// Repeat is how often each run is played. Where it is more than 1, the
	// repetitions that passed are printed together, once all have ended.
	Repeat int
}

// UseColor decides on colours: only on a terminal, and neither under NO_COLOR
// (https://no-color.org) nor on a terminal that has none. getenv is os.Getenv.
func UseColor(terminal bool, getenv func(string) string) bool {
	return terminal && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// Terminal prints runs as they are played: results on one writer, progress on
// another. It is safe for concurrent use, since scenarios are played side by
// side.
type Terminal struct {
	opts     Options
	out      io.Writer
	progress io.Writer

	mu      sync.Mutex
	playing []key
	begun   map[key]bool
	drawn   int // lines of progress that stand below the results
	groups  map[key]*group
	order   []key
	counts  map[record.Verdict]int
	names   map[string]bool
	again   int // attempts that were not counted
	left    int // runs that Leave was told of
	err     error
}

// key is what repetitions of one run have in common.
type key struct {
	scenario, play string
	ip             int
}

// group collects repetitions that passed.
type group struct {
	first   *record.Run
	passed  int
	ended   int
	fastest time.Duration
	slowest time.Duration
	printed bool
}

// NewTerminal makes a terminal. Results go to out, in the order in which runs
// end; progress goes to progress, or nowhere where that is nil. Call Close
// when all is played.
func NewTerminal(out, progress io.Writer, o Options) *Terminal {
	if o.Width == 0 {
		o.Width = 80
	}
	o.Width = max(o.Width, 40)
	return &Terminal{
		opts: o, out: out, progress: progress,
		begun: map[key]bool{}, groups: map[key]*group{}, counts: map[record.Verdict]int{}, names: map[string]bool{},
	}
}

// Begin says that a run is being played now.
func (t *Terminal) Begin(scenario, play string, ip int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key{scenario, play, ip}
	t.playing = append(t.playing, k)
	switch {
	case t.progress == nil:
	case t.opts.Live:
		t.erase()
		t.draw()
	case !t.begun[k]:
		t.begun[k] = true
		t.write(t.progress, "playing "+k.text()+"\n")
	}
}

// End prints a run that was played.
func (t *Terminal) End(r *record.Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key{r.Scenario, r.Play, r.IP}
	if i := slices.Index(t.playing, k); i >= 0 {
		t.playing = slices.Delete(t.playing, i, i+1)
	}
	t.counts[known(r.Verdict)]++
	t.names[r.Scenario] = true
	t.again += len(r.Attempts)
	g := t.groups[k]
	if g == nil {
		g = &group{}
		t.groups[k] = g
		t.order = append(t.order, k)
	}
	g.ended++
	text := ""
	if r.Verdict == record.Pass {
		g.pass(r)
	}
	if r.Verdict != record.Pass || t.opts.Verbose || t.opts.Repeat <= 1 {
		text = t.run(r)
	}
	if g.ended >= t.opts.Repeat {
		text += t.group(g)
	}
	t.erase()
	t.write(t.out, text)
	t.draw()
}

// Leave says that a run was played which End is not told of: it is part of
// something else, whose result follows.
func (t *Terminal) Leave(r *record.Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.playing, key{r.Scenario, r.Play, r.IP}); i >= 0 {
		t.playing = slices.Delete(t.playing, i, i+1)
	}
	t.again += len(r.Attempts)
	t.left++
	t.erase()
	t.draw()
}

// Note prints such a run, which does not count by itself.
func (t *Terminal) Note(r *record.Run) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.erase()
	t.write(t.out, t.run(r))
	t.draw()
}

// Close prints what is left to say, and the line that sums all up. It returns
// the first error of either writer.
func (t *Terminal) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.playing = nil
	t.erase()
	for _, k := range t.order {
		t.write(t.out, t.group(t.groups[k]))
	}
	t.write(t.out, t.summary())
	if t.err != nil {
		return fmt.Errorf("write report: %w", t.err)
	}
	return nil
}

func (g *group) pass(r *record.Run) {
	if g.passed == 0 {
		g.first, g.fastest = r, r.Duration
	}
	g.passed++
	g.fastest = min(g.fastest, r.Duration)
	g.slowest = max(g.slowest, r.Duration)
}

func (k key) text() string {
	text := fmt.Sprintf("%s IPv%d", record.Printable(k.scenario), k.ip)
	if k.play != "" && k.play != "default" {
		text += ", play: " + record.Printable(k.play)
	}
	return text
}

// erase takes the lines of progress away, so that results can follow.
func (t *Terminal) erase() {
	if t.drawn > 0 {
		t.write(t.progress, fmt.Sprintf("\x1b[%dA\r\x1b[J", t.drawn))
		t.drawn = 0
	}
}

// maxPlaying is how many lines of progress there are at most: a terminal that
// is scrolled by them cannot take them back.
const maxPlaying = 8

func (t *Terminal) draw() {
	if !t.opts.Live || t.progress == nil {
		return
	}
	var lines []string
	for i, k := range t.playing {
		if slices.Index(t.playing, k) < i {
			continue // another repetition of the same
		}
		line := "  … " + k.text()
		if t.opts.Repeat > 1 {
			ended := 0
			if g := t.groups[k]; g != nil {
				ended = g.ended
			}
			line += fmt.Sprintf("  %d of %d", ended, t.opts.Repeat)
		}
		// One column less: some terminals break a line that fills the last.
		lines = append(lines, record.Fit(line, t.opts.Width-1))
	}
	if n := len(lines); n > maxPlaying {
		lines = append(lines[:maxPlaying-1], fmt.Sprintf("  … and %d more", n-maxPlaying+1))
	}
	for _, line := range lines {
		t.write(t.progress, line+"\n")
	}
	t.drawn = len(lines)
}

func (t *Terminal) write(w io.Writer, text string) {
	if text == "" {
		return
	}
	if _, err := io.WriteString(w, text); err != nil && t.err == nil {
		t.err = err
	}
}

// known is the verdict, and ERROR for what is none.
func known(v record.Verdict) record.Verdict {
	switch v {
	case record.Pass, record.Fail, record.Inconclusive, record.Skip:
		return v
	}
	return record.Error
}

// mark is what stands before a claim.
func mark(v record.Verdict) string {
	switch v {
	case record.Pass:
		return "✓"
	case record.Fail:
		return "✗"
	case record.Inconclusive:
		return "?"
	case record.Skip:
		return "-"
	}
	return "!"
}

// paint colours what belongs to a verdict.
func (t *Terminal) paint(v record.Verdict, text string) string {
	if !t.opts.Color {
		return text
	}
	color := "31" // red
	switch v {
	case record.Pass:
		color = "32" // green
	case record.Inconclusive, record.Skip:
		color = "33" // yellow
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// head is the first line of a run or a group.
func (t *Terminal) head(v record.Verdict, k key, rest string) string {
	word := string(known(v))
	room := t.opts.Width - record.Width(word) - 2
	rows := record.Wrap(k.text()+rest, room)
	return t.paint(v, word) + "  " + strings.Join(rows, "\n  ") + "\n"
}

// group prints the repetitions that passed, once; nothing where each run was
// printed for itself.
func (t *Terminal) group(g *group) string {
	if t.opts.Repeat <= 1 || g.printed || g.passed == 0 {
		return ""
	}
	g.printed = true
	r := g.first
	k := key{r.Scenario, r.Play, r.IP}
	times := fmt.Sprintf("  %d of %d, %s to %s", g.passed, g.ended, duration(g.fastest), duration(g.slowest))
	return t.head(record.Pass, k, times) + t.claims(r)
}

// run prints one run.
func (t *Terminal) run(r *record.Run) string {
	var b strings.Builder
	took := ""
	if r.Duration > 0 {
		took = "  " + duration(r.Duration)
	}
	b.WriteString(t.head(r.Verdict, key{r.Scenario, r.Play, r.IP}, took))
	if r.Verdict != record.Pass && !told(r) {
		Paragraph(&b, t.opts.Width, "  ", r.Why)
	}
	for i, why := range r.Attempts {
		Paragraph(&b, t.opts.Width, "  ", fmt.Sprintf("attempt %d did not count: %s", i+1, why))
	}
	b.WriteString(t.claims(r))
	if r.Verdict != record.Pass {
		t.programs(&b, r)
	}
	if t.opts.Verbose {
		b.WriteByte('\n')
		b.WriteString(Ladder(r, t.opts.Width, t.opts.Color))
		b.WriteByte('\n')
	}
	if r.Evidence != "" && r.Verdict != record.Pass {
		fmt.Fprintf(&b, "  evidence: %s\n", record.Printable(r.Evidence))
	}
	if r.Repro != "" && r.Verdict != record.Pass && r.Verdict != record.Skip {
		fmt.Fprintf(&b, "  again:    %s\n", record.Printable(r.Repro))
	}
	return b.String()
}

// mostEvents is how much of a ladder is printed.
const mostEvents = 400

// Ladder is the ladder of a run as it is printed for people, in so many columns: of a
// long one both ends, and where the whole is.
func Ladder(r *record.Run, width int, color bool) string {
	whole := "--out DIR keeps all of them, in ladder.txt"
	if r.Evidence != "" {
		whole = "ladder.txt of the evidence has all of them"
	}
	return r.DrawLadder(record.LadderOptions{Width: width, Color: color, Names: true, Most: mostEvents, Whole: whole})
}

// notGiven begins why a run is INCONCLUSIVE of which a precondition does not hold.
const notGiven = "not given: "

// told tells whether one of the claims, which are printed, is all that the reason
// of the verdict says.
func told(r *record.Run) bool {
	return slices.ContainsFunc(r.Claims, func(c record.Claim) bool {
		return c.Verdict != record.Pass && (r.Verdict == record.Fail && r.Why == "claim does not hold: "+c.Sentence ||
			r.Verdict == record.Inconclusive && c.Given && r.Why == notGiven+c.Sentence)
	})
}

// claims prints the claims of a run. Where the run tested nothing, none of them
// was tested, whatever its judge said; but what was given, and what was not.
func (t *Terminal) claims(r *record.Run) string {
	var b strings.Builder
	for _, c := range r.Claims {
		v := known(r.Verdict)
		switch {
		case c.Given && v == record.Inconclusive && c.Verdict == record.Fail:
			c.Verdict, c.Sentence = v, notGiven+c.Sentence
		case c.Given && (v == record.Pass || v == record.Fail || v == record.Inconclusive):
			c.Sentence = "given: " + c.Sentence
		case v != record.Pass && v != record.Fail:
			c.Verdict, c.Why = v, ""
		}
		rows := record.Wrap(c.Sentence, t.opts.Width-4)
		fmt.Fprintf(&b, "  %s %s\n", t.paint(c.Verdict, mark(c.Verdict)), strings.Join(rows, "\n    "))
		if c.Verdict != record.Pass {
			Paragraph(&b, t.opts.Width, "      ", c.Why)
		}
	}
	return b.String()
}

// mostRows is how much is printed of a text: that of a claim about a long run may list
// all of its segments.
const mostRows = 100

// Paragraph prints a text that came from elsewhere for people, in so many columns: of a
// long one both ends, and where the whole is.
func Paragraph(b *strings.Builder, width int, indent, text string) {
	if text == "" {
		return
	}
	rows := record.Wrap(text, width-len(indent))
	if more := len(rows) - mostRows; more > 0 {
		gap := fmt.Sprintf("… %d lines are left out here; record.json of the evidence has all of them", more)
		rows = slices.Concat(rows[:mostRows/2], record.Wrap(gap, width-len(indent)), rows[len(rows)-mostRows/2:])
	}
	for _, row := range rows {
		b.WriteString(strings.TrimRight(indent+row, " ") + "\n")
	}
}

// lastWords is how many lines of a program's complaints are printed.
const lastWords = 5

// programs prints how each program ended, and the last that it complained of.
func (t *Terminal) programs(b *strings.Builder, r *record.Run) {
	for _, p := range r.Programs {
		how := fmt.Sprintf("exited %d", p.Exit)
		switch {
		case p.Signal != "":
			how = "ended by " + p.Signal
		case p.End < 0:
			how = "still ran"
		}
		line := fmt.Sprintf("  %s: %s %s", p.Host, strings.Join(p.Argv, " "), how)
		b.WriteString(record.Fit(record.Printable(line), t.opts.Width) + "\n")
		text := strings.TrimRight(string(p.Stderr), "\r\n \t")
		if text == "" {
			continue
		}
		lines := strings.Split(text, "\n")
		for _, line := range lines[max(0, len(lines)-lastWords):] {
			line = record.Printable(strings.TrimRight(line, "\r"))
			b.WriteString(record.Fit("    | "+line, t.opts.Width) + "\n")
		}
	}
}

// summary is the last line.
func (t *Terminal) summary() string {
	runs := 0
	var parts []string
	for _, v := range []record.Verdict{record.Pass, record.Fail, record.Error, record.Inconclusive, record.Skip} {
		if n := t.counts[v]; n > 0 {
			parts = append(parts, t.paint(v, fmt.Sprintf("%d %s", n, v)))
			runs += n
		}
	}
	switch {
	case runs == 0 && t.left > 0:
		return "no scenario was played to its end\n"
	case runs == 0:
		return "nothing was played\n"
	}
	text := fmt.Sprintf("%s, %s: %s\n", record.Count(len(t.names), "scenario"), record.Count(runs, "run"), strings.Join(parts, ", "))
	if t.again > 0 {
		text += fmt.Sprintf("attempts that did not count and were played again: %d\n", t.again)
	}
	return text
}

// duration is a time as people read it: 412 ms, 5.2 s.
func duration(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
