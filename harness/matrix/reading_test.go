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

// story writes a record segment by segment, one each millisecond, with relative
// numbers.
type story struct {
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

func newStory(t *testing.T) *story {
	names := map[netip.Addr]string{clientEnd.Addr(): peer, serverEnd.Addr(): subject}
	return &story{t: t, run: record.Run{Verdict: record.Pass, Started: time.Now()}, tracker: flow.NewTracker(func(a netip.Addr) string { return names[a] })}
}

// then adds a segment: from the client, from the server, or forged in the client's
// name.
func (s *story) then(who, flags string, seq, ack int64, length int) *story {
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
		s.tracker.Arrive(&parsed, &g.Sighting)
	}
	s.tracker.Deliver(&parsed, &g.Sighting)
	g.Sighting.Detach()
	s.run.Segments = append(s.run.Segments, g)
	return s
}

// established is a connection with 100 bytes each way.
func established(t *testing.T) *story {
	return newStory(t).then(peer, "S", 0, 0, 0).then(subject, "S.", 0, 1, 0).then(peer, ".", 1, 1, 0).
		then(subject, "P.", 1, 1, 100).then(peer, "P.", 1, 101, 100).then(subject, ".", 101, 101, 0)
}

func TestReading(t *testing.T) {
	lives := harness.Reading{State: tcp.Established}
	gone := harness.Reading{State: tcp.Closed}
	for name, c := range map[string]struct {
		cell   string
		told   *story
		notes  notes
		fenced bool
		one    bool // one connection is told of, though the program would be asked on three
		change func(*record.Run)

		want  Cell // Verdict, Why's beginning, Answers, StateAfter, Timer, ExpiresMS
		again bool
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
			cell: "CLOSING silence", fenced: true, one: true,
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
			told: newStory(t).then(peer, "S", 0, 0, 0).then(subject, "S.", 0, 1, 0).then("forged", "R", 1, 0, 0).
				then("forged", ".", -49, 0, 1).then(subject, "R", 0, 0, 0),
			notes: notes{behind: gone, fenced: gone, listens: true},
			want:  Cell{Verdict: record.Pass, Answers: []Answer{}, StateAfter: "LISTEN"},
		},
		"the fence overtook a delayed ACK": {
			cell: "FIN_WAIT_2/orphan fin", fenced: true,
			told:  established(t).then("forged", "F.", 101, 102, 0).then("forged", ".", 51, 102, 1).then(subject, ".", 102, 102, 0),
			notes: notes{behind: lives, fenced: lives}, again: true,
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
			if c.one {
				s.Descriptor = false
			}
			p := plan{state: s, arrival: a, ip: 4, fenced: c.fenced}
			r := &c.told.run
			if c.change != nil {
				c.change(r)
			}
			c.notes.until = r.Started.Add(time.Hour)
			got, again := p.result(r, []notes{c.notes})
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

// TestPlaysMustAgree: three plays of a cell are three witnesses, and each question
// was asked on one of them.
func TestPlaysMustAgree(t *testing.T) {
	s, a := both(t, "ESTABLISHED", "rst-exact")
	p := plan{state: s, arrival: a, ip: 4, fenced: true}
	told := established(t).then("forged", "R", 101, 0, 0).then("forged", ".", 51, 101, 1).then(subject, "R", 101, 0, 0)
	gone := harness.Reading{State: tcp.Closed}
	all := []notes{{behind: gone, fenced: gone, soError: "ECONNRESET"}, {behind: gone, fenced: gone}, {behind: gone, fenced: gone}}
	for conn := 2; conn <= 3; conn++ { // the same once more, as other connections
		for _, g := range told.run.Segments[:9] {
			g.Conn = conn
			told.run.Segments = append(told.run.Segments, g)
		}
	}
	told.run.Calls = []record.Call{
		{Host: subject, Name: "write", Result: 100}, {Host: peer, Name: "recv", Result: 100},
		{Host: subject, Name: "recv", Result: -1, Errno: "ECONNRESET"}, {Host: subject, Name: "write", Result: -1, Errno: "EPIPE"},
	}
	c, _ := p.result(&told.run, all)
	if c.Verdict != record.Pass || optional(c.SOError) != "ECONNRESET" || optional(c.Read) != "ECONNRESET" || optional(c.Write) != "EPIPE" || c.Departs {
		t.Errorf("%+v", c)
	}
	all[2].behind.Timer = "keepalive"
	c, _ = p.result(&told.run, all)
	if c.Verdict != record.Inconclusive || !strings.Contains(c.Why, "do not agree") {
		t.Errorf("with another timer in one play: %s %s", c.Verdict, c.Why)
	}
}
