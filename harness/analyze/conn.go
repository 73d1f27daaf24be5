package analyze

import (
	"fmt"
	"math"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// conn is what is kept of one connection while it is open: two kilobytes,
// whatever passes.
type conn struct {
	facts
	steps steps
}

// facts are what is known of a connection beside its steps.
type facts struct {
	number  int // in the order in which they began
	handle  int // the tracker's
	flow    *flow.Conn
	start   int64 // of the first and the last packet, Unix nanoseconds
	end     int64
	packets int
	ends    [2]end

	// Of the close.
	firstFIN   int8 // the side whose FIN came first; -1
	firstAck   ackKind
	crossed    bool // the second FIN does not acknowledge the first
	finAt      [2]int64
	lastFINAt  int64
	reset      *ResetCause
	resetAt    int64
	resetFrom  int
	refused    string // what answered the SYN
	windowRST  string // a RST in the window that nothing followed
	windowSide int8
	closed     bool // both ends are done by FIN
	started    begin

	lastData int64 // when something new was last said, for the idle time
	gap      int64 // how long nothing was said before that
	idle     int64 // before the end began; -1
	missed   int   // RSTs that missed
	lost     []string
	repeats  []Repeat
	more     int // repeats beyond those
	notes    []string
	older    *tombstone // of who had the four-tuple before; nil
	filtered bool       // a segment matched --filter
	due      int64      // when it is looked at again; 0 for never
	broken   bool       // it has segments with options cut short
	fates    bool       // the file says what became of each segment
}

// begin is how the file shows a connection's beginning.
type begin uint8

const (
	fromMiddle begin = iota
	fromSYN
	fromSYNACK
)

// ackKind is how the first acknowledgement of the first FIN travelled.
type ackKind uint8

const (
	noAck ackKind = iota
	ackAlone
	ackWithFIN
)

// end is one end of a connection.
type end struct {
	heard   bool // a segment of it is in the file
	spoke   bool // and one that is neither SYN, SYN-ACK nor RST
	synack  bool // and a SYN-ACK
	state   tcp.State
	bytes   int64
	nxt     int64 // one past the highest position sent
	ack     int64 // highest acknowledgement sent; -1
	latest  int64 // acknowledgement sent
	jumped  int64 // where it went on behind what the file lacks, and no data since; 0
	fin     int64 // position of its FIN; -1
	told    int64 // and of the first FIN in its name that reached the other end; -1
	acked   int64 // highest acknowledgement delivered to it; -1
	window  uint16
	zero    bool // its window is 0
	zeros   int  // how often it became 0
	ackAbs  tcp.Seq
	hasAck  bool
	edge    tcp.Seq // the right edge of the furthest block that its last ACK selects
	selects bool
	awaited tcp.Seq // a FIN of the other end that came before its turn ends here
	waits   bool

	ttl      uint8
	ttls     int  // segments that had it
	ttlMixed bool // not all had the same

	// Since the last progress.
	stuck     int   // repeats without an answer
	stuckAt   int64 // the last of them
	interval  int64 // between the last two
	backoff   backoff
	asked     int // keep-alives and probes without an answer
	askedAt   int64
	keepalive int // keep-alives sent
	probes    int
	heardAt   int64 // when something new of the other end last reached it

	rst    *ResetCause // the first that it sent itself
	rstAt  int64
	before tcp.State // then

	sentAt         int64 // the last segment but RST
	repeatedSYNACK bool  // although its first one was acknowledged

	// The last segments that went to this end, for what a RST answers.
	recent     [recents]received
	recentNext uint8
}

// recents is how many segments are remembered for that.
const recents = 3

// received is a segment that reached an end.
type received struct {
	at      int64
	end     int64
	ack     tcp.Seq
	has     bool // has an acknowledgement
	syn     bool
	fin     bool
	carries bool // data or a FIN
	fresh   bool // data that was not acknowledged then
	asks    bool // is a keep-alive or a probe
}

// backoff watches the intervals between repeats.
type backoff struct {
	first, last int64
	n           int
	doubled     int
	even        int
}

// begin makes the state of a connection, in the room of one that has ended.
func (c *conn) begin(number int, f *flow.Conn, at int64) {
	c.steps.reset()
	c.facts = facts{}
	c.number, c.flow, c.start, c.lastData = number, f, at, at
	c.firstFIN, c.windowSide, c.idle = -1, -1, -1
	for i := range c.ends {
		e := &c.ends[i]
		e.ack, e.acked, e.fin, e.told = -1, -1, -1, -1
		c.finAt[i] = -1
	}
}

func (c *conn) flowEnd(side int) *flow.End {
	if side == 0 {
		return c.flow.Opener()
	}
	return c.flow.Accepter()
}

// sent takes a segment as it left its end, before it is delivered.
// It writes the step whole.
func (c *conn) sent(st *step, seg *tcp.Segment, s *flow.Sighting, at int64, f fate) {
	x := side(s)
	// Field by field: a literal would be made elsewhere and copied.
	*st = step{}
	st.at, st.seq, st.ack, st.number, st.length = at-c.start, s.Seq, s.Ack, uint32(c.packets), uint32(seg.Len)
	st.flags, st.window, st.from, st.fate = seg.Flags, seg.Window, uint8(x), f
	n := &s.Names.All()[0]
	st.kind, st.of, st.turn, st.last = n.Kind, n.Of, uint32(n.Turn), n.Last
	st.copy = uint16(min(n.Copy, math.MaxUint16))
	st.turnFrom, st.covered = uint32(min(n.From, math.MaxUint32)), uint32(n.To-n.From)
	c.packets++
	c.end = max(c.end, at)
	if seg.Options.Broken {
		c.broken = true
	}
	if seg.ICMP != nil {
		st.role = roleICMP
		return
	}
	e, o := &c.ends[x], &c.ends[1-x]
	if f == forged {
		if seg.Flags.Has(tcp.RST) {
			st.role = roleRST
		}
		return
	}
	e.heard = true
	if c.packets == 1 && seg.Flags.Has(tcp.SYN) {
		c.started = fromSYN
		if seg.Flags.Has(tcp.ACK) {
			c.started = fromSYNACK
		}
	}
	if seg.Flags.Has(tcp.RST) {
		st.role = roleRST
		c.sendsRST(seg, s, x, at)
		return
	}
	c.countTTL(seg, x)
	if e.rst != nil {
		c.contradict(x, at)
	}
	if seg.Flags.Has(tcp.SYN|tcp.ACK) && s.RepeatOnly && e.acked >= 1 {
		e.repeatedSYNACK = true
	}
	e.sentAt = at
	first := s.Seq
	if seg.Flags.Has(tcp.SYN) {
		first++
	} else {
		e.spoke = true
	}
	last := first + int64(seg.Len)
	fresh := false
	if seg.Len > 0 && last > e.nxt {
		e.bytes += last - max(first, e.nxt)
		fresh = true
	}
	if n.Kind == flow.KEEPALIVE || n.Kind == flow.PROBE || seg.Len <= 1 && s.RepeatOnly && seg.Flags&(tcp.SYN|tcp.FIN) == 0 && last == e.acked {
		e.asked++
		e.stuckAt, e.askedAt = at, at
		if o.zero {
			e.probes++
			st.role = roleProbe
		} else {
			e.keepalive++
			st.role = roleKeepalive
		}
	} else if s.RepeatOnly && (n.Copy > 1 || seg.Flags&tcp.SYN == 0 && !c.fills(seg, x)) {
		c.repeated(s, x, at)
		st.role = roleRepeat
	}
	if seg.Flags.Has(tcp.FIN) && !c.outdated(seg, x) {
		c.sendsFIN(st, s, x, last, at)
		last++
	}
	switch {
	case fresh || seg.Len > 0 && last >= e.jumped:
		e.jumped = 0
	case e.nxt > 0 && first > e.nxt:
		e.jumped = first
	}
	e.nxt = max(e.nxt, last)
	if fresh || seg.Flags.Has(tcp.SYN) && !s.RepeatOnly {
		c.gap, c.lastData = at-c.lastData, at
	}
	if seg.Flags.Has(tcp.ACK) {
		e.latest = s.Ack
		if s.Ack > e.ack {
			e.ack = s.Ack
		}
		if !e.hasAck || e.ackAbs.Before(seg.Ack) {
			e.ackAbs, e.hasAck = seg.Ack, true
		}
		e.edge, e.selects = furthest(seg)
		if o.fin >= 0 {
			c.acksFIN(st, seg, s, x)
		}
	}
	c.offersWindow(st, seg, x)
	if n.Kind == flow.CHALLENGEACK && st.role == roleNone {
		st.role = roleChallenge
	}
	if e.state != tcp.Established || seg.Flags&(tcp.SYN|tcp.FIN) != 0 {
		c.advanceSender(st, seg, x)
	}
	if c.windowSide == int8(1-x) {
		// Who got the RST goes on.
		c.notes = append(c.notes, c.windowRST+", and "+string(who(x))+" goes on: it was not reset")
		c.windowSide, c.windowRST = -1, ""
	}
}

// side is the index of the end whose address a segment bears as its source; of
// an ICMP error, of the end that it speaks for.
func side(s *flow.Sighting) int {
	if s.From == "client" {
		return 0
	}
	return 1
}

// settle writes the states into a step.
func (c *conn) settle(st *step) {
	for i := range c.ends {
		st.states[i] = c.ends[i].state
	}
}

func (c *conn) countTTL(seg *tcp.Segment, x int) {
	e := &c.ends[x]
	ttl := seg.TTL()
	switch {
	case e.ttls == 0:
		e.ttl = ttl
	case e.ttl != ttl:
		e.ttlMixed = true
	}
	e.ttls++
}

func (c *conn) offersWindow(st *step, seg *tcp.Segment, x int) {
	e := &c.ends[x]
	e.window = seg.Window
	if seg.Window == 0 && !e.zero && !seg.Flags.Has(tcp.SYN) {
		e.zeros++
		if st.role == roleNone {
			st.role = roleZeroWindow
		}
	}
	e.zero = seg.Window == 0 && !seg.Flags.Has(tcp.SYN)
}

// repeatsKept bounds the list of one connection.
const repeatsKept = 64

func (c *conn) repeated(s *flow.Sighting, x int, at int64) {
	e := &c.ends[x]
	if e.stuck > 0 {
		interval := at - e.stuckAt
		e.backoff.add(interval)
		e.interval = interval
	}
	e.stuck++
	e.stuckAt = at
	if len(c.repeats) == repeatsKept {
		c.more++
		return
	}
	c.repeats = append(c.repeats, Repeat{Name: name(s), AtUS: (at - c.start) / 1000})
}

// fills reports whether a segment brings what the file has not shown yet,
// though its sender had gone on: it came out of order, or a copy before it was
// lost ahead of the capture.
func (c *conn) fills(seg *tcp.Segment, x int) bool {
	return !seg.Seq.Before(c.flow.RcvNxt(c.flowEnd(1 - x)))
}

// name is the main name of a sighting, as a filter takes it.
func name(s *flow.Sighting) string {
	conn := s.Conn
	s.Conn = 1
	text := s.Text(s.Names.Main())
	s.Conn = conn
	return text
}

func (b *backoff) add(interval int64) {
	if b.n == 0 {
		b.first = interval
	} else {
		switch {
		case interval*10 >= b.last*18 && interval*10 <= b.last*23:
			b.doubled++
		case interval*10 >= b.last*9 && interval*10 <= b.last*11:
			b.even++
		}
	}
	b.last = interval
	b.n++
}

// outdated reports whether the receiver throws a segment away because its
// timestamp is older than what it heard last (RFC 7323 §5.3).
func (c *conn) outdated(seg *tcp.Segment, x int) bool {
	recent, used := c.flow.TSRecent(c.flowEnd(1 - x))
	return recent != 0 && used && seg.Options.Timestamps && int32(seg.Options.TSVal-recent) < 0
}

// sendsFIN takes the first FIN of an end; last is its position.
func (c *conn) sendsFIN(st *step, s *flow.Sighting, x int, last, at int64) {
	e := &c.ends[x]
	if e.fin >= 0 {
		return
	}
	e.fin = last
	c.finAt[x] = at
	c.lastFINAt = at
	switch c.firstFIN {
	case -1:
		c.firstFIN = int8(x)
		c.endBegins(at - c.lastData)
		st.role = roleFirstFIN
	case int8(1 - x):
		st.role = roleSecondFIN
		if o := &c.ends[1-x]; s.Ack <= o.heardFIN() && c.firstAck == noAck {
			c.crossed = true
			st.role = roleCrossedFIN
			if e.state == tcp.CloseWait {
				// It had not heard of the other FIN.
				e.state = tcp.Closing
			}
		}
	}
}

// heardFIN is the position of the end's FIN as the other end knows it: its own may be
// lost, and a forged one delivered.
func (e *end) heardFIN() int64 {
	if e.told >= 0 {
		return e.told
	}
	return e.fin
}

// endBegins notes how long nothing was said before the end began.
func (c *conn) endBegins(idle int64) {
	if c.idle < 0 {
		c.idle = max(idle, 0)
	}
}

// acksFIN notes how the first FIN is acknowledged for the first time.
func (c *conn) acksFIN(st *step, seg *tcp.Segment, s *flow.Sighting, x int) {
	o := &c.ends[1-x]
	if o.fin < 0 || s.Ack <= o.heardFIN() {
		return
	}
	if c.firstFIN == int8(1-x) && c.firstAck == noAck {
		c.firstAck = ackAlone
		if seg.Flags.Has(tcp.FIN) && !c.crossed {
			c.firstAck = ackWithFIN
		}
		if st.role == roleNone {
			st.role = roleAckOfFirst
		} else if st.role != roleAckOfFirst {
			st.also = roleAckOfFirst
		}
		return
	}
	if c.firstFIN == int8(x) && st.role == roleNone && (st.kind == flow.ACK && st.of == flow.FIN) {
		st.role = roleLastAck
	}
}

// advanceSender moves the state of who sends.
func (c *conn) advanceSender(st *step, seg *tcp.Segment, x int) {
	e := &c.ends[x]
	f := seg.Flags
	switch {
	case f.Has(tcp.SYN | tcp.ACK):
		e.synack = true
		if e.state == 0 || e.state == tcp.SynSent || e.state == tcp.Established && !e.spoke {
			e.state = tcp.SynRecv
		}
		if st.role == roleNone {
			st.role = roleAccepts
		}
	case f.Has(tcp.SYN):
		if e.state == 0 {
			e.state = tcp.SynSent
		}
		if st.role == roleNone {
			st.role = roleOpens
		}
	case e.state == 0 || e.state == tcp.SynSent:
		e.state = tcp.Established // what came before is not in the file
	}
	if e.fin >= 0 && f.Has(tcp.FIN) {
		switch e.state {
		case tcp.Established, tcp.SynRecv:
			e.state = tcp.FinWait1
		case tcp.CloseWait:
			e.state = tcp.LastAck
		case tcp.Closed, tcp.TimeWait, tcp.FinWait2:
			c.unacknowledged(e)
		}
	}
}

// unacknowledged takes back that the FIN of an end was acknowledged, since the
// end repeats it: the ACK that is in the file did not reach it.
func (c *conn) unacknowledged(e *end) {
	switch {
	case e.rst != nil || c.reset != nil:
		return
	case e.state == tcp.Closed:
		e.state = tcp.LastAck
	case e.state == tcp.TimeWait:
		e.state = tcp.Closing
	default:
		e.state = tcp.FinWait1
	}
	e.acked = min(e.acked, e.fin)
	c.closed = false
}

// deliver takes a segment as it reaches the other end. expected is what that
// end expects next, before this segment; after is so behind it.
func (c *conn) deliver(seg *tcp.Segment, s *flow.Sighting, at int64, f fate, expected tcp.Seq, known, old bool, after tcp.Seq) {
	x := side(s)
	e, o := &c.ends[1-x], &c.ends[x] // who receives, and who sent
	if !s.RepeatOnly {
		e.heardAt = at
	}
	ack := int64(-1)
	if seg.Flags.Has(tcp.ACK) {
		ack = s.Ack
	}
	r := &e.recent[e.recentNext%recents]
	r.at, r.end, r.ack = at, s.Seq+int64(seg.SeqLen()), seg.Ack
	r.has, r.syn, r.fin = seg.Flags.Has(tcp.ACK), seg.Flags.Has(tcp.SYN), seg.Flags.Has(tcp.FIN)
	r.carries = seg.Len > 0 || r.fin
	r.fresh = seg.Len > 0 && s.Seq+int64(seg.Len) > max(e.ack, 1)
	kind := s.Names.All()[0].Kind
	r.asks = kind == flow.KEEPALIVE || kind == flow.PROBE
	e.recentNext = (e.recentNext + 1) % recents
	e.asked = 0
	// What ends before the number that is expected is thrown away, with its
	// acknowledgement.
	if known && seg.Seq.Add(seg.SeqLen()).Before(expected) && !seg.Flags.Has(tcp.SYN) {
		return
	}
	if ack > e.acked {
		e.acked = ack
		if e.nxt <= ack && e.stuck > 0 {
			e.stuck, e.backoff = 0, backoff{}
		}
	}
	switch {
	case seg.Flags.Has(tcp.SYN | tcp.ACK):
		if (e.state == tcp.SynSent || e.state == tcp.SynRecv) && ack >= 1 {
			e.state = tcp.Established
		}
	case seg.Flags.Has(tcp.SYN):
		if e.state == tcp.SynSent {
			e.state = tcp.SynRecv
		}
	case e.state == tcp.SynRecv && ack >= 1:
		e.state = tcp.Established
	}
	if e.fin >= 0 && ack > e.fin {
		switch e.state {
		case tcp.FinWait1:
			e.state = tcp.FinWait2
		case tcp.Closing:
			e.state = tcp.TimeWait
		case tcp.LastAck:
			e.state = tcp.Closed
		}
	}
	if seg.Flags.Has(tcp.FIN) && !old {
		if f == forged {
			if o.fin < 0 {
				c.sendsFIN(&step{}, s, x, s.Seq+int64(seg.Len), at)
			}
			if !after.Before(seg.Seq.Add(seg.SeqLen())) {
				c.note(fmt.Sprintf("a FIN that the %s did not send reached the %s, whose program reads an end of file there", who(x), who(1-x)))
			}
		}
		if o.told < 0 {
			o.told = s.Seq + int64(seg.Len)
		}
		e.waits, e.awaited = true, seg.Seq.Add(seg.SeqLen())
	}
	if e.waits && !after.Before(e.awaited) {
		e.waits = false
		switch e.state {
		case tcp.Established, tcp.SynRecv, 0:
			e.state = tcp.CloseWait
		case tcp.FinWait1:
			e.state = tcp.Closing
		case tcp.FinWait2:
			e.state = tcp.TimeWait
		}
	}
	if o.fin >= 0 && e.fin >= 0 && over(e.state) && over(o.state) {
		c.closed = true
	}
}

// over reports whether nothing more is expected of an end in that state.
func over(s tcp.State) bool { return s == tcp.Closed || s == tcp.TimeWait }

// done reports whether the connection has ended.
func (c *conn) done() bool {
	return c.closed || c.reset != nil || c.refused != "" || c.ends[0].rst != nil && c.ends[1].state == tcp.Closed
}
