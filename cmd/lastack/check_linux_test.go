package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/harness/check"
)

// download is a pair of stand-ins: a server that says how long its body is, and a
// client that does or does not look.
func download(look string, args ...string) []string {
	list := []string{"check", "--server", "builtin:http --port 8080 --body 4KiB --framing length", "--patience", "2s", "--output", "out.bin"}
	return append(append(list, args...), "--", "builtin:download", "--check", look, "-o", "{dir}/out.bin", "http://server:8080/file")
}

func TestCheckConvicts(t *testing.T) {
	needLabs(t)
	dir := t.TempDir()
	cut := []string{"--points", "server.DATA@1*", "--faults", "cut", "--faults", "drop", "--out", dir, "--junit", filepath.Join(dir, "junit.xml"), "--json"}
	got := lastack(t.Context(), download("none", cut...)...)
	var r check.Report
	if err := json.Unmarshal([]byte(got.Stdout), &r); err != nil || got.Status != 1 {
		t.Fatalf("%v: %+v", err, got)
	}
	if len(r.Findings) != 1 || r.Findings[0].Symptom != check.SilentCorruption || r.Findings[0].Ladder == "" || r.CellsPerS <= 0 {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"check.json", "junit.xml", "evidence/silent-corruption"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if got := lastack(t.Context(), download("length", "--points", "server.DATA@1*", "--faults", "cut", "--faults", "drop")...); got.Status != 0 || !strings.Contains(got.Stdout, "cells per second") {
		t.Errorf("%+v", got)
	}
}

// The line of a finding plays that very cell, and its scenario file is one.
func TestCheckOneCell(t *testing.T) {
	needLabs(t)
	const cell = "server.DATA@1[-1]/cut"
	got := lastack(t.Context(), download("none", "--cell", cell)...)
	if got.Status != 1 || !strings.Contains(got.Stdout, "1 cell, client under test: 1 finding") || !strings.Contains(got.Stdout, "--cell '"+cell+"' -- builtin:download") {
		t.Errorf("%+v", got)
	}
	file := filepath.Join(t.TempDir(), "cell.yaml")
	got = lastack(t.Context(), download("none", "--cell", cell, "--save", file)...)
	text, err := os.ReadFile(file)
	if got.Status != 0 || got.Stdout != "" || err != nil || !strings.Contains(string(text), "cut: { keep: ") {
		t.Errorf("%+v: %v\n%s", got, err, text)
	}
}

func TestCheckList(t *testing.T) {
	needLabs(t)
	got := lastack(t.Context(), download("length", "--list")...)
	if got.Status != 0 || strings.Count(got.Stdout, "\n") < 150 || !strings.Contains(got.Stdout, "server.FIN/rst-instead/client\n") || !strings.Contains(got.Stderr, "have no meaning and are left out:") {
		t.Errorf("%+v", got)
	}
}

// What only a lab can tell is one clear line too.
func TestCheckRefuses(t *testing.T) {
	needLabs(t)
	t.Setenv("LASTACK_TIMESCALE", "0.2") // of what is waited for in vain
	web := "builtin:http --port 8080"
	get := []string{"--", "builtin:download", "--check", "none", "-o", "{dir}/x", "http://server:8080/"}
	for name, c := range map[string]struct {
		args   []string
		stderr string
	}{
		"never listens":            {append([]string{"--server", "sleep 1000"}, get...), "without any fault the server has not listened within 30s"},
		"ends at once":             {append([]string{"--server", "sh -c 'echo no such port >&2; exit 3'"}, get...), "without any fault the server exited 3 before it listened: no such port"},
		"ends at once, content":    {append([]string{"--server", "true"}, get...), "without any fault the server exited 0, and nothing that it left behind listens"},
		"client fails":             {[]string{"--server", web, "--", "sh", "-c", "echo no luck >&2; exit 4"}, "without any fault the client exited 4: no luck"},
		"client does not speak":    {[]string{"--server", web, "--", "true"}, "the client opened no connection 1 to the server, so there is nothing to break"},
		"no such point":            {append([]string{"--server", web, "--points", "server.FNI"}, get...), `there is no point "server.FNI"; the nearest is "server.FIN"`},
		"no such cell":             {append([]string{"--server", web, "--cell", "sever.FIN/drop"}, get...), `cell "sever.FIN/drop": there is no point "sever.FIN"; the nearest is "server.FIN"`},
		"effects prints no number": {append([]string{"--server", web, "--effects", "echo many"}, get...), `--effects printed "many", and not one number`},
	} {
		t.Run(name, func(t *testing.T) {
			got := lastack(t.Context(), append([]string{"check"}, c.args...)...)
			if got.Status != 2 || got.Stdout != "" || !strings.Contains(got.Stderr, c.stderr) || strings.Count(got.Stderr, "\n") != 1 {
				t.Errorf("%+v\nwant …%s…", got, c.stderr)
			}
		})
	}
}

// Programs that misbehave are contained: what they leave behind, what they write, how
// often they connect.
func TestCheckContains(t *testing.T) {
	needLabs(t)
	for name, c := range map[string]struct{ client, fault string }{
		"daemons":        {"(trap '' TERM HUP; sleep 1000) & builtin", "silence"},
		"fills stdout":   {"head -c 3000000 /dev/zero; builtin", "drop"},
		"forges reports": {`printf '\033[2J::error::forged\n<b>'; builtin`, "drop"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // one waits for a hang to repeat
			if _, err := os.Stat("/bin/bash"); err != nil {
				t.Skip("there is no bash, whose /dev/tcp is the client here")
			}
			script := strings.ReplaceAll(c.client, "builtin", "exec 3<>/dev/tcp/server/8080 && printf 'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n' >&3 && cat <&3 >/dev/null")
			got := lastack(t.Context(), "check", "--server", "builtin:http --port 8080", "--patience", "2s", "--points", "server.DATA@1[0]", "--faults", c.fault, "-v",
				"--", "/bin/bash", "-c", script)
			if got.Status != 1 && got.Status != 0 || strings.ContainsAny(got.Stdout, "\x1b\x00") {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Ctrl-C ends a sweep with what is known so far.
func TestCheckInterrupted(t *testing.T) {
	needLabs(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	stderr := &notices{news: make(chan struct{}, 1)}
	var stdout bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		// What is lost is sent again at once; what is silent waits for a minute.
		ended <- run(ctx, download("length", "--patience", "1m", "--faults", "drop", "--faults", "silence", "--json"), &stdout, stderr)
	}()
	select {
	case <-stderr.news: // the first cell was played
		interrupt()
	case status := <-ended:
		t.Fatalf("it ended with %d:\n%s%s", status, &stdout, &stderr.text)
	case <-time.After(time.Minute):
		t.Fatal("no cell was played")
	}
	status := <-ended
	var r check.Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || status != 130 || !r.Partial || len(r.Cells) == 0 {
		t.Errorf("%v: status %d, partial %t, %d cells:\n%s", err, status, r.Partial, len(r.Cells), &stderr.text)
	}
}
