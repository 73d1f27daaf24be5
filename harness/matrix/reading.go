package matrix

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// plan is one cell that has a meaning, and how it is played.
type plan struct {
	state   *State
	arrival *Arrival
	ip      int
	// fenced: an answer is told from silence by the fence. Without it the play
	// waits for an answer.
	fenced bool
	// apart: each question is asked in a lab of its own.
	apart bool
}

// Questions are asked of the program, each first and alone on a connection of its
// own.
const (
	askError = "so_error"
	askRead  = "read"
	askWrite = "write"
)

// parts are the plays that the cell takes. The program is asked where it has a
// descriptor, before the arrival and behind it; each connection is in the state,
// and each has an arrival of its own.
func (p *plan) parts() []*part {
	if !p.state.Descriptor || p.arrival.kind == act {
		return []*part{{}}
	}
	questions := []string{askError, askRead, askWrite}
	if !p.apart {
		return []*part{{questions: questions}}
	}
	var all []*part
	for _, q := range questions {
		all = append(all, &part{questions: []string{q}})
	}
	return all
}

// notes is what the play of a cell keeps beside the record, by connection.
type notes struct {
	// missed says that the state was not entered; "" where it was.
	missed string
	// entry is the reading before the arrival, at is when it was made.
	entry harness.Reading
	at    time.Time
	// behind is the reading after the arrival, and fenced the one after the fence.
	behind, fenced harness.Reading
	listens        bool      // the listener stands after the arrival
	until          time.Time // what comes from here on is no answer
	soError        string
}

// tale is what came of one connection of a cell.
type tale struct {
	answers   []Answer
	after     string
	timer     string
	expires   int64
	overtaken bool   // the fence's answer acknowledged what nothing before it had
	why       string // empty, or why it says nothing
}

// same tells whether two connections of a cell say the same.
func (t *tale) same(o *tale) bool {
	return slices.Equal(t.answers, o.answers) && t.after == o.after && t.timer == o.timer
}

// String is what the connection says, in short.
func (t *tale) String() string {
	text := answersText(t.answers) + ", then " + t.after
	if t.timer != "" {
		text += " with the timer " + t.timer
	}
	return text
}

// again says how a cell must be played once more.
type again int

const (
	never        again = iota // it was read
	withoutFence              // the fence overtook a delayed ACK
	apart                     // its connections do not agree
)

// result reads the records of a cell, of which no part is an error of the harness.
func (p *plan) result(parts []*part) (c Cell, how again) {
	c = p.cell()
	for _, x := range parts {
		switch {
		case x.run.Verdict == record.Error:
			c.Verdict, c.Why = record.Error, x.run.Why
			return c, never
		case x.run.Verdict != record.Pass:
			return c.inconclusive(x.run.Why), never
		case len(x.notes) != max(len(x.questions), 1):
			c.Verdict, c.Why = record.Error, "the play left no readings"
			return c, never
		}
		if why := x.unfit(); why != "" {
			return c.inconclusive(why), never
		}
	}
	var first *tale
	for _, x := range parts {
		for i := range x.notes {
			t := p.tale(x.run, i+1, &x.notes[i])
			switch {
			case t.why != "":
				return c.inconclusive(t.why), never
			case t.overtaken:
				return c, withoutFence
			case first == nil:
				first = &t
			case !t.same(first):
				return c.inconclusive(fmt.Sprintf("connections in one state do not agree after one arrival: %s; and %s", first, &t)), apart
			}
		}
	}
	c.Verdict = record.Pass
	c.Answers, c.StateAfter, c.Timer, c.ExpiresMS = first.answers, first.after, first.timer, first.expires
	for _, x := range parts {
		for i, question := range x.questions {
			switch question {
			case askError:
				c.SOError = &x.notes[i].soError
			case askRead:
				c.Read = said(x.run, "recv")
			case askWrite:
				c.Write = said(x.run, "write")
			}
		}
	}
	want := asked(p.state, p.arrival)
	c.Departs = !want.met(&c)
	if c.Departs {
		c.Because = because(&c)
	}
	return c, never
}

