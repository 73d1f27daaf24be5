package check

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"slices"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/shell"
)

type (
	junitSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Time     string     `xml:"time,attr"`
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name    string       `xml:"name,attr"`
		Class   string       `xml:"classname,attr"`
		Time    string       `xml:"time,attr"`
		Failure *junitResult `xml:"failure"`
		Error   *junitResult `xml:"error"`
		Skipped *junitResult `xml:"skipped"`
	}
	junitResult struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",cdata"`
	}
)

// JUnit writes the report as JUnit XML: a test case for each cell. A finding is a
// failure; what showed nothing, or never came again, is skipped.
func (r *Report) JUnit(out io.Writer) error {
	all := junitSuites{Name: "lastack check", Time: fmt.Sprintf("%.3f", float64(r.DurationMS)/1000)}
	all.Suite = junitSuite{Name: record.Printable(shell.Join(r.Client)), Time: all.Time}
	all.Suite.Properties = []junitProperty{
		{"kernel", record.Printable(r.Kernel)}, {"server", record.Printable(shell.Join(r.Server))}, {"under-test", r.UnderTest},
		{"partial", fmt.Sprint(r.Partial)},
	}
	for _, c := range r.Cells {
		x := junitCase{Name: record.Printable(c.Cell), Class: record.Printable(c.Point), Time: fmt.Sprintf("%.3f", float64(c.DurationMS)/1000)}
		all.Tests++
		finding := r.findingOf(c)
		switch {
		case finding != nil:
			all.Failures++
			text := record.Printable(c.Note) + "\n"
			if finding.Cells[0] == c.Cell {
				text += "repeated " + finding.Replays + "\n\n" + printableLines(finding.Ladder) + "\nagain: " + record.Printable(finding.Repro) + "\n"
			}
			x.Failure = &junitResult{Type: string(c.Symptom), Message: record.Fit(record.Printable(c.Note), 200), Text: text}
		case c.Verdict == record.Error:
			all.Errors++
			x.Error = &junitResult{Type: string(c.Verdict), Message: record.Printable(c.Note)}
		case c.Verdict != record.Pass:
			all.Skipped++
			x.Skipped = &junitResult{Message: record.Printable(c.Note)}
		}
		all.Suite.Cases = append(all.Suite.Cases, x)
	}
	all.Suite.Tests, all.Suite.Failures, all.Suite.Errors, all.Suite.Skipped = all.Tests, all.Failures, all.Errors, all.Skipped
	b := bufio.NewWriter(out)
	b.WriteString(xml.Header)
	e := xml.NewEncoder(b)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	b.WriteByte('\n')
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return nil
}

// findingOf is the finding that a cell's symptom belongs to; nil where it has none
// that repeats.
func (r *Report) findingOf(c CellReport) *FindingReport {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Symptom == c.Symptom && slices.Contains(f.Cells, c.Cell) {
			return f
		}
	}
	return nil
}
