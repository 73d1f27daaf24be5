package analyze

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Schema is the number of the document's shape, as record.Schema is of a
// run's.
const Schema = 1

// JSON writes the document of docs/json.md while connections end, so that a
// long capture needs no more memory than a short one. A document that is not
// whole is no JSON. Make it with NewJSON.
type JSON struct {
	out     io.Writer
	lines   bool
	summary Summary
	begun   bool
	err     error
}

// NewJSON makes a document on a writer; with lines it is a line a connection,
// and nothing else.
func NewJSON(out io.Writer, lines bool) *JSON { return &JSON{out: out, lines: lines} }

// Summary is what was counted so far.
func (j *JSON) Summary() *Summary { return &j.summary }

// Add writes a connection.
func (j *JSON) Add(c *Connection) {
	j.summary.Add(c)
	if j.lines {
		j.write(append(j.encode(c, ""), '\n'))
		return
	}
	j.begin()
	if j.summary.total() > 1 {
		j.write([]byte(","))
	}
	j.write([]byte("\n    "))
	j.write(j.encode(c, "    "))
}

func (j *JSON) begin() {
	if !j.begun {
		j.begun = true
		fmt.Fprintf(writer{j}, "{\n  \"schema\": %d,\n  \"connections\": [", Schema)
	}
}

// Close ends the document, and returns the first error.
func (j *JSON) Close(totals Totals) error {
	if !j.lines {
		j.begin()
		if j.summary.total() > 0 {
			j.write([]byte("\n  "))
		}
		fmt.Fprintf(writer{j}, "],\n  \"files\": %s,\n  \"packets\": %d,\n  \"skipped\": %s,\n  \"duplicates\": %d,\n  \"cut\": %s,\n  \"partial\": %t,\n  \"summary\": %s\n}\n",
			j.encode(orEmpty(totals.Files), "  "), totals.Packets, j.encode(totals.Skipped, "  "), totals.Duplicates,
			j.encode(orEmpty(totals.Cut), "  "), totals.Partial, j.encode(j.summary.Groups(), "  "))
	}
	if j.err != nil {
		return fmt.Errorf("write document: %w", j.err)
	}
	return nil
}

// encode is a value as JSON: in one line, or indented behind a margin.
func (j *JSON) encode(value any, margin string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if !j.lines {
		e.SetIndent(margin, "  ")
	}
	if err := e.Encode(value); err != nil && j.err == nil {
		j.err = err
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func (j *JSON) write(p []byte) {
	if j.err == nil {
		_, j.err = j.out.Write(p)
	}
}

// writer lets fmt write into the document.
type writer struct{ j *JSON }

func (w writer) Write(p []byte) (int, error) {
	w.j.write(p)
	return len(p), nil
}

// total is how many connections were counted.
func (s *Summary) total() int {
	n := 0
	for _, g := range s.groups {
		n += g.Connections
	}
	return n
}
