package inject

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// out is a segment as it left the wire.
type out struct {
	Name  string
	To    string
	Flags tcp.Flags
	Seq   int // relative to its stream's SYN
	Ack   int // relative; -1 without ACK
	Len   int
}

// leave takes what leaves the wire, byte by byte as it leaves.
func (b *bench) leave() []out {
	b.t.Helper()
	var list []out
	for {
		em, ok := b.engine.Next(b.now)
		if !ok {
			return list
		}
		b.engine.Left(&em, b.now)
		var s tcp.Segment
		if err := s.Parse(em.Frame); err != nil {
			b.t.Fatal(err)
		}
		if !s.ChecksumOK() {
			b.t.Errorf("%s left with a wrong checksum", em.Passage.Text(em.Passage.Names.Main()))
		}
		from := 0
		if s.Src == serverEnd {
			from = 1
		}
		o := out{Name: em.Passage.Text(em.Passage.Names.Main()), To: b.engine.Hosts()[em.Port], Flags: s.Flags, Seq: s.Seq.Diff(b.isn[from]), Ack: -1, Len: s.Len}
		if s.Flags.Has(tcp.ACK) {
			o.Ack = s.Ack.Diff(b.isn[1-from])
		}
		if s.ICMP != nil {
			o = out{Name: o.Name, To: o.To, Ack: -1}
		}
		list = append(list, o)
	}
}

func (b *bench) arrive(from int, flags tcp.Flags, seq, ack, n int) []out {
	b.t.Helper()
	b.enter(from, flags, seq, ack, n)
	return b.leave()
}

const (
	fin  = tcp.FIN | tcp.ACK
	push = tcp.PSH | tcp.ACK
)

