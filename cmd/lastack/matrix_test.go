package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lastack/lastack/harness/matrix"
	"github.com/lastack/lastack/harness/record"
)

func TestMatrixUsage(t *testing.T) {
	for want, args := range map[string][]string{
		`--state "TIMEWAIT": there is no such state; the nearest is "TIME_WAIT"; there are SYN_SENT, `: {"--state", "TIMEWAIT"},
		`--arrival "rst": there is no such arrival; the nearest is`:                                    {"--arrival", "rst"},
		`unknown flag "--arival"; the nearest is "--arrival"`:                                          {"--arival", "fin"},
		`--ip "5": it is one of 4, 6, both`:                                                            {"--ip", "5"},
		`--jobs "0": it takes a number from 1 to 10000`:                                                {"--jobs", "0"},
		`matrix takes no "TIME_WAIT": --state and --arrival choose cells`:                              {"TIME_WAIT"},
		`print either --json or --markdown, not both`:                                                  {"--json", "--markdown"},
		`--diff compares two files`:                                                                    {"--diff", "a.json"},
		`--diff plays nothing`:                                                                         {"--diff", "--json", "a.json", "b.json"},
		`goes with --strict alone`:                                                                     {"--diff", "--jobs", "2", "a.json", "b.json"},
		`"no/such.json": no such file or directory`:                                                    {"--diff", "no/such.json", "b.json"},
	} {
		got := lastack(t.Context(), append([]string{"matrix"}, args...)...)
		if got.Status != statusCannotWork || got.Stdout != "" || !strings.Contains(got.Stderr, want) || strings.Count(got.Stderr, "\n") != 1 {
			t.Errorf("%q: %+v, want %q", args, got, want)
		}
	}
}

func TestMatrixDiff(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, d any) string {
		file := filepath.Join(dir, name)
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	cell := func(arrival, after string, expires int64, v record.Verdict) matrix.Cell {
		return matrix.Cell{State: "TIME_WAIT", Arrival: arrival, IP: 4, Verdict: v, StateAfter: after, ExpiresMS: expires}
	}
	doc := func(kernel string, cells ...matrix.Cell) matrix.Document {
		return matrix.Document{Schema: matrix.Schema, Kernel: kernel, Cells: cells}
	}
	a := save("a.json", doc("Linux 6.12", cell("rst-exact", "CLOSED", 0, record.Pass), cell("fin", "TIME_WAIT", 59_000, record.Pass)))
	same := save("same.json", doc("Linux 6.18", cell("rst-exact", "CLOSED", 0, record.Pass), cell("fin", "TIME_WAIT", 60_000, record.Pass)))
	other := save("other.json", doc("Linux 6.18", cell("rst-exact", "TIME_WAIT", 60_000, record.Pass), cell("fin", "TIME_WAIT", 60_000, record.Pass)))
	unsure := save("unsure.json", doc("Linux 6.18", cell("rst-exact", "CLOSED", 0, record.Pass), cell("fin", "", 0, record.Inconclusive)))
	nothing := save("nothing.json", doc("Linux 6.18", cell("data", "TIME_WAIT", 0, record.Pass)))
	schema := save("schema.json", matrix.Document{Schema: 7})
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{a, same}, 0, "2 cells compared, 0 differ\n"},
		{[]string{a, other}, 1, "TIME_WAIT × rst-exact, IPv4\n"},
		{[]string{a, unsure}, 0, "1 cells compared, 0 differ; 1 not measured in both\n"},
		{[]string{a, unsure, "--strict"}, 3, "1 not measured"},
		{[]string{a, nothing}, 3, "0 cells compared, 0 differ; 2 only in A, 1 only in B\n"},
		{[]string{a, schema}, 2, "its schema is 7, and this version reads 1"},
	} {
		got := lastack(t.Context(), append([]string{"matrix", "--diff"}, c.args...)...)
		if got.Status != c.status || !strings.Contains(got.Stdout+got.Stderr, c.says) {
			t.Errorf("%q: %+v, want status %d and %q", c.args, got, c.status, c.says)
		}
	}
}

// TestInterruptedMatrixSaysSo: a table that is not whole never looks whole.
func TestInterruptedMatrixSaysSo(t *testing.T) {
	for _, f := range []matrixFlags{{}, {markdown: true}} {
		var stdout bytes.Buffer
		err := new(matrixPlay).print(&f, &matrix.Document{Schema: matrix.Schema, Partial: true}, &stdout)
		var ends *failure
		if !errors.As(err, &ends) || ends.status != statusInterrupted || !strings.HasSuffix(stdout.String(), "partial: not all cells were played\n") {
			t.Errorf("markdown %v: %v\n%s", f.markdown, err, &stdout)
		}
	}
}
