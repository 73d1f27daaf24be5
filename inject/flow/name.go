package flow

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Kind is the word in a name that says what a segment is.
type Kind uint8

// The kinds. A segment may have several: a FIN that acknowledges the other
// end's FIN is a FIN and an ACK(…).
const (
	None Kind = iota
	SYN
	SYNACK
	ACK
	DUPACK
	DATA
	FIN
	RST
	KEEPALIVE
	PROBE
	CHALLENGEACK
	ICMP
)

var kindNames = [...]string{
	SYN: "SYN", SYNACK: "SYN-ACK", ACK: "ACK", DUPACK: "DUP-ACK", DATA: "DATA", FIN: "FIN", RST: "RST",
	KEEPALIVE: "KEEPALIVE", PROBE: "PROBE", CHALLENGEACK: "CHALLENGE-ACK", ICMP: "ICMP",
}

// String is the kind as it is written in a name.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k != None {
		return kindNames[k]
	}
	return "NONE"
}

// MarshalText writes the kind's word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the kind's word.
func (k *Kind) UnmarshalText(text []byte) error {
	*k = kindOf(string(text))
	if *k == None && string(text) != None.String() {
		return fmt.Errorf("read kind: unknown word %q", text)
	}
	return nil
}

// Kinds lists the words of the grammar in its order.
func Kinds() []Kind {
	return []Kind{SYN, SYNACK, ACK, DUPACK, DATA, FIN, RST, KEEPALIVE, PROBE, CHALLENGEACK, ICMP}
}

// Forged is the first word of the name of what a rule or the attacker made.
const Forged = "forged"

// Name is one complete name of one segment: all that a match can ask for.
type Name struct {
	Kind Kind `json:"kind"`
	// Copy counts arrivals with the same first number and kind, from 1.
	Copy uint32 `json:"copy"`
	// Of is what an ACK covers: SYN, SYN-ACK, FIN or DATA; None for an ACK
	// that covers nothing new.
	Of Kind `json:"of,omitempty"`
	// OfForged tells that what is covered was forged in the other end's name.
	OfForged bool `json:"of_forged,omitempty"`
	// Turn is the turn, from 1, of the bytes carried or covered; 0 where
	// there are none, or where the turn is too long ago.
	Turn int `json:"turn,omitempty"`
	// From and To bound these bytes, counted from the turn's first.
	From int64 `json:"from,omitempty"`
	To   int64 `json:"to,omitempty"`
	// Stream is From, counted from the stream's first byte.
	Stream int64 `json:"stream,omitempty"`
	// Last tells that To is the end of the turn, as far as it was sent by then.
	Last bool `json:"last,omitempty"`
}

// Sighting is a segment with its names: what the flow made of it when it
// arrived at the wire, before its fate was decided.
type Sighting struct {
	// Conn numbers the connection by its first SYN, from 1; 0 is a forgery that
	// belongs to none.
	Conn int `json:"conn"`
	// Opener is the host that sent this connection's first SYN, Accepter the
	// other end's.
	Opener   string `json:"opener"`
	Accepter string `json:"accepter"`
	// From and To are the hosts whose addresses the segment bears; SentBy is
	// the host by whose port it came in, else "wire".
	From   string `json:"from"`
	To     string `json:"to"`
	SentBy string `json:"sent_by"`
	// Forged: made by a rule or by the attacker in the name of From.
	Forged bool `json:"forged,omitempty"`
	// Names are all the segment's names, the main one first.
	Names Names `json:"names"`
	// Seq and Ack are relative: each end's SYN is 0.
	Seq int64 `json:"seq"`
	Ack int64 `json:"ack"`
	// RepeatOnly tells that the segment brings no byte, SYN or FIN that its
	// sender had not sent before.
	RepeatOnly bool `json:"repeat,omitempty"`

	from int // index of the claimed sender's end
	conn *Conn
}

