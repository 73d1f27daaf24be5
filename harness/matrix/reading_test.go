package matrix

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// script writes a record segment by segment, one each millisecond, with relative
// numbers.
type script struct {
	t       *testing.T
	run     record.Run
	tracker *flow.Tracker
}

// Where the numbers of both ends begin.
const (
	clientISN = 4_000_000_000 // so that numbers wrap
	serverISN = 5000
)

var (
	clientEnd = netip.MustParseAddrPort("192.0.2.1:40000")
	serverEnd = netip.MustParseAddrPort("192.0.2.2:8080")
)

func newScript(t *testing.T) *script {
	names := map[netip.Addr]string{clientEnd.Addr(): peer, serverEnd.Addr(): subject}
	return &script{t: t, run: record.Run{Verdict: record.Pass, Started: time.Now()}, tracker: flow.NewTracker(func(a netip.Addr) string { return names[a] })}
}

// then adds a segment: from the client, from the server, or forged in the client's
// name.
func (s *script) then(who, flags string, seq, ack int64, length int) *script {
	s.t.Helper()
	f, err := tcp.ParseFlags(flags)
	if err != nil {
		s.t.Fatal(err)
	}
	h := tcp.Header{Src: clientEnd, Dst: serverEnd, Seq: tcp.Seq(clientISN).Add(int(seq)), Flags: f, Window: 1000, Payload: make([]byte, length)}
	if f.Has(tcp.ACK) {
		h.Ack = tcp.Seq(serverISN).Add(int(ack))
	}
	if who == subject {
		h.Src, h.Dst, h.Seq = serverEnd, clientEnd, tcp.Seq(serverISN).Add(int(seq))
		if f.Has(tcp.RST) && f.Has(tcp.ACK) {
			h.Seq = 0 // as the kernel writes it
		}
		if f.Has(tcp.ACK) {
			h.Ack = tcp.Seq(clientISN).Add(int(ack))
		}
	}
	frame, err := h.Frame()
	if err != nil {
		s.t.Fatal(err)
	}
	var parsed tcp.Segment
	if err := parsed.Parse(frame); err != nil {
		s.t.Fatal(err)
	}
	g := record.Segment{T: time.Duration(len(s.run.Segments)) * time.Millisecond, Flags: f, Len: length, Frame: frame}
	if who == "forged" {
		s.tracker.Forge(&parsed, "wire", &g.Sighting)
	} else {
		s.tracker.Arrive(0, &parsed, &g.Sighting)
	}
	s.tracker.Deliver(0, &parsed, &g.Sighting)
	g.Sighting.Detach()
	s.run.Segments = append(s.run.Segments, g)
	return s
}

// established is a connection with 100 bytes each way.
func established(t *testing.T) *script {
	return newScript(t).then(peer, "S", 0, 0, 0).then(subject, "S.", 0, 1, 0).then(peer, ".", 1, 1, 0).
		then(subject, "P.", 1, 1, 100).then(peer, "P.", 1, 101, 100).then(subject, ".", 101, 101, 0)
}

