package analyze

import (
	"fmt"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// complains takes an ICMP error when it reaches the end whose segment it
// quotes.
func (c *conn) complains(seg *tcp.Segment, s *flow.Sighting, st *step) {
	x := 1 - side(s)
	what := unreachable(seg)
	if c.ends[x].state == tcp.SynSent && s.Seq == 0 && fatal(seg) && c.refused == "" {
		c.refused = fmt.Sprintf("%s from %s answers the SYN of the %s", what, seg.ICMP.From, who(x))
		c.ends[x].state = tcp.Closed
		c.note(c.refused)
		st.role = roleRefused
		return
	}
	c.note(fmt.Sprintf("%s from %s about a segment of the %s; it ends no connection by itself", what, seg.ICMP.From, who(x)))
}

// fatal reports whether an ICMP error ends a connection that is in SYN_SENT
// (RFC 1122 §4.2.3.9; Linux: tcp_v4_err, tcp_v6_err).
func fatal(seg *tcp.Segment) bool {
	m := seg.ICMP
	if seg.IsIPv6() {
		return m.Type == 1 || m.Type == 3 || m.Type == 4
	}
	return m.Type == 3 && m.Code != 4 || m.Type == 11 || m.Type == 12
}

// unreachable names an ICMP error.
func unreachable(seg *tcp.Segment) string {
	m := seg.ICMP
	names := map[[2]uint8]string{
		{3, 0}: "net unreachable", {3, 1}: "host unreachable", {3, 3}: "port unreachable", {3, 4}: "fragmentation needed",
		{3, 9}: "net prohibited", {3, 10}: "host prohibited", {3, 13}: "administratively prohibited", {11, 0}: "time exceeded",
	}
	family := "ICMP"
	if seg.IsIPv6() {
		family = "ICMPv6"
		names = map[[2]uint8]string{
			{1, 0}: "no route", {1, 1}: "administratively prohibited", {1, 3}: "address unreachable", {1, 4}: "port unreachable",
			{2, 0}: "packet too big", {3, 0}: "time exceeded",
		}
	}
	if name := names[[2]uint8{m.Type, m.Code}]; name != "" {
		return family + " " + name
	}
	return fmt.Sprintf("%s type %d code %d", family, m.Type, m.Code)
}

// finish is what the capture shows of the connection.
func (c *conn) finish() *Connection {
	r := &Connection{
		Conn: c.number, Client: c.flow.Opener().Addr, Server: c.flow.Accepter().Addr,
		Start: time.Unix(0, c.start).UTC(), End: time.Unix(0, c.end).UTC(), Packets: c.packets,
		Bytes:      PerEnd[int64]{c.ends[0].bytes, c.ends[1].bytes},
		Confidence: Seen,
		Lost:       orEmpty(c.lost), Repeats: orEmpty(c.repeats),
		open: c,
	}
	r.Ended = c.ending(r)
	if r.Ended != Reset && r.Ended != Refused && r.Ended != KeepaliveTimeout {
		c.explainRST()
	}
	c.closedFirst(r)
	c.times(r)
	r.States.Client, r.States.Server = c.belief(0), c.belief(1)
	c.remarks(r)
	r.Notes = orEmpty(c.notes)
	r.Nearest = nearest(r, c.keptAlive())
	return r
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// oneSided is the end that the file has no segment of, or -1.
func (c *conn) oneSided() int {
	for i := range c.ends {
		if !c.ends[i].heard && c.ends[1-i].spoke {
			return i
		}
	}
	return -1
}

// ending decides how the connection ended.
func (c *conn) ending(r *Connection) Ended {
	client, server := &c.ends[0], &c.ends[1]
	alone := c.oneSided()
	switch {
	case c.refused != "" && !client.spoke:
		r.Reset = c.reset
		return Refused
	case c.timedOut(r):
		return KeepaliveTimeout
	case c.reset != nil:
		r.Reset = c.reset
		if alone >= 0 || c.started == fromMiddle && !client.heard {
			r.Confidence = Inferred
		}
		return Reset
	case c.lonelyRST(r):
		return Reset
	case c.closed:
		return c.closeOf()
	case c.givenUp(r) >= 0:
		return Abandoned
	case !client.spoke && client.heard && !server.synack && client.state == tcp.SynSent:
		if server.heard {
			c.remark("what comes back is no answer to the SYN: it has the numbers of an older connection of the same two ports")
		}
		return Unanswered
	case client.fin >= 0 && server.fin >= 0:
		r.Confidence = Inferred
		if c.firstAck != noAck || c.crossed {
			r.Confidence = Seen
		}
		return c.closeOf()
	case c.windowSide >= 0:
		r.Confidence = Guess
		return Unknown
	case alone >= 0:
		r.Confidence = Guess
		c.remark(fmt.Sprintf("the file has nothing that the %s sent: how it ended cannot be told", who(alone)))
		return Unknown
	case c.lacks() != "":
		r.Confidence = Guess
		c.remark(fmt.Sprintf("the file lacks what the %s sent last, as the numbers that follow show: a FIN may be among it", c.lacks()))
		return Unknown
	case client.fin >= 0 || server.fin >= 0:
		return HalfClosed
	case !client.spoke && !server.spoke && c.started != fromSYN:
		r.Confidence = Guess
		c.remark("the file shows too little of it")
		return Unknown
	}
	return Open
}

// lacks is the end whose last numbers are not in the file, though the other
// end acknowledged them; nobody where there is none.
func (c *conn) lacks() Who {
	for x := range c.ends {
		if e, o := &c.ends[x], &c.ends[1-x]; e.fin < 0 && e.heard && (e.jumped > 0 || e.nxt > 0 && o.latest > e.nxt) {
			return who(x)
		}
	}
	return ""
}

// closeOf is the kind of a close by two FINs.
func (c *conn) closeOf() Ended {
	switch {
	case c.crossed:
		return Simultaneous
	case c.firstAck == ackWithFIN:
		return ThreeWay
	}
	return FourWay
}

// timedOut tells the RST of an end that asked and was not answered, whether it
// arrives or not.
func (c *conn) timedOut(r *Connection) bool {
	for x := range c.ends {
		if e := &c.ends[x]; e.rst != nil && e.rst.Why == Timeout {
			r.Reset = e.rst
			c.endBegins(e.rstAt - c.lastData)
			return true
		}
	}
	return false
}

// lonelyRST tells a RST that an end sent to give the connection up, and that
// never arrived: the sender is done, whatever the other believes.
func (c *conn) lonelyRST(r *Connection) bool {
	for x := range c.ends {
		e := &c.ends[x]
		if e.rst == nil || e.rst.By == Middlebox || c.closed || c.windowSide >= 0 || !c.unheardRST(x) {
			continue
		}
		r.Reset = e.rst
		r.Confidence = Inferred
		c.endBegins(e.rstAt - c.lastData)
		return true
	}
	return false
}

// unheardRST reports whether the RST of an end was lost, as far as the file
// says it.
func (c *conn) unheardRST(x int) bool {
	for _, name := range c.lost {
		if name == string(who(x))+".RST" {
			return true
		}
	}
	return false
}

// givenUp is the end that repeated without an answer until the capture ended,
// or -1.
func (c *conn) givenUp(r *Connection) int {
	for x := range c.ends {
		e := &c.ends[x]
		if !c.ends[1-x].heard && !e.spoke && e.state == tcp.SynSent {
			continue // that is unanswered
		}
		n := e.stuck
		if e.asked >= 2 {
			n = max(n, e.asked)
		}
		if n == 0 || e.stuck > 0 && e.acked >= e.nxt && e.asked < 2 {
			continue
		}
		answered := e.heardAt > e.stuckAt
		if n < 2 && (answered || e.stuck == 0) || answered && n < 3 {
			continue
		}
		if alone := c.oneSided(); alone >= 0 && (n < 3 || e.backoff.doubled+1 < e.backoff.n) {
			continue // its other end may well have answered, beside the capture
		}
		if n == 1 {
			r.Confidence = Inferred
		}
		return x
	}
	return -1
}

// keptAlive reports whether what had no answer is keep-alives alone.
func (c *conn) keptAlive() bool {
	for x := range c.ends {
		if e := &c.ends[x]; e.asked > 0 && e.keepalive > 0 && e.probes == 0 {
			return true
		}
	}
	return false
}

// closedFirst is whose FIN came first.
func (c *conn) closedFirst(r *Connection) {
	switch {
	case c.oneSided() >= 0 || r.Ended == Unknown: // there may have been one before
	case c.crossed && !c.resetBefore(c.lastFINAt):
		r.ClosedFirst = Both
	case c.firstFIN >= 0 && !c.resetBefore(c.finAt[c.firstFIN]):
		r.ClosedFirst = who(int(c.firstFIN))
	}
}

// resetBefore reports whether the connection had been reset by then.
func (c *conn) resetBefore(at int64) bool { return c.reset != nil && c.resetAt < at }

// times fills in how long things took.
func (c *conn) times(r *Connection) {
	if c.firstFIN >= 0 && !c.resetBefore(c.finAt[c.firstFIN]) {
		from, until := c.finAt[c.firstFIN], c.finAt[1-c.firstFIN]
		switch {
		case until >= 0 && !c.resetBefore(until):
		case c.reset != nil:
			until = c.resetAt
		default:
			until = c.end
		}
		ms := max(0, until-from) / 1e6
		r.HalfClosed = &ms
	}
	if c.idle >= 0 {
		ms := c.idle / 1e6
		r.Idle = &ms
	}
}

// belief is the state that an end is in as far as the file tells.
func (c *conn) belief(x int) StateName {
	e, o := &c.ends[x], &c.ends[1-x]
	if !e.heard {
		return ""
	}
	// Whether the other end's FIN or SYN-ACK reached it cannot be told where
	// that is repeated in vain.
	inVain := o.fin >= 0 && o.acked <= o.fin && e.fin < 0 || e.state == tcp.Established && !e.spoke
	if inVain && o.stuck > 0 && !c.fates {
		return ""
	}
	if o.rst != nil && o.rst.Why == Timeout && !c.fates {
		return "" // nor whether the RST of who had no answer reached it
	}
	return stateName(e.state)
}

// explainRST notes a RST that did not end the connection.
func (c *conn) explainRST() {
	if c.windowSide >= 0 {
		c.remark(c.windowRST + ": stacks that follow RFC 5961 challenge it, older ones are reset, and nothing follows that would tell")
	}
}

// remarks notes what a reader should know beside the end.
func (c *conn) remarks(r *Connection) {
	if len(c.notes) > notesKept {
		c.remark("more of the like is not noted")
	}
	if c.started == fromMiddle {
		c.remark("the capture begins in the middle of this connection: who opened it is taken from its port numbers")
	}
	if c.started == fromSYNACK {
		c.remark("the SYN is not in the file")
	}
	if alone := c.oneSided(); alone >= 0 {
		c.remark(fmt.Sprintf("one-sided: nothing that the %s sent is in the file, so loss and answers cannot be told", who(alone)))
	}
	if c.missed > 1 {
		c.remark(fmt.Sprintf("%d RSTs missed in all", c.missed))
	}
	if c.more > 0 {
		c.remark(fmt.Sprintf("%d more repeats are not listed", c.more))
	}
	for x := range c.ends {
		e := &c.ends[x]
		name := string(who(x))
		if e.keepalive > 0 {
			text := fmt.Sprintf("%s of the %s", record.Count(e.keepalive, "keep-alive"), name)
			switch {
			case e.asked > 0:
				text += fmt.Sprintf(", the last %d without an answer", e.asked)
			default:
				text += ", answered"
			}
			c.remark(text)
		}
		if e.zeros > 0 {
			text := fmt.Sprintf("the window of the %s was 0 %s", name, times(e.zeros))
			if e.zero {
				text += ", and still is: its program does not read"
			}
			if o := &c.ends[1-x]; o.probes > 0 {
				text += fmt.Sprintf("; %s of the %s", record.Count(o.probes, "probe"), who(1-x))
			}
			c.remark(text)
		}
		if text := e.backoff.text(name); text != "" {
			c.remark(text)
		}
	}
	if c.firstFIN >= 0 && c.reset == nil {
		second := 1 - int(c.firstFIN)
		if e := &c.ends[second]; e.fin >= 0 && c.ends[1-second].ack <= e.fin && c.ends[1-second].heard {
			c.remark("the last ACK is not in the file")
		}
	}
	if c.idle >= 0 {
		for _, text := range knownTimeouts(time.Duration(c.idle), r) {
			c.remark("for comparison: " + text)
		}
	}
	if c.broken {
		c.remark("some segments have TCP options that are cut short or lie about their length")
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// text says what the intervals between the last repeats look like.
func (b *backoff) text(name string) string {
	switch {
	case b.n < 2:
		return ""
	case b.doubled == b.n-1:
		return fmt.Sprintf("the repeats of the %s come at doubling intervals, from %s on: its kernel's retransmission timeout", name, short(b.first))
	case b.even == b.n-1:
		return fmt.Sprintf("the repeats of the %s come every %s", name, short(b.last))
	}
	return ""
}

// short is a time as people read it.
func short(ns int64) string {
	d := time.Duration(ns)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}
