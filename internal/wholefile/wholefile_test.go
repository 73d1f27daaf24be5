package wholefile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/internal/wholefile"
)

// TestWritersAtOnce: whoever reads the name sees one whole file or another.
func TestWritersAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.xml")
	var all sync.WaitGroup
	for _, letter := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			for range 50 {
				err := wholefile.Write(path, func(w io.Writer) error {
					for range 1000 {
						if _, err := io.WriteString(w, letter); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				text, err := os.ReadFile(path)
				if err != nil || len(text) != 1000 || strings.Trim(string(text), string(text[:1])) != "" {
					t.Errorf("%d bytes, %v", len(text), err)
				}
			}
		})
	}
	all.Wait()
	only(t, dir, "report.xml")
}

// TestErrorLeavesWhatWas: no part of what could not be written, and the earlier
// file as it was.
func TestErrorLeavesWhatWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.xml")
	write := func(text string, fails error) error {
		return wholefile.Write(path, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return errors.Join(err, fails)
		})
	}
	if err := write("first", nil); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken on purpose")
	if err := write("half of the sec", broken); !errors.Is(err, broken) {
		t.Errorf("error %v, want that of the content", err)
	}
	if text, err := os.ReadFile(path); string(text) != "first" || err != nil {
		t.Errorf("the earlier file holds %q, %v", text, err)
	}
	if err := wholefile.Write(dir, func(io.Writer) error { return nil }); err == nil {
		t.Error("over a directory: no error")
	}
	only(t, dir, "report.xml")
}

// only fails the test where something else is in a directory.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