func TestReading(t *testing.T) {
	lives := harness.Reading{State: tcp.Established}
	gone := harness.Reading{State: tcp.Closed}
	for name, c := range map[string]struct {
		cell   string
		told   *script
		notes  notes
		fenced bool
		change func(*record.Run)

		want  Cell // Verdict, Why's beginning, Answers, StateAfter, Timer, ExpiresMS
		again again
	}{
		"a challenge, and the fence's answer": {
			cell: "FIN_WAIT_1/orphan rst-in-window", fenced: true,
			told: established(t).then(subject, "F.", 101, 101, 0).
				then("forged", "R", 111, 0, 0).then(subject, ".", 102, 101, 0).then("forged", ".", 51, 101, 1).then(subject, ".", 102, 101, 0),
			notes: notes{behind: harness.Reading{State: tcp.FinWait1, Orphan: true, Timer: "retransmit", Expires: 1500 * time.Microsecond}, fenced: harness.Reading{State: tcp.FinWait1, Orphan: true}},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{{Flags: ".", Seq: 102, Ack: 101}}, StateAfter: "FIN_WAIT_1/orphan", Timer: "retransmit", ExpiresMS: 1},
		},
		"silence is the fence's answer alone": {
			cell: "TIME_WAIT rst-below", fenced: true,
			told:  established(t).then("forged", "R", 101, 0, 0).then("forged", ".", 52, 102, 1).then(subject, ".", 102, 102, 0),
			notes: notes{behind: harness.Reading{State: tcp.TimeWait}, fenced: harness.Reading{State: tcp.TimeWait}},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{}, StateAfter: "TIME_WAIT"},
		},
		"a repeat that a timer sent is no answer": {
			cell: "FIN_WAIT_1/orphan rst-below", fenced: true,
			told: established(t).then(subject, "F.", 101, 101, 0).
				then("forged", "R", 100, 0, 0).then(subject, "F.", 101, 101, 0).then("forged", ".", 51, 101, 1).then(subject, ".", 102, 101, 0),
			notes: notes{behind: harness.Reading{State: tcp.FinWait1}, fenced: harness.Reading{State: tcp.FinWait1}},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{}, StateAfter: "FIN_WAIT_1"},
		},
		"a repeat is the answer to silence": {
			cell: "FIN_WAIT_1/orphan silence", fenced: true,
			told: established(t).then(subject, "F.", 101, 101, 0).then(subject, "F.", 101, 101, 0).then(subject, "F.", 101, 101, 0).
				then("forged", ".", 51, 101, 1).then(subject, ".", 102, 101, 0),
			notes: notes{behind: harness.Reading{State: tcp.FinWait1}, fenced: harness.Reading{State: tcp.FinWait1}},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{{Flags: "F.", Seq: 101, Ack: 101}}, StateAfter: "FIN_WAIT_1"},
		},
		"a FIN that was repeated before the state was there": {
			cell: "CLOSING silence", fenced: true,
			told: established(t).then(subject, "F.", 101, 101, 0).then(subject, "F.", 101, 101, 0).then(peer, "F.", 101, 101, 0).
				then(subject, ".", 102, 102, 0).then(subject, "F.", 101, 102, 0).then("forged", ".", 52, 101, 1).then(subject, ".", 102, 102, 0),
			notes: notes{behind: harness.Reading{State: tcp.Closing}, fenced: harness.Reading{State: tcp.Closing}},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{{Flags: "F.", Seq: 101, Ack: 102}}, StateAfter: "CLOSING"},
		},
		"the fence was not answered": {
			cell: "TIME_WAIT rst-below", fenced: true,
			told:  established(t).then("forged", "R", 101, 0, 0).then("forged", ".", 52, 102, 1),
			notes: notes{behind: harness.Reading{State: tcp.TimeWait}, fenced: harness.Reading{State: tcp.TimeWait}},
			want:  Cell{Verdict: record.Inconclusive, Why: "the fence was not answered"},
		},
		"a RST to what has no ACK begins with 0": {
			cell: "FIN_WAIT_2/orphan syn-in-window", fenced: true,
			told: established(t).then("forged", "S", 111, 0, 0).then(subject, "R.", 0, 112, 0).
				then("forged", ".", 51, 102, 1).then(subject, "R", 102, 0, 0),
			notes: notes{behind: gone, fenced: gone},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{{Flags: "R.", Seq: 0, Ack: 112}}, StateAfter: "CLOSED"},
		},
		"a SYN-ACK begins anew": {
			cell: "TIME_WAIT syn-above", fenced: true,
			told: established(t).then("forged", "S", 200_000, 0, 0).then(subject, "S.", 70_000, 200_001, 0).
				then("forged", ".", 52, 102, 1).then(subject, "R", 102, 0, 0),
			notes: notes{behind: harness.Reading{State: tcp.SynRecv}, fenced: harness.Reading{State: tcp.SynRecv}},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{{Flags: "S.", Seq: 0, Ack: 1}}, StateAfter: "SYN_RECV"},
		},
		"a request that is gone leaves its listener": {
			cell: "SYN_RECV rst-exact", fenced: true,
			told: newScript(t).then(peer, "S", 0, 0, 0).then(subject, "S.", 0, 1, 0).then("forged", "R", 1, 0, 0).
				then("forged", ".", -49, 0, 1).then(subject, "R", 0, 0, 0),
			notes: notes{behind: gone, fenced: gone, listens: true},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{}, StateAfter: "LISTEN"},
		},
		"the fence overtook a delayed ACK": {
			cell: "FIN_WAIT_2/orphan fin", fenced: true,
			told:  established(t).then("forged", "F.", 101, 102, 0).then("forged", ".", 51, 102, 1).then(subject, ".", 102, 102, 0),
			notes: notes{behind: lives, fenced: lives}, again: withoutFence,
			want: Cell{Answers: []Answer{}},
		},
		"the state moved between arrival and fence": {
			cell: "TIME_WAIT rst-below", fenced: true,
			told:  established(t).then("forged", "R", 101, 0, 0).then("forged", ".", 52, 102, 1).then(subject, ".", 102, 102, 0),
			notes: notes{behind: harness.Reading{State: tcp.TimeWait}, fenced: gone},
			want:  Cell{Verdict: record.Inconclusive, Why: "the state was TIME_WAIT after the arrival and CLOSED"},
		},
		"what no timestamp is missed by": {
			cell: "TIME_WAIT no-timestamp", fenced: true,
			told:  established(t).then("forged", "P.", 102, 102, 10).then("forged", ".", 52, 102, 1).then(subject, ".", 102, 102, 0),
			notes: notes{behind: lives, fenced: lives},
			want:  Cell{Verdict: record.Inconclusive, Why: "the connection has no timestamps"},
		},
		"a dropped ICMP error": {
			cell: "TIME_WAIT icmp-port", fenced: true, told: established(t), notes: notes{},
			change: func(r *record.Run) {
				r.Counters = []record.Counter{{Host: subject, Name: "TcpExt.LockDroppedIcmps", Delta: 1}}
			},
			want: Cell{Verdict: record.Inconclusive, Why: "the kernel dropped the ICMP error"},
		},
		"a state that was not entered": {
			cell: "TIME_WAIT rst-below", told: established(t), notes: notes{missed: "the subject was in FIN_WAIT_2"},
			want: Cell{Verdict: record.Inconclusive, Why: "the subject was in FIN_WAIT_2"},
		},
		"an answer to something before": {
			cell: "TIME_WAIT rst-below",
			told: established(t).then(peer, "S", 0, 0, 0).then(subject, ".", 101, 101, 0).then("forged", "R", 101, 0, 0),
			want: Cell{Verdict: record.Inconclusive, Why: "the subject had answered something else before"},
		},
		"a play that ended early": {
			cell: "TIME_WAIT rst-below", told: established(t),
			change: func(r *record.Run) { r.Verdict, r.Why = record.Fail, "awaited client.FIN, which had not come" },
			want:   Cell{Verdict: record.Inconclusive, Why: "awaited client.FIN"},
		},
		"a harness that could not": {
			cell: "TIME_WAIT rst-below", told: established(t),
			change: func(r *record.Run) { r.Verdict, r.Why = record.Error, "no memory" },
			want:   Cell{Verdict: record.Error, Why: "no memory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			state, arrival, _ := strings.Cut(c.cell, " ")
			s, a := both(t, state, arrival)
			p := plan{state: s, arrival: a, ip: 4, fenced: c.fenced}
			r := &c.told.run
			if c.change != nil {
				c.change(r)
			}
			c.notes.until = r.Started.Add(time.Hour)
			got, again := p.result([]*part{{notes: []notes{c.notes}, run: r}})
			if !strings.HasPrefix(got.Why, c.want.Why) || (got.Why == "") != (c.want.Why == "") {
				t.Errorf("why: %q, want %q", got.Why, c.want.Why)
			}
			if c.want.Answers == nil {
				c.want.Answers = []Answer{}
			}
			small := Cell{Verdict: got.Verdict, Why: c.want.Why, Answers: got.Answers, StateAfter: got.StateAfter, Timer: got.Timer, ExpiresMS: got.ExpiresMS}
			if d := cmp.Diff(c.want, small); d != "" || again != c.again {
				t.Errorf("again: %v, want %v (-want +got):\n%s", again, c.again, d)
			}
		})
	}
}