func TestActions(t *testing.T) {
	type step struct {
		from        int
		flags       tcp.Flags
		seq, ack, n int
		want        []out
	}
	for name, test := range map[string]struct {
		rule  string
		steps []step
		hits  int
	}{
		"duplicate": {"duplicate(2) client.FIN", []step{
			{0, fin, 1, 1, 0, []out{
				{"client.FIN", "server", fin, 1, 1, 0}, {"client.FIN", "server", fin, 1, 1, 0}, {"client.FIN", "server", fin, 1, 1, 0},
			}},
		}, 1},
		"hold, reversed": {"hold(reversed) client.DATA until client.FIN always", []step{
			{0, push, 1, 1, 10, nil},
			{0, push, 11, 1, 10, nil},
			{0, fin, 21, 1, 0, []out{
				{"client.DATA@1[10:20]", "server", push, 11, 1, 10}, {"client.DATA@1", "server", push, 1, 1, 10}, {"client.FIN", "server", fin, 21, 1, 0},
			}},
		}, 2},
		"rewrite": {"rewrite(seq+=100, flags=R., win=7) client.FIN", []step{
			{0, fin, 1, 1, 0, []out{{"client.FIN", "server", tcp.RST | tcp.ACK, 101, 1, 0}}},
		}, 1},
		"rewrite to the receiver's numbers": {"rewrite(seq=RCV.NXT+RCV.WND+10, ack=SND.UNA-1) client.FIN", []step{
			{0, fin, 1, 1, 0, []out{{"client.FIN", "server", fin, 1 + 1000 + 10, 0, 0}}},
		}, 1},
		"rewrite what is not there": {"rewrite(tsval-=5) client.FIN", []step{
			{0, fin, 1, 1, 0, []out{{"client.FIN", "server", fin, 1, 1, 0}}},
		}, 0},
		"forge before": {"forge(before, R) client.DATA", []step{
			{0, push, 1, 1, 10, []out{{"forged.RST(client)", "server", tcp.RST, 1, -1, 0}, {"client.DATA@1", "server", push, 1, 1, 10}}},
		}, 1},
		"forge after counts what was delivered": {"forge(after, F.) client.DATA", []step{
			{0, push, 1, 1, 10, []out{{"client.DATA@1", "server", push, 1, 1, 10}, {"forged.FIN(client)", "server", fin, 11, 1, 0}}},
		}, 1},
		"forge instead, to the sender": {"forge(instead, R, to=client, seq=RCV.NXT+5) client.DATA", []step{
			{0, push, 1, 1, 10, []out{{"forged.RST(server)", "client", tcp.RST, 1 + 5, -1, 0}}},
		}, 1},
		"forge data": {"forge(after, P., len=3, seq=RCV.NXT-2, ack=SND.UNA) client.DATA", []step{
			{0, push, 1, 1, 10, []out{{"client.DATA@1", "server", push, 1, 1, 10}, {"forged.DATA(client)", "server", push, 9, 1, 3}}},
		}, 1},
		"forge to both ends": {"forge(instead, R., ack=SND.NXT, to=both) client.DATA", []step{
			{0, push, 1, 1, 10, []out{
				{"forged.RST(client)", "server", tcp.RST | tcp.ACK, 1, 1, 0}, {"forged.RST(server)", "client", tcp.RST | tcp.ACK, 1, 11, 0},
			}},
			{0, push, 1, 1, 10, []out{{"client.DATA@1#2", "server", push, 1, 1, 10}}},
		}, 1},
		"forge a RST that ends all": {"forge(before, R, to=client, ends) client.DATA", []step{
			{0, push, 1, 1, 10, []out{{"forged.RST(server)", "client", tcp.RST, 1, -1, 0}, {"client.DATA@1", "server", push, 1, 1, 10}}},
			{1, push, 1, 11, 10, []out{{"forged.RST(client)", "server", tcp.RST, 11, -1, 0}}},
		}, 1},
		"forge a FIN that ends all": {"forge(instead, F., ends) server.DATA", []step{
			{1, push, 1, 1, 10, []out{{"forged.FIN(server)", "client", fin, 1, 1, 0}}},
			{0, fin, 1, 2, 0, []out{{"forged.ACK(server)", "client", tcp.ACK, 2, 2, 0}}},
			{1, push, 1, 1, 10, []out{{"forged.RST(client)", "server", tcp.RST, 1, -1, 0}}},
		}, 1},
		"hold until the next has left": {"hold client.DATA until next", []step{
			{0, push, 1, 1, 10, nil},
			{1, push, 1, 1, 10, []out{{"server.DATA@1", "client", push, 1, 1, 10}}},
			{0, push, 11, 1, 10, []out{{"client.DATA@2", "server", push, 11, 1, 10}, {"client.DATA@1", "server", push, 1, 1, 10}}},
		}, 1},
		"hold until its own copy, where nothing else comes": {"hold client.FIN until next", []step{
			{0, fin, 1, 1, 0, nil},
			{0, fin, 1, 1, 0, []out{{"client.FIN#2", "server", fin, 1, 1, 0}, {"client.FIN", "server", fin, 1, 1, 0}}},
		}, 1},
		"forge ICMP": {"forge(instead, icmp host-unreachable) client.DATA", []step{
			{0, push, 1, 1, 10, []out{{"forged.ICMP(server)", "client", 0, 0, -1, 0}}},
		}, 1},
		"cut within a segment": {"cut(12, fin) server.DATA@1", []step{
			{1, push, 1, 1, 10, []out{{"server.DATA@1", "client", push, 1, 1, 10}}},
			{1, push, 11, 1, 10, []out{{"server.DATA@1[10:20]", "client", push, 11, 1, 2}, {"forged.FIN(server)", "client", fin, 13, 1, 0}}},
			// The wire speaks for both dead ends from now on.
			{0, tcp.ACK, 1, 14, 0, nil},
			{0, fin, 1, 14, 0, []out{{"forged.ACK(server)", "client", tcp.ACK, 14, 2, 0}}},
			{1, push, 21, 1, 10, []out{{"forged.RST(client)", "server", tcp.RST, 1, -1, 0}}},
		}, 1},
		"cut at a border": {"cut(10, rst) server.DATA@1", []step{
			{1, push, 1, 1, 10, []out{{"server.DATA@1", "client", push, 1, 1, 10}, {"forged.RST(server)", "client", tcp.RST | tcp.ACK, 11, 1, 0}}},
		}, 1},
		"cut everything": {"cut(0, fin) server.DATA", []step{
			{1, push, 1, 1, 10, []out{{"forged.FIN(server)", "client", fin, 1, 1, 0}}},
		}, 1},
		"cut the second turn": {"cut(1, fin) server.DATA@2", []step{
			{1, push, 1, 1, 10, []out{{"server.DATA@1", "client", push, 1, 1, 10}}},
			{0, push, 1, 11, 5, []out{{"client.DATA@1", "server", push, 1, 11, 5}}},
			{1, push, 11, 6, 10, []out{{"server.DATA@2", "client", push, 11, 6, 1}, {"forged.FIN(server)", "client", fin, 12, 6, 0}}},
		}, 1},
		"cut more than there is": {"cut(500, fin) server.DATA@1", []step{
			{1, push, 1, 1, 10, []out{{"server.DATA@1", "client", push, 1, 1, 10}}},
			{1, fin, 11, 1, 0, []out{{"server.FIN", "client", fin, 11, 1, 0}}},
		}, 0},
		"silence one way": {"silence(to-server) client.DATA@1", []step{
			{0, push, 1, 1, 10, nil},
			{1, push, 1, 1, 10, []out{{"server.DATA@1", "client", push, 1, 1, 10}}},
			{0, tcp.ACK, 11, 11, 0, nil},
		}, 1},
		"silence begins behind what travels the other way": {"silence(to-server) server.DATA@1", []step{
			{1, push, 1, 1, 10, []out{{"server.DATA@1", "client", push, 1, 1, 10}}},
			{0, tcp.ACK, 1, 11, 0, nil},
		}, 1},
		"silence both": {"silence(both) client.DATA@1", []step{
			{0, push, 1, 1, 10, nil},
			{1, push, 1, 1, 10, nil},
		}, 1},
		"forget": {"forget client.DATA@1", []step{
			{0, push, 1, 1, 10, nil},
			{1, push, 1, 1, 10, nil},
		}, 1},
		"forget and answer": {"forget(rst) client.DATA@1", []step{
			{0, push, 1, 1, 10, []out{{"forged.RST(server)", "client", tcp.RST, 1, -1, 0}}},
			{1, tcp.RST, 1, 0, 0, nil},
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, test.rule)
			b.handshake()
			for i, s := range test.steps {
				got := b.arrive(s.from, s.flags, s.seq, s.ack, s.n)
				if d := cmp.Diff(s.want, got); d != "" {
					t.Errorf("step %d: left the wire (-want +got):\n%s", i+1, d)
				}
			}
			if got := b.engine.Rules()[0].Hits; got != test.hits {
				t.Errorf("the rule fired %d times, want %d", got, test.hits)
			}
		})
	}
}

