package check

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/record"
)

// evil is what a program may write to forge our report.
const evil = "\x1b[2J::error::x\n::error title=forged::y\r\n</pre><b>|`]]>&\u202e\x00 100%"

func report(words string) *Report {
	r := &Report{
		Schema: Schema, Kernel: "Linux 6.18", UnderTest: Client, IP: 4, Server: []string{"./srv"}, Client: []string{"./cli", words},
		Points: []string{"client.SYN", "server.DATA@1[0]", "server.DATA@1[-1]"},
		Cells: []CellReport{
			{Cell: "client.SYN/drop", Point: "client.SYN", Fault: "drop", Verdict: record.Pass, DurationMS: 1200},
			{Cell: "client.SYN/rst-after/server", Point: "client.SYN", Fault: "rst-after", Side: "server", Verdict: record.Inconclusive, Note: "the fault did not fire"},
			{Cell: "server.DATA@1[0]/drop", Point: "server.DATA@1[0]", Fault: "drop", Verdict: record.Fail, Symptom: Hang, Note: words},
			{Cell: "server.DATA@1[-1]/cut", Point: "server.DATA@1[-1]", Fault: "cut", Verdict: record.Fail, Symptom: SilentCorruption, Note: words},
			{Cell: "server.DATA@1[-1]/kill", Point: "server.DATA@1[-1]", Fault: "kill", Verdict: record.Error, Note: words},
		},
		Findings: []FindingReport{{
			Symptom: SilentCorruption, Cells: []string{"server.DATA@1[-1]/cut"}, Replays: "5/5",
			Sentence: words, Repro: "lastack check --cell 'server.DATA@1[-1]/cut' -- ./cli " + words, Ladder: "→ SYN │ → SYN\n" + words + "\n",
		}},
		Unrepeatable: []FindingReport{{Symptom: Hang, Cells: []string{"server.DATA@1[0]/drop"}, Replays: "0/5", Sentence: words, Repro: "lastack check"}},
		Exclusions:   []Exclusion{{"cut: the segment carries no byte of a stream", 2}}, Excluded: 2,
		CellsPerS: 41.5, DurationMS: 120,
		Baseline: BaselineReport{DurationMS: 12, PatienceMS: 10036, StdoutBytes: 10, Files: []string{}, Connections: 1, Varies: []Varying{{stdout, []string{words, "b"}}}},
	}
	r.conclude()
	return r
}

