package check

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// taped makes records as a wire would have, segment by segment.
type taped struct {
	t       *testing.T
	tracker *flow.Tracker
	run     *record.Run
	next    map[int][2]tcp.Seq
}

var (
	clientAddr = netip.MustParseAddr("192.0.2.1")
	serverAddr = netip.MustParseAddr("192.0.2.2")
)

func tape(t *testing.T) *taped {
	hosts := map[netip.Addr]string{clientAddr: Client, serverAddr: Server}
	return &taped{
		t: t, tracker: flow.NewTracker(func(a netip.Addr) string { return hosts[a] }),
		run: &record.Run{Scenario: "taped", IP: 4, Verdict: record.Pass}, next: map[int][2]tcp.Seq{},
	}
}

// send enters one segment of a connection; from is 0 for the client. fate is empty for
// one that was delivered.
func (w *taped) send(conn, from int, flags tcp.Flags, data string, fate record.Fate) *record.Segment {
	w.t.Helper()
	next := w.next[conn]
	src, dst := netip.AddrPortFrom(clientAddr, uint16(4000+conn)), netip.AddrPortFrom(serverAddr, 8080)
	if from == 1 {
		src, dst = dst, src
	}
	h := tcp.Header{
		Src: src, Dst: dst, SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2},
		Seq: next[from], Flags: flags, Window: 60000, Payload: []byte(data),
	}
	if flags.Has(tcp.ACK) {
		h.Ack = next[1-from]
	}
	frame, err := h.Frame()
	if err != nil {
		w.t.Fatal(err)
	}
	var seg tcp.Segment
	if err := seg.Parse(frame); err != nil {
		w.t.Fatal(err)
	}
	s := record.Segment{T: time.Duration(len(w.run.Segments)) * time.Millisecond, Flags: flags, Len: len(data), Fate: record.Delivered, Frame: frame}
	w.tracker.Arrive(0, &seg, &s.Sighting)
	if fate == "" {
		w.tracker.Deliver(0, &seg, &s.Sighting)
		s.Departures = []record.Departure{{Due: s.T, T: s.T, To: s.To}}
	} else {
		s.Fate = fate
	}
	next[from] = next[from].Add(seg.SeqLen())
	w.next[conn] = next
	s.Sighting.Detach()
	w.run.Segments = append(w.run.Segments, s)
	return &w.run.Segments[len(w.run.Segments)-1]
}

const (
	syn  = tcp.SYN
	ack  = tcp.ACK
	push = tcp.PSH | tcp.ACK
	fin  = tcp.FIN | tcp.ACK
	rst  = tcp.RST | tcp.ACK
)

func (w *taped) handshake(conn int) {
	w.send(conn, 0, syn, "", "")
	w.send(conn, 1, syn|ack, "", "")
	w.send(conn, 0, ack, "", "")
}

// dialogue is a request and an answer in two segments, closed by the server.
func (w *taped) dialogue(conn int, request string) {
	w.handshake(conn)
	w.send(conn, 0, push, request, "")
	w.send(conn, 1, ack, "", "")
	w.send(conn, 1, push, "0123456789", "")
	w.send(conn, 1, push, "abcdef", "")
	w.send(conn, 0, ack, "", "")
	w.send(conn, 1, fin, "", "")
	w.send(conn, 0, fin, "", "")
	w.send(conn, 1, ack, "", "")
}

// ended enters how the programs ended.
func (w *taped) ended(exit int, out string) *record.Run {
	w.run.Duration = time.Second
	w.run.Programs = []record.Program{
		{Host: Server, Argv: []string{"./srv"}, End: -1},
		{Host: Client, Argv: []string{"./cli"}, T: 0, End: 100 * time.Millisecond, Exit: exit, Stdout: []byte(out), StdoutSize: int64(len(out))},
	}
	return w.run
}