func TestDuplicateLater(t *testing.T) {
	b := newBench(t, "duplicate(1, 50ms) client.FIN")
	b.handshake()
	b.want(b.send(0, fin, 1, 1, 0), "client.FIN")
	b.now = 50 * time.Millisecond
	b.engine.Tick(b.now)
	b.want(b.left(), "client.FIN")
	if n := len(b.engine.Log()[3].Departures); n != 2 {
		t.Errorf("%d departures, want 2", n)
	}
}

func TestDisarmEndsSilence(t *testing.T) {
	b := newBench(t, "silence(both) client.DATA@1")
	b.handshake()
	b.want(b.send(0, push, 1, 1, 10))
	b.engine.Disarm(b.engine.Rules()[0], b.now)
	b.want(b.send(0, push, 1, 1, 10), "client.DATA@1#2")
}

func TestInject(t *testing.T) {
	b := newBench(t)
	b.handshake()
	in := func(f Forgery, want ...out) {
		t.Helper()
		if !b.engine.Inject(1, f, b.now) {
			t.Fatal("Inject says that there is no such connection")
		}
		if d := cmp.Diff(want, b.leave()); d != "" {
			t.Errorf("left the wire (-want +got):\n%s", d)
		}
	}
	in(Forgery{To: "server", Flags: tcp.RST, Seq: &Number{Base: "RCV.NXT", Offset: 10}}, out{"forged.RST(client)", "server", tcp.RST, 11, -1, 0})
	in(Forgery{To: "client", Flags: tcp.ACK, Ack: &Number{Base: "SND.NXT", Offset: 1000}}, out{"forged.ACK(server)", "client", tcp.ACK, 1, 1001, 0})
	in(Forgery{To: "server", ICMP: tcp.PortUnreachable}, out{"forged.ICMP(client)", "server", 0, 0, -1, 0})
	if b.engine.Inject(2, Forgery{To: "server", Flags: tcp.RST}, b.now) {
		t.Error("Inject takes a connection that is not there")
	}
}

