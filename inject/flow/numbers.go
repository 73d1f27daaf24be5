package flow

import "github.com/lastack/lastack/inject/tcp"

// Numbers are the variables of one end of a connection (RFC 9293 §3.3.1), as
// far as the wire knows them: what the end sent, and what was delivered to it.
type Numbers struct {
	// RcvNxt is the next number that the end expects: what was delivered to it
	// without a gap.
	RcvNxt tcp.Seq
	// RcvWnd is the window that it last offered, in bytes.
	RcvWnd int
	// SndUna is the oldest number that was not acknowledged to it, SndNxt the
	// next that it will send.
	SndUna, SndNxt tcp.Seq
	// Timestamps tells whether the connection uses them: TSRecent is what the
	// end last heard, TSVal what it last sent.
	Timestamps      bool
	TSRecent, TSVal uint32
}

// Numbers gives the variables of an end.
func (c *Conn) Numbers(e *End) Numbers {
	o := c.Other(e)
	n := Numbers{SndNxt: e.SndNxt(), RcvNxt: c.RcvNxt(e)}
	n.SndUna = n.SndNxt
	if o.delivered.ack >= 0 {
		n.SndUna = e.sent.base.Add(int(o.delivered.ack))
	} else if e.sent.seen {
		n.SndUna = e.sent.base
	}
	n.RcvWnd = c.window(e)
	n.TSVal = e.sent.tsval
	n.TSRecent, n.Timestamps = c.TSRecent(e)
	return n
}

// RcvNxt is that of Numbers; 0 where nothing was delivered to the end.
func (c *Conn) RcvNxt(e *End) tcp.Seq {
	b := &c.Other(e).delivered
	if !b.seen {
		return 0
	}
	return b.base.Add(int(b.whole()))
}

// TSRecent is that of Numbers, and whether the connection uses timestamps.
func (c *Conn) TSRecent(e *End) (uint32, bool) {
	o := c.Other(e)
	return o.delivered.tsval, e.sent.hasTS && o.sent.hasTS
}

// SndNxt is that of Numbers.
func (e *End) SndNxt() tcp.Seq { return e.sent.base.Add(int(e.sent.nxt)) }

// window is what an end last offered, in bytes.
func (c *Conn) window(e *End) int {
	w := int(e.sent.window)
	if e.sent.scale >= 0 && c.Other(e).sent.scale >= 0 && !e.sent.synLast {
		w <<= e.sent.scale
	}
	return w
}

// Stream is the relative position at which a turn of an end begins, and the
// position where what it has sent of its stream ends. Turn 0 is the whole
// stream. It says false where that turn has not begun.
func (e *End) Stream(turn int) (begin, end int64, ok bool) {
	end = e.sent.nxt
	if e.sent.fin >= 0 {
		end = min(end, e.sent.fin)
	}
	if turn == 0 {
		return 1, end, true
	}
	i := turn - 1 - e.dropped
	if i < 0 || i >= len(e.turns) {
		return 0, 0, false
	}
	if i+1 < len(e.turns) {
		end = e.turns[i+1]
	}
	return e.turns[i], end, true
}

// Absolute turns a position of this end's stream into a sequence number.
func (e *End) Absolute(position int64) tcp.Seq { return e.sent.base.Add(int(position)) }

// FinSent tells whether the end has sent a FIN, and its position.
func (e *End) FinSent() (int64, bool) { return e.sent.fin, e.sent.fin >= 0 }

// Window is the field as the end last sent it, unscaled.
func (e *End) Window() uint16 { return e.sent.window }