// Names are the names of one segment, the main one first. They are kept in
// place, so that naming a segment allocates nothing; one that covers more than
// maxNames turns at once loses the later names.
type Names struct {
	list [maxNames]Name
	n    int
}

const maxNames = 8

// All is the names as a slice of the array within.
func (n *Names) All() []Name { return n.list[:n.n] }

// Main is the name that the ladder prints.
func (n *Names) Main() Name { return n.list[0] }

// add takes one more name. What lies behind the last one is zero, so that only
// what is not has to be written.
func (n *Names) add(kind, of Kind, copy uint32) {
	if n.n < maxNames {
		name := &n.list[n.n]
		name.Kind, name.Of, name.Copy = kind, of, copy
		n.n++
	}
}

// MarshalJSON writes the names as a list.
func (n Names) MarshalJSON() ([]byte, error) { return json.Marshal(n.list[:n.n]) }

// UnmarshalJSON reads a list of at most as many names as a segment can have.
func (n *Names) UnmarshalJSON(data []byte) error {
	var list []Name
	if err := json.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	if len(list) > maxNames {
		return fmt.Errorf("read names: %d of them, a segment has at most %d", len(list), maxNames)
	}
	*n = Names{n: len(list)}
	copy(n.list[:], list)
	return nil
}

// Equal compares the names in their order.
func (n Names) Equal(o Names) bool { return n == o }

// Connection is what the segment belongs to: nil for a forgery that belongs to
// nothing, and behind Detach. It holds until the tracker forgets it.
func (s *Sighting) Connection() *Conn { return s.conn }

// Detach cuts the sighting from its tracker: it can then be kept, compared and
// written down, but no longer delivered.
func (s *Sighting) Detach() { s.conn, s.from = nil, 0 }

// Text is a name of this sighting, in the grammar of matches, so that it can
// be typed back. The copy is left out where it is the first.
func (s *Sighting) Text(n Name) string {
	var b strings.Builder
	if s.Conn > 1 {
		b.WriteString(strconv.Itoa(s.Conn))
		b.WriteByte(':')
	}
	if s.Forged {
		b.WriteString(Forged)
	} else {
		b.WriteString(s.From)
	}
	b.WriteByte('.')
	b.WriteString(n.Kind.String())
	switch {
	case s.Forged:
		fmt.Fprintf(&b, "(%s)", s.From)
	case n.Of != None && n.OfForged:
		fmt.Fprintf(&b, "(%s.%s(%s))", Forged, n.Of, s.To)
	case n.Of != None:
		fmt.Fprintf(&b, "(%s.%s", s.To, n.Of)
		if n.Of == DATA {
			b.WriteString(n.bytes())
		}
		b.WriteByte(')')
	}
	if n.Kind == DATA && !s.Forged {
		b.WriteString(n.bytes())
	}
	if n.Copy > 1 {
		fmt.Fprintf(&b, "#%d", n.Copy)
	}
	return b.String()
}

// bytes prints which bytes of which turn a name means. What begins a turn, or
// covers it to its end, is called by the turn alone.
func (n Name) bytes() string {
	switch {
	case n.Turn == 0 && n.Stream < 0:
		return "" // before what is known of the stream
	case n.Turn == 0:
		return fmt.Sprintf("[%d:%d]", n.Stream, n.Stream+n.To-n.From)
	case n.Kind == ACK && n.Last, n.Kind == DATA && n.From == 0:
		return fmt.Sprintf("@%d", n.Turn)
	case n.Kind == ACK:
		return fmt.Sprintf("@%d[%d]", n.Turn, n.To-1)
	}
	return fmt.Sprintf("@%d[%d:%d]", n.Turn, n.From, n.To)
}

// Texts is Text of every name, the main one first.
func (s *Sighting) Texts() []string {
	texts := make([]string, 0, s.Names.n)
	for _, n := range s.Names.All() {
		texts = append(texts, s.Text(n))
	}
	return texts
}
