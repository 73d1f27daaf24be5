package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/internal/recordtest"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/harness/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", path, diff)
	}
}

// four are runs of every verdict.
func four() []*record.Run {
	inconclusive := recordtest.LastACKLost()
	inconclusive.IP, inconclusive.Verdict = 6, record.Inconclusive
	inconclusive.Why = "play.go:12: the rule \"drop client.ACK(server.FIN)\" had not fired after 30s"
	inconclusive.Rules[0].Hits = 0
	skip := &record.Run{Scenario: "reset/needs-new-kernel", Play: "default", IP: 4, Verdict: record.Skip, Why: "needs Linux 6.17, this is 6.12", Repro: "lastack run reset/needs-new-kernel"}
	broken := &record.Run{Scenario: "reset/broken", Play: "default", IP: 4, Verdict: record.Error, Why: "make lab: operation not permitted"}
	return []*record.Run{recordtest.LastACKLost(), recordtest.Full(), inconclusive, skip, broken}
}

// TestLongRun: what is printed of a run of thousands of segments is bounded, and says
// what is missing and where that is.
func TestLongRun(t *testing.T) {
	r := recordtest.LastACKLost()
	r.Verdict, r.Evidence = record.Fail, "evidence/long-ip4"
	r.Claims = []record.Claim{{Sentence: "it holds", Verdict: record.Fail, Why: strings.Repeat("a row\n", 5000)}}
	for range 5000 {
		r.Segments = append(r.Segments, r.Segments[0])
	}
	out, _ := play(t, report.Options{Verbose: true}, []*record.Run{r})
	if n := strings.Count(out, "\n"); n < 400 || n > 700 {
		t.Errorf("%d lines are printed", n)
	}
	for _, says := range []string{"segments are left out here; ladder.txt of the evidence has", "4900 lines are left out here; record.json of the evidence has"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), says) {
			t.Errorf("it does not say %q", says)
		}
	}
}

func play(t *testing.T, o report.Options, runs []*record.Run) (out, progress string) {
	t.Helper()
	var a, b bytes.Buffer
	term := report.NewTerminal(&a, &b, o)
	for _, r := range runs {
		term.Begin(r.Scenario, r.Play, r.IP)
	}
	for _, r := range runs {
		term.End(r)
	}
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
	return a.String(), b.String()
}

func TestTerminal(t *testing.T) {
	repeated := func() []*record.Run {
		var runs []*record.Run
		for i := range 5 {
			r := recordtest.LastACKLost()
			r.Duration += time.Duration(i) * time.Millisecond
			if i == 3 {
				r.Verdict, r.Claims[0].Verdict, r.Claims[0].Why = record.Fail, record.Fail, "Expected\n    this"
				r.Evidence = "/tmp/lastack-1/close-last-ack-lost-ip4"
			}
			runs = append(runs, r)
		}
		return runs
	}
	claims := func(v record.Verdict, why string, given, other record.Verdict) *record.Run {
		return &record.Run{Scenario: "stories/s", IP: 4, Verdict: v, Why: why, Claims: []record.Claim{
			{Sentence: "the fault is there", Verdict: given, Why: "Expected\n    the fault", Given: true},
			{Sentence: "it is borne", Verdict: other, Why: "Expected\n    to be borne"},
		}}
	}
	given := []*record.Run{
		claims(record.Pass, "", record.Pass, record.Pass),
		claims(record.Fail, "claim does not hold: it is borne", record.Pass, record.Fail),
		claims(record.Inconclusive, "not given: the fault is there", record.Fail, record.Fail),
		claims(record.Inconclusive, "the rule \"drop client.FIN\" never fired", record.Fail, record.Fail),
		claims(record.Error, "no lab", record.Fail, record.Fail),
	}
	for name, c := range map[string]struct {
		opts report.Options
		runs []*record.Run
	}{
		"plain":   {report.Options{}, four()},
		"color":   {report.Options{Color: true, Live: true}, four()},
		"verbose": {report.Options{Verbose: true}, four()[:1]},
		"repeat":  {report.Options{Repeat: 5}, repeated()},
		"given":   {report.Options{}, given},
		"nothing": {report.Options{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			out, progress := play(t, c.opts, c.runs)
			golden(t, name+".out", out)
			golden(t, name+".progress", progress)
			if !c.opts.Color && strings.Contains(out, "\x1b") {
				t.Error("an escape sequence where there are no colours")
			}
			for line := range strings.Lines(out) {
				line = strings.TrimSuffix(line, "\n")
				if !c.opts.Color && record.Width(line) > 80 && !strings.HasPrefix(line, "  again:") && !strings.HasPrefix(line, "  evidence:") {
					t.Errorf("%d columns: %s", record.Width(line), line)
				}
			}
		})
	}
}

// What an interrupted command had repeated so far is printed by Close.
func TestCloseFlushesGroups(t *testing.T) {
	runs := []*record.Run{recordtest.LastACKLost(), recordtest.LastACKLost()}
	out, _ := play(t, report.Options{Repeat: 200}, runs)
	if !strings.Contains(out, "2 of 2") || !strings.HasSuffix(out, "1 scenario, 2 runs: 2 PASS\n") {
		t.Errorf("output is\n%s", out)
	}
}

