package inject

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Port is one end of the wire: what is known of the host behind it.
type Port struct {
	Host  string
	Addrs []netip.Addr
	MAC   net.HardwareAddr
}

// Fate is what became of a segment.
type Fate string

// The fates. A segment that is still held has none.
const (
	FateDelivered Fate = "delivered"
	FateDropped   Fate = "dropped"
	FateInjected  Fate = "injected"
)

// Passage is one segment's way through the wire.
type Passage struct {
	// Index counts passages from 0 where the engine keeps a log.
	Index int
	// T is when it arrived, on the engine's clock.
	T time.Duration
	// Port is the index of the port where it came in; -1 for what a rule made.
	Port int
	flow.Sighting
	Segment tcp.Segment
	// Other marks what is not TCP and passes unseen by rules.
	Other bool
	Fate  Fate
	// Rule is the rule that acted on it; nil where none did.
	Rule *Armed
	// Rewritten is the frame that leaves in the segment's place; nil where no
	// rule changed it.
	Rewritten []byte
	// Departures are kept in the order in which they left.
	Departures []Departure

	delivered bool // in the book
}

// Departure is one time that a segment left the wire.
type Departure struct {
	Due, T time.Duration
	Port   int
}

// Armed is a rule that stands in an engine.
type Armed struct {
	Rule
	// Hits is how often it fired.
	Hits int
	// Unreleased counts segments whose condition never came.
	Unreleased int
	off        bool
}

// Text is what conditions and reports call the rule.
func (a *Armed) Text() string {
	if a.Name != "" {
		return a.Name
	}
	return a.String()
}

// Spent reports whether the rule will not fire again.
func (a *Armed) Spent() bool {
	return a.off || !a.Always && a.Hits >= max(a.Times, 1)
}

// Watch is a condition that somebody waits for.
type Watch struct {
	Condition Condition
	Met       bool
	// T is when it was met.
	T     time.Duration
	since time.Duration
}

// Emission is a frame that must leave the wire now.
type Emission struct {
	Frame []byte
	Port  int
	// Due is when it should leave.
	Due     time.Duration
	Passage *Passage
}

// Reading is one observation of a connection's end in a kernel.
type Reading struct {
	Conn  int
	Host  string
	State tcp.State
}

// Engine decides. It is a function of its calls: the same calls give the same
// emissions. It is not safe for concurrent use.
//
// After each call that may free a frame (Arrive, Tick, Note…, Arm, Release)
// the caller takes emissions with Next until there is none, sends each, and
// says so with Left.
type Engine struct {
	ports   []Port
	byAddr  map[netip.Addr]string
	flow    *flow.Tracker
	rules   []*Armed
	pending []pending // held or delayed, in order of arrival
	watches []*Watch
	queue   []queued
	next    int // of queue

	graves map[int]*grave // by connection: what a rule has ended there

	keep    bool
	log     []*Passage
	scratch Passage

	states   map[Reading]bool
	exited   map[program]bool
	returned map[[2]string]bool
	listens  map[listener]bool
	off      map[int]bool // ports that nothing passes any more
}

// program is the nth of a host; 0 is any.
type program struct {
	host string
	nth  int
}

type listener struct {
	host string
	port uint16
}

// pending is a segment that waits in the wire.
type pending struct {
	passage *Passage
	rule    *Armed
	watch   *Watch        // Hold
	at      time.Duration // when it leaves at the latest; 0: no bound
}

// queued is an emission, or a forgery that is made when its turn comes: its
// numbers are those of that moment.
type queued struct {
	Emission
	forgery *forging
}

// NewEngine makes an engine between ports. keepLog says whether every passage
// is kept with its bytes, for a record; without it a segment that no rule
// looks at costs no memory.
func NewEngine(ports []Port, keepLog bool) *Engine {
	e := &Engine{
		ports: ports, keep: keepLog, byAddr: map[netip.Addr]string{},
		states: map[Reading]bool{}, exited: map[program]bool{}, returned: map[[2]string]bool{}, listens: map[listener]bool{},
		off: map[int]bool{}, graves: map[int]*grave{},
	}
	for _, p := range ports {
		for _, a := range p.Addrs {
			if e.byAddr[a] == "" { // of several hosts with one address, names of ends mean the first
				e.byAddr[a] = p.Host
			}
		}
	}
	e.flow = flow.NewTracker(func(a netip.Addr) string { return e.byAddr[a] })
	return e
}

