package analyze

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each capture of another tool shows the ends that testdata/endings.txt has for
// it.
func TestCapturesOfOtherTools(t *testing.T) {
	text, err := os.ReadFile("testdata/endings.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if file, want, ok := strings.Cut(strings.TrimSpace(line), " "); ok && file != "#" {
			rows[file] = strings.TrimSpace(want)
		}
	}
	files, err := filepath.Glob("testdata/captures/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if name == "README.md" {
			continue
		}
		got := endings(t, file)
		if want, ok := rows[name]; !ok || got != want {
			t.Errorf("%s shows %q, want %q", name, got, want)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("testdata/endings.txt has a row for %s, which is not there", name)
	}
}

// endings are the ends of a file's connections in the table's words.
func endings(t *testing.T, file string) string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var list []*Connection
	_, err = Read(t.Context(), []Input{{file, in}}, Options{Ended: func(c *Connection) { list = append(list, c) }})
	switch {
	case err != nil && strings.Contains(err.Error(), "\n"):
		t.Errorf("%s: an error of more than one line: %s", file, err)
	case err != nil:
		return "refused"
	case len(list) == 0:
		return "nothing"
	}
	slices.SortFunc(list, func(a, b *Connection) int { return cmp.Compare(a.Conn, b.Conn) })
	var words []string
	for _, c := range list {
		text := string(c.Ended)
		if c.ClosedFirst != "" {
			text += ", first " + string(c.ClosedFirst)
		}
		if r := c.Reset; r != nil {
			text += ", by " + string(r.By) + ": " + string(r.Why)
			if r.InState != "" {
				text += " in " + string(r.InState)
			}
		}
		words = append(words, text)
	}
	return strings.Join(words, "; ")
}
