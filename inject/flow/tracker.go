package flow

import (
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// Tracker keeps the connections of one wire or one capture. The zero value is
// not ready: use NewTracker. It is not safe for concurrent use.
type Tracker struct {
	hostOf func(netip.Addr) string
	byPair pairs // the latest incarnations
	opened int
	conns  []*Conn       // by number, as long as none was forgotten
	kept   map[int]*Conn // by number, since then
	spare  []*Conn       // that were forgotten, to be used again
}

// NewTracker makes a tracker. hostOf names the host that has an address; where
// it is nil, or says "", the ends are called by their roles, client and server.
func NewTracker(hostOf func(netip.Addr) string) *Tracker {
	return &Tracker{hostOf: hostOf, byPair: newPairs()}
}

// Conn is one connection: one incarnation of its four-tuple.
type Conn struct {
	// Number counts connections by their first SYN, from 1.
	Number int
	// Tag is for who uses the tracker, which leaves it alone: what is kept beside
	// the connection is found without a search. It is nil at first.
	Tag any

	hash uint64 // for pairs
	next *Conn
	// speaker is the end that sent the last new data: its turn lasts until
	// the other one sends some.
	speaker int
	ends    [2]End // the opener first
	// earlier and later are the incarnations of the same four-tuple before and
	// after this one.
	earlier, later *Conn
}

// End is one end of a connection as the wire knows it.
type End struct {
	Host string
	Addr netip.AddrPort

	sent, delivered book
	copies          counter
	forgedCopies    *counter // nil before the first forgery
	turns           []int64  // positions at which this end's turns begin
	turnRoom        [4]int64 // of turns, as long as it suffices
	dropped         int      // turns forgotten at the front of turns

	// What was last delivered *to* this end.
	last       Kind // SYN, SYN-ACK, DATA or FIN; None for anything else
	lastForged bool
	challenge  bool          // something that RFC 5961 challenges, and nothing answered yet
	challenged time.Duration // when the first of it left
	lastFrom   int64         // of DATA, the positions
	lastTo     int64
}

// maxTurns bounds the memory of a connection that talks for ever.
const maxTurns = 4096

// Conns lists the connections by number, without those that were forgotten.
func (t *Tracker) Conns() []*Conn {
	if t.kept == nil {
		return t.conns
	}
	return slices.SortedFunc(maps.Values(t.kept), func(a, b *Conn) int { return a.Number - b.Number })
}

// Conn is the connection with that number, or nil.
func (t *Tracker) Conn(number int) *Conn {
	if t.kept != nil {
		return t.kept[number]
	}
	if number < 1 || number > len(t.conns) {
		return nil
	}
	return t.conns[number-1]
}

// Latest is the newest incarnation between two ends, or nil.
func (t *Tracker) Latest(a, b netip.AddrPort) *Conn {
	c, _ := t.byPair.find(a, b)
	return c
}

// Forget gives back the memory of a connection that has ended: a tracker that
// forgets holds what is open, however long it runs. A segment that comes late
// begins a connection of its own, under a new number. The forgotten one and
// its sightings must not be used any more: its memory is the next one's. A
// number that is not known is no error.
func (t *Tracker) Forget(number int) {
	c := t.Conn(number)
	if c == nil {
		return
	}
	if t.kept == nil {
		t.kept = make(map[int]*Conn, len(t.conns))
		for _, c := range t.conns {
			t.kept[c.Number] = c
		}
		t.conns = nil
	}
	delete(t.kept, number)
	if c.earlier != nil {
		c.earlier.later = c.later
	}
	if c.later != nil {
		c.later.earlier = c.earlier
	} else {
		t.byPair.remove(c)
		if c.earlier != nil {
			t.byPair.add(c.earlier)
		}
	}
	if len(t.spare) < maxSpare {
		t.spare = append(t.spare, c)
	}
}

// maxSpare bounds what a tracker keeps of what it forgot.
const maxSpare = 1024

// Opener is the end that sent the first SYN; Accepter is the other.
func (c *Conn) Opener() *End { return &c.ends[0] }

// Accepter is the end that did not open.
func (c *Conn) Accepter() *End { return &c.ends[1] }

// EndOf is the end on that host, or nil.
func (c *Conn) EndOf(host string) *End {
	for i := range c.ends {
		if c.ends[i].Host == host {
			return &c.ends[i]
		}
	}
	return nil
}

// Other is the end that e talks to.
func (c *Conn) Other(e *End) *End {
	if e == &c.ends[0] {
		return &c.ends[1]
	}
	return &c.ends[0]
}

// Arrive names a segment that a host sent, and enters it into the book of what
// was sent. at is when it came, on the clock of Deliver: who asks about a segment
// may have handled what came later first. Where only the order is known, as in a
// capture, both are 0. out is written whole.
func (t *Tracker) Arrive(at time.Duration, seg *tcp.Segment, out *Sighting) {
	c, from := t.find(seg, true)
	c.sight(seg, from, out)
	if seg.ICMP == nil {
		c.arrive(at, seg, from, out)
	} else {
		c.icmp(seg, from, out)
	}
}

// Forge names a segment that a rule or the attacker made: sentBy is "wire" or
// the attacker's host. The claimed sender's book is left alone. It returns
// false where the segment belongs to no connection that the tracker knows; the
// sighting then has the connection 0.
func (t *Tracker) Forge(seg *tcp.Segment, sentBy string, out *Sighting) bool {
	c, from := t.find(seg, false)
	if c == nil {
		*out = Sighting{From: t.host(seg.Src.Addr(), "client"), To: t.host(seg.Dst.Addr(), "server"), SentBy: sentBy, Forged: true}
		out.Seq = int64(seg.Seq)
		out.Ack = int64(seg.Ack)
		out.Names.add(plainKind(seg), None, 1)
		return false
	}
	c.sight(seg, from, out)
	out.Forged, out.SentBy = true, sentBy
	kind := plainKind(seg)
	e := &c.ends[from]
	if b := &e.delivered; b.seen {
		out.Seq = b.rel(seg.Seq)
	} else if b := &e.sent; b.seen {
		out.Seq = b.rel(seg.Seq)
	}
	if e.forgedCopies == nil {
		e.forgedCopies = &counter{}
	}
	out.Names.add(kind, None, e.forgedCopies.add(kind, None, int64(seg.Seq), false))
	return true
}

// Deliver enters what went out to a host into the book of what was delivered:
// once for each copy, in the order in which they left. at is not after it left; s
// must come from this tracker's Arrive or Forge.
func (t *Tracker) Deliver(at time.Duration, seg *tcp.Segment, s *Sighting) {
	c := s.conn
	if c == nil || seg.ICMP != nil {
		return
	}
	sender, receiver := &c.ends[s.from], &c.ends[1-s.from]
	ack := c.relAck(seg, s.from)
	repeatedSYN := seg.Flags.Has(tcp.SYN) && sender.delivered.synSeen
	if seg.Flags.Has(tcp.RST) || repeatedSYN ||
		ack >= 0 && (ack > receiver.sent.nxt || ack < sender.delivered.ack) {
		if !receiver.challenge {
			receiver.challenged = at
		}
		receiver.challenge = true
	}
	receiver.last, receiver.lastForged = None, s.Forged
	if !s.Forged {
		for i := range s.Names.n {
			n := &s.Names.list[i]
			if n.Kind == SYN || n.Kind == SYNACK || n.Kind == FIN || n.Kind == DATA {
				receiver.last = n.Kind
				receiver.lastFrom, receiver.lastTo = n.Stream+1, n.Stream+1+n.To-n.From
				break
			}
		}
	} else if seg.Flags.Has(tcp.FIN) {
		receiver.last = FIN
	}
	window := int64(maxWindow)
	if b := &receiver.sent; b.hasWindow {
		window = int64(c.window(receiver))
	}
	sender.delivered.enter(seg, ack, window)
}

// maxWindow is the largest that can be offered (RFC 7323 §2.3).
const maxWindow = 1 << 30

// find gives the connection of a segment and the index of the end whose
// address it bears as source. real says that its sender is the real one, so
// that a SYN may begin a connection.
func (t *Tracker) find(seg *tcp.Segment, real bool) (*Conn, int) {
	c, from := t.byPair.find(seg.Src, seg.Dst)
	if seg.ICMP != nil {
		// The quoted segment went from Src to Dst, so who complains stands at
		// Dst's side; the sighting's sender is that end.
		if c == nil {
			if !real {
				return nil, 0
			}
			return t.open(seg), 1
		}
		return c, 1 - from
	}
	if c == nil {
		if !real {
			return nil, 0
		}
		c := t.open(seg)
		return c, c.index(seg.Src)
	}
	if real && seg.Flags&(tcp.SYN|tcp.ACK|tcp.RST) == tcp.SYN {
		b := &c.ends[from].sent
		switch {
		case !b.seen || b.synSeen && b.base == seg.Seq:
			return c, from
		case !b.synSeen && b.base.Diff(seg.Seq) >= 0 && b.base.Diff(seg.Seq) < near:
			// The capture has the SYN behind what it sent next.
			c.rebase(from, seg.Seq)
			return c, from
		}
		return t.open(seg), 0
	}
	if c.earlier == nil {
		return c, from
	}
	best := c.distance(seg)
	o := c.earlier
	for range maxEarlier {
		if o == nil || best == 0 {
			break
		}
		if d := o.distance(seg); d < best {
			best, c = d, o
		}
		o = o.earlier
	}
	return c, c.index(seg.Src)
}

// maxEarlier bounds how many incarnations back a late segment is looked for: a
// capture may have a hundred thousand SYNs of one four-tuple.
const maxEarlier = 16

// near is how far behind a SYN a stream may have been seen to begin.
const near = 1 << 20

// rebase moves where an end's stream begins back to its SYN, which came late.
// Every position of that stream moves along.
func (c *Conn) rebase(from int, syn tcp.Seq) {
	e, o := &c.ends[from], &c.ends[1-from]
	by := int64(e.sent.base.Diff(syn))
	for _, b := range []*book{&e.sent, &e.delivered} {
		if b.seen {
			b.base = syn
			b.nxt += by
			b.missing += by
			if b.fin >= 0 {
				b.fin += by
			}
			for i := range b.ngaps {
				b.gaps[i].from += by
				b.gaps[i].to += by
			}
		}
	}
	e.sent.synSeen = true
	for _, b := range []*book{&o.sent, &o.delivered} {
		if b.ack >= 0 {
			b.ack += by
		}
	}
	for i := range e.turns {
		e.turns[i] += by
	}
}

// far is the distance of a segment whose numbers say nothing.
const far = math.MaxInt32

// distance is how far a segment's number lies from what its sender sent last:
// of several incarnations of a four-tuple it belongs to the nearest. Where the
// sender was not heard yet, what it acknowledges decides.
func (c *Conn) distance(seg *tcp.Segment) int {
	from := c.index(seg.Src)
	if b := &c.ends[from].sent; b.seen {
		return abs(seg.Seq.Diff(b.base.Add(int(b.nxt))))
	}
	if o := &c.ends[1-from].sent; o.seen && seg.Flags.Has(tcp.ACK) {
		return abs(seg.Ack.Diff(o.base.Add(int(o.nxt))))
	}
	return far
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

func (c *Conn) index(addr netip.AddrPort) int {
	if c.ends[0].Addr == addr {
		return 0
	}
	return 1
}

func (t *Tracker) host(addr netip.Addr, role string) string {
	if t.hostOf != nil {
		if h := t.hostOf(addr); h != "" {
			return h
		}
		return addr.String()
	}
	return role
}

// begin makes an end anew, and takes over the memory of one that is forgotten.
func (e *End) begin(host string, addr netip.AddrPort) {
	entries, turns := e.copies.entries, e.turns
	*e = End{}
	e.Host, e.Addr = host, addr
	e.sent.open()
	e.delivered.open()
	e.copies.entries = entries[:0]
	if e.turns = turns[:0]; turns == nil {
		e.turns = e.turnRoom[:0]
	}
}

// open begins a connection with the segment that was first seen of it.
func (t *Tracker) open(seg *tcp.Segment) *Conn {
	opener, accepter := seg.Src, seg.Dst
	switch {
	case seg.ICMP != nil:
	case seg.Flags.Has(tcp.SYN | tcp.ACK):
		opener, accepter = accepter, opener
	case seg.Flags.Has(tcp.SYN):
	case seg.Src.Port() < 1024 && seg.Dst.Port() >= 1024:
		// The capture begins in the middle: a server's port is low.
		opener, accepter = accepter, opener
	}
	t.opened++
	var c *Conn
	if n := len(t.spare); n > 0 {
		c, t.spare = t.spare[n-1], t.spare[:n-1]
	} else {
		c = &Conn{}
	}
	c.Number, c.Tag, c.speaker, c.later = t.opened, nil, -1, nil
	c.ends[0].begin(t.host(opener.Addr(), "client"), opener)
	c.ends[1].begin(t.host(accepter.Addr(), "server"), accepter)
	if t.kept == nil {
		t.conns = append(t.conns, c)
	} else {
		t.kept[c.Number] = c
	}
	if c.earlier = t.Latest(opener, accepter); c.earlier != nil {
		c.earlier.later = c
		t.byPair.remove(c.earlier)
	}
	t.byPair.add(c)
	return c
}

func (c *Conn) sight(seg *tcp.Segment, from int, out *Sighting) {
	// Field by field: a sighting is large, and most of it stays empty.
	clear(out.Names.list[:out.Names.n])
	out.Names.n = 0
	out.Conn, out.Opener, out.Accepter = c.Number, c.ends[0].Host, c.ends[1].Host
	out.From, out.To, out.SentBy = c.ends[from].Host, c.ends[1-from].Host, c.ends[from].Host
	out.Seq, out.Ack, out.Forged, out.RepeatOnly = 0, 0, false, false
	out.from, out.conn = from, c
	if seg.Flags.Has(tcp.ACK) {
		out.Ack = c.relAck(seg, from)
	}
}

// relAck is the acknowledgement relative to the other end's SYN, or -1 where
// there is none or nothing to measure it by.
func (c *Conn) relAck(seg *tcp.Segment, from int) int64 {
	if !seg.Flags.Has(tcp.ACK) || seg.ICMP != nil {
		return -1
	}
	other := &c.ends[1-from]
	b := &other.sent
	if !b.seen {
		b = &other.delivered
	}
	if !b.seen {
		// The file shows the other end by its acknowledgements only: what is
		// acknowledged first is where its stream begins to be known.
		other.sent.seen = true
		other.sent.base = seg.Ack.Add(-1)
		other.sent.nxt = 1
		return 1
	}
	return b.rel(seg.Ack)
}

// plainKind names a segment by its bits alone.
func plainKind(seg *tcp.Segment) Kind {
	switch f := seg.Flags; {
	case seg.ICMP != nil:
		return ICMP
	case f.Has(tcp.RST):
		return RST
	case f.Has(tcp.SYN | tcp.ACK):
		return SYNACK
	case f.Has(tcp.SYN):
		return SYN
	case f.Has(tcp.FIN):
		return FIN
	case seg.Len > 0:
		return DATA
	}
	return ACK
}

func (c *Conn) icmp(seg *tcp.Segment, from int, out *Sighting) {
	e := &c.ends[from]
	b := &c.ends[1-from].sent
	if b.seen {
		out.Seq = b.rel(seg.Seq)
	}
	out.Names.add(ICMP, None, e.copies.add(ICMP, None, int64(seg.Seq), false))
}

// arrive gives a segment its names and then enters it into the book of what
// its sender sent.
func (c *Conn) arrive(at time.Duration, seg *tcp.Segment, from int, out *Sighting) {
	e, other := &c.ends[from], &c.ends[1-from]
	b := &e.sent
	before := *b
	if !before.seen && !seg.Flags.Has(tcp.RST) {
		b.begin(seg)
		before.base, before.nxt, before.seen = b.base, b.nxt, true
	}
	ack := out.Ack
	if !seg.Flags.Has(tcp.ACK) {
		ack = -1
	}
	switch {
	case before.seen:
		out.Seq = before.rel(seg.Seq)
	case other.sent.ack >= 0 && e.delivered.seen:
		out.Seq = e.delivered.rel(seg.Seq)
	default:
		out.Seq = 0 // a RST from an end that was never heard: its number is nobody's
	}
	first := out.Seq
	end := first + int64(seg.SeqLen())
	out.RepeatOnly = seg.SeqLen() > 0 && end <= before.nxt && before.nxt > 0 && !seg.Flags.Has(tcp.RST)

	pure := seg.Pure()
	switch kind := plainKind(seg); kind {
	case RST, SYN, SYNACK:
		out.Names.add(kind, None, e.copies.add(kind, None, first, false))
	case FIN:
		out.Names.add(FIN, None, e.copies.add(FIN, None, end-1, false))
	}
	if seg.Len > 0 && !seg.Flags.Has(tcp.RST) {
		c.data(seg, from, first, before.nxt, out)
	}
	una := other.delivered.ack
	if pure && una >= 1 && first == una-1 {
		kind := KEEPALIVE
		if other.delivered.hasWindow && other.delivered.window == 0 {
			kind = PROBE
		}
		out.Names.add(kind, None, e.copies.add(kind, None, first, false))
		b.enter(seg, ack, maxWindow)
		return
	}
	if ack >= 0 && !seg.Flags.Has(tcp.RST) {
		c.acks(seg, from, ack, pure, out)
	}
	if pure && out.Names.n == 0 || pure && ack <= before.ack {
		c.nothingNew(at, seg, e, first, ack, &before, out)
	}
	if out.Names.n == 0 {
		kind := plainKind(seg)
		out.Names.add(kind, None, e.copies.add(kind, None, first, false))
	}
	b.enter(seg, ack, maxWindow)
}

// data names the bytes that a segment carries, by turns, and begins a new turn
// where the other end spoke since.
func (c *Conn) data(seg *tcp.Segment, from int, first, nxt int64, out *Sighting) {
	e := &c.ends[from]
	start := first
	if seg.Flags.Has(tcp.SYN) {
		start++
	}
	end := start + int64(seg.Len)
	fresh := end > nxt
	if fresh && c.speaker != from {
		c.speaker = from
		// What lies between the last byte known and this segment was not
		// seen before the other end spoke either: it is of this turn.
		begin := max(nxt, 1)
		if len(e.turns) == 0 {
			begin = min(begin, start)
		}
		if len(e.turns) == maxTurns {
			copy(e.turns, e.turns[1:])
			e.turns = e.turns[:maxTurns-1]
			e.dropped++
		}
		e.turns = append(e.turns, begin)
	}
	n := e.copies.add(DATA, None, start, first >= nxt)
	for i := e.spans(start, end, &out.Names); i < out.Names.n; i++ {
		out.Names.list[i].Kind, out.Names.list[i].Copy = DATA, n
	}
}

// spans cuts the positions [from, to) of an end's stream by its turns, and
// adds a name without a kind for each piece. It returns where these begin.
func (e *End) spans(from, to int64, out *Names) int {
	begin := out.n
	i := len(e.turns) - 1
	for i >= 0 && e.turns[i] > from {
		i--
	}
	for from < to && out.n < maxNames {
		n := &out.list[out.n]
		n.Stream = from - 1
		out.n++
		upTo := to
		if i+1 < len(e.turns) {
			upTo = min(upTo, e.turns[i+1])
		}
		if i >= 0 {
			n.Turn = e.dropped + i + 1
			n.From, n.To = from-e.turns[i], upTo-e.turns[i]
			last := e.sent.nxt
			if i+1 < len(e.turns) {
				last = e.turns[i+1]
			} else if e.sent.fin >= 0 {
				last = min(last, e.sent.fin)
			}
			n.Last = upTo >= last
		} else {
			n.To = upTo - from
		}
		from = upTo
		i++
	}
	return begin
}

// acks names what an acknowledgement covers that none delivered before it did,
// and what it covers again because the last thing delivered to its sender was
// a copy of it.
func (c *Conn) acks(seg *tcp.Segment, from int, ack int64, pure bool, out *Sighting) {
	e, other := &c.ends[from], &c.ends[1-from]
	before := e.delivered.ack
	covers := func(end int64, kind Kind, forged bool) bool {
		return ack >= end && (before < end || pure && e.last == kind && e.lastForged == forged)
	}
	fresh := ack > e.sent.ack // no copy of any of these was counted
	add := func(of Kind, forged bool) {
		at := out.Names.n
		out.Names.add(ACK, of, e.copies.add(ACK, of, ack<<1, fresh && !forged))
		if out.Names.n > at {
			out.Names.list[at].OfForged = forged
		}
	}
	if fin := other.sent.fin; fin >= 0 && covers(fin+1, FIN, false) {
		add(FIN, false)
	}
	if fin := other.delivered.fin; fin >= 0 && fin != other.sent.fin && covers(fin+1, FIN, true) {
		add(FIN, true)
	}
	if other.sent.synSeen {
		of := SYN
		if from == 0 {
			of = SYNACK
		}
		if e.last == SYN || e.last == SYNACK {
			of = e.last
		}
		if covers(1, of, false) {
			add(of, false)
		}
	}
	// Data: what lies between the acknowledgement delivered before and this one.
	lo, hi := max(before, 1), min(ack, other.sent.nxt)
	if other.sent.fin >= 0 {
		hi = min(hi, other.sent.fin)
	}
	if lo >= hi && pure && e.last == DATA && !e.lastForged {
		lo = e.lastFrom
		hi = min(hi, e.lastTo)
	}
	for i := other.spans(lo, hi, &out.Names); i < out.Names.n; i++ {
		n := &out.Names.list[i]
		n.Kind, n.Of = ACK, DATA
		n.Copy = e.copies.add(ACK, DATA, n.Stream+n.To-n.From+ack<<1, fresh)
	}
}

// reopened tells whether a segment offers another window than the one before.
// That of a SYN is never scaled (RFC 7323 §2.2), so what follows it may differ
// by what scaling rounds away.
func (c *Conn) reopened(e *End, before *book, seg *tcp.Segment) bool {
	if !before.synLast || before.scale < 0 || c.Other(e).sent.scale < 0 {
		return before.window != seg.Window
	}
	return abs(int(seg.Window)<<before.scale-int(before.window)) >= 1<<before.scale
}

// nothingNew names a pure ACK that acknowledges nothing new.
func (c *Conn) nothingNew(at time.Duration, seg *tcp.Segment, e *End, first, ack int64, before *book, out *Sighting) {
	kind := ACK
	answers := e.challenge && at >= e.challenged // and was not sent before
	switch {
	case ack > before.ack:
		// It moves the number over what the wire never saw: an ACK, no more.
	case answers:
		kind = CHALLENGEACK
	case seg.Options.SACKs == 0 && before.hasWindow && c.reopened(e, before, seg):
		// A window update is neither a duplicate nor a challenge.
	default:
		kind = DUPACK
	}
	e.challenge = e.challenge && at < e.challenged
	if kind == ACK && out.Names.n > 0 {
		return
	}
	out.Names.add(kind, None, e.copies.add(kind, None, first, false))
}