// Particular tells whether something asks for single segments: a record, or a
// rule that may still fire.
func (e *Engine) Particular() bool {
	if e.keep || len(e.graves) > 0 || e.waiting() {
		return true
	}
	for _, r := range e.rules {
		if !r.Spent() {
			return true
		}
	}
	return false
}

// Flow is the engine's view of the connections.
func (e *Engine) Flow() *flow.Tracker { return e.flow }

// Log is every passage so far, where the engine keeps a log.
func (e *Engine) Log() []*Passage { return e.log }

// Rules are the armed rules in order.
func (e *Engine) Rules() []*Armed { return e.rules }

// Hosts are the names of the hosts at the ports.
func (e *Engine) Hosts() []string {
	var names []string
	for _, p := range e.ports {
		names = append(names, p.Host)
	}
	return names
}

// Arm adds a rule behind those that stand. The first rule that matches acts.
// The error is a *flow.SyntaxError for a host that the lab does not have.
func (e *Engine) Arm(r Rule) (*Armed, error) {
	if err := r.Check(e.Hosts()); err != nil {
		return nil, err
	}
	for _, p := range r.Match.Patterns() {
		if p.FromEnd() {
			return nil, fmt.Errorf("arm %s: a byte counted from the turn's end must be resolved by a fault-free play first", r)
		}
	}
	if r.Action.Verb == Cut && r.Action.Keep < 0 {
		return nil, fmt.Errorf("arm %s: all but the last byte must be resolved by a fault-free play first", r)
	}
	a := &Armed{Rule: r}
	e.rules = append(e.rules, a)
	return a, nil
}

// Disarm ends a rule: it fires no more, what it holds goes on, and what it has
// silenced is heard again.
func (e *Engine) Disarm(a *Armed, now time.Duration) {
	a.off = true
	for conn, g := range e.graves {
		if g.rule == a {
			delete(e.graves, conn)
		}
	}
	e.free(now, func(p *pending) bool { return p.rule == a })
}

// Watch begins to wait for a condition, which may be true already.
func (e *Engine) Watch(c Condition, now time.Duration) (*Watch, error) {
	if err := c.Check(e.Hosts()); err != nil {
		return nil, err
	}
	if c.Kind == Next {
		return nil, errors.New("await next: it is next to a segment that is held, so only hold can wait for it")
	}
	w := &Watch{Condition: c, since: now}
	e.look(w, now)
	if !w.Met {
		e.watches = append(e.watches, w)
	}
	return w, nil
}

// Unwatch ends a wait that its asker gave up.
func (e *Engine) Unwatch(w *Watch) {
	e.watches = slices.DeleteFunc(e.watches, func(o *Watch) bool { return o == w })
}

// look decides a condition by what has happened so far.
func (e *Engine) look(w *Watch, now time.Duration) {
	c := &w.Condition
	met := false
	switch c.Kind {
	case Seen, Delivered:
		for _, p := range e.log {
			if !p.Other && (c.Kind == Seen || p.delivered) && c.Match.Matches(&p.Segment, &p.Sighting) {
				met = true
				break
			}
		}
	case InState:
		met = e.states[Reading{max(c.Conn, 1), c.Host, c.State}]
	case Fired:
		for _, r := range e.rules {
			met = met || r.Hits > 0 && r.Text() == c.Rule
		}
	case Exited:
		met = e.exited[program{c.Host, c.Nth}]
	case Returned:
		met = e.returned[[2]string{c.Host, c.Call}]
	case Listening:
		met = e.listens[listener{c.Host, c.Port}]
	case After:
		met = now >= w.since+c.D
	}
	if met {
		w.Met, w.T = true, now
	}
}

