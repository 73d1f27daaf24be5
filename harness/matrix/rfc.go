package matrix

import (
	"slices"
	"strings"

	"github.com/lastack/lastack/inject/tcp"
)

// asks is what the RFCs ask of a cell: any one of the outcomes will do.
type asks struct {
	text     string
	outcomes []outcome
}

// outcome is one way for a cell to come out. An orphan's state is here its
// state: no RFC knows of descriptors.
type outcome struct {
	answers []Answer
	after   tcp.State
	// bound is how far off the timer must be that ends the state, in ms; 0 where
	// no RFC says. lasts: there must be none.
	bound int64
	lasts bool
	// clean: the program learns nothing by SO_ERROR.
	clean bool
}

// Numbers that an RFC leaves open are not compared.
const open = int64(-1 << 62)

// met tells whether a cell came out as one of the outcomes.
func (a *asks) met(c *Cell) bool {
	after := strings.TrimSuffix(c.StateAfter, orphaned)
	return slices.ContainsFunc(a.outcomes, func(o outcome) bool {
		return o.after.String() == after && (o.bound == 0 || c.ExpiresMS > o.bound) && (!o.lasts || c.Timer == "") &&
			(!o.clean || c.SOError == nil || *c.SOError == noError) &&
			slices.EqualFunc(o.answers, c.Answers, func(want, got Answer) bool {
				return want.Flags == got.Flags && want.Len == got.Len &&
					(want.Seq == open || want.Seq == got.Seq) && (want.Ack == open || want.Ack == got.Ack)
			})
	})
}

// The forms of answers in RFC 9293 §3.10.7.
func (s *State) acknowledges(more int64) []Answer {
	return []Answer{{Flags: ".", Seq: s.N, Ack: s.R + more}}
}

func resets(seq int64) []Answer { return []Answer{{Flags: "R", Seq: seq}} }

var synAck = []Answer{{Flags: "S.", Seq: 0, Ack: 1}}

// one is what is asked where there is but one way.
func one(text string, after tcp.State, answers ...Answer) asks {
	return asks{text, []outcome{{answers: answers, after: after}}}
}

// or adds another way.
func (a asks) or(after tcp.State, answers ...Answer) asks {
	a.outcomes = append(a.outcomes, outcome{answers: answers, after: after})
	return a
}

// asked is what the RFCs ask of a state for an arrival.
func asked(s *State, a *Arrival) asks {
	g, _ := a.segment(s)
	if g.windows > 0 {
		g.seq += noWindow // any window will do: what counts is on which side of its edge
	}
	switch {
	case a.kind == silence:
		return onSilence(s)
	case a.kind == act:
		return onClose(s)
	case a.kind == icmp:
		return onUnreachable(s)
	case a.Name == noTimestamp:
		return one("RFC 7323 §3.2: a segment without the option SHOULD be dropped in silence", s.Is)
	}
	switch s.Is {
	case tcp.Closed:
		return onClosed(g)
	case tcp.Listen:
		return onListen(g)
	case tcp.SynSent:
		return onSynSent(s, g)
	}
	return onOther(s, g)
}

// end is the number behind a segment.
func (g segment) end() int64 {
	n := g.seq + int64(g.len)
	if g.flags.Has(tcp.SYN) {
		n++
	}
	if g.flags.Has(tcp.FIN) {
		n++
	}
	return n
}

func onClosed(g segment) asks {
	const at = "RFC 9293 §3.10.7.1: "
	switch {
	case g.flags.Has(tcp.RST):
		return one(at+"a RST is discarded", tcp.Closed)
	case g.flags.Has(tcp.ACK):
		return one(at+"RST, whose number is the segment's ACK", tcp.Closed, resets(g.ack)...)
	}
	return one(at+"RST+ACK of the segment", tcp.Closed, Answer{Flags: "R.", Seq: 0, Ack: g.end()})
}

