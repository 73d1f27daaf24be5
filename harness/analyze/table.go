package analyze

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// How long a connection is kept, in the time of the capture.
const (
	// settles: after its last packet one that has ended is handed out. What
	// repeats comes at most three times the last interval later.
	settles = time.Second
	// lingers: so long the packets of one that was handed out are still its own.
	lingers = 4 * time.Minute
	// givesUp: a SYN that nothing answers for so long will not be answered
	// (Linux: 131 s).
	givesUp = 5 * time.Minute
)

// table keeps the connections that are open, and those that ended lately.
type table struct {
	filter  *inject.Match
	explain bool
	ended   func(*Connection)

	flow  *flow.Tracker
	late  graveyard
	free  []*conn // to be used again
	queue deadlines
	now   int64
	seen  [seenSize]fingerprint
	sight flow.Sighting

	packets    int // segments that belong to a connection
	duplicates int // frames that are in the capture twice
	senseless  int // segments with flags that no TCP sends
	afterwards int // segments of connections that were handed out
	reopened   int // open connections whose four-tuple another had lately
	opened     int
	strays     int // forgeries that belong to nothing
}

func newTable(filter *inject.Match, explain bool, ended func(*Connection)) *table {
	return &table{
		filter: filter, explain: explain, ended: ended,
		flow: flow.NewTracker(nil), late: newGraveyard(),
	}
}

// deadlines is a heap of the moments at which connections are looked at again.
type deadlines []deadline

type deadline struct {
	at     int64
	conn   *conn
	handle int // of the connection then: its room may be another's by now
}

func (d *deadlines) push(x deadline) {
	h := append(*d, x)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].at <= h[i].at {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
	*d = h
}