// No more lines of progress than can be taken back.
func TestManyPlaying(t *testing.T) {
	var out, progress bytes.Buffer
	term := report.NewTerminal(&out, &progress, report.Options{Live: true, Width: 50})
	for i := range 20 {
		term.Begin(fmt.Sprintf("close/a-scenario-with-a-name-that-is-much-too-long-%d", i), "default", 4)
	}
	last := progress.String()[strings.LastIndex(progress.String(), "\x1b[J"):]
	if n := strings.Count(last, "\n"); n != 8 {
		t.Errorf("%d lines of progress:\n%s", n, last)
	}
	for line := range strings.Lines(strings.TrimPrefix(last, "\x1b[J")) {
		if record.Width(strings.TrimSuffix(line, "\n")) >= 50 {
			t.Errorf("too wide: %s", line)
		}
	}
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(progress.String(), "\x1b[8A\r\x1b[J") {
		t.Error("the lines of progress were left")
	}
}

func TestConcurrentUse(t *testing.T) {
	var out, progress bytes.Buffer
	term := report.NewTerminal(&out, &progress, report.Options{Live: true})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			r := recordtest.LastACKLost()
			r.Scenario = fmt.Sprintf("close/%d", i)
			term.Begin(r.Scenario, r.Play, r.IP)
			term.End(r)
		})
	}
	wg.Wait()
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "16 scenarios, 16 runs: 16 PASS") {
		t.Errorf("output is\n%s", out.String())
	}
}

var errBroken = errors.New("broken pipe")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestBrokenOutput(t *testing.T) {
	term := report.NewTerminal(broken{}, nil, report.Options{})
	term.Begin("close/x", "default", 4)
	term.End(recordtest.LastACKLost())
	if err := term.Close(); !errors.Is(err, errBroken) {
		t.Errorf("Close: %v", err)
	}
	if err := report.WriteJUnit(broken{}, four(), false); !errors.Is(err, errBroken) {
		t.Errorf("WriteJUnit: %v", err)
	}
}

func TestUseColor(t *testing.T) {
	for _, c := range []struct {
		terminal bool
		env      map[string]string
		want     bool
	}{
		{true, nil, true},
		{false, nil, false},
		{true, map[string]string{"NO_COLOR": "1"}, false},
		{true, map[string]string{"TERM": "dumb"}, false},
		{true, map[string]string{"TERM": "xterm-256color"}, true},
	} {
		if got := report.UseColor(c.terminal, func(key string) string { return c.env[key] }); got != c.want {
			t.Errorf("terminal %t with %v: %t", c.terminal, c.env, got)
		}
	}
}

func TestJUnit(t *testing.T) {
	runs := append(four(), recordtest.LastACKLost(), recordtest.LastACKLost())
	again := runs[len(runs)-1]
	again.Verdict, again.Why = record.Fail, "awaited server in CLOSED, which had not come after 30s"
	refuted := recordtest.LastACKLost()
	refuted.Play = "the client stays in TIME_WAIT"
	refuted.Verdict = record.Fail
	refuted.Claims[1].Verdict, refuted.Claims[1].Why = record.Fail, "<tag> & \"quotes\" \x1b[31m\x00\ttab\n\n  second ]]> line\xff"
	runs = append(runs, refuted)
	var out bytes.Buffer
	if err := report.WriteJUnit(&out, runs, true); err != nil {
		t.Fatal(err)
	}
	golden(t, "junit.xml", out.String())
	if strings.ContainsAny(out.String(), "\x00\x1b") {
		t.Error("control characters in XML")
	}
	var counted struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Suites   []struct {
			Tests int `xml:"tests,attr"`
			Cases []struct {
				Failure *string `xml:"failure"`
				Error   *string `xml:"error"`
				Skipped *string `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(out.Bytes(), &counted); err != nil {
		t.Fatal(err)
	}
	tests, failures, errs, skipped := 0, 0, 0, 0
	for _, s := range counted.Suites {
		if s.Tests != len(s.Cases) {
			t.Errorf("suite says %d tests and has %d", s.Tests, len(s.Cases))
		}
		for _, c := range s.Cases {
			tests++
			switch {
			case c.Failure != nil:
				failures++
			case c.Error != nil:
				errs++
			case c.Skipped != nil:
				skipped++
			}
		}
	}
	if got, want := [4]int{counted.Tests, counted.Failures, counted.Errors, counted.Skipped}, [4]int{tests, failures, errs, skipped}; got != want {
		t.Errorf("report says %v, has %v", got, want)
	}
}

func TestJUnitOfNothing(t *testing.T) {
	var out bytes.Buffer
	if err := report.WriteJUnit(&out, nil, false); err != nil {
		t.Fatal(err)
	}
	want := xml.Header + `<testsuites name="lastack" tests="0" failures="0" errors="0" skipped="0" time="0.000"></testsuites>` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestWriteJUnitFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.xml")
	for range 2 {
		if err := report.WriteJUnitFile(path, four(), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := report.WriteJUnitFile(filepath.Join(dir, "taken"), four(), false); err == nil || !strings.HasPrefix(err.Error(), "write JUnit report: ") {
		t.Errorf("over a directory: %v", err)
	}
	if err := report.WriteJUnitFile(filepath.Join(dir, "none", "report.xml"), nil, false); err == nil {
		t.Error("in a directory that is not there: no error")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"report.xml", "taken"}, names); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