func onListen(g segment) asks {
	const at = "RFC 9293 §3.10.7.2: "
	switch {
	case g.flags.Has(tcp.RST):
		return one(at+"a RST is ignored", tcp.Listen)
	case g.flags.Has(tcp.ACK):
		return one(at+"any ACK is bad: RST, whose number is that ACK", tcp.Listen, resets(g.ack)...)
	case g.flags.Has(tcp.SYN):
		return one(at+"SYN-ACK, SYN-RECEIVED", tcp.SynRecv, synAck...)
	}
	return one(at+"dropped", tcp.Listen)
}

func onSynSent(s *State, g segment) asks {
	const at = "RFC 9293 §3.10.7.3: "
	acceptable := g.flags.Has(tcp.ACK) && g.ack > s.U && g.ack <= s.N
	switch {
	case g.flags.Has(tcp.ACK|tcp.RST) && !acceptable:
		return one(at+"an ACK of what was not sent: a RST is dropped", tcp.SynSent)
	case g.flags.Has(tcp.ACK) && !acceptable:
		return one(at+"an ACK of what was not sent: RST, whose number is that ACK", tcp.SynSent, resets(g.ack)...)
	case g.flags.Has(tcp.RST) && acceptable:
		return one(at+"connection reset: CLOSED", tcp.Closed)
	case g.flags.Has(tcp.RST):
		return one(at+"a RST without ACK is dropped", tcp.SynSent)
	case g.flags.Has(tcp.SYN) && acceptable:
		return one(at+"ACK, ESTABLISHED", tcp.Established, Answer{Flags: ".", Seq: s.N, Ack: g.end()})
	case g.flags.Has(tcp.SYN):
		return one(at+"simultaneous open: SYN-ACK, SYN-RECEIVED", tcp.SynRecv, synAck...)
	}
	return one(at+"dropped", tcp.SynSent)
}

// onOther is RFC 9293 §3.10.7.4, with the mitigations of RFC 5961.
func onOther(s *State, g segment) asks {
	const at = "RFC 9293 §3.10.7.4, "
	last := max(g.end()-1, g.seq)
	in := func(n int64) bool { return s.R <= n && n < s.R+noWindow }
	acceptable := in(g.seq) || g.end() > g.seq && in(last)
	switch {
	case s.Is == tcp.TimeWait && g.flags == tcp.SYN && g.seq > s.R:
		return one("RFC 9293 §3.6.1: a SYN MAY open anew (MAY-2), by RFC 6191 one above the last number", tcp.SynRecv, synAck...).
			or(s.Is, s.acknowledges(0)...)
	case !acceptable && g.flags.Has(tcp.RST):
		return one(at+"first: a RST outside the window is dropped", s.Is)
	case g.flags.Has(tcp.SYN) && s.Is != tcp.SynRecv:
		return one("RFC 5961 §4.2: a SYN, whatever its number, is challenged by an ACK", s.Is, s.acknowledges(0)...)
	case !acceptable:
		return one(at+"first: not acceptable, ACK", s.Is, s.acknowledges(0)...)
	case g.flags.Has(tcp.RST) && g.seq != s.R:
		return one("RFC 5961 §3.2: a RST in the window, but not exact, is challenged by an ACK", s.Is, s.acknowledges(0)...)
	case g.flags.Has(tcp.RST) && s.Is == tcp.SynRecv:
		return one(at+"second: back to LISTEN", tcp.Listen)
	case g.flags.Has(tcp.RST) && s.Is == tcp.TimeWait:
		return one("RFC 1337 §3: TIME-WAIT ignores a RST (RFC 9293 §3.10.7.4 lets it end there)", tcp.TimeWait)
	case g.flags.Has(tcp.RST):
		return one(at+"second: connection reset, CLOSED", tcp.Closed)
	case g.flags.Has(tcp.SYN):
		return one(at+"fourth: back to LISTEN", tcp.Listen)
	case s.Is == tcp.SynRecv && (g.ack <= s.U || g.ack > s.N):
		return one(at+"fifth: an ACK that is not acceptable: RST, whose number is that ACK", s.Is, resets(g.ack)...)
	case g.ack > s.N:
		return one(at+"fifth: an ACK of what was not sent: ACK, dropped", s.Is, s.acknowledges(0)...)
	case g.ack < s.U-noWindow:
		return one("RFC 5961 §5.2: an ACK older than the greatest window: ACK, dropped", s.Is, s.acknowledges(0)...)
	case g.flags.Has(tcp.FIN):
		return onFIN(s)
	case g.len == 0:
		return one(at+"fifth: nothing new", s.Is)
	case s.FIN && s.Is == tcp.TimeWait:
		return one(at+"seventh: the text is ignored; what comes in TIME-WAIT is acknowledged (fifth)", s.Is, s.acknowledges(0)...).or(s.Is)
	case s.FIN:
		return one(at+"seventh: after a FIN the text is ignored", s.Is)
	case s.Orphan:
		return one("RFC 9293 §3.6.1: data that nobody can read any more: RST (SHLD-3)", tcp.Closed, resets(open)...)
	}
	return one(at+"seventh: data is delivered and acknowledged", s.Is, s.acknowledges(int64(g.len))...)
}

