package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lastack/lastack/harness/check"
	"github.com/lastack/lastack/harness/record"
)

// What check and merge refuse before anything is played: one clear line, status 2.
func TestCheckBadInput(t *testing.T) {
	pair := func(args ...string) []string {
		return append(append([]string{"check", "--server", "sh -c 'exit 1'"}, args...), "--", "true")
	}
	for _, c := range []struct {
		args   []string
		stderr string
	}{
		{[]string{"check"}, `check which server? as in lastack check --server './srv' -- ./client`},
		{[]string{"check", "--server", "./srv"}, `check which client? its command stands behind --`},
		{[]string{"check", "--server", "./srv", "curl"}, `what is "curl"? the client's command stands behind --`},
		{[]string{"check", "--server", "a | b", "--", "true"}, `--server "a | b": | is for a shell`},
		{[]string{"check", "--server", "no-such-server", "--", "true"}, `server: there is no program "no-such-server"`},
		{[]string{"check", "--server", "true", "--", "./no-such-client"}, `client: there is no program "./no-such-client"`},
		{pair("--judge", "no-such-judge"), `judge: there is no program "no-such-judge"`},
		{pair("--under-test", "peer"), `--under-test "peer": it is client, server or both`},
		{pair("--ip", "both"), `--ip both: a sweep is of one address family; run it twice`},
		{pair("--faults", "dorp"), `there is no fault "dorp"; the nearest is "drop"`},
		{pair("--cell", "server.FIN"), `"server.FIN" is no cell: it is written POINT/FAULT[/SIDE]`},
		{pair("--cell", "server.FIN/rst/client"), `cell "server.FIN/rst/client": there is no fault "rst/client"; the nearest is`},
		{pair("--shard", "5/4"), `--shard: want the part and their number, as 1/4, not "5/4"`},
		{pair("--ignore", "("), "--ignore \"(\": error parsing regexp: missing closing ): `(`"},
		{pair("--ready", "port:80"), `--ready "port:80": want a port, as 8080, or log:REGEXP`},
		{pair("--ready", "listen:0"), `--ready "listen:0": want a port, as 8080, or log:REGEXP`},
		{pair("--ready", "log:"), `--ready "log:": want a regular expression behind the colon, as in log:started`},
		{[]string{"check", "--server", "", "--", "true"}, `--server "": the command is empty`},
		{pair("--under-test", ""), `--under-test "": it is client, server or both`},
		{pair("--output", ""), `--output "": it is empty`},
		{pair("--output", "../x"), `--output "../x": want a glob as out/*.bin that goes nowhere above`},
		{pair("--cell", ""), `--cell "": it is empty`},
		{pair("--judge", "'"), `--judge "'": want a closing '`},
		{pair("--seed", "-1"), `--seed "-1": it takes a whole number from 0 on`},
		{pair("--seed", "2"), `--seed is what --shallow chooses by, and there is no --shallow`},
		{pair("--patience", "5"), `--patience "5": it takes a time above 0 with its unit, as 2s or 500ms`},
		{pair("--list", "--json"), `--list and --json exclude each other: --list plays no cell, so there is no report`},
		{pair("--list", "--out", "x"), `--list and --out exclude each other`},
		{pair("--list", "--junit", "x"), `--list and --junit exclude each other`},
		{pair("--save", "x", "--json", "--cell", "server.FIN/drop"), `--save and --json exclude each other`},
		{pair("--cell", "server.FIN/drop", "--points", "server.FIN"), `--cell and --points exclude each other`},
		{pair("--shard", "1/4", "--shard", "2/4"), `--shard is given twice: a sweep plays one part`},
		{pair("--cell", "server.FIN/drop", "--save", "check_test.go"), `--save "check_test.go": file exists`},
		{pair("--cell", "server.FIN/drop", "--save", "no/such/dir/x"), `--save "no/such/dir/x": no such file or directory`},
		{pair("--output", "["), `--output "[": it is no glob`},
		{pair("--patience", "-1s"), `--patience "-1s": it takes a time above 0`},
		{pair("--save", "x.yaml"), `--save writes one cell: name it with --cell`},
		{pair("--jobs", "0"), `--jobs "0": it takes a number from 1 to 10000`},
		{pair("--juint", "x"), `unknown flag "--juint"; the nearest is "--junit"`},
		{[]string{"merge"}, `merge which reports? name the directories that check --out wrote`},
		{[]string{"merge", "/no/such/dir"}, `"/no/such/dir": there is no check.json in it`},
	} {
		got := lastack(t.Context(), c.args...)
		if got.Status != 2 || got.Stdout != "" || !strings.HasPrefix(got.Stderr, "lastack: ") || !strings.Contains(got.Stderr, c.stderr) || strings.Count(got.Stderr, "\n") != 1 {
			t.Errorf("%q: %+v\nwant …%s…", c.args, got, c.stderr)
		}
	}
}

func shard(t *testing.T, i int, cells ...check.CellReport) string {
	t.Helper()
	dir := t.TempDir()
	r := check.Report{
		Schema: check.Schema, UnderTest: check.Client, IP: 4, Server: []string{"./srv"}, Client: []string{"./cli"},
		Points: []string{"client.SYN", "server.FIN"}, Cells: cells, Shard: i, Shards: 2, DurationMS: 100,
	}
	for _, c := range cells {
		if c.Symptom != "" {
			r.Findings = append(r.Findings, check.FindingReport{Symptom: c.Symptom, Cells: []string{c.Cell}, Replays: "5/5", Sentence: "it hangs", Repro: "lastack check"})
		}
	}
	if err := r.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMerge(t *testing.T) {
	one := shard(t, 1, check.CellReport{Cell: "client.SYN/drop", Point: "client.SYN", Fault: "drop", Verdict: record.Pass})
	two := shard(t, 2, check.CellReport{Cell: "server.FIN/drop", Point: "server.FIN", Fault: "drop", Verdict: record.Fail, Symptom: check.Hang, Note: "it hangs"})
	t.Setenv("GITHUB_ACTIONS", "true")
	summary := filepath.Join(t.TempDir(), "summary.md")
	t.Setenv("GITHUB_STEP_SUMMARY", summary)
	junit := filepath.Join(t.TempDir(), "junit.xml")
	got := lastack(t.Context(), "merge", one, two, "--junit", junit)
	if got.Status != 1 || !strings.Contains(got.Stdout, "hang  1 cell, repeated 5/5") || !strings.Contains(got.Stderr, "::error title=lastack check%3A hang::server.FIN/drop") {
		t.Errorf("%+v", got)
	}
	for _, file := range []string{summary, junit} {
		if text, err := os.ReadFile(file); err != nil || !bytes.Contains(text, []byte("hang")) {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
	}
	got = lastack(t.Context(), "merge", one, "--json")
	var r check.Report
	if err := json.Unmarshal([]byte(got.Stdout), &r); err != nil || got.Status != 2 || !r.Partial || r.Verdict != record.Inconclusive {
		t.Errorf("a shard is missing: %v, %+v", err, got)
	}
}
