package file_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/file"
)

var update = flag.Bool("update", false, "write what is expected anew")

// TestWrongFiles: each file of testdata/wrong is refused with one line that says
// where and what, as testdata/wrong/answers.txt has it.
func TestWrongFiles(t *testing.T) {
	const dir, answers = "testdata/wrong", "testdata/wrong/answers.txt"
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(names) < 40 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	var got strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, err = file.Parse(filepath.Base(name), data)
		var wrong *file.Error
		if !errors.As(err, &wrong) {
			t.Errorf("%s: error %v, want a *file.Error", name, err)
			continue
		}
		if strings.Contains(wrong.Error(), "\n") {
			t.Errorf("%s: more than one line: %q", name, wrong)
		}
		got.WriteString(wrong.Error() + "\n")
		for line := range strings.Lines(wrong.Excerpt(80)) {
			if n := len([]rune(line)); n > 81 {
				t.Errorf("%s: a line of %d columns: %q", name, n, line)
			}
			got.WriteString(strings.TrimRight("  "+line, " \n") + "\n")
		}
	}
	if *update {
		if err := os.WriteFile(answers, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(answers)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