// onFIN is a FIN with the very next number.
func onFIN(s *State) asks {
	const at = "RFC 9293 §3.10.7.4, eighth: "
	after := map[tcp.State]tcp.State{
		tcp.Established: tcp.CloseWait, tcp.FinWait1: tcp.Closing, tcp.FinWait2: tcp.TimeWait,
	}
	if to, ok := after[s.Is]; ok {
		return one(at+"the FIN is acknowledged, "+to.String(), to, s.acknowledges(1)...)
	}
	return one(at+"the state remains; the FIN is acknowledged", s.Is, s.acknowledges(1)...).or(s.Is, s.acknowledges(0)...)
}

func onUnreachable(s *State) asks {
	switch {
	case s.Is == tcp.Listen || s.Is == tcp.Closed:
		return one("RFC 9293 §3.9.2.2: there is no connection to be told", s.Is)
	case s.Is == tcp.SynRecv:
		return one("RFC 9293 §3.9.2.2: a hard error: the connection SHOULD be aborted (SHLD-26)", tcp.Listen)
	case s.U < s.N:
		return one("RFC 9293 §3.9.2.2: a hard error: the connection SHOULD be aborted (SHLD-26)", tcp.Closed)
	}
	return asks{
		"RFC 5927 §4.1: a number that is not in flight is ignored",
		[]outcome{{after: s.Is, clean: true}, {after: tcp.Closed}},
	}
}

// twoMSL is 2 MSL, the MSL of RFC 9293 §3.4.2 being two minutes.
const twoMSL = 240_000

func onSilence(s *State) asks {
	switch s.Is {
	case tcp.SynSent:
		return one("RFC 6298 §5: the SYN is sent again", s.Is, Answer{Flags: "S", Seq: 0})
	case tcp.SynRecv:
		return one("RFC 6298 §5: the SYN-ACK is sent again", s.Is, synAck...)
	case tcp.TimeWait:
		return asks{"RFC 9293 §3.6.1: 2 MSL, four minutes", []outcome{{after: s.Is, bound: twoMSL - 5_000}}}
	}
	if s.U < s.N {
		return one("RFC 6298 §5: the FIN is sent again", s.Is, Answer{Flags: "F.", Seq: s.N - 1, Ack: s.R})
	}
	return asks{"RFC 9293 §3.6: nothing ever happens", []outcome{{after: s.Is, lasts: true}}}
}

// onClose is the CLOSE call; a process that dies has closed.
func onClose(s *State) asks {
	const at = "RFC 9293 §3.10.4: "
	switch s.Is {
	case tcp.Listen, tcp.SynSent:
		return one(at+"the connection block is deleted", tcp.Closed)
	case tcp.Established:
		return one(at+"FIN, FIN-WAIT-1", tcp.FinWait1, Answer{Flags: "F.", Seq: s.N, Ack: s.R})
	case tcp.CloseWait:
		return one(at+"FIN, LAST-ACK", tcp.LastAck, Answer{Flags: "F.", Seq: s.N, Ack: s.R})
	}
	return one(at+"it is closing already", s.Is)
}