func TestText(t *testing.T) {
	var b bytes.Buffer
	if err := report("it exited 0, but stdout has only 5 of 10 bytes").Text(&b, TextOptions{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

// No program can forge our report: neither by escape sequences nor by markup.
func TestReportsCannotBeForged(t *testing.T) {
	r := report(evil)
	var text, annotations, summary, junit, doc bytes.Buffer
	for _, err := range []error{
		r.Text(&text, TextOptions{Verbose: true}), r.Annotations(&annotations), r.Summary(&summary), r.JUnit(&junit), r.JSON(&doc),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, out := range map[string]string{"text": text.String(), "annotations": annotations.String(), "summary": summary.String(), "junit": junit.String(), "json": doc.String()} {
		if strings.ContainsAny(out, "\x1b\x00\r") || name != "json" && strings.Contains(out, "\u202e") {
			t.Errorf("%s has control characters: %q", name, out)
		}
	}
	if n := len(regexp.MustCompile(`(?m)^::`).FindAllString(annotations.String(), -1)); n != 2 {
		t.Errorf("%d annotations, want 2:\n%s", n, annotations.String())
	}
	if regexp.MustCompile(`(?m)^\s*::`).MatchString(text.String()) {
		t.Errorf("the text begins a workflow command:\n%s", text.String())
	}
	if strings.Contains(summary.String(), "<b>") || strings.Count(summary.String(), "</pre>") != strings.Count(summary.String(), "<pre>") {
		t.Errorf("the summary has a program's markup:\n%s", summary.String())
	}
	for line := range strings.Lines(text.String()) {
		if w := record.Width(strings.TrimRight(line, "\n")); w > 80 && !strings.Contains(line, "again:") && !strings.Contains(line, "evidence:") {
			t.Errorf("%d columns: %s", w, line)
		}
	}
	var counted junitSuites
	if err := xml.Unmarshal(junit.Bytes(), &counted); err != nil {
		t.Fatalf("%v\n%s", err, junit.String())
	}
	if counted.Tests != 5 || counted.Failures != 1 || counted.Errors != 1 || counted.Skipped != 2 {
		t.Errorf("JUnit counts %d tests, %d failures, %d errors, %d skipped", counted.Tests, counted.Failures, counted.Errors, counted.Skipped)
	}
}

// The document has every field that docs/json.md lists, and no list of it is null.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := report("x").JSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{
		"schema", "verdict", "kernel", "baseline", "points", "cells", "findings", "excluded", "inconclusive", "unrepeatable", "cells_per_s", "partial",
	} {
		if _, is := doc[key]; !is {
			t.Errorf("there is no %q", key)
		}
	}
	if strings.Contains(b.String(), "null") {
		t.Errorf("something is null:\n%s", b.String())
	}
	back, err := ReadReport(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(report("x"), back); d != "" {
		t.Errorf("read back (-want +got):\n%s", d)
	}
	for text, want := range map[string]string{"": "unexpected end", "[]": "cannot unmarshal", `{"schema":2}`: "its schema is 2", `{"schema":1,"findings":[{"symptom":"hang"}]}`: `no cell has the finding "hang"`} {
		if _, err := ReadReport([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ReadReport(%q): %v, want …%s…", text, err, want)
		}
	}
}

func FuzzReadReport(f *testing.F) {
	var b bytes.Buffer
	if err := report("x").JSON(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ReadReport(data)
		if err != nil {
			return
		}
		merged, err := Merge([]*Report{r, r})
		if err != nil {
			return
		}
		if err := merged.Text(&bytes.Buffer{}, TextOptions{Verbose: true}); err != nil {
			t.Fatal(err)
		}
		if err := merged.JUnit(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		if err := merged.Annotations(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestVerdict(t *testing.T) {
	cell := func(v record.Verdict) CellReport { return CellReport{Verdict: v} }
	for name, test := range map[string]struct {
		r    Report
		want record.Verdict
	}{
		"a finding":                   {Report{Cells: []CellReport{cell(record.Fail)}, Findings: []FindingReport{{}}}, record.Fail},
		"a finding beside an error":   {Report{Cells: []CellReport{cell(record.Error)}, Findings: []FindingReport{{}}}, record.Fail},
		"one that never came again":   {Report{Cells: []CellReport{cell(record.Fail)}, Unrepeatable: []FindingReport{{}}}, record.Pass},
		"an error":                    {Report{Cells: []CellReport{cell(record.Pass), cell(record.Error)}}, record.Error},
		"nothing was conclusive":      {Report{Cells: []CellReport{cell(record.Inconclusive)}}, record.Inconclusive},
		"nothing was played":          {Report{}, record.Inconclusive},
		"all held, or showed nothing": {Report{Cells: []CellReport{cell(record.Pass), cell(record.Inconclusive)}}, record.Pass},
	} {
		test.r.conclude()
		if test.r.Verdict != test.want {
			t.Errorf("%s: %s, want %s", name, test.r.Verdict, test.want)
		}
	}
}

func TestMerge(t *testing.T) {
	part := func(i int, cells ...CellReport) *Report {
		r := report("x")
		r.Shard, r.Shards, r.Cells, r.Unrepeatable = i, 2, cells, nil
		r.Findings = nil
		for _, c := range cells {
			if c.Symptom != "" {
				r.Findings = together(r.Findings, []FindingReport{{Symptom: c.Symptom, Cells: []string{c.Cell}, Replays: "5/5"}})
			}
		}
		return r
	}
	all := report("x").Cells
	a, b := part(1, all[0], all[2]), part(2, all[1], all[3])
	r, err := Merge([]*Report{b, a})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range r.Cells {
		names = append(names, c.Cell)
	}
	if d := cmp.Diff([]string{"client.SYN/drop", "client.SYN/rst-after/server", "server.DATA@1[0]/drop", "server.DATA@1[-1]/cut"}, names); d != "" {
		t.Errorf("cells (-want +got):\n%s", d)
	}
	if r.Partial || r.Verdict != record.Fail || len(r.Findings) != 2 || r.Findings[0].Symptom != Hang || r.Inconclusive != 1 {
		t.Errorf("merged: partial %v, %s, findings %v", r.Partial, r.Verdict, r.Findings)
	}
	if r, err = Merge([]*Report{a}); err != nil || !r.Partial {
		t.Errorf("one shard of two is partial: %v, %v", r, err)
	}
	blameless := part(1)
	blameless.Findings, blameless.Cells = nil, []CellReport{{Cell: "client.SYN/drop", Point: "client.SYN", Verdict: record.Pass}}
	if r, err = Merge([]*Report{blameless}); err != nil || r.Verdict != record.Inconclusive {
		t.Errorf("a part without a finding acquits nobody: %v, %v", r, err)
	}
	other := part(2)
	other.Client = []string{"./another"}
	if _, err := Merge([]*Report{a, other}); err == nil || !strings.Contains(err.Error(), "they are not of one sweep") {
		t.Errorf("shards of two sweeps: %v", err)
	}
	other = part(3)
	other.Shards = 4
	if _, err := Merge([]*Report{a, other}); err == nil || !strings.Contains(err.Error(), "one is a part of 2, another of 4") {
		t.Errorf("shards of two cuts: %v", err)
	}
	if _, err := Merge(nil); err == nil {
		t.Error("nothing is merged without an error")
	}
}

func TestBeside(t *testing.T) {
	free := tape(t)
	free.dialogue(1, "hello")
	is := tape(t)
	is.handshake(1)
	is.send(1, 0, push, "hello", "")
	is.send(1, 1, ack, "", "")
	is.send(1, 1, push, "0123456789", "")
	is.send(1, 1, push, "abcdef", record.Dropped).Rule = "drop server.DATA@1[-1] always"
	is.send(1, 0, ack, "", "")
	is.send(1, 0, rst, "", "")
	golden(t, "beside.txt", beside(free.ended(0, "x"), is.ended(1, "")))
}

func TestWriteDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := report("x").WriteDir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ReadDir(dir); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
	if _, err := ReadDir(filepath.Join(dir, "none")); err == nil {
		t.Error("a report is read that is not there")
	}
}

func TestScenarioText(t *testing.T) {
	list := points(dialogues(t, "hello"), 1, false)
	w := &sweep{config: &Config{Server: []string{"./srv", "a b"}, Client: []string{"./cli"}, UnderTest: Client, IP: 4}, patience: 10 * 1e9}
	var b strings.Builder
	for _, name := range []string{"server.DATA@1[-1]/cut", "server.FIN/rst-instead/client", "client.DATA@1[0]/stop", "server.FIN/hold-next", "server.FIN/unreachable"} {
		s := Selection{Cells: []string{name}}
		got, _, err := s.pick(list, Client)
		if err != nil {
			t.Fatal(err)
		}
		text, err := w.scenario(&got[0])
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(text + "---\n")
	}
	golden(t, "scenarios.yaml", b.String())
}
