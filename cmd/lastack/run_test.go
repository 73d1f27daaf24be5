package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
)

// played is a run as the harness would hand it over.
func played(name string, ip int, v record.Verdict) *record.Run {
	return &record.Run{
		Scenario: name, Play: defaultPlay, IP: ip, Verdict: v, Kernel: "6.18.1", Duration: time.Second,
		Claims:   []record.Claim{{Sentence: "it holds", Verdict: v}},
		Segments: []record.Segment{{Frame: []byte("frame")}},
		States:   []record.State{{Host: "client"}},
	}
}

// finished gives verdicts to as many runs of a scenario, and returns what the
// verb then does.
func finished(t *testing.T, f runFlags, partial bool, verdicts ...record.Verdict) (result, *playing) {
	t.Helper()
	f.ip = families{4}
	f.repeat.n = len(verdicts)
	if partial {
		f.repeat.n++
	}
	var stdout, stderr bytes.Buffer
	p := newPlaying(f, &outputs{junit: string(f.junit)}, catalogue(sample[:1]), &stdout, &stderr)
	for i, v := range verdicts {
		p.done(i, played(sample[0].Name, 4, v), nil)
	}
	err := p.finish(partial)
	status := 0
	var end *failure
	if errors.As(err, &end) {
		status = end.status
	} else if err != nil {
		t.Fatal(err)
	}
	return result{status, stdout.String(), stderr.String()}, p
}

func TestExitStatus(t *testing.T) {
	const (
		pass, fail, skip, inconclusive, broken = record.Pass, record.Fail, record.Skip, record.Inconclusive, record.Error
	)
	for _, c := range []struct {
		verdicts       []record.Verdict
		status, strict int
	}{
		{[]record.Verdict{pass, pass}, 0, 0},
		{[]record.Verdict{pass, fail, broken, inconclusive, skip}, 1, 1},
		{[]record.Verdict{pass, broken, inconclusive}, 2, 2},
		{[]record.Verdict{pass, inconclusive, pass}, 3, 3},
		{[]record.Verdict{pass, skip}, 0, 3},
		{[]record.Verdict{skip, skip}, 3, 3},
	} {
		for strict, want := range map[bool]int{false: c.status, true: c.strict} {
			if got, _ := finished(t, runFlags{strict: strict}, false, c.verdicts...); got.Status != want {
				t.Errorf("%v, strict %v: status %d, want %d", c.verdicts, strict, got.Status, want)
			}
		}
		if got, _ := finished(t, runFlags{}, true, c.verdicts...); got.Status != 130 || !strings.HasSuffix(got.Stdout, " runs\n") || !strings.Contains(got.Stdout, "partial: interrupted after") {
			t.Errorf("%v, interrupted: %+v", c.verdicts, got)
		}
	}
}

// TestLeftOut: who runs the catalogue learns what was not played, and whoever
// reads the document reads nothing else.
func TestLeftOut(t *testing.T) {
	for _, json := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		p := newPlaying(runFlags{json: json, ip: families{4}, repeat: count{n: 1}}, &outputs{}, catalogue(sample[:1]), &stdout, &stderr)
		p.left = 2
		p.done(0, played(sample[0].Name, 4, record.Pass), nil)
		if err := p.finish(false); err != nil {
			t.Fatal(err)
		}
		const says = "2 slow scenarios were left out; --slow plays them too\n"
		said, silent := stdout.String(), stderr.String()
		if json {
			said, silent = silent, said
		}
		if !strings.HasSuffix(said, says) || strings.Contains(silent, "slow") {
			t.Errorf("json %v: stdout %q, stderr %q", json, stdout.String(), stderr.String())
		}
	}
	if got, want := leftOut(1), "1 slow scenario was left out; --slow plays it too"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDocument(t *testing.T) {
	for _, partial := range []bool{false, true} {
		got, _ := finished(t, runFlags{json: true, strict: true}, partial, record.Pass, record.Skip)
		var d record.Document
		decoder := json.NewDecoder(strings.NewReader(got.Stdout))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&d); err != nil || decoder.More() {
			t.Fatalf("stdout is not one document: %v\n%s", err, got.Stdout)
		}
		if d.Schema != 1 || d.Verdict != record.Skip || d.Partial != partial || d.Kernel != "6.18.1" || len(d.Scenarios) != 2 {
			t.Errorf("got %+v", d)
		}
		if len(d.Scenarios[0].Segments) != 1 || len(d.Scenarios[0].States) != 1 {
			t.Errorf("evidence is missing from the document: %+v", d.Scenarios[0])
		}
	}
}

