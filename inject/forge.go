package inject

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// forging is a segment that is to be made.
type forging struct {
	rule    *Armed
	forgery Forgery
	conn    int
	to      string // the host that gets it
	at      time.Duration
	quoted  *tcp.Segment // for ICMP
	seq     *tcp.Seq     // where it is known already
	ack     *tcp.Seq
}

// grave is what a rule has ended on a connection.
type grave struct {
	rule   *Armed
	to     string // the host that hears nothing; empty: neither does
	answer bool   // with RST
	told   string // Cut: the host that was told of the end; empty elsewhere
	cut    bool
}

// catches tells whether a segment does not get through.
func (g *grave) catches(p *Passage) bool { return g.to == "" || g.to == p.To }

// bury drops what does not get through, and answers in the dead end's name
// where the rule says so.
func (e *Engine) bury(p *Passage, g *grave, now time.Duration) {
	p.Fate, p.Rule = FateDropped, g.rule
	if p.Forged || p.Segment.ICMP != nil || p.Segment.Flags.Has(tcp.RST) {
		return
	}
	switch {
	case g.cut && p.From == g.told && p.Segment.Flags.Has(tcp.FIN):
		ack := p.Segment.Seq.Add(p.Segment.SeqLen())
		e.queue = append(e.queue, queued{forgery: &forging{
			rule: g.rule, conn: p.Conn, to: p.From, at: now, ack: &ack, forgery: Forgery{Flags: tcp.ACK},
		}})
	case g.cut && p.Segment.Len > 0, g.answer && p.Segment.Flags.Has(tcp.ACK):
		seq := p.Segment.Ack // RFC 9293 §3.10.7.1
		e.queue = append(e.queue, queued{forgery: &forging{
			rule: g.rule, conn: p.Conn, to: p.From, at: now, seq: &seq, forgery: Forgery{Flags: tcp.RST, Timestamps: "none"},
		}})
	case g.answer:
		ack, zero := p.Segment.Seq.Add(p.Segment.SeqLen()), tcp.Seq(0)
		e.queue = append(e.queue, queued{forgery: &forging{
			rule: g.rule, conn: p.Conn, to: p.From, at: now, seq: &zero, ack: &ack, forgery: Forgery{Flags: tcp.RST | tcp.ACK, Timestamps: "none"},
		}})
	}
}

func (e *Engine) duplicate(p *Passage, rule *Armed, now time.Duration) {
	e.send(p, now)
	for range max(rule.Action.Copies, 1) {
		if rule.Action.For == 0 {
			e.send(p, now)
			continue
		}
		e.wait(p, pending{rule: rule, at: now + rule.Action.For})
	}
}

func (e *Engine) rewrite(p *Passage, rule *Armed, now time.Duration) {
	if frame, err := e.edited(p, rule); err == nil {
		p.Rewritten = frame
	}
	e.send(p, now)
}

// edited is the frame that leaves in a segment's place. The error says that it
// lacks what is to be changed, as timestamps: such a segment is not meant.
func (e *Engine) edited(p *Passage, rule *Armed) ([]byte, error) {
	conn := e.flow.Conn(p.Conn)
	if conn == nil {
		return nil, errors.New("rewrite segment: it belongs to no connection")
	}
	from, to := conn.EndOf(p.From), conn.EndOf(p.To)
	if from == nil || to == nil {
		return nil, errors.New("rewrite segment: an end of its connection is not known")
	}
	return rule.Action.Edit.apply(&p.Segment, conn.Numbers(to), from.Absolute(0), to.Absolute(0))
}

func (e *Engine) forge(p *Passage, rule *Armed, now time.Duration) {
	f := rule.Action.Forgery
	to := f.To
	if to == "" {
		to = p.To
		if f.ICMP != "" {
			to = p.From
		}
	}
	made := &forging{rule: rule, forgery: f, conn: p.Conn, to: to, at: now}
	if f.ICMP != "" {
		quoted := p.Segment
		quoted.Frame = slices.Clone(p.Segment.Frame)
		made.quoted = &quoted
	}
	all := []queued{{forgery: made}}
	if to == Both {
		other := *made
		made.to, other.to = p.To, p.From
		all = append(all, queued{forgery: &other})
	}
	if f.Place == Before {
		e.queue = append(e.queue, all...)
	}
	if f.Place == Instead {
		p.Fate = FateDropped
	} else {
		e.send(p, now)
	}
	if f.Place != Before {
		e.queue = append(e.queue, all...)
	}
	if f.Ends {
		e.graves[p.Conn] = &grave{rule: rule, told: to, cut: true}
	}
}

