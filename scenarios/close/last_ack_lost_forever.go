package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// LastACKLostForEver loses every ACK of the passive closer's FIN.
var LastACKLostForEver = harness.Scenario{
	Name:    "close/last-ack-lost-for-ever",
	Summary: "No ACK of the passive closer's FIN ever arrives.",
	Doc: `
The server repeats its FIN out of LAST_ACK, and the client acknowledges each copy
out of TIME_WAIT, in vain. After the repeats of tcp_orphan_retries the server's
kernel forgets the connection: no RST is sent, and no program is told, for both
have closed long ago. Each copy starts the client's 60 s again.

The play sets tcp_orphan_retries to 1; stock is 0, which means 8.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            TIME_WAIT  ◄────────────────────────  FIN ── close()  LAST_ACK
                        ── ACK ──────────────✗
                       ◄────────────────────────  FIN ── 200 ms later
                        ── ACK ──────────────✗
                       ◄────────────────────────  FIN ── and twice as long
                        ── ACK ──────────────✗          … and CLOSED, silent
`,
	Refs: []string{"RFC 9293 §3.8.3", "tcp_write_timeout", "tcp_orphan_retries", "tcp_write_err", "tcp_timewait_state_process"},
	Play: func(s *harness.Stage) {
		s.Server.Sysctl("net.ipv4.tcp_orphan_retries", "1")
		s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0")
		lost := s.Wire.On("client.ACK(server.FIN)").Always()
		lastACK(s, func() { lost.Drop() })
	},
	Claims: []harness.Claim{
		{
			Says: "the server repeats its FIN, each time after twice the time, and then is gone",
			Judge: func(g Gomega, r *record.Run) {
				fins := All(g, r, "server.FIN")
				g.Expect(len(fins)).To(BeNumerically(">=", 3))
				g.Expect(Gap(fins[1], fins[2])).To(BeNumerically(">=", 300*time.Millisecond))
				g.Expect(r).To(HaveStates("server", tcp.LastAck, tcp.Closed))
				g.Expect(FirstIn(g, r, "server", tcp.Closed).T).To(BeNumerically(">", fins[len(fins)-1].T))
			},
			Refute: harness.Variant{Play: LastACKLost.Play},
		},
		{
			Says: "it gives up: the kernel counts an abort by timeout",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: LastACKLost.Play},
		},
		{
			Says: "it does so in silence: no RST is sent",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("server", tcp.Closed))
				g.Expect(r).NotTo(Segments("server.RST"))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: resetInCloseWait},
		},
		{
			Says: "the client answers every copy, and its 60 s start again with the last",
			Judge: func(g Gomega, r *record.Run) {
				fins := All(g, r, "server.FIN")
				g.Expect(len(fins)).To(BeNumerically(">=", 3))
				g.Expect(r).To(HaveCount("client.ACK(server.FIN)", len(fins)))
				restarted := LastIn(g, r, "client", tcp.TimeWait)
				g.Expect(restarted.T).To(BeNumerically(">=", fins[len(fins)-1].T))
				g.Expect(restarted).To(SetTo(time.Minute, fins[len(fins)-1].T))
			},
			Refute: harness.Variant{Play: LastACKLost.Play},
		},
		{
			Says: "neither program is told: each close() has returned 0 long before",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "server", "close", 1)
				g.Expect(closed.Result).To(BeZero())
				g.Expect(Call(g, r, "client", "close", 1).Result).To(BeZero())
				fins := All(g, r, "server.FIN")
				g.Expect(len(fins)).To(BeNumerically(">", 1))
				g.Expect(closed.End).To(BeNumerically("<", fins[1].T))
			},
			Refute: harness.Variant{Play: nothingLost},
		},
	},
}

// resetInCloseWait lets the passive closer answer the FIN with RST.
func resetInCloseWait(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Linger(0)
	server.Close()
	s.Await(s.Wire.Delivered("server.RST"))
}
