package check

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
)

// TextOptions say how a report is printed. The zero value is for a file: plain text
// in 80 columns.
type TextOptions struct {
	// Color paints what was found.
	Color bool
	// Width is the number of columns; 0 means 80. Commands are never broken.
	Width int
	// Verbose lists every cell with its note.
	Verbose bool
}

// glyphs stand for symptoms in the matrix.
var glyphs = map[Symptom]string{
	Signal: "S", Hang: "H", SilentCorruption: "C", FalseFailure: "F",
	RepeatedEffect: "R", Leak: "L", ServerDown: "D", Judged: "J",
}

// Glyphs of cells without a symptom.
const (
	held         = "·"
	inconclusive = "?"
	erred        = "!"
	unrepeatable = "~"
	excluded     = " "
	unplayed     = "…"
)

// Text prints the report: the matrix, the findings worst first, what was not
// judged, and what sums it all up. Whatever programs wrote is escaped.
func (r *Report) Text(out io.Writer, o TextOptions) error {
	if o.Width == 0 {
		o.Width = 80
	}
	o.Width = max(o.Width, 60)
	b := bufio.NewWriter(out)
	if err := r.matrix(b, o); err != nil {
		return err
	}
	t := printer{w: b, o: o}
	for _, f := range r.Findings {
		t.finding(f)
	}
	if o.Verbose {
		t.cells(r)
	}
	t.unjudged(r)
	t.summary(r)
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// JSON prints the report as one document.
func (r *Report) JSON(out io.Writer) error { return encode(out, r) }

type printer struct {
	w io.Writer
	o TextOptions
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
)

func (o TextOptions) paint(color, text string) string {
	if !o.Color || strings.TrimSpace(text) == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// wrapped prints a text, whatever it has in it, indented.
func (t *printer) wrapped(first, indent, text string) {
	for i, row := range record.Wrap(record.Printable(text), t.o.Width-len(indent)-1) {
		lead := indent
		if i == 0 {
			lead = first
		}
		row = tame(row)
		fmt.Fprintln(t.w, strings.TrimRight(lead+row, " "))
	}
}

// tame marks a line that a CI system would take for a command of ours.
func tame(row string) string {
	if begin := strings.TrimSpace(row); strings.HasPrefix(begin, "::") || strings.HasPrefix(begin, "##[") {
		return "|" + row
	}
	return row
}

func (t *printer) finding(f FindingReport) {
	fmt.Fprintf(t.w, "\n%s  %s, repeated %s\n", t.o.paint(red, string(f.Symptom)), record.Count(len(f.Cells), "cell"), f.Replays)
	t.wrapped("  ", "  ", f.Cells[0]+": "+f.Sentence)
	if len(f.Cells) > 1 {
		t.wrapped("  also ", "       ", few(f.Cells[1:]))
	}
	if f.Ladder != "" {
		fmt.Fprintln(t.w)
		for line := range strings.Lines(f.Ladder) {
			fmt.Fprintln(t.w, strings.TrimRight("  "+record.Fit(tame(record.Printable(strings.TrimRight(line, "\n"))), t.o.Width-2), " "))
		}
		fmt.Fprintln(t.w)
	}
	fmt.Fprintf(t.w, "  again:    %s\n", record.Printable(f.Repro))
	if f.Evidence != "" {
		fmt.Fprintf(t.w, "  evidence: %s\n", record.Printable(f.Evidence))
	}
}

// few are so many names as fit into a few lines.
func few(names []string) string {
	const most = 12
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s, and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func (t *printer) cells(r *Report) {
	fmt.Fprintln(t.w)
	for _, c := range r.Cells {
		what := string(c.Verdict)
		if c.Symptom != "" {
			what = string(c.Symptom)
		}
		fmt.Fprintf(t.w, "%-17s %s  %d ms\n", what, c.Cell, c.DurationMS)
		if c.Note != "" {
			t.wrapped("    ", "    ", c.Note)
		}
	}
}

// unjudged says what was not judged, and what to do about it.
func (t *printer) unjudged(r *Report) {
	for _, v := range r.Baseline.Varies {
		fmt.Fprintln(t.w)
		t.wrapped("", "", fmt.Sprintf("%s differs from run to run without any fault, so it is not judged:", v.Output))
		for _, line := range v.Lines {
			fmt.Fprintln(t.w, record.Fit("  | "+record.Printable(line), t.o.Width))
		}
		t.wrapped("", "", "--ignore REGEXP leaves such parts out; --judge COMMAND decides by itself")
	}
	for _, f := range r.Unrepeatable {
		fmt.Fprintf(t.w, "\n%s  %s, unrepeatable (%s): it does not count\n", t.o.paint(yellow, string(f.Symptom)), record.Count(len(f.Cells), "cell"), f.Replays)
		t.wrapped("  ", "  ", few(f.Cells)+": "+f.Sentence)
		fmt.Fprintf(t.w, "  again:    %s\n", record.Printable(f.Repro))
	}
	if failed := slices.DeleteFunc(slices.Clone(r.Cells), func(c CellReport) bool { return c.Verdict != record.Error }); len(failed) > 0 {
		fmt.Fprintf(t.w, "\n%s  %s could not be played\n", t.o.paint(red, "ERROR"), record.Count(len(failed), "cell"))
		t.wrapped("  ", "  ", failed[0].Cell+": "+failed[0].Note)
	}
}

func (t *printer) summary(r *Report) {
	fmt.Fprintln(t.w)
	parts := []string{record.Count(len(r.Findings), "finding")}
	if n := len(r.Unrepeatable); n > 0 {
		parts = append(parts, fmt.Sprintf("%d unrepeatable", n))
	}
	if r.Inconclusive > 0 {
		parts = append(parts, fmt.Sprintf("%d inconclusive", r.Inconclusive))
	}
	if r.Excluded > 0 {
		parts = append(parts, fmt.Sprintf("%d without meaning left out", r.Excluded))
	}
	color := green
	if r.Verdict != record.Pass {
		color = red
	}
	line := fmt.Sprintf("%s, %s under test: %s", record.Count(len(r.Cells), "cell"), r.UnderTest, strings.Join(parts, ", "))
	if r.Shards > 0 {
		line = fmt.Sprintf("shard %d of %d: %s", r.Shard, r.Shards, line)
	}
	verdict := string(r.Verdict)
	rows := record.Wrap(line, t.o.Width-len(verdict)-2)
	fmt.Fprintf(t.w, "%s  %s\n", t.o.paint(color, verdict), strings.Join(rows, "\n"+strings.Repeat(" ", len(verdict)+2)))
	speed := fmt.Sprintf("%.1f cells per second, %s in all; the fault-free run took %d ms, the patience was %v",
		r.CellsPerS, seconds(r.DurationMS), r.Baseline.DurationMS, time.Duration(r.Baseline.PatienceMS)*time.Millisecond)
	t.wrapped("", "", speed)
	if r.Partial {
		fmt.Fprintln(t.w, "partial: not all cells were played")
	}
}

func seconds(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) }

// matrix draws points × faults.
func (r *Report) matrix(w io.Writer, o TextOptions) error {
	if o.Width == 0 {
		o.Width = 80
	}
	var points, columns []string
	at := map[[2]string]CellReport{}
	for _, c := range r.Cells {
		column := c.Fault
		if c.Side != "" {
			column += "/" + c.Side
		}
		if !slices.Contains(points, c.Point) {
			points = append(points, c.Point)
		}
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
		at[[2]string{c.Point, column}] = c
	}
	slices.SortStableFunc(columns, func(a, b string) int { return rank(a) - rank(b) })
	if r.Points != nil {
		order := r.Points
		slices.SortStableFunc(points, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) })
	}
	never := map[string]bool{}
	for _, f := range r.Unrepeatable {
		for _, c := range f.Cells {
			never[c+"\x00"+string(f.Symptom)] = true
		}
	}
	label := 5
	for _, p := range points {
		label = max(label, record.Width(p))
	}
	label = min(label, max(12, o.Width-2*len(columns)-1))
	var b strings.Builder
	row := func(name string, glyph func(i int, column string) string) {
		b.WriteString(name + strings.Repeat(" ", max(0, label-record.Width(name))))
		var line strings.Builder
		for i, column := range columns {
			line.WriteString(" " + glyph(i, column))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	row("", func(i int, _ string) string { return letter(i) })
	found := map[Symptom]bool{}
	unsure, wrong, unsettled := false, false, false
	for _, p := range points {
		row(record.Fit(record.Printable(p), label), func(_ int, column string) string {
			c, is := at[[2]string{p, column}]
			switch {
			case !is:
				return excluded
			case c.Verdict == "":
				return unplayed
			case c.Symptom != "" && never[c.Cell+"\x00"+string(c.Symptom)]:
				unsettled = true
				return o.paint(yellow, unrepeatable)
			case c.Symptom != "":
				found[c.Symptom] = true
				return o.paint(red, glyphs[c.Symptom])
			case c.Verdict == record.Inconclusive:
				unsure = true
				return o.paint(yellow, inconclusive)
			case c.Verdict == record.Error:
				wrong = true
				return o.paint(red, erred)
			}
			return o.paint(green, held)
		})
	}
	b.WriteByte('\n')
	t := printer{w: &b, o: o}
	var legend []string
	for i, column := range columns {
		legend = append(legend, letter(i)+" "+column)
	}
	t.wrapped("", "", strings.Join(legend, "  "))
	legend = []string{held + " held"}
	for _, s := range Symptoms() {
		if found[s] {
			legend = append(legend, glyphs[s]+" "+string(s))
		}
	}
	for _, x := range []struct {
		is          bool
		glyph, what string
	}{{unsure, inconclusive, "inconclusive"}, {wrong, erred, "error"}, {unsettled, unrepeatable, "unrepeatable"}} {
		if x.is {
			legend = append(legend, x.glyph+" "+x.what)
		}
	}
	t.wrapped("", "", strings.Join(legend, "  ")+"  (blank: without meaning)")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// letter heads a column.
func letter(i int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return string(letters[i%len(letters)])
}

// rank is where a column stands.
func rank(column string) int {
	name, side, _ := strings.Cut(column, "/")
	for i, f := range Faults() {
		if f.Name == name {
			return 8*i + max(0, slices.Index(f.Sides, side))
		}
	}
	return 1 << 20
}
