package matrix

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/lastack/lastack/harness/record"
)

// Table is a recorded matrix that a person can read and edit: a line a cell, one
// for both families where they agree. What stands in it is what was measured, but
// for times.
type Table struct {
	// Kernel is the one on which it was recorded.
	Kernel string
	// Lines are by state, arrival and family.
	Lines map[key]Line
}

// Line is a cell of a Table.
type Line struct {
	Verdict record.Verdict
	// Finding is as Cell.Finding gives it.
	Finding string
	Departs bool
}

// Line is what the table holds of a cell; false where it holds nothing.
func (t *Table) Line(c *Cell) (Line, bool) {
	l, ok := t.Lines[c.key()]
	return l, ok
}

// Line is what a table says of the cell.
func (c *Cell) Line() Line {
	return Line{Verdict: c.Verdict, Finding: c.Finding(), Departs: c.Departs}
}

// String is the line without what makes it line up: its finding, and whether it
// departs from the RFC.
func (l Line) String() string {
	if l.Departs {
		return l.Finding + "  " + departsWord
	}
	return l.Finding
}

const (
	departsWord = "departs"
	kernelWord  = "recorded on "
	bothWord    = "4+6"
)

// tableHead explains the file to who opens it.
const tableHead = `# What a kernel does with any segment in any closing state: lastack matrix.
# One line a cell: state, arrival, address families, answers (flags seq/ack+length,
# each SYN is 0), the state after, its timer, what SO_ERROR, read() and write() said
# as the first call, and "departs" where an RFC asks for something else. "-" is
# nothing. Columns are parted by two blanks or more. A cell without meaning is N/A.
`

// WriteTable writes a document as a table.
func (d *Document) WriteTable(w io.Writer) error {
	var rows [][]string
	for _, pair := range d.pairs() {
		for _, c := range pair.distinct() {
			rows = append(rows, append([]string{c.State, c.Arrival, pair.families(c)}, c.tableColumns()...))
		}
	}
	var b strings.Builder
	b.WriteString(tableHead + "\n" + kernelWord + d.Kernel + "\n")
	state := ""
	for _, line := range align(rows) {
		if name, _, _ := strings.Cut(line, " "); name != state {
			state = name
			b.WriteByte('\n')
		}
		b.WriteString(line + "\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func (c *Cell) tableColumns() []string {
	if !c.Measured() {
		return []string{string(c.Verdict)}
	}
	columns := c.columns()
	if c.Departs {
		columns = append(columns, departsWord)
	}
	return columns
}

// align pads columns, and parts them by two blanks.
func align(rows [][]string) (lines []string) {
	var width []int
	for _, row := range rows {
		for i, text := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len(text))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, text := range row {
			if i > 0 {
				b.WriteString("  ")
			}
			fmt.Fprintf(&b, "%-*s", width[i], text)
		}
		lines = append(lines, strings.TrimRight(b.String(), " "))
	}
	return lines
}

var columnGap = regexp.MustCompile(`\s{2,}|\t`)

// ReadTable reads what WriteTable wrote and a person may have changed. The error
// names the line.
func ReadTable(r io.Reader) (*Table, error) {
	t := &Table{Lines: map[key]Line{}}
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		text := strings.TrimSpace(in.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if kernel, ok := strings.CutPrefix(text, kernelWord); ok {
			t.Kernel = kernel
			continue
		}
		if err := t.add(columnGap.Split(text, -1)); err != nil {
			return nil, fmt.Errorf("read table: line %d: %w", n, err)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	if t.Kernel == "" {
		return nil, fmt.Errorf("read table: no line says %qand a kernel", kernelWord)
	}
	return t, nil
}

// measured is how many columns Finding has.
const measured = 6

func (t *Table) add(columns []string) error {
	if len(columns) < 4 {
		return errors.New("want state, arrival, families and what was found, two blanks between them")
	}
	l := Line{Verdict: record.Pass}
	found := columns[3:]
	switch {
	case len(found) == 1:
		l.Verdict = record.Verdict(found[0])
		if l.Verdict != NotApplicable && l.Verdict != record.Inconclusive && l.Verdict != record.Error {
			return fmt.Errorf("a cell with one column is %s, %s or %s, not %q", NotApplicable, record.Inconclusive, record.Error, found[0])
		}
	case len(found) == measured+1 && found[measured] == departsWord:
		l.Departs, found = true, found[:measured]
	case len(found) != measured:
		return fmt.Errorf("want %d columns behind the families, and %q where it does; there are %d", measured, departsWord, len(found))
	}
	l.Finding = strings.Join(found, "  ")
	families := map[string][]int{"4": {4}, "6": {6}, bothWord: {4, 6}}[columns[2]]
	if families == nil {
		return fmt.Errorf("the families are 4, 6 or %s, not %q", bothWord, columns[2])
	}
	for _, ip := range families {
		k := key{columns[0], columns[1], ip}
		if _, ok := t.Lines[k]; ok {
			return fmt.Errorf("%s × %s over IPv%d is there twice", k.state, k.arrival, ip)
		}
		t.Lines[k] = l
	}
	return nil
}

// pair is a cell over the families in which it was played.
type pair []*Cell

// pairs puts the families of each cell together, in the document's order.
func (d *Document) pairs() (all []pair) {
	place := map[key]int{}
	for i := range d.Cells {
		c := &d.Cells[i]
		k := key{c.State, c.Arrival, 0}
		at, ok := place[k]
		if !ok {
			at = len(all)
			place[k] = at
			all = append(all, nil)
		}
		all[at] = append(all[at], c)
	}
	return all
}

// alike tells whether the families agree.
func (p pair) alike() bool {
	for _, c := range p[1:] {
		if c.Line() != p[0].Line() {
			return false
		}
	}
	return true
}

// distinct is one cell where the families agree, else all.
func (p pair) distinct() pair {
	if p.alike() {
		return p[:1]
	}
	return p
}

// families names those for which a cell of distinct stands.
func (p pair) families(c *Cell) string {
	if len(p) == 2 && p.alike() {
		return bothWord
	}
	return fmt.Sprint(c.IP)
}
