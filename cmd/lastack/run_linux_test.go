package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
)

// needLabs skips a test where no lab can be made, and says why.
var needLabs = func() func(*testing.T) {
	doctor := sync.OnceValue(func() harness.Diagnosis { return harness.Doctor(context.Background()) })
	return func(t *testing.T) {
		t.Helper()
		if r := doctor(); !r.OK() {
			t.Skipf("no labs here:\n%s", diagnosis(r, false))
		}
	}
}()

const lost = "close/last-ack-lost"

func document(t *testing.T, r result) record.Document {
	t.Helper()
	var d record.Document
	decoder := json.NewDecoder(strings.NewReader(r.Stdout))
	if err := decoder.Decode(&d); err != nil || decoder.More() {
		t.Fatalf("stdout is not one document: %v\n%s\n%s", err, r.Stdout, r.Stderr)
	}
	return d
}

func TestRun(t *testing.T) {
	needLabs(t)
	got := lastack(t.Context(), "run", lost, "-v")
	if got.Status != 0 {
		t.Fatalf("%+v", got)
	}
	for _, part := range []string{"PASS  close/last-ack-lost IPv4", "  ✓ ", "client.ACK(server.FIN)", "1 scenario, 1 run: 1 PASS\n"} {
		if !strings.Contains(got.Stdout, part) {
			t.Errorf("stdout does not say %q:\n%s", part, got.Stdout)
		}
	}
	if strings.Contains(got.Stdout+got.Stderr, "\x1b") {
		t.Error("there are colours where there is no terminal")
	}
	checkColumns(t, "run", got.Stdout+got.Stderr)
}

