package analyze

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// Ended is how a connection ended, as the capture shows it.
type Ended string

// The ways to end.
const (
	// FourWay: the first acknowledgement of the first FIN travels without the
	// other end's FIN.
	FourWay Ended = "four-way"
	// ThreeWay: it travels with the other end's FIN.
	ThreeWay Ended = "three-way"
	// Simultaneous: neither FIN acknowledges the other.
	Simultaneous Ended = "simultaneous"
	// HalfClosed: one FIN only when the capture ends.
	HalfClosed Ended = "half-closed"
	// Reset: a RST that its receiver has to obey.
	Reset Ended = "reset"
	// Refused: a RST or an ICMP error for the SYN.
	Refused Ended = "refused"
	// Unanswered: a SYN that nothing answers.
	Unanswered Ended = "unanswered"
	// Abandoned: repeats without an answer, given up or never resolved.
	Abandoned Ended = "abandoned"
	// KeepaliveTimeout: unanswered keep-alives, and then the RST of who asked.
	KeepaliveTimeout Ended = "keepalive-timeout"
	// Open: nothing ended in the capture.
	Open Ended = "open"
	// Unknown: the file does not show enough to tell.
	Unknown Ended = "unknown"
)

// Endings lists the ways to end, the worst first.
func Endings() []Ended {
	return []Ended{
		Abandoned, KeepaliveTimeout, Reset, Refused, Unanswered, HalfClosed, Unknown, Open, Simultaneous, FourWay, ThreeWay,
	}
}

// Bad reports whether a connection that ended so did not end well.
func (e Ended) Bad() bool {
	switch e {
	case Abandoned, KeepaliveTimeout, Reset, Refused, Unanswered, HalfClosed:
		return true
	}
	return false
}

// ParseEnded reads one of the words. The error lists them.
func ParseEnded(text string) (Ended, error) {
	if e := Ended(text); slices.Contains(Endings(), e) {
		return e, nil
	}
	words := make([]string, 0, len(Endings()))
	for _, e := range Endings() {
		words = append(words, string(e))
	}
	return "", fmt.Errorf("%q is no way to end: want one of %s", text, strings.Join(words, ", "))
}

// Who is one of the ends, or something between them. The zero value is nobody,
// and null in JSON.
type Who string

// Who can have done something.
const (
	Client    Who = "client"
	Server    Who = "server"
	Both      Who = "both"
	Middlebox Who = "middlebox"
)

// MarshalJSON writes nobody as null.
func (w Who) MarshalJSON() ([]byte, error) { return nullable(string(w)) }

func nullable(text string) ([]byte, error) {
	if text == "" {
		return []byte("null"), nil
	}
	return json.Marshal(text)
}

// who is the end with that index.
func who(side int) Who {
	if side == 0 {
		return Client
	}
	return Server
}

// Why is the cause of a reset, as far as packets tell it, or "" where there was no
// reset, which is null in JSON.
type Why string

// MarshalJSON writes no reset as null.
func (w Why) MarshalJSON() ([]byte, error) { return nullable(string(w)) }

// The causes.
const (
	// ClosedPort: it answers the SYN; nothing listens there.
	ClosedPort Why = "closed-port"
	// UnreadData: the end closed while bytes waited to be read.
	UnreadData Why = "unread-data"
	// Abort: the end threw the connection away: SO_LINGER 0 and the like.
	Abort Why = "abort"
	// DataAfterClose: data came to an end that had closed.
	DataAfterClose Why = "data-after-close"
	// UnknownConnection: the end knows of no such connection (any more).
	UnknownConnection Why = "unknown-connection"
	// Timeout: the end asked and was not answered.
	Timeout Why = "timeout"
	// Backlog: the listener had no room for the connection.
	Backlog Why = "backlog"
	// ByMiddlebox: neither end sent it.
	ByMiddlebox Why = "middlebox"
	// Unclear: the bytes fit two causes.
	Unclear Why = "unclear"
)

// Confidence says how sure something is.
type Confidence string

// The confidences.
const (
	// Seen: the packets show it.
	Seen Confidence = "seen"
	// Inferred: the packets show what usually follows from it alone.
	Inferred Confidence = "inferred"
	// Guess: something else fits nearly as well.
	Guess Confidence = "guess"
)

// Connection is what a capture shows of one connection. docs/json.md describes
// its JSON.
type Connection struct {
	// Conn numbers connections in the order in which they begin, from 1.
	Conn int `json:"conn"`
	// Client sent the first SYN, or is taken for who did; Server is the other end.
	Client netip.AddrPort `json:"client"`
	Server netip.AddrPort `json:"server"`
	// Start and End are the first and the last packet.
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	Packets int       `json:"packets"`
	// Bytes of data that each end sent, repeats not counted.
	Bytes PerEnd[int64] `json:"bytes"`

	Ended Ended `json:"ended"`
	// ClosedFirst is whose FIN came first; nobody where there was none.
	ClosedFirst Who `json:"closed_first"`
	// Reset is the RST that ended the connection, or nil.
	Reset *ResetCause `json:"reset"`
	// Lost names the segments that the file proves lost.
	Lost []string `json:"lost"`
	// Repeats are the segments that were sent again.
	Repeats []Repeat `json:"repeats"`
	// HalfClosed is how long one end had closed and the other had not; nil
	// where that was never so. Idle is how long nothing was said before the
	// end began; nil where there was no end.
	HalfClosed *int64 `json:"half_closed_ms"`
	Idle       *int64 `json:"idle_before_end_ms"`
	// States are what each end believes when the capture ends; empty where the
	// file does not tell.
	States PerEnd[StateName] `json:"states"`
	// Confidence is of Ended.
	Confidence Confidence `json:"confidence"`
	Notes      []string   `json:"notes"`
	// Nearest is what shows the same end in the catalogue, or nil.
	Nearest *Nearest `json:"nearest"`

	steps []step
	open  *conn // as long as it is being handed out
}

// keepSteps keeps the segments for the ladder. It is called while the
// connection is handed out, for one that will be shown.
func (c *Connection) keepSteps() {
	if c.open != nil {
		c.steps, c.open = c.open.steps.list(), nil
	}
}

// PerEnd is something that each end has.
type PerEnd[T any] struct {
	Client T `json:"client"`
	Server T `json:"server"`
}

// StateName is a TCP state's name, or "" for one that is not known, which is
// null in JSON.
type StateName string

// MarshalJSON writes what is not known as null.
func (s StateName) MarshalJSON() ([]byte, error) { return nullable(string(s)) }

func stateName(s tcp.State) StateName {
	if s == 0 {
		return ""
	}
	return StateName(s.String())
}

// ResetCause is the RST that ended a connection.
type ResetCause struct {
	By  Who `json:"by"`
	Why Why `json:"why"`
	// InState is the state of the end that sent it; empty where nobody's is meant.
	InState StateName `json:"in_state"`
	// Confidence is of Why; where that is unclear, of the RST having ended the
	// connection.
	Confidence Confidence `json:"confidence"`
	// Evidence is what in the packets says so.
	Evidence string `json:"evidence"`
}

// Repeat is a segment that was sent again.
type Repeat struct {
	// Name is the segment's, with the number of its copy.
	Name string `json:"name"`
	// AtUS counts microseconds from the connection's first packet.
	AtUS int64 `json:"at_us"`
}
