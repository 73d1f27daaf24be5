package matrix

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/lastack/lastack/harness/record"
)

// NotApplicable is the verdict of a cell without meaning: it is no pass.
const NotApplicable record.Verdict = "N/A"

// Answer is a segment that the subject sent because of an arrival. Numbers are
// relative: each SYN is 0, also that of a connection which the arrival opens.
type Answer struct {
	// Flags are written as tcpdump does: "R", "R.", "F.", ".".
	Flags string `json:"flags"`
	Seq   int64  `json:"seq"`
	Ack   int64  `json:"ack"`
	Len   int    `json:"len"`
}

// String is the answer in short: flags, seq, after a slash ack, and after a plus
// the length: ". 101/111", "R 101", "P. 101/101+10".
func (a Answer) String() string {
	text := a.Flags + " " + strconv.FormatInt(a.Seq, 10)
	if strings.HasSuffix(a.Flags, ".") {
		text += "/" + strconv.FormatInt(a.Ack, 10)
	}
	if a.Len > 0 {
		text += "+" + strconv.Itoa(a.Len)
	}
	return text
}

// noError is what SO_ERROR says where there is none.
const noError = "0"

// nothing is what a list of answers prints where there is none.
const nothing = "-"

func answersText(list []Answer) string {
	if len(list) == 0 {
		return nothing
	}
	var parts []string
	for _, a := range list {
		parts = append(parts, a.String())
	}
	return strings.Join(parts, ", ")
}

// Cell is one state, one arrival, one address family, and what came of it.
type Cell struct {
	State   string `json:"state"`
	Arrival string `json:"arrival"`
	IP      int    `json:"ip"`
	// Verdict is PASS where it was measured, whether the kernel departs from the
	// RFC or not, else INCONCLUSIVE, ERROR or N/A; Why says then why.
	Verdict record.Verdict `json:"verdict"`
	Why     string         `json:"why"`
	// Answers are what the subject sent because of the arrival.
	Answers []Answer `json:"answers"`
	// StateAfter is the state behind the arrival; CLOSED where no socket is left.
	StateAfter string `json:"state_after"`
	// Timer is the timer that ran then, by the kernel's name, or "", and ExpiresMS
	// how far off it was.
	Timer     string `json:"timer"`
	ExpiresMS int64  `json:"expires_ms"`
	// SOError, Read and Write are what the first call of the program said: a
	// number of bytes, or the error's name; SO_ERROR is "0" where there was none.
	// They are nil where it has no descriptor.
	SOError *string `json:"so_error"`
	Read    *string `json:"read"`
	Write   *string `json:"write"`
	// RFC is what the RFCs ask; Departs tells that the kernel does something
	// else, and Because how that comes about.
	RFC     string `json:"rfc"`
	Departs bool   `json:"departs"`
	Because string `json:"because"`
}

// Name is the cell's, without its family: STATE × ARRIVAL.
func (c *Cell) Name() string { return c.State + " × " + c.Arrival }

// Measured tells whether the cell says something of the kernel.
func (c *Cell) Measured() bool { return c.Verdict == record.Pass }

// Finding is all that was measured, but for times, in one line: answers, the
// state after, its timer, and what SO_ERROR, read() and write() said.
func (c *Cell) Finding() string {
	if !c.Measured() {
		return string(c.Verdict)
	}
	return strings.Join(c.columns(), "  ")
}

// columns are what Finding is made of.
func (c *Cell) columns() []string {
	return []string{
		answersText(c.Answers), c.StateAfter, orNothing(c.Timer),
		optional(c.SOError), optional(c.Read), optional(c.Write),
	}
}

func orNothing(text string) string {
	if text == "" {
		return nothing
	}
	return text
}

func optional(text *string) string {
	if text == nil {
		return nothing
	}
	return *text
}

// Schema is the number of the document's shape, which docs/json.md describes.
const Schema = 1

// Document is the matrix of one kernel.
type Document struct {
	Schema int `json:"schema"`
	// Partial: it was interrupted, and cells are missing.
	Partial bool `json:"partial,omitempty"`
	// Kernel is that of the first play that ended, as in record.Run; empty where
	// nothing was played.
	Kernel string `json:"kernel"`
	// Cells stand in the order of states, arrivals, families.
	Cells []Cell `json:"cells"`
}

// Write writes the document as indented JSON.
func (d *Document) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return fmt.Errorf("write matrix: %w", err)
	}
	return nil
}

// Read reads what Write wrote. The error says what makes it no matrix.
func Read(r io.Reader) (*Document, error) {
	d := new(Document)
	decoder := json.NewDecoder(r)
	if err := decoder.Decode(d); err != nil {
		return nil, fmt.Errorf("read matrix: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read matrix: something follows the document")
	}
	if d.Schema != Schema {
		return nil, fmt.Errorf("read matrix: its schema is %d, and this version reads %d", d.Schema, Schema)
	}
	if len(d.Cells) == 0 {
		return nil, errors.New("read matrix: it has no cells: is it what lastack matrix --json printed?")
	}
	seen := map[key]bool{}
	for i := range d.Cells {
		c := &d.Cells[i]
		if c.State == "" || c.Arrival == "" || c.Verdict == "" || c.IP != 4 && c.IP != 6 {
			return nil, fmt.Errorf("read matrix: cell %d lacks its state, arrival, family or verdict", i+1)
		}
		if seen[c.key()] {
			return nil, fmt.Errorf("read matrix: %s over IPv%d is there twice", c.Name(), c.IP)
		}
		seen[c.key()] = true
	}
	return d, nil
}

// key is what makes a cell the same one in two matrices.
type key struct {
	state, arrival string
	ip             int
}

func (c *Cell) key() key { return key{c.State, c.Arrival, c.IP} }

// Verdict is the worst of the cells': ERROR, INCONCLUSIVE where nothing was
// measured or with strict any cell is, else PASS.
func (d *Document) Verdict(strict bool) record.Verdict {
	count := d.Count()
	switch {
	case count[record.Error] > 0:
		return record.Error
	case count[record.Pass] == 0, strict && count[record.Inconclusive] > 0:
		return record.Inconclusive
	}
	return record.Pass
}

// Count counts cells by their verdicts.
func (d *Document) Count() map[record.Verdict]int {
	count := map[record.Verdict]int{}
	for i := range d.Cells {
		count[d.Cells[i].Verdict]++
	}
	return count
}

// at finds a cell; nil where there is none.
func (d *Document) at(k key) *Cell {
	i := slices.IndexFunc(d.Cells, func(c Cell) bool { return c.key() == k })
	if i < 0 {
		return nil
	}
	return &d.Cells[i]
}