func TestRunOutputs(t *testing.T) {
	needLabs(t)
	t.Chdir(t.TempDir())
	got := lastack(t.Context(), "run", lost, "--json", "--ip", "both", "--repeat", "2", "--out", "evidence", "--junit", "report.xml",
		"--set", "client:net.ipv4.tcp_fin_timeout=7")
	d := document(t, got)
	if got.Status != 0 || d.Verdict != record.Pass || d.Partial || len(d.Scenarios) != 4 || d.Kernel == "" {
		t.Errorf("status %d, document %s, %d runs on %q; stderr:\n%s", got.Status, d.Verdict, len(d.Scenarios), d.Kernel, got.Stderr)
	}
	var order []int
	for _, r := range d.Scenarios {
		order = append(order, r.IP)
		set := false
		for _, s := range r.Sysctls {
			if s.Key == "net.ipv4.tcp_fin_timeout" {
				set = s.Host == "client" && s.Value == "7"
			}
		}
		if !set {
			t.Errorf("the setting is not in the record: %+v", r.Sysctls)
		}
	}
	if diff := cmp.Diff([]int{4, 6, 4, 6}, order); diff != "" {
		t.Errorf("runs are not in the order of the command (-want +got):\n%s", diff)
	}
	records, err := filepath.Glob("evidence/repeat-*/*/record.json")
	if err != nil || len(records) != 4 {
		t.Errorf("evidence of %d runs, want 4: %v", len(records), records)
	}
	if text, err := os.ReadFile("report.xml"); err != nil || !bytes.Contains(text, []byte("<testsuites")) {
		t.Errorf("JUnit report: %v\n%s", err, text)
	}
	if diff := cmp.Diff([]string{"evidence", "report.xml"}, entries(t, ".")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestRefusedSettings: what only the kernel knows is known before anything is
// played, and leaves nothing behind.
func TestRefusedSettings(t *testing.T) {
	needLabs(t)
	for set, want := range map[string]string{
		"net.ipv4.tcp_fin_timout=2":          "net.ipv4.tcp_fin_timeout",
		"server:net.ipv4.tcp_fin_timeout=so": "invalid argument",
	} {
		t.Run(set, func(t *testing.T) {
			t.Chdir(t.TempDir())
			got := lastack(t.Context(), "run", lost, "--set", set, "--out", "new/er", "--junit", "report.xml")
			if got.Status != 2 || got.Stdout != "" || strings.Count(got.Stderr, "\n") != 1 || !strings.Contains(got.Stderr, want) {
				t.Errorf("got %+v", got)
			}
			if left := entries(t, "."); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestInterrupted: what was played until then is told, and marked.
func TestInterrupted(t *testing.T) {
	needLabs(t)
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(1500*time.Millisecond, cancel)
	got := lastack(ctx, "run", lost, "--repeat", "10000", "--jobs", "2", "--json")
	d := document(t, got)
	if got.Status != 130 || !d.Partial || len(d.Scenarios) == 10000 {
		t.Errorf("status %d, partial %v, %d runs; stderr:\n%s", got.Status, d.Partial, len(d.Scenarios), got.Stderr)
	}
	for _, r := range d.Scenarios {
		if r.Verdict != record.Pass {
			t.Errorf("a run that was interrupted is in the document: %s, %s", r.Verdict, r.Why)
		}
	}
}

func TestDoctor(t *testing.T) {
	needLabs(t)
	got := lastack(t.Context(), "doctor")
	if got.Status != 0 || got.Stderr != "" || !strings.Contains(got.Stdout, "Labs can be made here.\n") {
		t.Errorf("got %+v", got)
	}
	checkColumns(t, "doctor", got.Stdout)
}

// TestDirectoryThatIsGone: the catalogue needs no directory of the caller's; of a
// program the error says what is missing.
func TestDirectoryThatIsGone(t *testing.T) {
	needLabs(t)
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PWD", dir)
	if got := lastack(t.Context(), "run", "close/fin-lost"); got.Status != 0 {
		t.Errorf("%+v", got)
	}
	got := lastack(t.Context(), "try", "--server", builtinServer, "--", "builtin:download", "http://server:8080/")
	if got.Status != 2 || !strings.Contains(strings.Join(strings.Fields(got.Stdout), " "), "the directory of its caller: getwd: no such file or directory") {
		t.Errorf("%+v", got)
	}
}

// TestFileNamesItsPlace: what ends the play of a file says where in the file, and never
// where in our source; of what never was a file it says neither.
func TestFileNamesItsPlace(t *testing.T) {
	needLabs(t)
	t.Chdir(t.TempDir())
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.WriteFile("no-exec", []byte("x"), 0o755); err != nil {
		t.Fatal(err)
	}
	const hosts = "lastack: 1\nname: bug\nsummary: s\nhosts:\n  server: { run: [\"builtin:http\"] }\n  client: { run: [\"builtin:dial\", \"server:8080\"], after: [server] }\n"
	run := []string{"run", "bug.yaml"}
	for name, c := range map[string]struct {
		file string
		args []string
		want string
	}{
		"a program":       {strings.Replace(hosts, "builtin:http", "./no-exec", 1), run, "bug.yaml:5:19: on server: start program ./no-exec: exec format error"},
		"another program": {hosts, []string{"run", "bug.yaml", "--server", "./no-exec"}, "bug.yaml:5:3: on server: start program ./no-exec"},
		"a sysctl":        {hosts + "sysctls: { net.ipv4.no_such_key: 1 }\n", run, "bug.yaml:7:12: set net.ipv4.no_such_key on client"},
		"a rule":          {hosts + "rules:\n  - match: server.DATA@1[-1]\n    drop: true\n", run, "bug.yaml:8:5: resolve server.DATA@1[-1]"},
		"a condition":     {hosts + "at:\n  - { when: \"server.DATA@1[-1]\", do: kill, host: client }\n", run, "bug.yaml:8:13: resolve server.DATA@1[-1]"},
		"an act":          {hosts + "at:\n  - { when: client.SYN, do: boot, host: server }\n", run, "bug.yaml:8:5: boot server: the host is on"},
		"an act's program": {hosts + "at:\n  - { when: client.SYN, do: run, host: server, run: [\"{dir}/none\"] }\n", run,
			"bug.yaml:8:54: on server: start program /tmp/lastack.dir/none: no such file"},
		"no file": {"", []string{"try", "--server", "./no-exec", "--", "builtin:dial", "server:8080"}, "ERROR on server: start program ./no-exec"},
		"check":   {"", []string{"check", "--server", "./no-exec", "--", "builtin:dial", "server:8080"}, "lastack: on server: start program ./no-exec"},
	} {
		if err := os.WriteFile("bug.yaml", []byte(c.file), 0o644); err != nil {
			t.Fatal(err)
		}
		got := lastack(t.Context(), c.args...)
		said := strings.Join(strings.Fields(got.Stdout+got.Stderr), " ")
		if got.Status != 2 || !strings.Contains(said, c.want) || strings.Contains(said, ".go:") {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}
