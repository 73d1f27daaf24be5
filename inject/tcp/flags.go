package tcp

import (
	"fmt"
	"strings"
)

// Flags are the control bits of a segment (RFC 9293 §3.1), AE as RFC 9768
// numbers it.
type Flags uint16

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// flagLetters is tcpdump's order and alphabet.
var flagLetters = []struct {
	bit    Flags
	letter byte
}{
	{FIN, 'F'}, {SYN, 'S'}, {RST, 'R'}, {PSH, 'P'}, {URG, 'U'}, {ECE, 'E'}, {CWR, 'W'}, {AE, 'e'}, {ACK, '.'},
}

// Has reports whether all bits of want are set.
func (f Flags) Has(want Flags) bool { return f&want == want }

// String prints the flags as tcpdump does: "S.", "F.", "P.", "." and "none".
func (f Flags) String() string {
	if f == 0 {
		return "none"
	}
	var b strings.Builder
	for _, l := range flagLetters {
		if f.Has(l.bit) {
			b.WriteByte(l.letter)
		}
	}
	return b.String()
}

// ParseFlags reads flags as String prints them.
func ParseFlags(text string) (Flags, error) {
	if text == "none" {
		return 0, nil
	}
	var f Flags
next:
	for i := range len(text) {
		for _, l := range flagLetters {
			if text[i] == l.letter {
				f |= l.bit
				continue next
			}
		}
		return 0, fmt.Errorf("parse flags %q: no flag is written %q; tcpdump's letters are FSRPUEWe and . for ACK", text, text[i])
	}
	return f, nil
}

// MarshalText writes the flags as String does.
func (f Flags) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads the flags as ParseFlags does.
func (f *Flags) UnmarshalText(text []byte) error {
	parsed, err := ParseFlags(string(text))
	if err != nil {
		return err
	}
	*f = parsed
	return nil
}
