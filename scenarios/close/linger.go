package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// LingerOff is close() without SO_LINGER: it does not wait.
var LingerOff = harness.Scenario{
	Name:    "close/linger-off",
	Summary: "Without SO_LINGER close() returns at once; the kernel sends what is left.",
	Doc: `
close() gives the connection to the kernel. It returns 0 before anything is
acknowledged, and so says nothing of what became of the bytes: the program that
wants to know must wait for the other end's answer.

  client                                              server
  write(), close() = 0
            FIN_WAIT_1 ── DATA, FIN ──────╮
                                          ╰──────────► CLOSE_WAIT, read() = 4, 0
            FIN_WAIT_2 ◄────────────────────────  ACK ──
`,
	Refs: []string{"RFC 9293 §3.9.1", "__tcp_close", "inet_release"},
	Answers: []harness.Answer{{
		Statement: 10, Holds: harness.Holds,
		Says: "close() returned 0 while its bytes and its FIN were still on the wire; the socket, an orphan in FIN_WAIT_1, sends and repeats them.",
	}},
	Play: func(s *harness.Stage) { lingering(s, func(*harness.Peer) {}) },
	Claims: []harness.Claim{
		{
			Says: "close() returns 0 before the data or the FIN is delivered",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "client", "close", 1)
				g.Expect(closed.Result).To(BeZero())
				g.Expect(Find(g, r, "client.FIN").Departures[0].T).To(BeNumerically(">=", closed.End))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingering(s, func(c *harness.Peer) { c.Linger(5) }) }},
		},
		{
			Says: "what is left is the kernel's: an orphan in FIN_WAIT_1",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(FirstIn(g, r, "client", tcp.FinWait1).Orphan).To(BeTrue())
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingering(s, func(c *harness.Peer) { c.Linger(5) }) }},
		},
		{
			Says: "every byte arrives, and the end of file behind them",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "server", "read")).To(Equal([]int64{int64(len("data")), 0}))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingering(s, func(c *harness.Peer) { c.Linger(0) }) }},
		},
	},
}

// LingerSuffices sets SO_LINGER to more than it takes: close() waits for the
// ACK.
var LingerSuffices = harness.Scenario{
	Name:    "close/linger-suffices",
	Summary: "SO_LINGER {1, 5}: close() returns when everything is acknowledged.",
	Doc: `
With SO_LINGER and a time close() sleeps until the FIN is acknowledged, or the
time is over. It waits for the other kernel, not for the other program, and not
for the other end's FIN: it returns in FIN_WAIT_2. While it waits the socket is
no orphan.

  client                                              server
  write(), close() …
            FIN_WAIT_1 ── DATA, FIN ──────╮
                                          ╰──────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
  close() = 0
`,
	Refs: []string{"__tcp_close", "sk_stream_wait_close", "inet_release"},
	Answers: []harness.Answer{{
		Statement: 12, Holds: harness.Holds,
		Says: "close() with SO_LINGER {1, n} returned when data and FIN were acknowledged; where that does not come it returns after n s, with 0 all the same, and the close goes on behind it.",
	}},
	Play: func(s *harness.Stage) { lingering(s, func(c *harness.Peer) { c.Linger(5) }) },
	Claims: []harness.Claim{
		{
			Says: "close() returns 0 only when the ACK of the FIN was delivered",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "client", "close", 1)
				g.Expect(closed.Result).To(BeZero())
				g.Expect(closed.End).To(BeNumerically(">=", Find(g, r, "server.ACK(client.FIN)").T))
			},
			Refute: harness.Variant{Play: LingerOff.Play},
		},
		{
			Says: "it does not wait for the other program, which has not read yet: it returns before its 5 s are over",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "client", "close", 1)
				g.Expect(closed.End - closed.T).To(BeNumerically("<", 5*time.Second))
				g.Expect(closed.End).To(BeNumerically("<=", Call(g, r, "server", "read", 1).T))
				g.Expect(closed.End).To(BeNumerically(">=", Find(g, r, "client.FIN").Departures[0].T))
			},
			Refute: harness.Variant{Play: LingerOff.Play},
		},
		{
			Says: "while it waits the socket is in FIN_WAIT_1 and no orphan",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait1)
				g.Expect(waiting.Orphan).To(BeFalse())
				g.Expect(waiting.Timer).To(Equal("retransmit"))
			},
			Refute: harness.Variant{Play: LingerOff.Play},
		},
	},
}