// Arrive takes a frame that came in at a port. The engine copies what it keeps
// beyond the next call; the frame itself is the caller's again once the
// emissions are taken.
func (e *Engine) Arrive(now time.Duration, port int, frame []byte) *Passage {
	p := &e.scratch
	if e.keep {
		p = &Passage{}
		frame = slices.Clone(frame)
	}
	departures := p.Departures[:0]
	*p = Passage{T: now, Port: port, Index: -1, Departures: departures}
	if e.keep {
		p.Index = len(e.log)
		e.log = append(e.log, p)
	}
	if e.off[port] {
		p.Other, p.Fate = true, FateDropped
		return p
	}
	if p.Segment.Parse(frame) != nil {
		p.Other = true
		e.send(p, now)
		return p
	}
	host := e.ports[port].Host
	source := p.Segment.Src.Addr()
	if p.Segment.ICMP != nil {
		source = p.Segment.ICMP.From
	}
	if slices.Contains(e.ports[port].Addrs, source) {
		e.flow.Arrive(now, &p.Segment, &p.Sighting)
		p.From, p.SentBy = host, host // by the port: two hosts may have one address
	} else {
		e.flow.Forge(&p.Segment, host, &p.Sighting)
	}
	grave := e.graves[p.Conn]
	buried := grave != nil && grave.catches(p)
	rule := (*Armed)(nil)
	if !buried {
		rule = e.ruleFor(p)
	}
	if rule != nil {
		rule.Hits++
		p.Rule = rule
	}
	if e.waiting() {
		e.met(now, func(c *Condition) bool {
			return c.Kind == Seen && c.Match.Matches(&p.Segment, &p.Sighting) ||
				rule != nil && c.Kind == Fired && c.Rule == rule.Text()
		})
	}
	switch {
	case buried:
		e.bury(p, grave, now)
	case rule == nil:
		e.send(p, now)
	default:
		e.act(p, rule, now)
	}
	return p
}

func (e *Engine) ruleFor(p *Passage) *Armed {
	for _, r := range e.rules {
		if !r.Spent() && r.Match.Matches(&p.Segment, &p.Sighting) && e.applies(p, r) {
			return r
		}
	}
	return nil
}

// applies asks of a segment that matches what only its action can know.
func (e *Engine) applies(p *Passage, r *Armed) bool {
	switch r.Action.Verb {
	case Cut:
		return e.reaches(p, r)
	case Rewrite:
		_, err := e.edited(p, r)
		return err == nil
	}
	return true
}

func (e *Engine) act(p *Passage, rule *Armed, now time.Duration) {
	switch rule.Action.Verb {
	case Drop:
		p.Fate = FateDropped
	case Delay:
		e.wait(p, pending{rule: rule, at: now + rule.Action.For})
	case Hold:
		w := &Watch{Condition: rule.Action.Until, since: now}
		e.look(w, now)
		if w.Met {
			e.send(p, now)
			return
		}
		at := time.Duration(0)
		if rule.Action.AtMost > 0 {
			at = now + rule.Action.AtMost
		}
		e.wait(p, pending{rule: rule, watch: w, at: at})
	case Duplicate:
		e.duplicate(p, rule, now)
	case Rewrite:
		e.rewrite(p, rule, now)
	case Forge:
		e.forge(p, rule, now)
	case Cut:
		e.cut(p, rule, now)
	case Silence, Forget:
		g := &grave{rule: rule, to: rule.Action.To, answer: rule.Action.Answer}
		e.graves[p.Conn] = g
		if g.catches(p) {
			e.bury(p, g, now)
			return
		}
		e.send(p, now)
	}
}

// wait keeps a passage in the wire.
func (e *Engine) wait(p *Passage, w pending) {
	if !e.keep {
		kept := *p
		kept.Segment = tcp.Segment{}
		if err := kept.Segment.Parse(slices.Clone(p.Segment.Frame)); err != nil {
			return // it parsed a moment ago
		}
		kept.Departures = nil
		p = &kept
	}
	w.passage = p
	e.pending = append(e.pending, w)
}