// onceMore adds the connection of a record again, under another number.
func (s *script) onceMore(conn int) {
	for _, g := range s.run.Segments {
		if g.Conn == 1 {
			g.Conn = conn
			s.run.Segments = append(s.run.Segments, g)
		}
	}
}

// TestConnectionsMustAgree: three connections of a cell are three witnesses, and
// each question was asked on one of them, of one lab or of three.
func TestConnectionsMustAgree(t *testing.T) {
	s, a := both(t, "ESTABLISHED", "rst-exact")
	gone := harness.Reading{State: tcp.Closed}
	calls := []record.Call{
		{Host: subject, Name: "write", Result: 100}, {Host: peer, Name: "recv", Result: 100},
		{Host: subject, Name: "recv", Result: -1, Errno: "ECONNRESET"}, {Host: subject, Name: "write", Result: -1, Errno: "EPIPE"},
	}
	reset := func() *script {
		told := established(t).then("forged", "R", 101, 0, 0).then("forged", ".", 51, 101, 1).then(subject, "R", 101, 0, 0)
		told.run.Calls = calls
		return told
	}
	for _, separate := range []bool{false, true} {
		p := &plan{state: s, arrival: a, ip: 4, fenced: true, apart: separate}
		parts := p.parts()
		for _, x := range parts {
			told := reset()
			x.run = &told.run
			for i, question := range x.questions {
				n := notes{behind: gone, fenced: gone}
				if question == askError {
					n.soError = "ECONNRESET"
				}
				if x.notes = append(x.notes, n); i > 0 {
					told.onceMore(i + 1)
				}
			}
		}
		if want := map[bool]int{false: 1, true: 3}[separate]; len(parts) != want {
			t.Fatalf("apart %v: %d plays, want %d", separate, len(parts), want)
		}
		c, how := p.result(parts)
		if c.Verdict != record.Pass || how != never || optional(c.SOError) != "ECONNRESET" || optional(c.Read) != "ECONNRESET" || optional(c.Write) != "EPIPE" || c.Departs {
			t.Errorf("apart %v: %+v", separate, c)
		}
		last := parts[len(parts)-1]
		last.notes[len(last.notes)-1].behind.Timer = "keepalive"
		c, how = p.result(parts)
		if c.Verdict != record.Inconclusive || how != apart || !strings.HasSuffix(c.Why, "do not agree after one arrival: -, then CLOSED; and -, then CLOSED with the timer keepalive") {
			t.Errorf("apart %v, with another timer of one connection: %s %s", separate, c.Verdict, c.Why)
		}
	}
}