// pop takes the earliest; there must be one.
func (d *deadlines) pop() deadline {
	h := *d
	first := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		least := i
		for _, k := range [2]int{2*i + 1, 2*i + 2} {
			if k < last && h[k].at < h[least].at {
				least = k
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*d = h
	return first
}

// both takes a segment that left its end and reached the other at the same
// time, as all do that a capture shows.
func (t *table) both(seg *tcp.Segment, at int64, source int) {
	if senseless(seg) {
		t.senseless++
		return
	}
	if t.twice(seg, at, source) {
		t.duplicates++
		return
	}
	s := &t.sight
	c := t.arrive(seg, s, at)
	if c == nil {
		return
	}
	st := c.steps.draft()
	c.sent(st, seg, s, at, passed)
	t.deliver(c, seg, s, at, st)
	c.settle(st)
	c.steps.keep()
	t.schedule(c)
}

// senseless reports whether no TCP sends a segment with such flags; each throws
// it away too (RFC 9293 §3.10.7).
func senseless(seg *tcp.Segment) bool {
	f := seg.Flags
	return seg.ICMP == nil && (f&(tcp.SYN|tcp.RST|tcp.ACK) == 0 || f.Has(tcp.SYN) && f&(tcp.FIN|tcp.RST) != 0)
}

// arrive finds the connection of a segment that left its end. It is nil where
// the segment belongs to one that was handed out.
func (t *table) arrive(seg *tcp.Segment, s *flow.Sighting, at int64) *conn {
	if at > t.now {
		t.advance(at)
	}
	t.packets++
	if t.reopened > 0 && t.ofBefore(seg) {
		t.afterwards++
		return nil
	}
	t.flow.Arrive(0, seg, s)
	c := open(s.Connection())
	if c == nil {
		if c = t.begin(seg, s, at); c == nil {
			return nil
		}
	}
	if c.done() && side(s) == 1 {
		t.answersAnother(c, seg)
	}
	if t.filter != nil {
		t.matches(c, seg, s)
	}
	return c
}

// answersAnother notes on the latest incarnation of a four-tuple that its SYN
// met an earlier one, which answers.
func (t *table) answersAnother(c *conn, seg *tcp.Segment) {
	latest := t.flow.Latest(seg.Src, seg.Dst)
	if latest == nil || latest == c.flow {
		return
	}
	if o := open(latest); o != nil && o.ends[0].state == tcp.SynSent && !o.ends[1].heard {
		o.note(fmt.Sprintf("the SYN met connection %d of the same two ports, whose end answers with an ACK of its own", c.number))
	}
}

func (t *table) matches(c *conn, seg *tcp.Segment, s *flow.Sighting) {
	if !c.filtered {
		conn := s.Conn
		s.Conn = 1 // every connection counts for itself
		c.filtered = t.filter.Matches(seg, s)
		s.Conn = conn
	}
}

// begin takes the first segment of a connection.
func (t *table) begin(seg *tcp.Segment, s *flow.Sighting, at int64) *conn {
	f := s.Connection()
	var before *tombstone
	if old := t.late.find(f.Hash()); old != nil {
		if old.owns(seg) {
			t.flow.Forget(s.Conn)
			t.afterwards++
			return nil
		}
		taken := *old
		before, old.taken = &taken, true
	}
	t.opened++
	var c *conn
	if n := len(t.free); n > 0 {
		c, t.free = t.free[n-1], t.free[:n-1]
	} else {
		c = &conn{}
	}
	c.begin(t.opened, f, at)
	c.handle = s.Conn
	f.Tag = c
	if before != nil {
		c.older = before
		t.reopened++
	}
	c.steps.all = t.explain
	return c
}

// open is what is kept of a connection of the tracker; nil where nothing is.
func open(f *flow.Conn) *conn {
	c, _ := f.Tag.(*conn)
	return c
}

// deliver takes the segment as it reaches the other end.
func (t *table) deliver(c *conn, seg *tcp.Segment, s *flow.Sighting, at int64, st *step) {
	if seg.ICMP != nil {
		c.complains(seg, s, st)
		return
	}
	receiver := 1 - side(s)
	settled := seg.Flags&(tcp.SYN|tcp.FIN|tcp.RST) == 0 &&
		c.ends[0].state == tcp.Established && c.ends[1].state == tcp.Established
	if settled {
		t.flow.Deliver(0, seg, s)
		c.deliver(seg, s, at, st.fate, 0, false, false, 0)
		return
	}
	to := c.flowEnd(receiver)
	before := c.flow.RcvNxt(to)
	old := !seg.Flags.Has(tcp.RST) && c.outdated(seg, side(s))
	if old && seg.SeqLen() > 0 {
		return // thrown away (RFC 7323 §5.3)
	}
	if seg.Flags.Has(tcp.RST) {
		window := max(c.flow.Numbers(to).RcvWnd, 1)
		t.flow.Deliver(0, seg, s)
		st.role = c.receivesRST(seg, s, at, st.fate, before, before != 0, window)
		return
	}
	t.flow.Deliver(0, seg, s)
	c.deliver(seg, s, at, st.fate, before, before != 0, old, c.flow.RcvNxt(to))
}

// schedule has a connection looked at again where it may be over by itself.
func (t *table) schedule(c *conn) {
	at := c.end
	switch {
	case c.done():
		at += int64(c.patience())
	case !c.ends[0].spoke && !c.ends[1].spoke:
		at += int64(givesUp)
	default:
		return
	}
	if c.due != 0 && c.due <= at {
		return // it is looked at before
	}
	c.due = at
	t.queue.push(deadline{at: at, conn: c, handle: c.handle})
}

// patience is how long a connection that has ended is waited for.
func (c *conn) patience() time.Duration {
	longest := max(c.ends[0].interval, c.ends[1].interval)
	return settles + 3*time.Duration(longest)
}

// advance moves the time of the capture, and hands out what is over.
func (t *table) advance(at int64) {
	if at <= t.now {
		return
	}
	t.now = at
	t.late.expire(at)
	for len(t.queue) > 0 && t.queue[0].at <= at {
		d := t.queue.pop()
		c := d.conn
		if c.handle != d.handle {
			continue
		}
		if c.due == d.at {
			c.due = 0
		}
		switch {
		case c.done() && c.end+int64(c.patience()) <= at,
			!c.done() && !c.ends[0].spoke && !c.ends[1].spoke && c.end+int64(givesUp) <= at:
			t.bury(c)
		default:
			t.schedule(c)
		}
	}
}

// bury hands a connection out, and keeps what recognises its late packets.
func (t *table) bury(c *conn) {
	t.emit(c)
	g := tombstone{key: c.flow.Hash(), until: t.now + int64(lingers)}
	x := lower(c.flow.Opener().Addr, c.flow.Accepter().Addr)
	for i := range c.ends {
		g.nxt[x^i], g.known[x^i] = c.flowEnd(i).SndNxt(), c.ends[i].heard
	}
	t.late.add(g)
	t.drop(c)
	t.free = append(t.free, c)
}

// drop forgets an open connection.
func (t *table) drop(c *conn) {
	if c.older != nil {
		t.reopened--
	}
	t.flow.Forget(c.handle)
	c.handle = 0
}

// ofBefore reports whether a segment is a late one of the connection that had
// this four-tuple before, and was handed out.
func (t *table) ofBefore(seg *tcp.Segment) bool {
	latest := t.flow.Latest(seg.Src, seg.Dst)
	if latest == nil {
		return false
	}
	c := open(latest)
	if c == nil || c.older == nil || c.older.until < t.now || seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN || seg.ICMP != nil {
		return false
	}
	x, end := lower(seg.Src, seg.Dst), 0
	if !c.older.known[x] {
		return false
	}
	if seg.Src != latest.Opener().Addr {
		end = 1
	}
	old := abs(seg.Seq.Diff(c.older.nxt[x]))
	if !c.ends[end].heard {
		return old < 1<<16 && !seg.Flags.Has(tcp.SYN)
	}
	return old < abs(seg.Seq.Diff(c.flowEnd(end).SndNxt()))
}

func abs(n int) int { return max(n, -n) }

func (t *table) emit(c *conn) {
	if t.filter == nil || c.filtered {
		out := c.finish()
		t.ended(out)
		out.open = nil
	}
}

// seenSize is how many frames are remembered to tell a copy from a repeat.
const seenSize = 1 << 12

// fingerprint is a frame that was seen: small, since each frame looks at one.
type fingerprint struct {
	hash uint64 // its lowest sixteen bits are the source
	at   int64
}

// How long after a frame another is taken for the same one: it was captured on
// two interfaces of one machine, or in two files.
const (
	sameMachine = 10 * time.Millisecond
	otherFile   = time.Second
)

// twice reports whether a frame is in the capture for the second time. A
// repeat has another IPv4 identification or another timestamp, or comes later.
func (t *table) twice(seg *tcp.Segment, at int64, source int) bool {
	id, _ := seg.ID()
	// The numbers, ports and timestamps tell connections apart well enough.
	sum := mix(uint64(seg.Seq)<<32|uint64(seg.Ack), uint64(seg.Src.Port())<<48|uint64(seg.Dst.Port())<<32|uint64(seg.Window)<<16|uint64(id))
	sum = mix(sum^uint64(seg.Len)<<16^uint64(seg.Flags)<<4^uint64(seg.Options.SACKs), uint64(seg.Options.TSVal)<<32|uint64(seg.Options.TSEcr))
	if seg.Options.SACKs > 0 {
		sum = mix(sum, uint64(seg.Options.SACK[0][0])<<32|uint64(seg.Options.SACK[0][1]))
	}
	if seg.ICMP != nil {
		sum = mix(sum, 1)
	}
	f := &t.seen[sum%seenSize]
	sum = sum&^0xffff | uint64(source)&0xffff
	before := *f
	f.hash, f.at = sum, at
	if (before.hash^sum)>>16 != 0 || at < before.at {
		return false
	}
	within := sameMachine
	if before.hash != sum && (id != 0 || seg.Options.Timestamps) {
		within = otherFile
	}
	return at-before.at <= int64(within)
}

// mix is a round of a hash: it need not be safe from an enemy, who could only
// have frames of his own capture taken for copies.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xe7037ed1a0b428db)
	return hi ^ lo
}

// flush hands out what is left, when the capture ends.
func (t *table) flush() {
	for _, f := range t.flow.Conns() {
		c := open(f)
		t.emit(c)
		t.drop(c)
	}
}
