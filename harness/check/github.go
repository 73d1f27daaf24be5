package check

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/lastack/lastack/harness/record"
)

// Annotations writes a line for each finding, which GitHub's runner turns into an
// annotation.
func (r *Report) Annotations(out io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "::error title=%s::%s\n", property("lastack check: "+string(f.Symptom)),
			message(fmt.Sprintf("%s: %s (repeated %s)\nagain: %s", f.Cells[0], f.Sentence, f.Replays, f.Repro)))
	}
	for _, f := range r.Unrepeatable {
		fmt.Fprintf(&b, "::warning title=%s::%s\n", property("lastack check: "+string(f.Symptom)+", unrepeatable"),
			message(fmt.Sprintf("%s: %s\nagain: %s", f.Cells[0], f.Sentence, f.Repro)))
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write annotations: %w", err)
	}
	return nil
}

// message escapes the text of a workflow command: its lines stay lines, and nothing
// in them begins another command.
func message(text string) string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		lines = append(lines, strings.ReplaceAll(record.Printable(line), "%", "%25"))
	}
	return strings.Join(lines, "%0A")
}

func property(text string) string {
	return strings.NewReplacer("%", "%25", ":", "%3A", ",", "%2C").Replace(record.Printable(text))
}

// Summary writes the report as Markdown for GitHub's job summary. What programs
// wrote stands in it as text, whatever markup it has.
func (r *Report) Summary(out io.Writer) error {
	var b, matrix strings.Builder
	if err := r.matrix(&matrix, TextOptions{}); err != nil {
		return err
	}
	fmt.Fprintf(&b, "## lastack check: %s\n\n", r.Verdict)
	fmt.Fprintf(&b, "<pre>%s</pre>\n\n", html.EscapeString(matrix.String()))
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "### %s: %s, repeated %s\n\n", f.Symptom, record.Count(len(f.Cells), "cell"), f.Replays)
		fmt.Fprintf(&b, "<pre>%s: %s\n\n%s\nagain: %s</pre>\n\n", plain(f.Cells[0]), plain(f.Sentence), html.EscapeString(printableLines(f.Ladder)), plain(f.Repro))
	}
	fmt.Fprintf(&b, "%s, %d inconclusive, %d unrepeatable, %.1f cells per second\n", record.Count(len(r.Cells), "cell"), r.Inconclusive, len(r.Unrepeatable), r.CellsPerS)
	if r.Partial {
		b.WriteString("\n**Partial**: not all cells were played.\n")
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return fmt.Errorf("write job summary: %w", err)
	}
	return nil
}

func plain(text string) string { return html.EscapeString(record.Printable(text)) }

func printableLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(record.Printable(strings.TrimRight(line, "\n")) + "\n")
	}
	return b.String()
}
