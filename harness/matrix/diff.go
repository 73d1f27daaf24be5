package matrix

import (
	"fmt"
	"io"
	"strings"
)

// Difference is a cell that two kernels do not do alike.
type Difference struct{ A, B *Cell }

// Comparison is what came of comparing two matrices.
type Comparison struct {
	// Compared counts the cells that both measured, or both find without meaning.
	Compared    int
	Differences []Difference
	// Unmeasured are cells that at least one of them could not measure, and OnlyA
	// and OnlyB those that the other does not have.
	Unmeasured   []Difference
	OnlyA, OnlyB int
}

// Whole tells whether every cell was compared.
func (c *Comparison) Whole() bool { return len(c.Unmeasured)+c.OnlyA+c.OnlyB == 0 }

// Diff compares two matrices cell by cell, but for times. What an RFC asks is no
// part of a kernel.
func Diff(a, b *Document) Comparison {
	var out Comparison
	ours := map[key]bool{}
	for i := range a.Cells {
		x := &a.Cells[i]
		ours[x.key()] = true
		y := b.at(x.key())
		switch {
		case y == nil:
			out.OnlyA++
		case !x.settled() || !y.settled():
			out.Unmeasured = append(out.Unmeasured, Difference{x, y})
		default:
			out.Compared++
			if x.Finding() != y.Finding() {
				out.Differences = append(out.Differences, Difference{x, y})
			}
		}
	}
	for i := range b.Cells {
		if !ours[b.Cells[i].key()] {
			out.OnlyB++
		}
	}
	return out
}

// settled: the cell says something, if only that it has no meaning.
func (c *Cell) settled() bool { return c.Measured() || c.Verdict == NotApplicable }

// Write prints the comparison of two matrices, which have names for the reader.
func (c *Comparison) Write(w io.Writer, nameA, nameB string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "A  %s\nB  %s\n", nameA, nameB)
	for _, d := range c.Differences {
		fmt.Fprintf(&b, "\n%s, IPv%d\n", d.A.Name(), d.A.IP)
		for i, line := range align([][]string{labels, d.A.row(), d.B.row()}) {
			fmt.Fprintf(&b, "  %s  %s\n", [...]string{" ", "A", "B"}[i], line)
		}
	}
	fmt.Fprintf(&b, "\n%d cells compared, %d differ", c.Compared, len(c.Differences))
	if n := len(c.Unmeasured); n > 0 {
		fmt.Fprintf(&b, "; %d not measured in both", n)
	}
	if c.OnlyA+c.OnlyB > 0 {
		fmt.Fprintf(&b, "; %d only in A, %d only in B", c.OnlyA, c.OnlyB)
	}
	b.WriteByte('\n')
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	return nil
}

var labels = []string{"answers", "state after", "timer", "SO_ERROR", "read()", "write()"}

func (c *Cell) row() []string {
	if !c.Measured() {
		return []string{string(c.Verdict)}
	}
	return c.columns()
}