// unfit says why a play that came to its end says nothing; "" where it does.
func (x *part) unfit() string {
	for _, n := range x.run.Counters {
		if n.Host == subject && n.Name == "TcpExt.LockDroppedIcmps" {
			return "the kernel dropped the ICMP error because a program held the socket's lock"
		}
	}
	for i := range x.notes {
		if x.notes[i].missed != "" {
			return x.notes[i].missed
		}
	}
	return ""
}

// cell is the cell before anything is known of it.
func (p *plan) cell() Cell {
	a := asked(p.state, p.arrival)
	return Cell{State: p.state.Name, Arrival: p.arrival.Name, IP: p.ip, Answers: []Answer{}, RFC: a.text}
}

func (c Cell) inconclusive(why string) Cell {
	c.Verdict, c.Why = record.Inconclusive, why
	return c
}

// said is what the last call of that name returned on the subject.
func said(r *record.Run, name string) *string {
	for _, c := range slices.Backward(r.Calls) {
		if c.Host == subject && c.Name == name {
			text := c.Errno
			if text == "" {
				text = fmt.Sprint(c.Result)
			}
			return &text
		}
	}
	return nil
}

// stray tells by a name that a segment answers what was no business of the
// connection's.
func stray(n flow.Name) bool { return n.Kind == flow.DUPACK || n.Kind == flow.CHALLENGEACK }

// tale reads what came of one connection.
func (p *plan) tale(r *record.Run, conn int, n *notes) tale {
	t := tale{answers: []Answer{}}
	begin, end, why := p.bounds(r, conn, n.until)
	if why != "" {
		t.why = why
		return t
	}
	for i := range r.Segments[:begin] {
		if s := &r.Segments[i]; !s.Other && s.Conn == conn && s.SentBy == subject && slices.ContainsFunc(s.Names.All(), stray) {
			t.why = "the subject had answered something else before, and may keep its answer to the arrival back (tcp_invalid_ratelimit)"
			return t
		}
	}
	base := bases(r, conn)
	if p.arrival.Name == noTimestamp && !base.timestamps {
		t.why = "the connection has no timestamps"
		return t
	}
	var acked int64 = p.state.R
	for i := begin; i < end; i++ {
		s := &r.Segments[i]
		if s.Other || s.Conn != conn || s.SentBy != subject || !p.answer(r, s, n) {
			continue
		}
		a, ack, err := base.answer(s)
		if err != nil {
			t.why = err.Error()
			return t
		}
		t.answers = append(t.answers, a)
		acked = max(acked, ack)
		if p.arrival.kind == silence {
			break // the timer has acted
		}
	}
	if p.fenced {
		reply, ack, err := p.reply(r, conn, end, base)
		if err != nil {
			t.why = err.Error()
			return t
		}
		t.overtaken = reply.Flags == "." && ack > acked
	}
	return t.with(p, n)
}

// with adds what the kernel said of the state.
func (t tale) with(p *plan, n *notes) tale {
	state := n.behind
	if p.fenced && n.fenced.State != n.behind.State {
		if p.arrival.kind != icmp { // of which no counter tells that it was taken in
			t.why = fmt.Sprintf("the state was %s after the arrival and %s after the fence", n.behind.State, n.fenced.State)
			return t
		}
		state = n.fenced
	}
	t.after, t.timer, t.expires = stateText(state), state.Timer, state.Expires.Milliseconds()
	if state.State == tcp.Closed && n.listens && (p.state.Is == tcp.Listen || p.state.Is == tcp.SynRecv) {
		t.after = tcp.Listen.String()
	}
	return t
}

// stateText is the name of a state, with what an orphan's has behind it.
func stateText(r harness.Reading) string {
	if r.Orphan {
		return r.State.String() + orphaned
	}
	return r.State.String()
}

// bounds are the indices of segments between which the answers lie.
func (p *plan) bounds(r *record.Run, conn int, until time.Time) (begin, end int, why string) {
	var marks []int
	for i := range r.Segments {
		if s := &r.Segments[i]; s.Forged && s.Conn == conn {
			marks = append(marks, i)
		}
	}
	end = since(r, until.Sub(r.Started))
	if p.fenced {
		if len(marks) == 0 {
			return 0, 0, "the fence was not sent"
		}
		end, marks = marks[len(marks)-1], marks[:len(marks)-1]
	}
	switch p.arrival.kind {
	case forged, icmp:
		if len(marks) != 1 {
			return 0, 0, "the arrival was not sent"
		}
		return marks[0] + 1, end, ""
	case act:
		for _, c := range slices.Backward(r.Calls) {
			if c.Host == subject && c.Name == p.arrival.Name {
				return min(since(r, c.T), end), end, ""
			}
		}
		return 0, 0, "the program did nothing"
	}
	return 0, end, ""
}