// send queues a passage for the port of its destination, or for every other
// port where the frame is for all.
func (e *Engine) send(p *Passage, due time.Duration) {
	frame := p.Segment.Frame
	if p.Rewritten != nil {
		frame = p.Rewritten
	}
	if p.Fate == "" {
		p.Fate = FateDelivered
	}
	if len(frame) < 6 {
		return
	}
	group, taken := frame[0]&1 != 0, false
	for i := range e.ports {
		if i == p.Port || e.off[i] {
			continue
		}
		if group || slices.Equal(e.ports[i].MAC, frame[:6]) {
			e.queue = append(e.queue, queued{Emission: Emission{Frame: frame, Port: i, Due: due, Passage: p}})
			taken = true
		}
	}
	if !taken && p.Fate == FateDelivered && !p.delivered {
		p.Fate = FateDropped // nobody is there: the host is off, or was never
	}
}

// Next is the next frame that must leave now. It enters it into the book of
// what was delivered, which may free others.
func (e *Engine) Next(now time.Duration) (Emission, bool) {
	if e.next == len(e.queue) {
		e.queue, e.next = e.queue[:0], 0
		return Emission{}, false
	}
	q := e.queue[e.next]
	e.next++
	if q.forgery != nil && !e.craft(&q, now) {
		return e.Next(now)
	}
	em := q.Emission
	p := em.Passage
	if !p.Other {
		p.delivered = true
		e.deliver(p, now)
		if e.waiting() {
			e.met(now, func(c *Condition) bool {
				return c.Kind == Delivered && c.Match.Matches(&p.Segment, &p.Sighting)
			})
			e.free(now, func(w *pending) bool {
				return w.watch != nil && w.watch.Condition.Kind == Next && w.passage != p &&
					w.passage.Conn == p.Conn && w.passage.SentBy == p.SentBy
			})
		}
	}
	return em, true
}

// deliver enters what leaves into the book: the bytes as they leave.
func (e *Engine) deliver(p *Passage, now time.Duration) {
	if p.Rewritten == nil {
		e.flow.Deliver(now, &p.Segment, &p.Sighting)
		return
	}
	var out tcp.Segment
	if out.Parse(p.Rewritten) == nil {
		e.flow.Deliver(now, &out, &p.Sighting)
	}
}

// Left says when an emission left.
func (e *Engine) Left(em *Emission, t time.Duration) {
	if e.keep {
		em.Passage.Departures = append(em.Passage.Departures, Departure{Due: em.Due, T: t, Port: em.Port})
	}
}

// Deadline is when Tick must be called next; false where nothing waits for a time.
func (e *Engine) Deadline() (time.Duration, bool) {
	var at time.Duration
	found := false
	sooner := func(t time.Duration) {
		if !found || t < at {
			at, found = t, true
		}
	}
	for i := range e.pending {
		p := &e.pending[i]
		if p.at > 0 {
			sooner(p.at)
		}
		if p.watch != nil && p.watch.Condition.Kind == After {
			sooner(p.watch.since + p.watch.Condition.D)
		}
	}
	for _, w := range e.watches {
		if w.Condition.Kind == After {
			sooner(w.since + w.Condition.D)
		}
	}
	return at, found
}

// Tick lets go what is due by now.
func (e *Engine) Tick(now time.Duration) {
	due := func(p *pending) (time.Duration, bool) {
		if p.at > 0 && now >= p.at {
			return p.at, true
		}
		if p.watch != nil && p.watch.Condition.Kind == After && now >= p.watch.since+p.watch.Condition.D {
			return p.watch.since + p.watch.Condition.D, true
		}
		return 0, false
	}
	var ready []pending
	e.pending = slices.DeleteFunc(e.pending, func(p pending) bool {
		_, ok := due(&p)
		if ok {
			ready = append(ready, p)
		}
		return ok
	})
	slices.SortStableFunc(ready, func(a, b pending) int {
		x, _ := due(&a)
		y, _ := due(&b)
		return int(x - y)
	})
	for i := range ready {
		at, _ := due(&ready[i])
		e.send(ready[i].passage, at)
	}
	e.met(now, func(c *Condition) bool { return false })
}