// Inject makes a segment, or an ICMP error, on a connection without waiting for
// one to match: to is the host that gets it, and Place does not count. An ICMP
// error quotes a segment of that host with the number Seq, which is SND.UNA
// where it is nil. It says false where the engine knows no such connection.
func (e *Engine) Inject(conn int, f Forgery, now time.Duration) bool {
	c := e.flow.Conn(conn)
	if c == nil || c.EndOf(f.To) == nil || e.portOf(f.To) < 0 {
		return false
	}
	made := &forging{forgery: f, conn: conn, to: f.To, at: now}
	if f.ICMP != "" {
		quoted, err := e.quote(c, c.EndOf(f.To), f.Seq)
		if err != nil {
			return false
		}
		made.quoted = quoted
	}
	e.queue = append(e.queue, queued{forgery: made})
	return true
}

// quote is a segment as an end would have sent it.
func (e *Engine) quote(c *flow.Conn, end *flow.End, seq *Number) (*tcp.Segment, error) {
	other := c.Other(end)
	v := c.Numbers(end)
	h := tcp.Header{
		Src: end.Addr, Dst: other.Addr, SrcMAC: e.macOf(end.Host), DstMAC: e.macOf(other.Host),
		Seq: v.SndUna, Ack: v.RcvNxt, Flags: tcp.ACK, Window: end.Window(),
	}
	if seq != nil {
		h.Seq = seq.in(v, end.Absolute(0))
	}
	frame, err := h.Frame()
	if err != nil {
		return nil, err
	}
	var s tcp.Segment
	if err := s.Parse(frame); err != nil {
		return nil, err
	}
	return &s, nil
}

// reaches tells whether a segment carries the last byte that a Cut lets pass,
// or one beyond it.
func (e *Engine) reaches(p *Passage, rule *Armed) bool {
	at, ok := e.cutAt(p, rule)
	if !ok {
		return false
	}
	return p.Seq+int64(p.Segment.Len) >= at
}

// cutAt is the position in the sender's stream before which a Cut ends it.
func (e *Engine) cutAt(p *Passage, rule *Armed) (int64, bool) {
	conn := e.flow.Conn(p.Conn)
	if conn == nil || p.Forged {
		return 0, false
	}
	begin, _, ok := conn.EndOf(p.From).Stream(rule.Match.pattern.Turn)
	return begin + rule.Action.Keep, ok
}

// cut lets pass what lies before the end, tells the receiver of it, and buries
// the connection.
func (e *Engine) cut(p *Passage, rule *Armed, now time.Duration) {
	at, _ := e.cutAt(p, rule)
	end := e.flow.Conn(p.Conn).EndOf(p.From).Absolute(at)
	keep := at - p.Seq
	switch {
	case keep <= 0:
		p.Fate = FateDropped
	case keep < int64(p.Segment.Len) || p.Segment.Flags.Has(tcp.FIN):
		flags := p.Segment.Flags &^ (tcp.FIN)
		edit := tcp.Edit{Flags: &flags, Payload: slices.Clone(p.Segment.Payload()[:keep])}
		frame, err := edit.Apply(&p.Segment)
		if err != nil {
			p.Fate = FateDropped
			break
		}
		p.Rewritten = frame
		e.send(p, now)
	default:
		e.send(p, now)
	}
	flags := rule.Action.Then | tcp.ACK
	e.queue = append(e.queue, queued{forgery: &forging{
		rule: rule, conn: p.Conn, to: p.To, at: now, seq: &end, forgery: Forgery{Flags: flags},
	}})
	e.graves[p.Conn] = &grave{rule: rule, told: p.To, cut: true}
}

