package check

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/lastack/lastack/internal/wholefile"
)

func encode(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	if err == nil {
		_, err = w.Write(b.Bytes())
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// ReportFile is the name of the report in the directory of a sweep.
const ReportFile = "check.json"

// WriteDir writes the report into a directory, which is made where it is not there.
// The file gets its name only once it is whole.
func (r *Report) WriteDir(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return WriteFile(filepath.Join(dir, ReportFile), r.JSON)
}

// WriteFile writes a file that gets its name only once it is whole, and replaces an
// earlier one of that name.
func WriteFile(path string, content func(io.Writer) error) error {
	if err := wholefile.Write(path, content); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// ReadDir reads the report of a directory.
func ReadDir(dir string) (*Report, error) {
	data, err := os.ReadFile(filepath.Join(dir, ReportFile))
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	return ReadReport(data)
}

// ReadReport reads what JSON wrote.
func ReadReport(data []byte) (*Report, error) {
	var r Report
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("read report: its schema is %d, and this version of lastack reads %d", r.Schema, Schema)
	}
	for _, f := range slices.Concat(r.Findings, r.Unrepeatable) {
		if len(f.Cells) == 0 {
			return nil, fmt.Errorf("read report: no cell has the finding %q: lastack check did not write this", f.Symptom)
		}
	}
	return &r, nil
}
