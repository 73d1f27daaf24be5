package record

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Count is a number of things in words: 1 run, 2 runs.
func Count(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// Printable makes text that a program wrote, or that came off a wire, fit for
// a terminal: one line, in which escape sequences, other control characters,
// marks that change the direction of writing and bytes that are not UTF-8
// stand as Go writes them (\x1b, \n, \u202e).
func Printable(text string) string {
	clean := true
	for i := 0; i < len(text) && clean; i++ {
		clean = text[i] >= ' ' && text[i] < 0x7f
	}
	if clean {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80 && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// wideRanges are the runes that take two columns of a terminal (East Asian
// Width W and F, Unicode TR 11), coarsely: what lies between two such blocks
// counts with them.
var wideRanges = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, // Hangul Jamo
		{Lo: 0x231a, Hi: 0x231b, Stride: 1}, // watch, hourglass
		{Lo: 0x23e9, Hi: 0x23ec, Stride: 1},
		{Lo: 0x23f0, Hi: 0x23f3, Stride: 3},
		{Lo: 0x25fd, Hi: 0x25fe, Stride: 1},
		{Lo: 0x2614, Hi: 0x2615, Stride: 1},
		{Lo: 0x2648, Hi: 0x2653, Stride: 1},
		{Lo: 0x26a1, Hi: 0x26a1, Stride: 1},
		{Lo: 0x2705, Hi: 0x2705, Stride: 1},
		{Lo: 0x274c, Hi: 0x274c, Stride: 1},
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1}, // CJK radicals to punctuation
		{Lo: 0x3041, Hi: 0xa4cf, Stride: 1}, // kana, CJK, Yi
		{Lo: 0xa960, Hi: 0xa97f, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, // Hangul syllables
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff01, Hi: 0xff60, Stride: 1}, // fullwidth forms
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x16fe0, Hi: 0x18aff, Stride: 1},
		{Lo: 0x1b000, Hi: 0x1b2ff, Stride: 1},
		{Lo: 0x1f004, Hi: 0x1f004, Stride: 1},
		{Lo: 0x1f300, Hi: 0x1faff, Stride: 1}, // pictographs
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

// Width is how many columns of a terminal a printable text takes.
func Width(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wideRanges, r):
		return 2
	}
	return 1
}

// Fit cuts a printable text to a number of columns, with … where something is
// missing. A text that fits comes back as it is.
func Fit(text string, width int) string {
	if Width(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	n := 0
	for i, r := range text {
		if n += runeWidth(r); n > width-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// padded fills a text up with spaces to a number of columns, or cuts it.
func padded(text string, width int) string {
	text = Fit(text, width)
	return text + strings.Repeat(" ", max(0, width-Width(text)))
}

// Wrap breaks a text into lines of at most width columns, at blanks where
// there are any. What is not printable is escaped; the text's own line breaks
// stay, and so does the indentation of each of its lines.
func Wrap(text string, width int) []string {
	width = max(width, 1)
	var rows []string
paragraphs:
	for _, paragraph := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		paragraph = Printable(strings.ReplaceAll(strings.TrimRight(paragraph, " \r\t"), "\t", "    "))
		indent := paragraph[:len(paragraph)-len(strings.TrimLeft(paragraph, " "))]
		if len(indent) > width/2 {
			indent = ""
		}
		for Width(paragraph) > width {
			cut := breakAt(paragraph, width, len(indent))
			rows = append(rows, strings.TrimRight(paragraph[:cut], " "))
			paragraph = strings.TrimLeft(paragraph[cut:], " ")
			if paragraph == "" {
				continue paragraphs
			}
			paragraph = indent + paragraph
		}
		rows = append(rows, paragraph)
	}
	return rows
}

// breakAt is the byte at which a line that is too wide is cut: after its last
// blank, or where the width ends.
func breakAt(text string, width, indent int) int {
	columns, blank := 0, -1
	for i, r := range text {
		w := runeWidth(r)
		if r == ' ' && i >= indent {
			blank = i
		}
		if columns+w > width {
			switch {
			case blank > indent:
				return blank
			case i > indent:
				return i
			}
			return i + utf8.RuneLen(r) // wider than the line: it must go somewhere
		}
		columns += w
	}
	return len(text)
}
