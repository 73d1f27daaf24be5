package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ClosedPort connects to a port on which nobody listens.
var ClosedPort = harness.Scenario{
	Name:    "reset/closed-port",
	Summary: "connect() to a port on which nobody listens: RST, and ECONNREFUSED.",
	Doc: `
The SYN has no ACK from which the RST could take its number. So the RST has the
number 0 and acknowledges the SYN instead; by that ACK the client knows that it is
the answer to its own SYN (a RST without it would be ignored in SYN_SENT).

  client                                              server
  connect()  SYN_SENT  ── SYN ───────────────────────► nobody listens
  ECONNREFUSED CLOSED  ◄─────────── RST, ack SYN + 1 ──
`,
	Refs: []string{"RFC 9293 §3.5.2", "RFC 9293 §3.10.7.1", "RFC 9293 §3.10.7.3", "tcp_v4_send_reset", "tcp_rcv_synsent_state_process"},
	Answers: []harness.Answer{{
		Statement: 22, Holds: harness.HoldsWhen,
		Says: "SO_LINGER 0, a closed port, a booted host and middleboxes send it (see this family). Once a connection is established, an unacceptable number is answered with an ACK and not with RST, and Linux resets no connection for being idle unless keep-alive is set.",
	}},
	Play: func(s *harness.Stage) {
		s.Client.Peer().Connect(s.Server, 8080)
	},
	Claims: []harness.Claim{
		{
			Says: "connect() fails with ECONNREFUSED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "connect", "ECONNREFUSED"))
			},
			Refute: harness.Variant{Play: talk},
		},
		{
			Says: "the answer to the SYN is a RST that acknowledges it: two segments are the whole story",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments("client.SYN", "server.RST"))
				answer := Find(g, r, "server.RST")
				g.Expect(answer.Flags).To(Equal(tcp.RST | tcp.ACK))
				g.Expect(answer.Ack).To(BeEquivalentTo(1))
			},
			Refute: harness.Variant{Play: talk},
		},
		{
			Says: "the client goes from SYN_SENT to CLOSED, and counts a failed attempt",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Closed))
				g.Expect(r).To(HaveDelta("client", "Tcp.AttemptFails", 1))
			},
			Refute: harness.Variant{Play: talk},
		},
		{
			Says: "the server never has a socket for it: it counts a RST sent, and nothing opened",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(HaveStates("server", tcp.SynRecv))
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 1))
				g.Expect(r).To(HaveDelta("server", "Tcp.PassiveOpens", 0))
			},
			Refute: harness.Variant{Play: talk},
		},
	},
}

// talk is a connection on which nothing is wrong: a byte each way, and both
// ends stay.
func talk(s *harness.Stage) {
	client, server := s.Established()
	client.Write("x")
	server.Read(1)
	server.Write("y")
	client.Read(1)
}
