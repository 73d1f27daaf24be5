package file

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lastack/lastack/harness/record"
)

// Error is what is wrong with a file: where, what, and what to write instead.
type Error struct {
	// File is the name as it was given; empty for a text that is no file, of which a
	// position says nothing.
	File string
	// Line and Column count from 1, columns in characters; 0 where the file as a
	// whole is meant.
	Line, Column int
	// What is one line.
	What string
	// Row is the line of the file that is meant.
	Row string
}

// Error is the position and the complaint, in one line.
func (e *Error) Error() string {
	switch {
	case e.File == "":
		return e.What
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.File, e.What)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.What)
}

// Excerpt is the line of the file that is meant and a mark below the column;
// empty where the file as a whole is meant. No line of it is wider than width.
func (e *Error) Excerpt(width int) string {
	if e.Line == 0 || e.Row == "" {
		return ""
	}
	head := fmt.Sprintf("%5d | ", e.Line)
	row, mark := []rune(e.Row), e.Column-1
	if room := width - len(head); mark >= room-1 {
		cut := mark - room/2
		row, mark = append([]rune("…"), row[min(cut+1, len(row)):]...), mark-cut
	}
	text := string(row)
	before := record.Width(record.Printable(string(row[:min(mark, len(row))])))
	return record.Fit(head+record.Printable(strings.ReplaceAll(text, "\t", " ")), width) + "\n" +
		strings.Repeat(" ", len(head)+before) + "^\n"
}

// source is a file's name and text, for errors.
type source struct {
	name string
	text string
}

func (s *source) fail(line, column int, format string, args ...any) *Error {
	e := &Error{File: s.name, Line: line, Column: max(column, 1), What: oneLine(fmt.Sprintf(format, args...))}
	n := 1
	for row := range strings.SplitSeq(s.text, "\n") {
		if n == line {
			e.Row = strings.TrimRight(row, "\r")
			e.Column = min(e.Column, utf8.RuneCountInString(e.Row)+1)
			return e
		}
		n++
	}
	return e
}

// oneLine makes a text that came from elsewhere one line.
func oneLine(text string) string { return record.Printable(strings.Join(strings.Fields(text), " ")) }
