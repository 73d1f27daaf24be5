package main

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/harness/record"
)

const builtinServer = "builtin:http --port 8080"

func TestTry(t *testing.T) {
	needLabs(t)
	t.Chdir(t.TempDir())
	args := []string{
		"try", "--server", builtinServer, "--ready", "8080", "--rule", "drop server.DATA@1", "--expect-exit", "0", "--save", "bug.yaml",
		"--", "builtin:download", "-o", "{dir}/out", "http://server:8080/",
	}
	got := lastack(t.Context(), args...)
	if got.Status != 0 {
		t.Fatalf("%+v", got)
	}
	for _, part := range []string{"server.DATA@1#2", "drop server.DATA@1", "ESTABLISHED", "exited 0", "PASS\n  ✓ the program on client exits with 0\n", "saved: lastack run bug.yaml\n"} {
		if !strings.Contains(got.Stdout, part) {
			t.Errorf("stdout does not say %q:\n%s", part, got.Stdout)
		}
	}
	checkColumns(t, "try", got.Stdout)
	again := lastack(t.Context(), "run", "bug.yaml", "--ip", "both", "--json")
	if d := document(t, again); again.Status != 0 || d.Verdict != record.Pass || len(d.Scenarios) != 2 {
		t.Errorf("the saved file: %+v", again)
	}
}

func TestTryGivesItsVerdict(t *testing.T) {
	needLabs(t)
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"--server", builtinServer, "--", "builtin:download", "-o", "{dir}/out", "http://server:8080/"}, 0, "exited 0"},
		{[]string{"--server", builtinServer, "--expect-exit", "9", "--", "builtin:download", "-o", "{dir}/out", "http://server:8080/"}, 1, "exit status 0"},
		{[]string{"--server", builtinServer, "--rule", "drop client.DATA@7", "--", "builtin:download", "-o", "{dir}/out", "http://server:8080/"}, 3, "never fired"},
		{[]string{"--server", "sh -c 'exit 4'", "--", "sh"}, 2, "ended with exit status 4 before it was ready"},
	} {
		got := lastack(t.Context(), append([]string{"try"}, c.args...)...)
		if got.Status != c.status || !strings.Contains(strings.Join(strings.Fields(got.Stdout), " "), c.says) {
			t.Errorf("%q: status %d, want %d and %q:\n%s%s", c.args, got.Status, c.status, c.says, got.Stdout, got.Stderr)
		}
	}
}

// TestTryLeaves: of what failed there is evidence, and of what could not be played
// there is no file.
func TestTryLeaves(t *testing.T) {
	needLabs(t)
	t.Chdir(t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	client := []string{"--", "builtin:download", "-o", "{dir}/out", "http://server:8080/"}
	for _, c := range []struct {
		name   string
		args   []string
		status int
		saved  bool
		says   []string
		not    string
	}{
		{"held", []string{"--server", builtinServer, "--expect-exit", "0"}, 0, true, []string{"saved: lastack run held.yaml"}, "evidence:"},
		{"failed", []string{"--server", builtinServer, "--expect-exit", "not 0"}, 1, true, []string{"evidence: ", "FAIL\n  ✗ the program on client does not exit with 0\n"}, "FAIL  claim does not hold"},
		{"broken", []string{"--server", "sh -c 'exit 4'"}, 2, false, []string{"ERROR  the program on server ended"}, "saved:"},
	} {
		name := c.name + ".yaml"
		got := lastack(t.Context(), slices.Concat([]string{"try", "--save", name}, c.args, client)...)
		if got.Status != c.status || strings.Contains(got.Stdout, c.not) {
			t.Errorf("%s: %+v, want status %d without %q", c.name, got, c.status, c.not)
		}
		for _, part := range c.says {
			if !strings.Contains(got.Stdout, part) {
				t.Errorf("%s: stdout does not say %q:\n%s", c.name, part, got.Stdout)
			}
		}
		if _, err := os.Stat(name); c.saved != (err == nil) {
			t.Errorf("%s: %v, want the file there %t", name, err, c.saved)
		}
	}
}

// notices is a writer whose text another goroutine waits for.
type notices struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (n *notices) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text.Write(p)
	select {
	case n.news <- struct{}{}:
	default:
	}
	return len(p), nil
}