// The option of a forged segment is the claimed sender's, an hour older, or an
// hour newer; it counts modulo 2^32.
func TestForgedTimestamps(t *testing.T) {
	v := flow.Numbers{Timestamps: true, TSRecent: 1000, TSVal: 7}
	for age, want := range map[string]uint32{"": 1000, "old": 1<<32 + 1000 - 3_600_000, "new": 3_601_000} {
		got := timestamps(v, age)
		want := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte{1, 1, 8, 10}, want), 7)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("ts=%s (-want +got):\n%s", age, d)
		}
	}
}

// A blind attacker's segment comes in by another port: the flow calls it
// forged, and the victim's own book is not moved.
func TestAttackerIsForged(t *testing.T) {
	ports := append(testPorts(), Port{Host: "attacker", MAC: []byte{2, 0, 0, 0, 0, 66}})
	b := newBench(t)
	b.engine = NewEngine(ports, true)
	b.handshake()
	h := tcp.Header{Src: clientEnd, Dst: serverEnd, SrcMAC: ports[2].MAC, DstMAC: serverMAC, Seq: b.isn[0].Add(5), Flags: tcp.RST}
	frame, err := h.Frame()
	if err != nil {
		t.Fatal(err)
	}
	b.engine.Arrive(b.now, 2, frame)
	b.want(b.left(), "forged.RST(client)")
	last := b.engine.Log()[3]
	if last.SentBy != "attacker" || !last.Forged {
		t.Errorf("sent by %q, forged %v", last.SentBy, last.Forged)
	}
	b.want(b.send(1, tcp.ACK, 1, 1, 0), "server.CHALLENGE-ACK")
	b.want(b.send(0, push, 1, 1, 10), "client.DATA@1")
}

func FuzzMatch(f *testing.F) {
	for _, text := range []string{
		"client.FIN", "2:server.ACK(client.DATA@1[5])#3", `tcp.flags.fin && is("client.FIN")`, "client>server:client.DATA[-1]",
		"forged.RST(client)", "tcp.len > 5 or copy == 2", "((((", `is("`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMatch(text)
		if err != nil {
			return
		}
		b := newBench(t)
		b.send(0, tcp.SYN, 0, 0, 0)
		b.send(0, push, 1, 1, 5)
		for _, p := range b.engine.Log() {
			m.Matches(&p.Segment, &p.Sighting)
		}
	})
}

func FuzzRule(f *testing.F) {
	for _, text := range []string{"drop client.FIN always", "hold client.FIN until after 2s at most 5s", "forge(before, R., seq=RCV.NXT-RCV.WND) client.FIN 3 times", "cut(-1, rst) server.DATA@2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		again, err := ParseRule(r.String())
		if err != nil {
			t.Fatalf("%q prints %q, which does not parse: %v", text, r, err)
		}
		if again.String() != r.String() {
			t.Errorf("%q prints %q, which prints %q", text, r, again)
		}
	})
}
