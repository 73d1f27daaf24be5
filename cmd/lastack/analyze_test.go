package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// inCaptures is where the captures of other tools lie.
func inCaptures(t *testing.T) {
	t.Helper()
	t.Chdir(filepath.Join("..", "..", "harness", "analyze", "testdata", "captures"))
}

// What docs/analyze.md shows is what the command prints.
func TestAnalyzeDocument(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "analyze.md"))
	if err != nil {
		t.Fatal(err)
	}
	inCaptures(t)
	blocks := regexp.MustCompile("(?m)^```console\n\\$ lastack (.+)\n((?s:.+?))^```$").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) < 5 {
		t.Fatalf("%d outputs, want at least five", len(blocks))
	}
	for _, b := range blocks {
		got := lastack(t.Context(), strings.Fields(b[1])...)
		if diff := cmp.Diff(result{Stdout: b[2]}, got); diff != "" {
			t.Errorf("lastack %s (-document +command):\n%s", b[1], diff)
		}
	}
}

func TestAnalyzeExitStatus(t *testing.T) {
	inCaptures(t)
	for _, tt := range []struct {
		args   string
		status int
	}{
		{"analyze refused.pcap", 0},
		{"analyze refused.pcap --fail-on reset", 0},
		{"analyze refused.pcap --fail-on reset,refused", 1},
		{"analyze refused.pcap --fail-on refused --json", 1},
		{"analyze refused.pcap --fail-on refused --filter client.FIN", 0},
		{"analyze refused.pcap abandoned.pcap --jsonl", 0},
		{"analyze empty.pcap", 0},
		{"analyze cut-record.pcap", 0},
	} {
		got := lastack(t.Context(), strings.Fields(tt.args)...)
		if got.Status != tt.status || got.Stderr != "" && !strings.Contains(tt.args, "json") {
			t.Errorf("lastack %s: status %d, want %d; stderr %q", tt.args, got.Status, tt.status, got.Stderr)
		}
	}
}

// One line on stderr, nothing on stdout, status 2.
func TestAnalyzeBadInput(t *testing.T) {
	inCaptures(t)
	saved := filepath.Join(t.TempDir(), "saved.yaml")
	for _, tt := range []struct{ args, stderr string }{
		{"analyze", "analyze which file? name a capture, or - for stdin"},
		{"analyze no-such.pcap", `analyze "no-such.pcap": no such file or directory`},
		{"analyze .", `analyze ".": it is a directory`},
		{"analyze refused.pcap --json --jsonl", "give either --json or --jsonl, not both"},
		{"analyze refused.pcap --json --explain", "--explain and --all are for people; JSON has every connection without them"},
		{"analyze - -", "stdin can be read once: give - once"},
		{"analyze refused.pcap --fail-on gone", `--fail-on "gone": "gone" is no way to end: want one of abandoned, keepalive-timeout,`},
		{"analyze refused.pcap --filter client.FNI", `--filter "client.FNI": parse "client.FNI": column 8: unknown kind "FNI"`},
		{"analyze refused.pcap --filter proxy.FIN", `--filter "proxy.FIN": parse "proxy.FIN": column 1: there is no host "proxy"`},
		{"analyze text.pcap", "analyze text.pcap: read capture: "},
		{"analyze nothing.pcap", "analyze nothing.pcap: read capture: "},
		{"analyze checksum.pcap.gz", "analyze checksum.pcap.gz: read capture: "},
	} {
		got := lastack(t.Context(), strings.Fields(tt.args)...)
		line, whole := strings.CutSuffix(got.Stderr, "\n")
		if !whole || strings.Contains(line, "\n") || !strings.HasPrefix(line, "lastack: "+tt.stderr) {
			t.Errorf("lastack %s:\n got %q\nwant the line %q", tt.args, got.Stderr, "lastack: "+tt.stderr)
		}
		if got.Status != 2 || got.Stdout != "" {
			t.Errorf("lastack %s: status %d and stdout %q, want 2 and nothing", tt.args, got.Status, got.Stdout)
		}
	}
	if got := lastack(t.Context(), "analyze", "three-way.pcap", "--save", saved); got.Status != 2 || !strings.Contains(got.Stderr, "cause") {
		t.Errorf("--save without a cause: %+v", got)
	}
	if _, err := os.Stat(saved); err == nil {
		t.Error("--save wrote a file without a cause")
	}
}

