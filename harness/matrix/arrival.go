package matrix

import (
	"fmt"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// Arrival is a column of the matrix: what reaches the subject.
type Arrival struct {
	Name string
	// Segment is what it is, for a reader.
	Segment string
	kind    kind
}

// String is the arrival's name.
func (a *Arrival) String() string { return a.Name }

// kind tells arrivals apart that are not alike.
type kind int

const (
	forged  kind = iota // a TCP segment
	icmp                // an ICMP error
	silence             // nothing at all
	act                 // something that the process does
)

// The names that code speaks of.
const (
	noTimestamp = "no-timestamp"
	closes      = "close"
	kill        = "kill"
)

// Arrivals are the columns. R, U and N are those of the State, W is the window
// that the subject sent last.
func Arrivals() []Arrival {
	return []Arrival{
		{Name: "rst-exact", Segment: "RST, seq R; in SYN_SENT RST+ACK, ack N"},
		{Name: "rst-below", Segment: "RST, seq R-1; in SYN_SENT RST without ACK"},
		{Name: "rst-in-window", Segment: "RST, seq R+10; in SYN_SENT RST+ACK, ack N+10"},
		{Name: "rst-beyond", Segment: "RST, seq R+W+10; in SYN_SENT RST+ACK, ack U"},
		{Name: "syn-in-window", Segment: "SYN, seq R+10, MSS its only option"},
		{Name: "syn-above", Segment: "SYN, seq R+W+100000, MSS its only option"},
		{Name: "syn-ack", Segment: "SYN+ACK as the one that was, ack U; in SYN_SENT a right one"},
		{Name: "fin", Segment: "FIN+ACK, seq R, ack U"},
		{Name: "fin-again", Segment: "FIN+ACK, seq R-1, ack U"},
		{Name: "data", Segment: "PSH+ACK, seq R, ack U, 10 bytes"},
		{Name: "data-below", Segment: "PSH+ACK, seq R-50, ack U, 10 bytes"},
		{Name: "data-beyond", Segment: "PSH+ACK, seq R+W, ack U, 10 bytes"},
		{Name: "ack-unsent", Segment: "ACK, seq R, ack N+1000"},
		{Name: "ack-old", Segment: "ACK, seq R, ack U-100000"},
		{Name: noTimestamp, Segment: "as data, on a connection with timestamps, without the option"},
		{Name: "icmp-port", Segment: "ICMP port unreachable, quoting seq U of the subject", kind: icmp},
		{Name: "silence", Segment: "nothing, until a timer of the subject acts", kind: silence},
		{Name: closes, Segment: "the program's close()", kind: act},
		{Name: kill, Segment: "SIGKILL for the program", kind: act},
	}
}

// senseless says why a cell has no meaning; "" for one that has.
func senseless(s *State, a *Arrival) string {
	switch {
	case a.Name == "fin-again" && !s.FIN:
		return "no FIN has come"
	case a.Name == noTimestamp && (s.Is == tcp.SynSent || s.Is == tcp.Listen || s.Is == tcp.Closed):
		return "there is no connection that has timestamps"
	case a.kind == act && !s.Descriptor:
		return "no program has a descriptor of it"
	}
	return ""
}

// segment is a TCP segment that arrives, in relative numbers.
type segment struct {
	flags    tcp.Flags
	seq, ack int64
	windows  int // how often W is added to seq
	len      int
	mss      bool
}

// How far off numbers lie.
const (
	inWindow = 10
	someData = 10
	within   = 50     // below R: what was received
	unsent   = 1000   // above N
	far      = 100000 // beyond every window
	before   = 100    // bytes each way before the arrival
)

// noWindow stands for W where the subject never offered one.
const noWindow = 65535

// segment is what arrives in a state. It says false for what is no segment.
func (a *Arrival) segment(s *State) (segment, bool) {
	if a.kind != forged {
		return segment{}, false
	}
	g := segment{seq: s.R, ack: s.U}
	data := func() { g.flags, g.len = tcp.PSH|tcp.ACK, someData }
	sent := s.Is == tcp.SynSent
	switch a.Name {
	case "rst-exact":
		g.flags, g.ack = tcp.RST, s.N
		if sent {
			g.flags |= tcp.ACK
		}
	case "rst-below":
		g.flags = tcp.RST
		if !sent {
			g.seq--
		}
	case "rst-in-window":
		g.flags = tcp.RST
		if sent {
			g.flags, g.ack = tcp.RST|tcp.ACK, s.N+inWindow
		} else {
			g.seq += inWindow
		}
	case "rst-beyond":
		g.flags = tcp.RST
		if sent {
			g.flags |= tcp.ACK
		} else {
			g.seq, g.windows = g.seq+inWindow, 1
		}
	case "syn-in-window":
		g.flags, g.seq, g.mss = tcp.SYN, g.seq+inWindow, true
	case "syn-above":
		g.flags, g.seq, g.windows, g.mss = tcp.SYN, g.seq+far, 1, true
	case "syn-ack":
		g.flags, g.seq, g.mss = tcp.SYN|tcp.ACK, 0, true
		if sent {
			g.ack = s.N
		}
	case "fin":
		g.flags = tcp.FIN | tcp.ACK
	case "fin-again":
		g.flags, g.seq = tcp.FIN|tcp.ACK, g.seq-1
	case "data", noTimestamp:
		data()
	case "data-below":
		data()
		g.seq -= within
	case "data-beyond":
		data()
		g.windows = 1
	case "ack-unsent":
		g.flags, g.ack = tcp.ACK, s.N+unsent
	case "ack-old":
		g.flags, g.ack = tcp.ACK, s.U-far
	default:
		panic(fmt.Sprintf("the arrival %s has no segment", a.Name)) // a defect of the table above
	}
	if g.windows > 0 && !s.Open {
		g.windows, g.seq = 0, g.seq+noWindow
	}
	return g, true
}

// mss is the option of forged SYNs: what an Ethernet of 1,500 bytes takes over
// IPv6, and less than what it takes over IPv4.
const mss = 1440

// forgery is the segment as the wire makes it.
func (g segment) forgery(s *State) inject.Forgery {
	f := inject.Forgery{To: subject, Flags: g.flags, Len: g.len, Seq: &inject.Number{Offset: g.seq, Windows: g.windows}}
	if s.Is == tcp.SynSent { // the peer was never heard: there is no window to be taken over
		f.Window = new(uint16)
		*f.Window = noWindow
	}
	if g.flags.Has(tcp.ACK) {
		f.Ack = &inject.Number{Offset: g.ack}
	}
	if g.mss {
		f.MSS, f.Timestamps = mss, "none"
	}
	return f
}

// subject is the host whose kernel is asked, peer the other one.
const (
	subject = "server"
	peer    = "client"
)

// fence is what must be answered in every state: an ACK with one byte that was
// received long ago. It never acknowledges a FIN, and in SYN_SENT its ACK is
// wrong. Data is exempt from tcp_invalid_ratelimit, so an answer to the arrival
// does not keep it back.
func fence(s *State, now tcp.State) inject.Forgery {
	g := segment{flags: tcp.ACK, seq: s.R - within, ack: s.U, len: 1}
	if now == tcp.SynSent {
		g.ack = s.N + unsent
	}
	return g.forgery(s)
}