// LingerRunsOut sets SO_LINGER to less than it takes: close() gives up
// waiting, and the kernel does not give up sending.
var LingerRunsOut = harness.Scenario{
	Name:    "close/linger-runs-out",
	Summary: "SO_LINGER {1, 1} and an ACK that does not come: close() returns 0 after 1 s, and the close goes on.",
	Doc: `
When the time is over close() returns, and it returns 0: a program cannot learn
from it whether its bytes arrived. The connection is not reset either. From then
on it is an orphan as after any close(), and repeats its FIN.

  client                                              server
  close() … FIN_WAIT_1 ── FIN ──────✗
                       ── FIN ──────✗   (repeats)
  close() = 0, 1 s later
                       ── FIN ───────────────────────► CLOSE_WAIT, read() = 0
            FIN_WAIT_2 ◄────────────────────────  ACK ──
`,
	Refs: []string{"__tcp_close", "sk_stream_wait_close", "tcp_retransmit_timer"},
	Play: func(s *harness.Stage) { lingeringInVain(s, func(c *harness.Peer) { c.Linger(1) }) },
	Claims: []harness.Claim{
		{
			Says: "close() returns after its second, not before, and returns 0",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "client", "close", 1)
				g.Expect(closed.Result).To(BeZero())
				g.Expect(closed.End - closed.T).To(BeNumerically(">=", time.Second-Jiffy))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingeringInVain(s, func(*harness.Peer) {}) }},
		},
		{
			Says: "the FIN was sent and repeated meanwhile, and nothing of it was acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "client", "close", 1)
				fins := 0
				for _, fin := range All(g, r, "client.FIN") {
					if fin.T < closed.End {
						fins++
					}
				}
				g.Expect(fins).To(BeNumerically(">=", 2))
				g.Expect(Find(g, r, "server.ACK(client.FIN)").T).To(BeNumerically(">", closed.End))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingeringInVain(s, func(*harness.Peer) {}) }},
		},
		{
			Says: "the close goes on behind it: the FIN is repeated until it is acknowledged, and never a RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "server.ACK(client.FIN)"))
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(Returned("server", "read", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingeringInVain(s, func(c *harness.Peer) { c.Linger(0) }) }},
		},
		{
			Says: "the socket is an orphan only when close() has returned",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "client", "close", 1)
				g.Expect(FirstIn(g, r, "client", tcp.FinWait1).Orphan).To(BeFalse())
				orphan := LastIn(g, r, "client", tcp.FinWait1)
				g.Expect(orphan.Orphan).To(BeTrue())
				g.Expect(orphan.T).To(BeNumerically(">=", closed.T+time.Second-Jiffy))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingeringInVain(s, func(*harness.Peer) {}) }},
		},
	},
}

// LingerZero sets SO_LINGER {1, 0}: close() resets the connection.
var LingerZero = harness.Scenario{
	Name:    "close/linger-zero",
	Summary: "SO_LINGER {1, 0}: close() throws the send queue away and sends RST.",
	// A cork gives way after one retransmission timeout (tcp_probe_timer).
	Hosts: []harness.HostSpec{{Name: "client", RTOMin: 5 * time.Second}},
	Doc: `
The abortive close. Nothing that was written and not yet sent is sent any more,
nothing is repeated, and neither end is left in any state: no TIME_WAIT (RFC 9293
§3.5.2 would have the end that resets enter it). The program still gets 0 from
close().

  client                                              server
  write()  (corked: waits in the send queue)
  close()   CLOSED     ── RST ─────────────────────► CLOSED, read() = ECONNRESET
`,
	Refs: []string{"RFC 9293 §3.10.5", "RFC 9293 §3.5.2", "__tcp_close", "tcp_disconnect", "tcp_need_reset"},
	Answers: []harness.Answer{
		{
			Statement: 11, Holds: harness.Holds,
			Says: "Bytes that waited in the send queue never left; a RST did. In CLOSING, LAST_ACK and TIME_WAIT, though, SO_LINGER 0 sends no RST (close/linger-zero-in{state=…}).",
		},
		{
			Statement: 24, Holds: harness.Holds,
			Says: "Both ends were CLOSED with the RST, without TIME_WAIT.",
		},
	},
	Play: func(s *harness.Stage) { lingerZero(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the bytes in the send queue are thrown away: a RST leaves, no data and no FIN",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments("client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)", "client.RST"))
				g.Expect(r).To(Returned("client", "write", len("unsent")))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnData", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingerZero(s, false) }},
		},
		{
			Says: "the RST has the number that is next after what was sent, and an ACK",
			Judge: func(g Gomega, r *record.Run) {
				reset := Find(g, r, "client.RST")
				g.Expect(reset.Flags).To(Equal(tcp.RST | tcp.ACK))
				g.Expect(reset.Seq).To(BeEquivalentTo(1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingerZero(s, false) }},
		},
		{
			Says: "both ends are gone at once: nobody is in FIN_WAIT or TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.Closed))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingerZero(s, false) }},
		},
		{
			Says: "the closer's close() returns 0, the other end's read() fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "close", 0))
				g.Expect(errnos(r, "server", "read")).To(Equal([]string{"ECONNRESET"}))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lingerZero(s, false) }},
		},
	},
}

// lingering writes and closes on a wire that takes its time.
func lingering(s *harness.Stage, set func(*harness.Peer)) {
	client, server := s.Established()
	set(client)
	s.Wire.On(`is("client.FIN") || is("client.RST")`).Delay(50 * time.Millisecond)
	client.Write("data")
	s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
	client.Close()
	s.Await(s.Wire.Delivered(`is("server.ACK(client.FIN)") || is("client.RST")`))
	server.Read(64)
	server.Read(64)
}

// lingeringInVain closes on a wire that loses all until close() has returned.
func lingeringInVain(s *harness.Stage, set func(*harness.Peer)) {
	client, server := s.Established()
	set(client)
	lost := s.Wire.On("client.FIN").Always().Optional().Drop()
	client.Close()
	lost.Disarm()
	s.Await(s.Wire.Delivered(`is("server.ACK(client.FIN)") || is("client.RST")`))
	server.Read(1)
}

// lingerZero closes with bytes in the send queue.
func lingerZero(s *harness.Stage, zero bool) {
	client, server := s.Established()
	client.Cork()
	client.Write("unsent")
	if zero {
		client.Linger(0)
	}
	client.Close()
	s.Await(s.Wire.Delivered(`is("client.RST") || is("server.ACK(client.FIN)")`))
	server.Read(64)
}
