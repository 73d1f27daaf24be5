package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/record"
)

// result is what the command did.
type result struct {
	Status         int
	Stdout, Stderr string
}

func lastack(ctx context.Context, args ...string) result {
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, &stdout, &stderr)
	return result{status, stdout.String(), stderr.String()}
}

// TestBadInput: one clear line on stderr, nothing on stdout, status 2, and
// nothing left behind. None of it needs privileges.
func TestBadInput(t *testing.T) {
	const name = "close/last-ack-lost"
	for _, c := range []struct {
		args   []string
		stderr string
	}{
		{[]string{"rnu", "--all"}, `unknown verb "rnu"; the nearest is "run"; see lastack help`},
		{[]string{"lits"}, `unknown verb "lits"; the nearest is "list"; see lastack help`},
		{[]string{"help", "dokter"}, `unknown verb "dokter"; the nearest is "doctor"; see lastack help`},
		{[]string{"--versoin"}, `unknown flag "--versoin"; the nearest is "--version"; see lastack --help`},
		{[]string{"run", "--jsn", name}, `unknown flag "--jsn"; the nearest is "--json"; see lastack run --help`},
		{[]string{"run", "-vx", name}, `unknown flag "-x" in "-x"; see lastack run --help`},
		{[]string{"list", "--all"}, `unknown flag "--all"; the nearest is "--help"; see lastack list --help`},
		{[]string{"run", name, "--out"}, `--out needs a value; see lastack run --help`},
		{[]string{"run", name, "--json=maybe"}, `--json "maybe": it takes no value`},

		{[]string{"run"}, `run which scenarios? name them, or use --all; see lastack list`},
		{[]string{"run", "--all", name}, `run either --all or "close/last-ack-lost", not both`},
		{[]string{"run", "close/last-ack-los"}, `unknown scenario "close/last-ack-los"; the nearest is "close/last-ack-lost"; see lastack list`},
		{[]string{"run", "last-akc-lost", "nothing/*"}, `unknown scenario "last-akc-lost"; the nearest is "close/last-ack-lost"; see lastack list`},
		{[]string{"run", "close"}, `unknown scenario "close": it is a family, whose scenarios are 'close/*'; see lastack list`},
		{[]string{"run", ""}, `a scenario's name is empty; see lastack list`},
		{[]string{"run", "close/\x1b"}, `unknown scenario "close/\x1b"; the nearest is`},
		{[]string{"run", "close/["}, `bad glob "close/[": a [ without its ], or a \ at the end`},
		{[]string{"list", "["}, `bad glob "[": a [ without its ], or a \ at the end`},
		{[]string{"show"}, `show which scenario? see lastack list`},
		{[]string{"show", "close/last-ack-lots"}, `unknown scenario "close/last-ack-lots"; the nearest is "close/last-ack-lost"; see lastack list`},
		{[]string{"show", name, name}, `show takes one argument, so what is "close/last-ack-lost"? see lastack show --help`},
		{[]string{"doctor", "now"}, `doctor takes no arguments, not "now"; see lastack doctor --help`},
		{[]string{"completion"}, `completion for which shell? one of bash, fish, powershell, zsh`},
		{[]string{"completion", "csh"}, `completion for "csh" is not known: it is one of bash, fish, powershell, zsh`},

		{[]string{"run", name, "--ip", "5"}, `--ip "5": it is one of 4, 6, both`},
		{[]string{"run", name, "--repeat", "0"}, `--repeat "0": it takes a number from 1 to 100000`},
		{[]string{"run", name, "--repeat=many"}, `--repeat "many": it takes a number from 1 to 100000`},
		{[]string{"run", name, "--jobs=-1"}, `--jobs "-1": it takes a number from 1 to 10000`},

		{[]string{"run", name, "--set", "net.ipv4.tcp_fin_timeout"}, `--set "net.ipv4.tcp_fin_timeout": it is written [HOST:]net.ipv4.KEY=VALUE, and the = is missing`},
		{[]string{"run", name, "--set", "net.ipv4.tcp_fin_timeout="}, `--set "net.ipv4.tcp_fin_timeout=": it gives net.ipv4.tcp_fin_timeout no value`},
		{[]string{"run", name, "--set", "clinet:net.ipv4.tcp_fin_timeout=2"}, `--set "clinet:net.ipv4.tcp_fin_timeout=2": there is no host "clinet"; the hosts are client and server`},
		{[]string{"run", name, "--set", "vm.swappiness=3"}, `--set "vm.swappiness=3": "vm.swappiness" is no setting of a host: only those under net. are, as net.ipv4.tcp_fin_timeout`},
		{[]string{"run", name, "--set", "net.ipv4/../../vm/swappiness=3"}, `--set "net.ipv4/../../vm/swappiness=3": "net.ipv4/../../vm/swappiness" is no key: it is names between single dots, as net.ipv4.tcp_fin_timeout`},

		{[]string{"run", name, "--out", ""}, `--out "": the name is empty`},
		{[]string{"run", name, "--out", "file"}, `--out "file": it is there and is no directory`},
		{[]string{"run", name, "--out", "file/below"}, `--out "file/below": `},
		{[]string{"run", name, "--junit", "."}, `--junit ".": it is a directory`},
		{[]string{"run", name, "--junit", "-"}, `--junit "-": stdout holds the result; name a file`},
		{[]string{"run", name, "--junit", os.DevNull}, `--junit "` + os.DevNull + `": it is no regular file`},
		{[]string{"run", name, "--junit", "none/report.xml"}, `--junit "none/report.xml": `},
		{[]string{"run", name, "--out", "new/er", "--junit", "none/report.xml"}, `--junit "none/report.xml": `},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("file", []byte("here first"), 0o600); err != nil {
				t.Fatal(err)
			}
			got := lastack(t.Context(), c.args...)
			line, whole := strings.CutSuffix(got.Stderr, "\n")
			if !whole || strings.Contains(line, "\n") || !strings.HasPrefix(line, "lastack: "+c.stderr) {
				t.Errorf("stderr:\n got %q\nwant the line %q", got.Stderr, "lastack: "+c.stderr)
			}
			if got.Status != 2 || got.Stdout != "" {
				t.Errorf("status %d and stdout %q, want 2 and nothing", got.Status, got.Stdout)
			}
			if diff := cmp.Diff([]string{"file"}, entries(t, ".")); diff != "" {
				t.Errorf("something was left behind (-want +got):\n%s", diff)
			}
		})
	}
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestNothingMatches(t *testing.T) {
	for _, c := range []struct {
		args []string
		want result
	}{
		{[]string{"run", "nothing/*"}, result{3, "", "lastack: nothing matches \"nothing/*\"; see lastack list\n"}},
		{[]string{"run", "close/*", "nothing/*"}, result{3, "", "lastack: nothing matches \"nothing/*\"; see lastack list\n"}},
		{[]string{"list", "nothing/*"}, result{3, "", "lastack: nothing matches \"nothing/*\"; see lastack list\n"}},
		{[]string{"list", "no", "such", "words"}, result{3, "", "lastack: nothing matches \"no such words\"; see lastack list\n"}},
		{
			[]string{"run", "nothing/*", "--json"},
			result{3, "{\n  \"schema\": 1,\n  \"verdict\": \"INCONCLUSIVE\",\n  \"kernel\": \"\",\n  \"scenarios\": []\n}\n", "lastack: nothing matches \"nothing/*\"; see lastack list\n"},
		},
	} {
		if diff := cmp.Diff(c.want, lastack(t.Context(), c.args...)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.args, diff)
		}
	}
}

