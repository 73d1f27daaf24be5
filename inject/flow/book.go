package flow

import "github.com/lastack/lastack/inject/tcp"

// book is what is known of one direction of a connection: as its end sent it,
// or as it was delivered. Positions are 64-bit and relative to the SYN, which
// is 0, so that nothing here wraps.
//
// There are four for every connection: what is rare is apart, and a book fits
// a cache line.
type book struct {
	base tcp.Seq // the number of the SYN, or one less than the first number seen
	seen, synSeen, rst,
	hasWindow,
	synLast, // the last segment was a SYN, whose window is never scaled
	hasTS bool
	scale   int8   // of the SYN; -1 where it had none
	ngaps   uint8  // how many of gaps there are
	window  uint16 // as last carried, unscaled
	tsval   uint32
	nxt     int64 // one past the highest position occupied
	fin     int64 // position of the FIN; -1 as long as there was none
	ack     int64 // highest acknowledgement carried; -1 as long as there was none
	missing int64 // the first position that is, while there are gaps

	// gaps are the pieces beyond the first byte that is missing, in order; nil
	// before the first.
	gaps *[4]piece
}

// piece is a range of positions that came out of order.
type piece struct{ from, to int64 }

// whole is where what was entered without a gap ends.
func (b *book) whole() int64 {
	if b.ngaps == 0 {
		return b.nxt
	}
	return b.missing
}

// fill enters the positions [from, to) into what is whole, or keeps them as a
// piece; more pieces than there is room for are forgotten.
func (b *book) fill(from, to int64) {
	whole := b.whole()
	if from > whole {
		if b.gaps == nil {
			b.gaps = &[4]piece{}
		}
		if int(b.ngaps) < len(b.gaps) {
			b.gaps[b.ngaps] = piece{from, to}
			b.ngaps++
		}
		b.missing = whole
		return
	}
	whole = max(whole, to)
	for i := uint8(0); i < b.ngaps; {
		if g := b.gaps[i]; g.from <= whole {
			whole = max(whole, g.to)
			b.ngaps--
			b.gaps[i] = b.gaps[b.ngaps]
			i = 0
			continue
		}
		i++
	}
	b.missing = whole
}

// open makes a book that is zero ready.
func (b *book) open() { b.fin, b.ack, b.scale = -1, -1, -1 }

// rel places seq near what is known already.
func (b *book) rel(seq tcp.Seq) int64 {
	return b.nxt + int64(seq.Diff(b.base.Add(int(b.nxt))))
}

// begin fixes the base by the first segment of the direction.
func (b *book) begin(seg *tcp.Segment) {
	b.seen = true
	b.synSeen = seg.Flags.Has(tcp.SYN)
	b.base = seg.Seq
	if b.synSeen {
		b.scale = seg.Options.WindowScale
	} else {
		b.base = seg.Seq.Add(-1)
		b.nxt = 1
	}
}

// enter writes a segment into the book; ack is its relative acknowledgement,
// or -1. window bounds what counts beyond what is whole: the receiver throws
// the rest away.
func (b *book) enter(seg *tcp.Segment, ack, window int64) {
	if seg.Flags.Has(tcp.RST) {
		b.rst = true
		return // its number is the other end's wish, not a position of the stream
	}
	if !b.seen {
		b.begin(seg)
	}
	first := b.rel(seg.Seq)
	end := first + int64(seg.SeqLen())
	if seg.Flags.Has(tcp.FIN) {
		b.fin = end - 1
	}
	if seg.SeqLen() > 0 && first <= b.whole()+window {
		if b.ngaps > 0 || first > b.nxt {
			b.fill(first, end)
		}
		b.nxt = max(b.nxt, end)
	}
	if ack > b.ack {
		b.ack = ack
	}
	b.window, b.hasWindow, b.synLast = seg.Window, true, seg.Flags.Has(tcp.SYN)
	if seg.Options.Timestamps {
		b.tsval, b.hasTS = seg.Options.TSVal, true
	}
}

// counter counts copies by kind and position, for the last few hundred of them.
type counter struct {
	entries []count
	next    int       // the oldest entry, once the ring is full
	room    [12]count // of entries, as long as it suffices: what a short connection needs
}

type count struct {
	pos      int64
	n        uint32
	kind, of Kind
}

const counterSize = 256

// add counts one more arrival and returns its number. fresh promises that
// there was none before, which saves looking.
func (c *counter) add(kind, of Kind, pos int64, fresh bool) uint32 {
	if !fresh {
		for i := len(c.entries) - 1; i >= 0; i-- {
			e := &c.entries[(i+c.next)%len(c.entries)]
			if e.pos == pos && e.kind == kind && e.of == of {
				e.n++
				return e.n
			}
		}
	}
	at := c.next
	if len(c.entries) < counterSize {
		if c.entries == nil {
			c.entries = c.room[:0]
		}
		at = len(c.entries)
		c.entries = append(c.entries, count{})
	} else {
		c.next = (c.next + 1) % counterSize
	}
	e := &c.entries[at]
	e.kind, e.of, e.pos, e.n = kind, of, pos, 1
	return 1
}
