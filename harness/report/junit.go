package report

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/wholefile"
)

// The elements of the format, as the common CI systems read it.
type (
	junitReport struct {
		XMLName  xml.Name      `xml:"testsuites"`
		Name     string        `xml:"name,attr"`
		Tests    int           `xml:"tests,attr"`
		Failures int           `xml:"failures,attr"`
		Errors   int           `xml:"errors,attr"`
		Skipped  int           `xml:"skipped,attr"`
		Time     string        `xml:"time,attr"`
		Suites   []*junitSuite `xml:"testsuite"`

		duration time.Duration
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr,omitempty"`
		Properties []junitProperty `xml:"properties>property,omitempty"`
		Cases      []*junitCase    `xml:"testcase"`

		duration time.Duration
		started  time.Time
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

		verdict  record.Verdict
		duration time.Duration
		runs     int
		against  []string // what each run that did not pass says
		message  string
	}
	junitResult struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr,omitempty"`
		Text    string `xml:",cdata"`
	}
)

// WriteJUnit writes runs as JUnit XML: a test suite for each family of
// scenarios, a test case for each claim under each address family and play.
// Repetitions are one case, which has the worst of their verdicts. FAIL is a
// failure, INCONCLUSIVE and ERROR are errors, for nothing was tested; each with
// the ladder in its text. A run that has no claims, or that failed though its
// claims hold, is a case of its own. partial marks the report of a command that
// was interrupted.
func WriteJUnit(w io.Writer, runs []*record.Run, partial bool) error {
	b := bufio.NewWriter(w)
	_, err := b.WriteString(xml.Header)
	if err == nil {
		e := xml.NewEncoder(b)
		e.Indent("", "  ")
		err = e.Encode(junit(runs, partial))
	}
	if err == nil {
		err = b.WriteByte('\n')
	}
	if err == nil {
		err = b.Flush()
	}
	if err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return nil
}

// WriteJUnitFile is WriteJUnit to a file, which gets its name only once it is
// whole. An earlier one of that name is replaced.
func WriteJUnitFile(path string, runs []*record.Run, partial bool) error {
	var err error // of WriteJUnit, which says already what was attempted
	written := wholefile.Write(path, func(w io.Writer) error {
		err = WriteJUnit(w, runs, partial)
		return err
	})
	if err == nil && written != nil {
		err = fmt.Errorf("write JUnit report: %w", written)
	}
	return err
}

func junit(runs []*record.Run, partial bool) *junitReport {
	report := &junitReport{Name: "lastack"}
	suites := map[string]*junitSuite{}
	type caseKey struct {
		key
		claim string
	}
	cases := map[caseKey]*junitCase{}
	for _, r := range runs {
		family, _, _ := strings.Cut(r.Scenario, "/")
		s := suites[family]
		if s == nil {
			s = &junitSuite{Name: clean(family)}
			if r.Kernel != "" {
				s.Properties = append(s.Properties, junitProperty{"kernel", clean(r.Kernel)})
			}
			if partial {
				s.Properties = append(s.Properties, junitProperty{"partial", "true"})
			}
			suites[family] = s
			report.Suites = append(report.Suites, s)
		}
		s.duration += r.Duration
		if !r.Started.IsZero() && (s.started.IsZero() || r.Started.Before(s.started)) {
			s.started = r.Started
		}
		claims := judged(r)
		for _, c := range claims {
			k := caseKey{key{r.Scenario, r.Play, r.IP}, c.Sentence}
			x := cases[k]
			if x == nil {
				x = &junitCase{Name: clean(fmt.Sprintf("%s (IPv%d)", c.Sentence, r.IP)), Class: clean(r.Scenario), verdict: record.Pass}
				if r.Play != "" && r.Play != "default" {
					x.Name += clean(", play: " + r.Play)
				}
				cases[k] = x
				s.Cases = append(s.Cases, x)
			}
			// The claims of a run share its time, so that cases add up to the suite.
			x.add(r, c, r.Duration/time.Duration(len(claims)))
		}
	}
	for _, s := range report.Suites {
		s.finish()
		report.Tests += s.Tests
		report.Failures += s.Failures
		report.Errors += s.Errors
		report.Skipped += s.Skipped
		report.duration += s.duration
	}
	report.Time = seconds(report.duration)
	return report
}

// judged are the claims of a run as a report counts them: where the run tested
// nothing, none of them was tested.
func judged(r *record.Run) []record.Claim {
	verdict := known(r.Verdict)
	var claims []record.Claim
	worst := record.Pass
	for _, c := range r.Claims {
		c.Verdict = known(c.Verdict)
		if verdict != record.Pass && verdict != record.Fail {
			c.Verdict, c.Why = verdict, r.Why
		}
		worst = record.Worst(true, worst, c.Verdict)
		claims = append(claims, c)
	}
	if len(claims) == 0 || verdict != record.Pass && worst == record.Pass {
		claims = append(claims, record.Claim{Sentence: "the run itself", Verdict: verdict, Why: r.Why})
	}
	return claims
}

func (x *junitCase) add(r *record.Run, c record.Claim, took time.Duration) {
	x.runs++
	x.duration += took
	if c.Verdict == record.Pass {
		return
	}
	before := x.verdict
	x.verdict = record.Worst(true, before, c.Verdict)
	why := c.Why
	if why == "" {
		why = r.Why
	}
	if x.verdict != before || x.message == "" {
		x.message = record.Fit(clean(strings.Join(strings.Fields(why), " ")), maxMessage)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", c.Verdict, cleanLines(why))
	if r.Evidence != "" {
		fmt.Fprintf(&b, "evidence: %s\n", clean(r.Evidence))
	}
	if c.Verdict != record.Skip {
		if r.Repro != "" {
			fmt.Fprintf(&b, "again: %s\n", clean(r.Repro))
		}
		fmt.Fprintf(&b, "\n%s", r.Ladder())
	}
	x.against = append(x.against, b.String())
}

const (
	// maxLadders bounds a case of many repetitions that all fail alike.
	maxLadders = 3
	// maxMessage is how much of a text fits a list of failures, in columns.
	maxMessage = 160
)

func (s *junitSuite) finish() {
	for _, x := range s.Cases {
		s.Tests++
		x.Time = seconds(x.duration)
		if x.verdict == record.Pass {
			continue
		}
		text := strings.Join(x.against[:min(len(x.against), maxLadders)], "\n")
		if x.runs > 1 {
			text = fmt.Sprintf("%d of %d runs did not pass\n\n%s", len(x.against), x.runs, text)
		}
		result := &junitResult{Type: string(x.verdict), Message: x.message, Text: text}
		switch x.verdict {
		case record.Fail:
			s.Failures++
			x.Failure = result
		case record.Skip:
			s.Skipped++
			result.Type = "" // the format gives it no type
			x.Skipped = result
		default:
			s.Errors++
			x.Error = result
		}
	}
	s.Time = seconds(s.duration)
	if !s.started.IsZero() {
		s.Timestamp = s.started.UTC().Format("2006-01-02T15:04:05")
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// clean makes a text one line that XML can hold: most control characters have
// no place in XML, not even escaped.
func clean(text string) string { return record.Printable(text) }

func cleanLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = clean(strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), "\r"))
	}
	return strings.Join(lines, "\n")
}
