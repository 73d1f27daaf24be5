package analyze

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/lastack/lastack/inject/capture"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// wire is a wire.pcapng of lastack: each segment stands in it once, as it came
// in, and its comment says what became of it. Read without the comments it
// would show segments that never arrived as delivered.
//
// Such files are those of a run, and small. One is read whole, since when a
// segment left is told by the clock of the run, whose zero follows from all of
// them.
type wire struct {
	events []wireEvent
	next   int
}

// wireEvent is a segment that came to the wire, or one that left it.
type wireEvent struct {
	at      int64
	segment *wireSegment
	leaves  bool
}

// wireSegment is a segment of the wire.
type wireSegment struct {
	at       int64
	comment  string
	fate     fate
	left     []int64 // on the run's clock
	arrived  tcp.Segment
	leaving  *tcp.Segment // rewritten, or as it came
	sighting flow.Sighting
	conn     *conn
	handle   int    // of the connection then
	number   uint32 // of its step
}

// isWire recognises the file by the descriptions of its interfaces.
func isWire(sources []capture.Source) bool {
	return slices.ContainsFunc(sources, func(s capture.Source) bool { return strings.HasPrefix(s.Description, "what came in from ") })
}

// readWire reads the rest of the file. first is its first packet.
func (f *captureFile) readWire(first *capture.Packet) error {
	f.wire = &wire{}
	var segments []*wireSegment
	byComment := map[string]*wireSegment{}
	for p := first; p != nil; {
		w := &wireSegment{at: p.Time.UnixNano()}
		own := capture.Packet{Interface: p.Interface, Time: p.Time, Data: bytes.Clone(p.Data), Length: p.Length, Direction: p.Direction}
		if len(p.Comments) > 0 {
			w.comment = p.Comments[0]
		}
		if f.decode(&own, &w.arrived) {
			if rest, ok := strings.CutPrefix(w.comment, "rewritten: "); ok {
				if o := byComment[rest]; o != nil {
					o.leaving = &w.arrived
				}
			} else {
				w.leaving = &w.arrived
				w.readComment()
				segments = append(segments, w)
				byComment[w.comment] = w
			}
		}
		var err error
		if p, err = f.next(); err != nil {
			return err
		}
	}
	f.wire.arrange(segments)
	f.at, f.ended = f.wire.peek()
	return nil
}

// readComment reads NAME; FATE[; rule: RULE][; left for HOST at T s]…
func (w *wireSegment) readComment() {
	name, rest, _ := strings.Cut(w.comment, "; ")
	w.fate = passed
	for part := range strings.SplitSeq(rest, "; ") {
		if part == "dropped" {
			w.fate = dropped
		}
		_, at, ok := strings.Cut(part, " at ")
		if !ok || !strings.HasPrefix(part, "left for ") {
			continue
		}
		if s, err := strconv.ParseFloat(strings.TrimSuffix(at, " s"), 64); err == nil {
			w.left = append(w.left, int64(math.Round(s*1e9)))
		}
	}
	if _, kind, ok := strings.Cut(name, ":"); ok {
		name = kind
	}
	if strings.HasPrefix(name, flow.Forged+".") {
		w.fate = forged
	} else if w.fate == passed && len(w.left) == 0 {
		w.fate = pending
	}
}

// arrange puts what came and what left in the order of time. The run began at
// the latest moment from which on nothing left before it came.
func (w *wire) arrange(segments []*wireSegment) {
	began := int64(math.MinInt64)
	for _, s := range segments {
		for _, left := range s.left {
			began = max(began, s.at-left)
		}
	}
	for _, s := range segments {
		w.events = append(w.events, wireEvent{s.at, s, false})
		for _, left := range s.left {
			w.events = append(w.events, wireEvent{max(s.at, began+left), s, true})
		}
	}
	slices.SortStableFunc(w.events, func(a, b wireEvent) int { return cmp.Compare(a.at, b.at) })
}

func (w *wire) peek() (at int64, ended bool) {
	if w.next == len(w.events) {
		return 0, true
	}
	return w.events[w.next].at, false
}

// apply hands the next event to the table.
func (w *wire) apply(t *table) {
	e := w.events[w.next]
	w.next++
	s := e.segment
	switch {
	case !e.leaves && s.fate == forged:
		s.conn = t.forge(&s.arrived, &s.sighting, e.at)
	case !e.leaves:
		s.conn = t.arrive(&s.arrived, &s.sighting, e.at)
	case s.conn != nil && s.conn.handle == s.handle:
		var none step
		st := s.conn.steps.find(s.number)
		if st == nil {
			st = &none
		}
		st.fate = s.fate
		t.deliver(s.conn, s.leaving, &s.sighting, e.at, st)
		// Since it came its sender may have gone on.
		receiver := 1 - side(&s.sighting)
		st.states[receiver] = s.conn.ends[receiver].state
		t.schedule(s.conn)
	}
	if e.leaves || s.conn == nil {
		return
	}
	c := s.conn
	s.handle = c.handle
	c.fates = true
	st := c.steps.draft()
	c.sent(st, &s.arrived, &s.sighting, e.at, s.fate)
	if s.fate == passed {
		st.fate = pending // until it leaves
	}
	s.number = st.number
	c.settle(st)
	c.steps.keep()
	if s.fate == dropped && s.arrived.ICMP == nil {
		c.lost = append(c.lost, name(&s.sighting))
	}
	t.schedule(c)
}

// forge takes a segment that the wire or an attacker made; nil where it
// belongs to no connection.
func (t *table) forge(seg *tcp.Segment, s *flow.Sighting, at int64) *conn {
	t.advance(at)
	if !t.flow.Forge(seg, "wire", s) {
		t.strays++
		return nil
	}
	c := open(s.Connection())
	if c == nil {
		return nil
	}
	t.packets++
	if t.filter != nil {
		t.matches(c, seg, s)
	}
	return c
}
