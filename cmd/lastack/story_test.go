package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/shell"
)

// bugFile has two scenarios: one with verdicts and two values, and one without.
const bugFile = `lastack: 1
name: bug
summary: s
hosts:
  server: { run: [sh] }
  client: { run: [sh, "${n}"], after: [server] }
for: { n: [1, 2] }
variants: { mended: { hosts: { client: { run: [sh, -e, "${n}"] } } } }
verdicts: { default: FAIL, mended: PASS }
---
lastack: 1
name: plain
summary: s
ip: 6
hosts: { client: { run: [sh] } }
`

func bug(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "bug.yaml")
	if err := os.WriteFile(name, []byte(bugFile), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestGroups: what a file's variants give is held against what it has written.
func TestGroups(t *testing.T) {
	const (
		pass, fail, skip, inconclusive, broken = record.Pass, record.Fail, record.Skip, record.Inconclusive, record.Error
	)
	for name, c := range map[string]struct {
		verdicts [4]record.Verdict // default with 1 and 2, mended with 1 and 2
		want     record.Verdict
		says     string
	}{
		"all as written":           {[4]record.Verdict{fail, fail, pass, pass}, pass, "✓ default gives FAIL, the worst of 2 values"},
		"one value is enough":      {[4]record.Verdict{pass, fail, pass, pass}, pass, "✓ default gives FAIL, the worst of 2 values"},
		"the mistake is not shown": {[4]record.Verdict{pass, pass, pass, pass}, fail, "default gave PASS, and not FAIL"},
		"it is not mended":         {[4]record.Verdict{fail, fail, pass, fail}, fail, "✗ mended gives PASS, the worst of 2 values"},
		"nothing was tested":       {[4]record.Verdict{fail, inconclusive, pass, pass}, inconclusive, "default gave INCONCLUSIVE, and not FAIL"},
		"an error":                 {[4]record.Verdict{fail, fail, pass, broken}, broken, "mended gave ERROR, and not PASS"},
		"skipped":                  {[4]record.Verdict{skip, skip, skip, skip}, skip, "default gave SKIP, and not FAIL"},
		"a failure counts most":    {[4]record.Verdict{pass, pass, broken, pass}, fail, "default gave PASS, and not FAIL"},
	} {
		t.Run(name, func(t *testing.T) {
			f := runFlags{ip: families{4}, repeat: count{n: 1}, json: true}
			chosen, _, err := f.choose([]string{bug(t) + "#bug"})
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			f.verbose = true
			p := newPlaying(f, &outputs{}, chosen, &stdout, &stderr)
			if len(p.jobs) != 4 {
				t.Fatalf("%d jobs", len(p.jobs))
			}
			for i, v := range c.verdicts {
				sc := p.jobs[i].Scenario
				r := played(sc.Name, 4, v)
				r.Play, r.Repro = sc.Variant, p.jobs[i].Options.Repro
				if kept := !p.jobs[i].Options.Expected(r); kept != (v != pass && !(v == fail && sc.Variant == "default")) {
					t.Errorf("evidence of %s in %s is kept: %v", v, sc.Variant, kept)
				}
				p.done(i, r, nil)
			}
			if got := record.Worst(true, p.ended...); got != c.want || len(p.ended) != 1 {
				t.Errorf("the file is %s of %v, want %s", got, p.ended, c.want)
			}
			if err := p.finish(false); err == nil && c.want != pass {
				t.Error("it ends as if all held")
			}
			if !strings.Contains(stderr.String(), c.says) {
				t.Errorf("it does not say %q:\n%s", c.says, &stderr)
			}
		})
	}
}

// TestOneVariant: what is asked for by itself gives its own verdict.
func TestOneVariant(t *testing.T) {
	name := bug(t)
	for _, c := range []struct {
		args     []string
		variant  string
		programs programs
		jobs     []string
		err      string
	}{
		{args: []string{name + "#bug"}, variant: "mended", jobs: []string{"bug{n=1} mended 4", "bug{n=2} mended 4"}},
		{args: []string{name + "#bug"}, variant: "mended{n=2}", jobs: []string{"bug{n=2} mended 4"}},
		{args: []string{name + "#bug"}, programs: programs{"client": {"sh", "-x"}}, jobs: []string{"bug{n=1} default 4", "bug{n=2} default 4"}},
		{args: []string{name + "#plain"}, jobs: []string{"plain default 6"}},
		{args: []string{name}, variant: "mended", err: "plain has no such variant"},
		{args: []string{name + "#plane"}, err: `holds no scenario "plane"; the nearest is "plain"`},
		{args: []string{name + "#bug"}, variant: "mended{n=3}", err: "is not played with n=3"},
		{args: []string{name + "#bug"}, variant: "mended{n=1", err: "values stand in brackets behind it"},
		{args: []string{name + "#bug"}, variant: "mended{}", err: "values stand in brackets behind it"},
		{args: []string{name + "#plain"}, variant: "default{n=1}", err: "plain has no values: say --variant default"},
		{args: []string{name + "#bug"}, programs: programs{"proxy": {"sh"}}, err: "--host proxy: bug runs no program on proxy"},
		{args: []string{name + "#bug"}, programs: programs{"client": {"no-such-program"}}, err: `--client: there is no program "no-such-program"`},
		{args: []string{"close/fin-lost"}, variant: "mended", err: "close/fin-lost runs no programs"},
		{args: []string{"missing.yaml"}, err: "missing.yaml: no such file"},
		{args: []string{"idle-close-raec"}, err: `the nearest is "stories/idle-close-race"`},
		{args: []string{"idle-close-race", "stories/idle-close-ra*"}, variant: "mended", jobs: []string{"stories/idle-close-race mended 4"}},
	} {
		f := runFlags{ip: families{4}, repeat: count{n: 1}, variant: word(c.variant), programs: c.programs}
		chosen, _, err := f.choose(c.args)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want %q", c.args, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		p := newPlaying(f, &outputs{}, chosen, &bytes.Buffer{}, &bytes.Buffer{})
		var jobs []string
		for i, j := range p.jobs {
			if p.groups[i] != nil {
				t.Errorf("%s is held against a written verdict", j.Scenario.Name)
			}
			jobs = append(jobs, j.Scenario.Name+" "+j.Scenario.Variant+" "+string(rune('0'+j.Options.IP)))
		}
		if diff := cmp.Diff(c.jobs, jobs); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
}

// TestScenarioOfAFile: what a result names as FILE#NAME can be played, whatever the
// file is called.
func TestScenarioOfAFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"bug.yaml", "bug.yml", "bug", "bug #1.yml"} {
		if err := os.WriteFile(name, []byte(bugFile), 0o644); err != nil {
			t.Fatal(err)
		}
		list, err := readFile(name)
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %d scenarios, %v", name, len(list), err)
		}
		for _, c := range list {
			one, err := readFile(c.word)
			if err != nil || !isFile(c.word) || len(one) != 1 || one[0].name != c.name || one[0].word != c.word {
				t.Errorf("%q: %+v, %v", c.word, one, err)
			}
		}
	}
	for _, word := range []string{"close/fin-lost#2", "none#1", "#"} {
		if isFile(word) {
			t.Errorf("%q is taken for a file", word)
		}
	}
}