// TestWithoutVerb: a script whose variable is empty must not take it for a
// pass.
func TestWithoutVerb(t *testing.T) {
	got := lastack(t.Context())
	if got.Status != 2 || got.Stdout != "" || !strings.Contains(got.Stderr, "Verbs:") {
		t.Errorf("got %+v, want status 2 and the help on stderr", got)
	}
}

// TestHelp: every verb has a text with examples, in 80 columns, on stdout, by
// each way of asking.
func TestHelp(t *testing.T) {
	root := newRoot()
	verbs := []string{""}
	for _, cmd := range root.Commands() {
		verbs = append(verbs, cmd.Name())
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no summary or no example", cmd.Name())
		}
	}
	for _, verb := range verbs {
		long, short, help := []string{verb, "--help"}, []string{verb, "-h"}, []string{"help", verb}
		if verb == "" {
			long, short, help = long[1:], short[1:], help[:1]
		}
		got := lastack(t.Context(), long...)
		if got.Status != 0 || got.Stderr != "" {
			t.Errorf("%q: %+v", long, got)
		}
		for _, part := range []string{"Usage:", "Examples:", "Flags:", "Exit status:"} {
			if !strings.Contains(got.Stdout, "\n"+part+"\n") {
				t.Errorf("%q says nothing under %q", long, part)
			}
		}
		checkColumns(t, strings.Join(long, " "), got.Stdout)
		for _, args := range [][]string{short, help} {
			if diff := cmp.Diff(got, lastack(t.Context(), args...)); diff != "" {
				t.Errorf("%q differs from %q:\n%s", args, long, diff)
			}
		}
	}
}