func TestAnalyzeSave(t *testing.T) {
	inCaptures(t)
	saved := filepath.Join(t.TempDir(), "saved.yaml")
	if got := lastack(t.Context(), "analyze", "data-after-close.pcap", "--save", saved); got.Status != 0 {
		t.Fatalf("%+v", got)
	}
	text, err := os.ReadFile(saved)
	if err != nil || !strings.Contains(string(text), "\nname: data-after-close-of-the-server\n") {
		t.Errorf("saved %q, %v", text, err)
	}
	got := lastack(t.Context(), "analyze", "data-after-close.pcap", "--save", saved)
	if want := fmt.Sprintf("lastack: --save %q: file exists\n", saved); got.Status != 2 || got.Stdout != "" || got.Stderr != want {
		t.Errorf("onto a file that was there: %+v, want %q before anything is read", got, want)
	}
	if now, err := os.ReadFile(saved); err != nil || !bytes.Equal(now, text) {
		t.Errorf("the file that was there holds now %q, %v", now, err)
	}
}

// Every field of the document has a row in docs/json.md, and every row a
// field.
func TestAnalyzeJSONDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	inCaptures(t)
	got := lastack(t.Context(), "analyze", "data-after-close.pcap", "--json")
	var doc map[string]any
	if err := json.Unmarshal([]byte(got.Stdout), &doc); err != nil {
		t.Fatal(err)
	}
	first := func(list any) map[string]any { return list.([]any)[0].(map[string]any) }
	connection := first(doc["connections"])
	for section, object := range map[string]map[string]any{
		"document": doc, "`connections[]`": connection, "`connections[].reset`": connection["reset"].(map[string]any), "`summary[]`": first(doc["summary"]),
	} {
		_, rest, ok := strings.Cut(string(text), "### The analysis: "+section+"\n")
		if !ok {
			t.Errorf("docs/json.md has no section for %s", section)
			continue
		}
		table, _, _ := strings.Cut(strings.TrimLeft(rest, "\n"), "\n\n")
		documented := map[string]bool{}
		for line := range strings.Lines(table) {
			names, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			for name := range strings.SplitSeq(names, ", ") {
				if name, ok := strings.CutPrefix(name, "`"); ok {
					documented[strings.TrimSuffix(name, "`")] = true
				}
			}
		}
		has := map[string]bool{}
		for name := range object {
			has[name] = true
		}
		if diff := cmp.Diff(documented, has); diff != "" {
			t.Errorf("%s (-documented +printed):\n%s", section, diff)
		}
	}
}

// With - each connection is printed when it ends, and with --jsonl in a line.
func TestAnalyzeStdin(t *testing.T) {
	inCaptures(t)
	file, err := os.ReadFile("three-way.pcap")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"analyze", "-"}, {"analyze", "-", "--jsonl"}} {
		var stdout, stderr bytes.Buffer
		root := newRoot()
		root.SetArgs(args)
		root.SetIn(bytes.NewReader(file))
		root.SetOut(&stdout)
		root.SetErr(&stderr)
		if err := root.ExecuteContext(t.Context()); err != nil || stderr.Len() > 0 {
			t.Errorf("%q: %v, stderr %q", args, err, &stderr)
		}
		if out := stdout.String(); !strings.Contains(out, "three-way") || len(args) == 3 && strings.Count(out, "\n") != 1 {
			t.Errorf("%q printed\n%s", args, out)
		}
	}
}

// What a capture says is not to be trusted on a terminal.
func TestAnalyzePrintsNoEscapes(t *testing.T) {
	dir := t.TempDir()
	from, err := os.ReadFile(filepath.Join("..", "..", "harness", "analyze", "testdata", "captures", "refused.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	const name = "a\x1b[31m\nb.pcap"
	if err := os.WriteFile(name, from, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"analyze", name}, {"analyze", name + ".gone"}} {
		if got := lastack(t.Context(), args...); strings.Contains(got.Stdout+got.Stderr, "\x1b") {
			t.Errorf("%q was printed as it is:\n%+v", args, got)
		}
	}
}