// TestKeep: a lab stands until its Ctrl-C, commands run on its hosts, and nothing of
// it stays.
func TestKeep(t *testing.T) {
	needLabs(t)
	t.Setenv("TMPDIR", t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	stderr := &notices{news: make(chan struct{}, 1)}
	var stdout bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"try", "--server", builtinServer, "--keep", "--", "builtin:download", "-o", "{dir}/out", "http://server:8080/"}, &stdout, stderr)
	}()
	var dir string
	for dir == "" {
		select {
		case <-stderr.news:
		case status := <-ended:
			t.Fatalf("it ended with %d:\n%s%s", status, &stdout, &stderr.text)
		case <-time.After(time.Minute):
			t.Fatal("it does not stand")
		}
		stderr.mu.Lock()
		if m := regexp.MustCompile(`lastack exec (\S+) client`).FindStringSubmatch(stderr.text.String()); m != nil {
			dir = m[1]
		}
		stderr.mu.Unlock()
	}
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"client", "--", "sh", "-c", "test -s {dir}/out"}, 0, ""},
		{[]string{"client", "--", "sh", "-c", "exit 7"}, 7, ""},
		{[]string{"server", "--", "sh", "-c", "kill -9 $$"}, 137, ""},
		{[]string{"proxy", "--", "true"}, 2, `there is no host "proxy"`},
		{[]string{"client", "--", "no-such-program"}, 2, "no-such-program"},
	} {
		got := lastack(t.Context(), append([]string{"exec", dir}, c.args...)...)
		if got.Status != c.status || !strings.Contains(got.Stderr, c.says) {
			t.Errorf("%q: %+v, want status %d", c.args, got, c.status)
		}
	}
	// What still runs is ended with the lab.
	waits := make(chan result, 1)
	go func() { waits <- lastack(context.Background(), "exec", dir, "client", "--", "sleep", "1000") }()
	interrupt()
	if status := <-ended; status != 0 || !strings.Contains(stdout.String(), "exited 0") {
		t.Errorf("status %d:\n%s%s", status, &stdout, &stderr.text)
	}
	if got := <-waits; got.Status != 2 {
		t.Errorf("exec, whose lab ended: %+v", got)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
	if got := lastack(t.Context(), "exec", dir, "client", "--", "true"); got.Status != 2 || !strings.Contains(got.Stderr, "no lab stands there") {
		t.Errorf("exec after the end: %+v", got)
	}
}

// TestTryPlaysNothing: what cannot be had is said before anything is played, and
// nothing is saved.
func TestTryPlaysNothing(t *testing.T) {
	needLabs(t)
	t.Chdir(t.TempDir())
	t.Setenv("TMPDIR", "/no/such/dir")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--keep"}, "--keep: make a directory: "},
		{[]string{"--set", "net.ipv4.no_such_key=1"}, "--set: "},
		{[]string{"--set", "net.ipv4.tcp_fin_timeout=soon"}, "--set: "},
		{[]string{"--server", "builtin:http"}, "server has a command already"},
	} {
		args := append(append([]string{"try", "--server", builtinServer, "--save", "bug.yaml"}, c.args...), "--", "builtin:download", "http://server:8080/")
		got := lastack(t.Context(), args...)
		if got.Status != 2 || got.Stdout != "" || !strings.Contains(got.Stderr, c.says) || strings.Count(got.Stderr, "\n") != 1 {
			t.Errorf("%q: %+v, want one line with %q", c.args, got, c.says)
		}
		if _, err := os.Stat("bug.yaml"); !os.IsNotExist(err) {
			t.Fatalf("%q: the file was saved: %v", c.args, err)
		}
	}
}

// TestHeldDirIsGone: the directory of a lab that stands goes with who holds it.
func TestHeldDirIsGone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, release, err := holdDir()
	if err != nil {
		t.Fatal(err)
	}
	lab, err := openLab(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	lab.listener.SetUnlinkOnClose(false)
	lab.close()
	release()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

// TestExecFindsNobody: the directory of a lastack that was killed.
func TestExecFindsNobody(t *testing.T) {
	dir := t.TempDir()
	lab, err := openLab(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	lab.listener.SetUnlinkOnClose(false)
	lab.close()
	got := lastack(t.Context(), "exec", dir, "client", "--", "true")
	if got.Status != 2 || !strings.Contains(got.Stderr, "nobody is there any more") {
		t.Errorf("%+v", got)
	}
}
