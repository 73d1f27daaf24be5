package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// Linger2Negative closes a socket with TCP_LINGER2 below 0: there is no
// FIN_WAIT_2 for an orphan.
var Linger2Negative = harness.Scenario{
	Name:    "close/linger2-negative",
	Summary: "TCP_LINGER2 below 0: the ACK of the FIN is answered with RST instead of FIN_WAIT_2.",
	Doc: `
TCP_LINGER2 says how long an orphan stays in FIN_WAIT_2; below 0 it is never
there. The FIN is sent as ever. When its ACK comes the kernel sends RST and
forgets the connection: the other end, which is in CLOSE_WAIT and may have much
to say, is cut off.

close() had found FIN_WAIT_1, so the counter is TCPAbortOnData and not
TCPAbortOnLinger: that one counts only where close() itself finds FIN_WAIT_2
(tcp_rcv_state_process against __tcp_close).

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT, read() = 0
            CLOSED     ◄────────────────────────  ACK ──
                       ── RST ───────────────────────► CLOSED, write() = EPIPE
`,
	Refs: []string{"tcp(7) TCP_LINGER2", "tcp_rcv_state_process", "__tcp_close"},
	Play: func(s *harness.Stage) { linger2(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the ACK of the FIN is answered with RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "server.ACK(client.FIN)", "client.RST"))
				reset := Find(g, r, "client.RST")
				g.Expect(reset.T).To(BeNumerically(">=", Find(g, r, "server.ACK(client.FIN)").Departures[0].T))
				g.Expect(reset.T).To(BeNumerically("<", Call(g, r, "server", "write", 1).T), "nobody had to write first")
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { linger2(s, false) }},
		},
		{
			Says: "the client never is in FIN_WAIT_2 or TIME_WAIT: from FIN_WAIT_1 it is gone",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { linger2(s, false) }},
		},
		{
			Says: "the server's end is cut off in CLOSE_WAIT: its write() fails with EPIPE",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.Closed))
				g.Expect(errnos(r, "server", "write")).To(Equal([]string{"EPIPE"}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { linger2(s, false) }},
		},
		{
			Says: "the kernel counts it as an abort with data, not as one of lingering",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnData", 1))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnLinger", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				client, _ := s.Established()
				client.Linger2(-1)
				client.Shutdown()
				s.Await(client.In(tcp.FinWait2))
				client.Close()
				s.Await(s.Wire.Delivered("client.RST"))
			}},
		},
	},
}

func linger2(s *harness.Stage, negative bool) {
	client, server := s.Established()
	if negative {
		client.Linger2(-1)
	}
	client.Close()
	if negative {
		s.Await(s.Wire.Delivered("client.RST"))
	} else {
		s.Await(client.In(tcp.FinWait2))
	}
	server.Read(1) // end of file
	server.Write("late")
}