func checkColumns(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		// A command that is to be pasted stays on one line.
		if n := record.Width(line); n > columns && !strings.HasPrefix(line, "  lastack run ") {
			t.Errorf("%s: a line of %d columns: %s", what, n, line)
		}
		if strings.TrimRight(line, " ") != line {
			t.Errorf("%s: blanks at the end of %q", what, line)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	if got := lastack(t.Context(), "--version"); got.Status != 0 || got.Stderr != "" || !strings.HasPrefix(got.Stdout, "lastack ") || strings.Count(got.Stdout, "\n") != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range shells {
		if got := lastack(t.Context(), "completion", shell); got.Status != 0 || got.Stderr != "" || !strings.Contains(got.Stdout, "lastack") {
			t.Errorf("completion %s: status %d, stderr %q, %d bytes", shell, got.Status, got.Stderr, len(got.Stdout))
		}
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"run", "close/four-"}, []string{"close/four-way"}},
		{[]string{"run", "close/four-way", "close/four-"}, nil},
		{[]string{"run", "--all", ""}, nil},
		{[]string{"run", "--ip", ""}, []string{"4", "6", "both"}},
		{[]string{"run", "--sl"}, []string{"--slow"}},
		{[]string{"show", "close/four-"}, []string{"close/four-way"}},
		{[]string{"help", "do"}, []string{"doctor"}},
		{[]string{"completion", "f"}, []string{"fish"}},
	} {
		got := lastack(t.Context(), append([]string{"__completeNoDesc"}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(got.Stdout), "\n")
		var offered []string
		for _, line := range lines[:len(lines)-1] { // the last is for the shell
			if strings.HasPrefix(line, c.args[len(c.args)-1]) {
				offered = append(offered, line)
			}
		}
		if diff := cmp.Diff(c.want, offered); diff != "" {
			t.Errorf("completing %q (-want +got):\n%s", c.args, diff)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestStdoutFull(t *testing.T) {
	for _, args := range [][]string{{"list"}, {"show", "close/last-ack-lost"}, {"help"}, {"--version"}, {"completion", "bash"}} {
		var stderr bytes.Buffer
		if status := run(t.Context(), args, full{}, &stderr); status != 2 || strings.Count(stderr.String(), "no space left on device") != 1 {
			t.Errorf("%q: status %d, stderr %q", args, status, stderr.String())
		}
	}
}

func TestPrepare(t *testing.T) {
	t.Chdir(t.TempDir())
	o, err := prepare("a/b/c", "a/report.xml")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b"}, entries(t, "a")); diff != "" {
		t.Errorf("proving left something (-want +got):\n%s", diff)
	}
	if err := os.WriteFile("a/mine", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o.retreat()
	if diff := cmp.Diff([]string{"mine"}, entries(t, "a")); diff != "" {
		t.Errorf("what was made is not gone, or more is (-want +got):\n%s", diff)
	}
}

// TestJUnitLink: the file behind a link is replaced, not the link; and never
// by guessing.
func TestJUnitLink(t *testing.T) {
	dir := t.TempDir()
	target, link, dangling := filepath.Join(dir, "target"), filepath.Join(dir, "link"), filepath.Join(dir, "dangling")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Skipf("no links here: %v", err)
	}
	if err := os.Symlink(filepath.Join(dir, "none"), dangling); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(target)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := junitTarget(link); err != nil || got != real {
		t.Errorf("a link leads to %q, %v; want %q", got, err, real)
	}
	if got, err := junitTarget(dangling); err == nil {
		t.Errorf("a link to nothing leads to %q", got)
	}
}