// TestWhoIsPlayedOnceMore: connections that do not agree are played apart where
// something was set, and once.
func TestWhoIsPlayedOnceMore(t *testing.T) {
	s, a := both(t, "ESTABLISHED", "rst-in-window")
	lives := harness.Reading{State: tcp.Established}
	for name, c := range map[string]struct {
		set   []harness.Sysctl
		apart bool
		want  bool
	}{
		"stock":                       {},
		"set":                         {set: []harness.Sysctl{{Key: "net.ipv4.tcp_challenge_ack_limit", Value: "1"}}, want: true},
		"set, and apart once already": {set: []harness.Sysctl{{Key: "net.ipv4.tcp_challenge_ack_limit", Value: "1"}}, apart: true},
	} {
		t.Run(name, func(t *testing.T) {
			told := established(t).then("forged", "R", 111, 0, 0).then("forged", ".", 51, 101, 1).then(subject, ".", 101, 101, 0)
			told.onceMore(2)
			told.onceMore(3)
			notes := []notes{{behind: lives, fenced: lives}, {behind: lives, fenced: lives}, {behind: lives, fenced: lives}}
			notes[1].behind.Timer = "keepalive"
			m := &player{options: Options{Sysctls: c.set}, document: new(Document), cells: map[key]Cell{}}
			p := &plan{state: s, arrival: a, ip: 4, fenced: true, apart: c.apart}
			m.ended(&playing{plan: p, parts: []*part{{questions: []string{askError, askRead, askWrite}, notes: notes, run: &told.run}}})
			if more := len(m.waiting) == 1 && m.waiting[0].apart && m.waiting[0].fenced && len(m.cells) == 0; more != c.want {
				t.Errorf("waiting: %+v, cells: %+v", m.waiting, m.cells)
			}
			for _, cell := range m.cells {
				if cell.Verdict != record.Inconclusive || !strings.Contains(cell.Why, "do not agree") {
					t.Errorf("%s: %s", cell.Verdict, cell.Why)
				}
			}
		})
	}
}

// TestRepro: a shell reads the command as it was typed.
func TestRepro(t *testing.T) {
	s, a := both(t, "FIN_WAIT_1/orphan", "data")
	p := &plan{state: s, arrival: a, ip: 6}
	const want = "lastack matrix --state FIN_WAIT_1/orphan --arrival data --ip 6 --set 'server:net.ipv4.tcp_rmem=1 2 3'"
	if got := p.repro([]harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_rmem", Value: "1 2 3"}}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