// since is the index of the first segment from a moment on.
func since(r *record.Run, t time.Duration) int {
	if i := slices.IndexFunc(r.Segments, func(s record.Segment) bool { return s.T >= t }); i >= 0 {
		return i
	}
	return len(r.Segments)
}

// answer tells whether a segment of the subject is one. What a full socket sends
// again it sends by a timer, and that is the answer to silence alone. A request
// sends its SYN-ACK again when it is asked to, or when its timer was due.
func (p *plan) answer(r *record.Run, s *record.Segment, n *notes) bool {
	switch repeat := repeated(s); {
	case p.arrival.kind == silence:
		// A FIN may have been repeated before the state was there: before it was
		// acknowledged, and before the peer's came.
		return repeat && p.state.U < p.state.N && (s.Flags.Has(tcp.SYN) || s.Flags.Has(tcp.FIN) && s.Ack == p.state.R)
	case !repeat:
		return true
	}
	due := n.at.Add(n.entry.Expires).Sub(r.Started)
	return p.state.Is == tcp.SynRecv && s.Flags.Has(tcp.SYN) && s.T < due
}

// repeated tells whether a segment was sent before. The SYN-ACK of a simultaneous
// open has the number of the SYN, and is no repeat of it.
func repeated(s *record.Segment) bool {
	return s.RepeatOnly && !(s.Flags.Has(tcp.SYN|tcp.ACK) && s.Names.Main().Copy == 1)
}

// reply is what the fence was answered with.
func (p *plan) reply(r *record.Run, conn, fence int, base numbers) (a Answer, ack int64, err error) {
	for i := fence + 1; i < len(r.Segments); i++ {
		if s := &r.Segments[i]; !s.Other && s.Conn == conn && s.SentBy == subject && !repeated(s) {
			return base.answer(s)
		}
	}
	return a, 0, errors.New("the fence was not answered")
}

// numbers are the first numbers of both ends of a connection; 0 where an end has
// sent none.
type numbers struct {
	subject, peer tcp.Seq
	timestamps    bool
	opened        tcp.Seq // the number of a SYN that arrived
}

func bases(r *record.Run, conn int) (b numbers) {
	var known [2]bool
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Conn != conn || !s.Flags.Has(tcp.SYN) {
			continue
		}
		var parsed tcp.Segment
		if parsed.Parse(s.Frame) != nil {
			continue
		}
		switch {
		case s.Forged:
			b.opened = parsed.Seq
		case s.SentBy == subject && !known[0]:
			b.subject, known[0] = parsed.Seq, true
			b.timestamps = parsed.Options.Timestamps
		case s.SentBy == peer && !known[1]:
			b.peer, known[1] = parsed.Seq, true
		}
	}
	return b
}

// answer is a segment of the subject in relative numbers, and what it
// acknowledges of the stream that was there before. What is a SYN itself is 0, and
// acknowledges the SYN that came; and so is the absolute 0 of a RST to a segment
// without ACK.
func (b numbers) answer(s *record.Segment) (a Answer, ack int64, err error) {
	var parsed tcp.Segment
	if err := parsed.Parse(s.Frame); err != nil {
		return a, 0, fmt.Errorf("read answer %s: %w", s.Name(), err)
	}
	a = Answer{Flags: s.Flags.String(), Len: s.Len, Seq: int64(parsed.Seq.Diff(b.subject))}
	if s.Flags.Has(tcp.ACK) {
		ack = int64(parsed.Ack.Diff(b.peer))
		a.Ack = ack
	}
	switch {
	case s.Flags.Has(tcp.SYN):
		a.Seq = 0
		if s.Flags.Has(tcp.ACK) && b.opened != 0 {
			a.Ack = int64(parsed.Ack.Diff(b.opened))
		}
	case s.Flags.Has(tcp.RST|tcp.ACK) && parsed.Seq == 0:
		a.Seq = 0
	}
	return a, ack, nil
}