// waiting tells whether anything waits, so that the common case pays nothing.
func (e *Engine) waiting() bool { return len(e.watches)+len(e.pending) > 0 }

// met looks through what waits after something happened; happened says whether
// a condition asked for just that.
func (e *Engine) met(now time.Duration, happened func(*Condition) bool) {
	if len(e.watches) > 0 {
		e.watches = slices.DeleteFunc(e.watches, func(w *Watch) bool {
			if happened(&w.Condition) || w.Condition.Kind == After && now >= w.since+w.Condition.D {
				w.Met, w.T = true, now
			}
			return w.Met
		})
	}
	if len(e.pending) > 0 {
		e.free(now, func(p *pending) bool { return p.watch != nil && happened(&p.watch.Condition) })
	}
}

// free lets pending segments go on, in the order in which they came, or in the
// reverse where their rule says so.
func (e *Engine) free(now time.Duration, which func(*pending) bool) {
	var reversed []*Passage
	e.pending = slices.DeleteFunc(e.pending, func(p pending) bool {
		if !which(&p) {
			return false
		}
		if p.rule.Action.Reversed {
			reversed = append(reversed, p.passage)
			return true
		}
		e.send(p.passage, now)
		return true
	})
	for _, p := range slices.Backward(reversed) {
		e.send(p, now)
	}
}

// NoteState tells in which state a kernel's connection was seen.
func (e *Engine) NoteState(now time.Duration, r Reading) {
	if e.states[r] {
		return
	}
	e.states[r] = true
	e.met(now, func(c *Condition) bool {
		return c.Kind == InState && c.Host == r.Host && c.State == r.State && max(c.Conn, 1) == r.Conn
	})
}

// NoteExit tells that a program of a host has ended: the nth that was started.
func (e *Engine) NoteExit(now time.Duration, host string, nth int) {
	e.exited[program{host, 0}], e.exited[program{host, nth}] = true, true
	e.met(now, func(c *Condition) bool {
		return c.Kind == Exited && c.Host == host && (c.Nth == 0 || c.Nth == nth)
	})
}

// NoteReturn tells that a system call of a host's peer has returned.
func (e *Engine) NoteReturn(now time.Duration, host, call string) {
	e.returned[[2]string{host, call}] = true
	e.met(now, func(c *Condition) bool { return c.Kind == Returned && c.Host == host && c.Call == call })
}

// NoteListening tells that a program of a host listens on a port.
func (e *Engine) NoteListening(now time.Duration, host string, port uint16) {
	e.listens[listener{host, port}] = true
	e.met(now, func(c *Condition) bool { return c.Kind == Listening && c.Host == host && c.Port == port })
}

// Asked calls visit with each condition that waits for something that no
// segment tells: the caller must look at the kernels again and again.
func (e *Engine) Asked(visit func(*Condition)) {
	ask := func(w *Watch) {
		if w != nil && (w.Condition.Kind == InState || w.Condition.Kind == Listening) {
			visit(&w.Condition)
		}
	}
	for _, w := range e.watches {
		ask(w)
	}
	for i := range e.pending {
		ask(e.pending[i].watch)
	}
}

// Silence ends a port: nothing is taken from it and nothing handed to it from
// now on. What a rule holds or delays left the port before, and goes on as the
// rule says.
func (e *Engine) Silence(port int) {
	e.off[port] = true
	e.queue = slices.DeleteFunc(e.queue[e.next:], func(q queued) bool { return q.forgery == nil && q.Port == port })
	e.next = 0
}

// Attach lets a silenced port pass frames again.
func (e *Engine) Attach(port int) { delete(e.off, port) }

// Release lets go everything that still waits, at the end of a play. What a
// Hold kept is counted in its rule's Unreleased.
func (e *Engine) Release(now time.Duration) {
	for i := range e.pending {
		if e.pending[i].watch != nil {
			e.pending[i].rule.Unreleased++
		}
	}
	e.free(now, func(*pending) bool { return true })
}