// TestKept: of runs that passed nothing is kept that grows, and of no run the
// frames.
func TestKept(t *testing.T) {
	f := runFlags{junit: pathValue(filepath.Join(t.TempDir(), "report.xml"))}
	_, p := finished(t, f, false, record.Pass, record.Fail)
	if r := p.runs[0]; len(r.Segments)+len(r.States)+len(r.Calls) > 0 {
		t.Errorf("a run that passed is kept with %d segments", len(r.Segments))
	}
	if r := p.runs[1]; len(r.Segments) != 1 || r.Segments[0].Frame != nil {
		t.Errorf("a run that failed is kept with %+v", r.Segments)
	}
	_, p = finished(t, runFlags{}, false, record.Fail)
	if p.runs[0] != nil || p.views[0] != nil {
		t.Error("a run is kept that no output needs")
	}
}

func TestJUnit(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.xml")
	if err := os.WriteFile(file, []byte("an earlier one"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _ := finished(t, runFlags{junit: pathValue(file)}, true, record.Pass, record.Fail)
	text, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(text, []byte(`failures="1"`)) || !bytes.Contains(text, []byte("partial")) {
		t.Errorf("%v\n%s", err, text)
	}
	if got.Status != 130 {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff([]string{"report.xml"}, entries(t, dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// Without its report the command did not do its work, though all held.
	f := runFlags{junit: pathValue(filepath.Join(dir, "gone", "report.xml"))}
	if got, _ := finished(t, f, false, record.Pass); got.Status != 2 || !strings.Contains(got.Stderr, "lastack: --junit ") {
		t.Errorf("a report that could not be written: %+v", got)
	}
}

// TestErrors: what the harness could not do is an ERROR of that run, with its
// reason, and never hides a failure.
func TestErrors(t *testing.T) {
	var stdout, stderr bytes.Buffer
	f := runFlags{ip: families{4}, repeat: count{n: 3}, json: true}
	p := newPlaying(f, &outputs{}, catalogue(sample[:1]), &stdout, &stderr)
	p.done(0, nil, errors.New("no lab"))
	p.done(1, played(sample[0].Name, 4, record.Pass), errors.New("no evidence"))
	p.done(2, played(sample[0].Name, 4, record.Fail), errors.New("no evidence"))
	var got []string
	for _, v := range p.views {
		got = append(got, string(v.Verdict)+": "+v.Why)
	}
	if diff := cmp.Diff([]string{"ERROR: no lab", "ERROR: no evidence", "FAIL: no evidence"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestJobs(t *testing.T) {
	f := runFlags{
		ip: families{4, 6}, repeat: count{n: 10}, stock: true,
		set: settings{{Host: "server", Key: "net.ipv4.tcp_rmem", Value: "1 2 3"}},
	}
	p := newPlaying(f, &outputs{dir: "evidence"}, catalogue(sample[:2]), &bytes.Buffer{}, &bytes.Buffer{})
	if len(p.jobs) != 40 {
		t.Fatalf("%d jobs, want 40", len(p.jobs))
	}
	places := map[string]bool{}
	for _, j := range p.jobs {
		places[filepath.Join(j.Options.Out, j.Scenario.Name, string(rune('0'+j.Options.IP)))] = true
	}
	if len(places) != len(p.jobs) {
		t.Errorf("%d places for the evidence of %d runs", len(places), len(p.jobs))
	}
	job := p.jobs[1]
	job.Options.Pool, job.Scenario.Play = nil, nil
	want := harness.Options{
		IP: 6, Stock: true, Sysctls: []harness.Sysctl(f.set), Out: filepath.Join("evidence", "repeat-01"),
		Repro: "lastack run close/fin-lost --ip 6 -v --stock --set 'server:net.ipv4.tcp_rmem=1 2 3'",
	}
	if diff := cmp.Diff(want, job.Options, cmpopts.IgnoreUnexported(harness.Options{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	f.repeat.n = 1
	p = newPlaying(f, &outputs{dir: "evidence"}, catalogue(sample[:1]), &bytes.Buffer{}, &bytes.Buffer{})
	if got := p.jobs[0].Options.Out; got != "evidence" {
		t.Errorf("without repetitions the evidence goes below %q", got)
	}
}

// TestInterruptedAtOnce: before anything was played there is no result.
func TestInterruptedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Chdir(t.TempDir())
	got := lastack(ctx, "run", "--all", "--json", "--out", "new")
	if got.Status != 130 || got.Stdout != "" || strings.Count(got.Stderr, "\n") != 1 {
		t.Errorf("got %+v", got)
	}
	if left := entries(t, "."); left != nil {
		t.Errorf("left behind: %v", left)
	}
}
