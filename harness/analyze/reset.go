package analyze

import (
	"fmt"
	"slices"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// form is how a RST is made, which says who makes such a one (RFC 9293
// §3.10.7.1; Linux: tcp_v4_send_reset, tcp_send_active_reset).
type form uint8

const (
	// answersSYN has ACK, and 0 as its number: the answer to a segment without ACK.
	answersSYN form = iota
	// answers has no ACK, and the number that the answered segment asks for.
	answers
	// active has ACK: the end itself gave the connection up.
	active
)

func formOf(seg *tcp.Segment) form {
	switch {
	case !seg.Flags.Has(tcp.ACK):
		return answers
	case seg.Seq == 0 && seg.Ack != 0:
		return answersSYN
	}
	return active
}

// provoked is the segment that a RST answers: it reached the RST's sender, asks
// for its number, and had no other answer. It is nil where there is none; a
// mere ACK asks for nothing, and is not taken for it. A FIN is not it where data
// before it had no answer either: what came first is answered first.
func (e *end) provoked(seg *tcp.Segment) *received {
	var fin *received
	for i := range uint8(len(e.recent)) {
		r := &e.recent[(e.recentNext+recents-1-i)%recents]
		asks := r.syn && !e.spoke || r.carries && (e.ack < r.end || e.sentAt < r.at) || r.asks && e.sentAt < r.at
		switch {
		case r.at == 0 || !r.has || r.ack != seg.Seq || !asks:
		case r.fresh:
			return r
		case fin != nil:
		case !r.fin:
			return r
		default:
			fin = r
		}
	}
	return fin
}

// merelyACK reports whether what reached the end last is an ACK that asks for
// nothing but has the RST's number, and the end said nothing since.
func (e *end) merelyACK(seg *tcp.Segment) bool {
	r := &e.recent[(e.recentNext+recents-1)%recents]
	return r.at != 0 && r.has && r.ack == seg.Seq && e.sentAt < r.at
}

// sendsRST takes a RST that an end itself sent, whether it arrives or not.
func (c *conn) sendsRST(seg *tcp.Segment, s *flow.Sighting, x int, at int64) {
	e := &c.ends[x]
	if e.rst != nil {
		return
	}
	cause := c.cause(seg, x, at)
	if formOf(seg) == active && s.Seq > e.nxt {
		cause.InState = "" // the file lacks what it sent before
	}
	if e.state == tcp.SynSent && formOf(seg) == answers && cause.InState == stateName(tcp.SynSent) {
		return // it refuses what it was sent, and goes on asking
	}
	e.rst, e.rstAt = &cause, at
	if e.ttls > 1 && !e.ttlMixed && seg.TTL() != e.ttl {
		cause.By, cause.Why, cause.InState, cause.Confidence = Middlebox, ByMiddlebox, "", Inferred
		cause.Evidence = fmt.Sprintf("a RST in the name of the %s with TTL %d, where all %d other segments of it have %d", who(x), seg.TTL(), e.ttls, e.ttl)
		return
	}
	e.before = e.state
	if e.state != 0 {
		e.state = tcp.Closed
	}
}

// cause says who sends a RST and why, before it is known whether it counts.
func (c *conn) cause(seg *tcp.Segment, x int, at int64) ResetCause {
	e, o := &c.ends[x], &c.ends[1-x]
	r := ResetCause{By: who(x), Why: Unclear, InState: stateName(e.state), Confidence: Seen}
	name := string(who(x))
	switch formOf(seg) {
	case answersSYN:
		r.InState = stateName(tcp.Closed)
		if !e.heard || e.state == 0 {
			r.Why, r.Confidence, r.Evidence = ClosedPort, Inferred, "a RST with ACK answers the SYN: nothing listens there, or a firewall says so"
			return r
		}
		r.Why, r.Confidence, r.Evidence = UnknownConnection, Inferred, "a RST of the form that answers a segment without ACK"
	case answers:
		c.causeOfAnswer(&r, seg, x)
	case active:
		switch {
		case o.heard && (e.asked >= 2 || e.asked == 1 && at-e.stuckAt > int64(100*time.Millisecond)):
			r.Why = Timeout
			if e.asked == 1 {
				r.Confidence = Inferred
			}
			r.Evidence = fmt.Sprintf("%s of the %s had no answer, and then it gave up with a RST", record.Count(e.asked, "probe"), name)
		case e.stuck > 0:
			r.Evidence = fmt.Sprintf("a RST with ACK from the %s after %s without an answer: it gave up, or its program threw the connection away", name, record.Count(e.stuck, "repeat"))
		case o.bytes > 0 && seg.Ack.Diff(c.flowEnd(1-x).Absolute(1)) > 0:
			switch {
			case e.zero:
				r.Why, r.Confidence = UnreadData, Inferred
				r.Evidence = fmt.Sprintf("the window of the %s was 0, so its program had not read all; then it sent a RST with ACK of its own accord", name)
			default:
				r.Evidence = fmt.Sprintf("a RST with ACK that answers nothing, from the %s, which had received data: close() with unread bytes and SO_LINGER 0 look the same", name)
			}
		case !e.heard || e.state == 0:
			r.InState = ""
			r.Evidence = "nothing else of the " + name + " is in the file"
		case e.state == tcp.SynSent || e.state == tcp.SynRecv:
			r.Evidence = "a RST with ACK from the " + name + " before the connection was established"
		case e.keepalive > 0 && e.askedAt == e.sentAt:
			r.Evidence = fmt.Sprintf("a RST with ACK from the %s, whose keep-alive was the last that it sent: its answer may not have come through, or its program threw the connection away", name)
		default:
			r.Why, r.Confidence = Abort, Inferred
			r.Evidence = fmt.Sprintf("a RST with ACK that answers nothing, from the %s, which had received no data that could be unread: its side threw the connection away (SO_LINGER 0, a listener that closed, ss -K)", name)
		}
	}
	return r
}

// finTimeout is how long an end that has closed waits for the other's FIN
// (net.ipv4.tcp_fin_timeout as it is shipped).
const finTimeout = time.Minute

// causeOfAnswer is the cause of a RST without ACK, which kernels send as the
// answer to a segment that belongs to nothing, or that comes too late.
func (c *conn) causeOfAnswer(r *ResetCause, seg *tcp.Segment, x int) {
	e, o := &c.ends[x], &c.ends[1-x]
	name, other := string(who(x)), string(who(1-x))
	p := e.provoked(seg)
	if p == nil {
		r.InState = ""
		switch {
		case !e.merelyACK(seg):
			r.Evidence = fmt.Sprintf("a RST without ACK in the name of the %s answers nothing that is in the file: no kernel ends a connection so of its own accord, but something in between may", name)
		case e.fin >= 0:
			r.Evidence = fmt.Sprintf("a RST without ACK of the %s comes after the ACK of its FIN: its program had told it not to wait (TCP_LINGER2), or it no longer knows the connection", name)
		case e.nxt <= 1 && e.repeatedSYNACK:
			r.Why, r.Confidence, r.InState = Backlog, Inferred, stateName(tcp.SynRecv)
			r.Evidence = fmt.Sprintf("the %s repeated its SYN-ACK although it was acknowledged, and then sent a RST: it had no room for the connection", name)
		case e.nxt <= 1 && !e.spoke:
			r.Evidence = fmt.Sprintf("a RST without ACK of the %s comes after the ACK of its SYN-ACK: its accept queue was full (tcp_abort_on_overflow), its listener closed in that moment, or something in between sent it", name)
		default:
			r.Evidence = fmt.Sprintf("a RST without ACK in the name of the %s comes after a mere ACK: it no longer knows the connection, or something in between sent it", name)
		}
		return
	}
	switch {
	case p.syn:
		if p.ack == c.flowEnd(x).Absolute(1) {
			r.Why, r.Confidence, r.InState = UnknownConnection, Inferred, stateName(tcp.Closed)
			r.Evidence = fmt.Sprintf("a RST answers the SYN-ACK, which acknowledges the SYN: the %s no longer knows that it asked, or never did", name)
			return
		}
		r.InState = stateName(tcp.SynSent)
		r.Evidence = "a RST answers a SYN-ACK that acknowledges another SYN"
	case e.fin >= 0 && p.fresh && o.bytes > 0 && e.ack < p.end: // the data may have crossed the FIN
		r.Why, r.InState = DataAfterClose, stateName(tcp.FinWait2)
		if p.ack.Before(c.flowEnd(x).Absolute(e.fin + 1)) {
			r.InState = stateName(tcp.FinWait1)
		}
		if p.at-c.finAt[x] > int64(finTimeout) {
			r.InState = "" // it may have given FIN_WAIT_2 up since
		}
		r.Evidence = fmt.Sprintf("the %s had sent its FIN; the %s sent data, and a RST without ACK answers it", name, other)
	case e.sentAt >= p.at:
		r.InState = ""
		r.Evidence = fmt.Sprintf("a RST without ACK in the name of the %s, which had gone on since the segment that asks for its number", name)
	default:
		r.Why, r.Confidence, r.InState = UnknownConnection, Inferred, stateName(tcp.Closed)
		what := "a keep-alive"
		switch {
		case p.fin:
			what = "a FIN"
		case p.carries:
			what = "data"
		}
		r.Evidence = fmt.Sprintf("a RST without ACK answers %s of the %s: whoever answers has no such connection (any more). The %s may have booted or given up; a load balancer or NAT that forgot the connection answers so in its name", what, other, name)
	}
}

// contradict takes back what was believed of a RST in the name of an end that
// goes on as if it had sent none.
func (c *conn) contradict(x int, at int64) {
	e := &c.ends[x]
	if e.rst == nil || at-e.rstAt < int64(5*time.Millisecond) {
		return
	}
	if e.rst.By != Middlebox {
		*e.rst = ResetCause{
			By: Middlebox, Why: ByMiddlebox, Confidence: Inferred,
			Evidence: fmt.Sprintf("a RST in the name of the %s, which goes on %d ms later as if it had sent none", who(x), (at-e.rstAt)/1e6),
		}
		if e.state == tcp.Closed {
			e.state = e.before
		}
	}
}

// hit is what a RST does to who receives it (RFC 9293 §3.10.7.4, RFC 5961 §3).
type hit uint8

const (
	hitExact   hit = iota // it is obeyed
	hitWindow             // it is challenged
	hitMissed             // it is thrown away
	hitUnknown            // the file does not tell what is expected
	hitLate               // there is nothing left to be reset
)

// receivesRST judges a RST when it reaches the other end.
func (c *conn) receivesRST(seg *tcp.Segment, s *flow.Sighting, at int64, f fate, expected tcp.Seq, known bool, window int) role {
	x := side(s)
	e, o := &c.ends[1-x], &c.ends[x] // who receives, and who sent
	h := c.hits(seg, s, 1-x, expected, known, window)
	if h == hitUnknown && o.heard && o.nxt > 0 && s.Seq == o.nxt {
		h = hitExact // it is what its sender would send next
	}
	switch h {
	case hitLate:
		if e.state == tcp.TimeWait {
			c.note("a RST came when the " + string(who(1-x)) + " was in TIME_WAIT: that ends TIME_WAIT, where net.ipv4.tcp_rfc1337 is 0")
		}
		return roleRSTLate
	case hitMissed:
		c.revive(x, f)
		o.rst = nil
		if c.missed++; c.missed == 1 {
			c.note(fmt.Sprintf("a RST in the name of the %s missed: its number is %s, so the %s ignores it", who(x), off(seg.Seq.Diff(expected)), who(1-x)))
		}
		return roleRSTMissed
	case hitWindow:
		c.revive(x, f)
		c.windowSide = int8(x)
		c.windowRST = fmt.Sprintf("a RST in the name of the %s is in the window, but not the number that is expected", who(x))
		return roleRSTMissed
	case hitUnknown:
		c.windowSide = int8(x)
		c.windowRST = fmt.Sprintf("a RST in the name of the %s, and the file does not show which number the %s expects", who(x), who(1-x))
		return roleRSTMissed
	}
	refused := e.state == tcp.SynSent
	e.state = tcp.Closed
	if f != forged && o.rst != nil && o.rst.By != Middlebox {
		o.state = tcp.Closed
	}
	if c.reset != nil {
		return roleRSTLate
	}
	var cause *ResetCause
	switch {
	case f == forged:
		cause = &ResetCause{By: Middlebox, Why: ByMiddlebox, Confidence: Seen, Evidence: "the capture says that neither end sent this RST"}
	case o.rst != nil:
		cause = o.rst
	default:
		made := c.cause(seg, x, at)
		cause = &made
	}
	c.windowSide, c.windowRST = -1, ""
	c.reset, c.resetAt, c.resetFrom = cause, at, x
	if refused {
		c.refused = "RST"
	}
	if p := o.provoked(seg); formOf(seg) == answers && p != nil && p.fresh {
		c.endBegins(c.gap)
	} else {
		c.endBegins(at - c.lastData)
	}
	if refused {
		return roleRefused
	}
	return roleRST
}

// revive takes back that an end is gone because of its RST.
func (c *conn) revive(x int, f fate) {
	if e := &c.ends[x]; f != forged && e.state == tcp.Closed && e.rst != nil {
		e.state = e.before
	}
}

// hits compares the RST's number with what its receiver expects.
func (c *conn) hits(seg *tcp.Segment, s *flow.Sighting, receiver int, expected tcp.Seq, known bool, window int) hit {
	e := &c.ends[receiver]
	switch e.state {
	case tcp.TimeWait, tcp.Closed:
		return hitLate
	case tcp.SynSent:
		if seg.Flags.Has(tcp.ACK) && s.Ack == e.nxt && e.nxt > 0 {
			return hitExact
		}
		return hitMissed
	}
	if e.hasAck && (!known || expected.Before(e.ackAbs)) {
		// It has acknowledged what the file lacks.
		expected, known = e.ackAbs, true
	}
	if !known {
		return hitUnknown
	}
	switch d := seg.Seq.Diff(expected); {
	case d == 0:
		return hitExact
	case d == -1 && (e.state == tcp.CloseWait || e.state == tcp.LastAck || e.state == tcp.Closing):
		return hitExact // tcp_reset_check
	case e.selects && seg.Seq == e.edge:
		return hitExact // tcp_validate_incoming: the sender gave up with a segment missing
	case d > 0 && d < window:
		return hitWindow
	}
	return hitMissed
}

// furthest is the right edge of the furthest block that an ACK selects. A block below
// what it acknowledges tells of a repeat (RFC 2883).
func furthest(ack *tcp.Segment) (edge tcp.Seq, selects bool) {
	for _, block := range ack.Options.SACK[:ack.Options.SACKs] {
		if ack.Ack.Before(block[1]) && (!selects || edge.Before(block[1])) {
			edge, selects = block[1], true
		}
	}
	return edge, selects
}

// off says by how much a number differs from the one expected.
func off(by int) string {
	if by < 0 {
		return fmt.Sprintf("%d below the one that is expected", -by)
	}
	return fmt.Sprintf("%d above the one that is expected, beyond the window", by)
}

// notesKept bounds what is noted of one connection while it is open, lest it grow
// with the packets. One more tells that there was more.
const notesKept = 8

// note keeps a sentence about the connection, once.
func (c *conn) note(text string) {
	if len(c.notes) <= notesKept {
		c.remark(text)
	}
}

// remark is note in the end, when no more packets come.
func (c *conn) remark(text string) {
	if !slices.Contains(c.notes, text) {
		c.notes = append(c.notes, text)
	}
}