// routers are where ICMP errors about more than a port come from.
var (
	router4 = netip.MustParseAddr("192.0.2.254")
	router6 = netip.MustParseAddr("2001:db8::fe")
)

// craft makes a forged segment whose turn has come. It says false where there
// is nobody to send it to.
func (e *Engine) craft(q *queued, now time.Duration) bool {
	f := q.forgery
	conn := e.flow.Conn(f.conn)
	port := e.portOf(f.to)
	if conn == nil || port < 0 || e.off[port] {
		return false
	}
	to := conn.EndOf(f.to)
	if to == nil {
		return false
	}
	frame, err := e.forgedFrame(f, conn, to)
	if err != nil {
		return false
	}
	p := &Passage{T: now, Port: -1, Index: -1, Fate: FateInjected, Rule: f.rule}
	if p.Segment.Parse(frame) != nil {
		return false
	}
	e.flow.Forge(&p.Segment, "wire", &p.Sighting)
	if e.keep {
		p.Index = len(e.log)
		e.log = append(e.log, p)
	}
	q.Emission = Emission{Frame: frame, Port: port, Due: f.at, Passage: p}
	if e.waiting() {
		e.met(now, func(c *Condition) bool {
			return c.Kind == Seen && c.Match.Matches(&p.Segment, &p.Sighting)
		})
	}
	return true
}

func (e *Engine) forgedFrame(f *forging, conn *flow.Conn, to *flow.End) ([]byte, error) {
	from := conn.Other(to)
	if f.forgery.ICMP != "" {
		router := from.Addr.Addr()
		if f.forgery.ICMP != tcp.PortUnreachable {
			router = router4
			if f.quoted.IsIPv6() {
				router = router6
			}
		}
		mtu := f.forgery.MTU
		if mtu == 0 {
			mtu = 1280
		}
		return f.quoted.Unreachable(f.forgery.ICMP, router, mtu)
	}
	v := conn.Numbers(to)
	h := tcp.Header{
		Src: from.Addr, Dst: to.Addr, SrcMAC: e.macOf(from.Host), DstMAC: e.macOf(to.Host),
		Seq: v.RcvNxt, Flags: f.forgery.Flags, Window: from.Window(), Payload: make([]byte, f.forgery.Len),
	}
	if f.forgery.Seq != nil {
		h.Seq = f.forgery.Seq.in(v, from.Absolute(0))
	}
	if f.seq != nil {
		h.Seq = *f.seq
	}
	if h.Flags.Has(tcp.ACK) {
		h.Ack = conn.Numbers(from).RcvNxt
		if f.forgery.Ack != nil {
			h.Ack = f.forgery.Ack.in(v, to.Absolute(0))
		}
		if f.ack != nil {
			h.Ack = *f.ack
		}
	}
	if f.forgery.Window != nil {
		h.Window = *f.forgery.Window
	}
	if f.forgery.MSS > 0 {
		h.Options = binary.BigEndian.AppendUint16([]byte{2, 4}, f.forgery.MSS)
	}
	if v.Timestamps && f.forgery.Timestamps != "none" {
		h.Options = append(h.Options, timestamps(v, f.forgery.Timestamps)...)
	}
	return h.Frame()
}

// hour is how far back an old timestamp lies, and how far ahead a new one, in
// the kernel's milliseconds: far beyond what reordering or waiting explains.
const hour = 3600 * 1000

// timestamps is the option as the claimed sender would write it, or with an old
// or a new value, padded as every stack pads it.
func timestamps(v flow.Numbers, age string) []byte {
	value := v.TSRecent
	switch age {
	case "old":
		value -= hour
	case "new":
		value += hour
	}
	o := []byte{1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(o[4:], value)
	binary.BigEndian.PutUint32(o[8:], v.TSVal)
	return o
}

func (e *Engine) portOf(host string) int {
	return slices.IndexFunc(e.ports, func(p Port) bool { return p.Host == host })
}

func (e *Engine) macOf(host string) []byte {
	if i := e.portOf(host); i >= 0 {
		return e.ports[i].MAC
	}
	return nil
}
