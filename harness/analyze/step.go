package analyze

import (
	"slices"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// role is what a segment does for its connection.
type role uint8

const (
	roleNone role = iota
	roleOpens
	roleAccepts
	roleFirstFIN
	roleAckOfFirst
	roleSecondFIN
	roleLastAck
	roleCrossedFIN
	roleRST
	roleRSTMissed
	roleRSTLate
	roleRefused
	roleRepeat
	roleKeepalive
	roleProbe
	roleZeroWindow
	roleChallenge
	roleICMP
)

// telling reports whether a step is kept however long the connection is.
func (r role) telling() bool {
	switch r {
	case roleNone, roleRepeat, roleKeepalive, roleProbe:
		return false
	}
	return true
}

// fate is what became of a segment.
type fate uint8

const (
	passed fate = iota
	dropped
	forged  // delivered, and made by the wire or an attacker
	pending // held by the wire; it may leave later
)

// step is a segment as it is kept for the ladder: small, since every open
// connection has some. Fields of the main name stand beside the segment's.
type step struct {
	at       int64 // since the connection's first packet, in nanoseconds
	seq, ack int64
	number   uint32 // of the segment in its connection, from 0
	length   uint32
	turn     uint32
	turnFrom uint32 // of the bytes that it carries or covers
	covered  uint32 // how many they are
	copy     uint16
	flags    tcp.Flags
	window   uint16
	kind, of flow.Kind
	last     bool
	from     uint8
	fate     fate
	role     role
	also     role         // a segment may do two things
	states   [2]tcp.State // after it
}

// How many steps of a connection are kept: its first ones, its last ones, and
// those that tell something.
const (
	headSteps    = 3
	tailSteps    = 8
	tellingSteps = 12
	explainSteps = 100_000
)

// steps are those of one connection.
type steps struct {
	drafted       int  // where in tail the draft is
	tails         int  // how many stand before it
	all           bool // --explain
	head, telling []step
	tail          [tailSteps + 1]step // a ring of what is kept and the draft
}

// draft is where the next step is written, until keep decides what becomes of
// it: a step is written once, and only what is kept for longer is copied.
func (l *steps) draft() *step { return &l.tail[l.drafted] }

// keep takes what was written into the draft.
func (l *steps) keep() {
	s := l.draft()
	switch {
	case l.all && len(l.head) < explainSteps, len(l.head) < headSteps:
		l.head = append(l.head, *s)
	case s.role.telling() && len(l.telling) < tellingSteps:
		if l.telling == nil {
			l.telling = make([]step, 0, 4) // what a short connection needs
		}
		l.telling = append(l.telling, *s)
	default:
		if l.drafted++; l.drafted == len(l.tail) {
			l.drafted = 0
		}
		l.tails = min(l.tails+1, tailSteps)
	}
}

// reset empties the lists, and keeps their room.
func (l *steps) reset() {
	if l.head == nil {
		l.head = make([]step, 0, headSteps)
	}
	l.head, l.telling, l.drafted, l.tails = l.head[:0], l.telling[:0], 0, 0
}

// last is the ring's step that came so many before the draft.
func (l *steps) last(before int) *step {
	return &l.tail[(l.drafted-before+len(l.tail))%len(l.tail)]
}

// find is the step of that number, to be changed; nil where it was not kept.
func (l *steps) find(number uint32) *step {
	for before := 1; before <= l.tails; before++ {
		if s := l.last(before); s.number == number {
			return s
		}
	}
	for _, list := range [][]step{l.telling, l.head} {
		for i := len(list) - 1; i >= 0; i-- {
			if list[i].number == number {
				return &list[i]
			}
		}
	}
	return nil
}

// list is what was kept, in order.
func (l *steps) list() []step {
	out := slices.Concat(l.head, l.telling)
	for before := l.tails; before > 0; before-- {
		out = append(out, *l.last(before))
	}
	slices.SortFunc(out, func(a, b step) int { return int(a.number) - int(b.number) })
	return out
}

// name rebuilds the step's main name.
func (s *step) name() flow.Name {
	n := flow.Name{Kind: s.kind, Copy: uint32(s.copy), Of: s.of, Turn: int(s.turn), Last: s.last}
	n.From, n.To = int64(s.turnFrom), int64(s.turnFrom)+int64(s.covered)
	switch {
	case s.kind == flow.DATA:
		n.Stream = s.seq - 1
	case s.of == flow.DATA:
		n.Stream = s.ack - 1 - int64(s.covered)
	}
	return n
}