func TestRepro(t *testing.T) {
	f := runFlags{programs: programs{"client": {"./mine", "a b"}, "proxy": {"./p"}}}
	want := `lastack run bug.yaml --ip 6 -v --variant 'default{keep=0}' --client './mine '\''a b'\''' --host proxy=./p`
	if got := f.repro("bug.yaml", "default{keep=0}", 6); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, words := range [][]string{{"./mine", "a b", ""}, {"sh", "-c", `echo "$x" | 'y'`}} {
		back, err := file.Words(shell.Join(words))
		if err != nil || !cmp.Equal(words, back) {
			t.Errorf("%q is written %s and read %q, %v", words, shell.Join(words), back, err)
		}
	}
}

func TestTryRefuses(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there.yaml")
	if err := os.WriteFile(there, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"try"}, "try which server?"},
		{[]string{"try", "--server", "sh"}, "try which client?"},
		{[]string{"try", "--server", "sh", "--", "no-such-client"}, `the client: there is no program "no-such-client"`},
		{[]string{"try", "--server", "no-such-server", "--", "sh"}, `--server: there is no program "no-such-server"`},
		{[]string{"try", "--server", "a | b", "--", "sh"}, "| is for a shell"},
		{[]string{"try", "--server", "sh", "--rule", "drop client.FINN", "--", "sh"}, "column 13: unknown kind"},
		{[]string{"try", "--server", "sh", "--rule", "drop proxy.FIN", "--", "sh"}, `there is no host "proxy"`},
		{[]string{"try", "--server", "sh", "--ready", "http", "--", "sh"}, "want a port, as 8080, or log:REGEXP"},
		{[]string{"try", "--server", "sh", "--expect-exit", "no", "--", "sh"}, "want an exit status"},
		{[]string{"try", "--server", "sh", "--expect-exit", "not x", "--", "sh"}, "as 'not 0'"},
		{[]string{"show", "27"}, "stories go by name, and story 27 is silent-peer"},
		{[]string{"run", "stories/32"}, "story 32 is sockets-that-never-die and zero-window-never-dies"},
		{[]string{"run", "99"}, `unknown scenario "99": scenarios and stories go by name`},
		{[]string{"try", "--server", "sh", "--ip", "both", "--", "sh"}, "try plays once"},
		{[]string{"try", "--server", "sh", "--save", there, "--", "sh"}, "file exists"},
		{[]string{"exec"}, "exec where?"},
		{[]string{"exec", "x", "client"}, "exec what?"},
		{[]string{"exec", "x", "client", "--"}, "exec what?"},
		{[]string{"exec", "/no/such", "client", "--", "true"}, "no lab stands there"},
		{[]string{"exec", t.TempDir(), "client", "--", "true"}, "no lab stands there"},
		{[]string{"builtin", "htpt"}, `there is no builtin "htpt"; the nearest is "http"`},
		{[]string{"schema", "x"}, "takes no arguments"},
	} {
		got := lastack(t.Context(), c.args...)
		if got.Status != 2 || got.Stdout != "" || !strings.Contains(got.Stderr, c.want) || strings.Count(got.Stderr, "\n") != 1 {
			t.Errorf("%q: %+v, want %q", c.args, got, c.want)
		}
	}
}

func TestWrongFileShowsItsLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bug.yaml")
	if err := os.WriteFile(name, []byte(strings.Replace(bugFile, "summary", "sumary", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	got := lastack(t.Context(), "run", name)
	want := "lastack: " + name + ":3:1: unknown key \"sumary\" in a scenario; the nearest is \"summary\"\n    3 | sumary: s\n        ^\n"
	if got.Status != 2 || got.Stderr != want {
		t.Errorf("%+v, want %q", got, want)
	}
}
