package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Write writes the whole run as indented JSON, the content of record.json.
// Read gives an equal run back. For the document that others may rely on, see
// Document.
func (r *Run) Write(w io.Writer) error {
	if err := encode(w, r); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

// Read reads a run that Write wrote. Fields that this version does not know
// are passed over; anything after the run is an error.
func Read(rd io.Reader) (*Run, error) {
	r := new(Run)
	d := json.NewDecoder(rd)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("read record: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read record: more than one JSON value")
	}
	return r, nil
}

// encode writes JSON for people too: indented, and with > as it is, for the
// text is never part of a web page.
func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
