package detect

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FINNeverAnswered shows who is told when a FIN is never acknowledged: whoever
// still holds the descriptor.
var FINNeverAnswered = harness.Scenario{
	Name:    "detect/fin-never-answered",
	Summary: "shutdown() sends a FIN that nobody acknowledges; the program still waits in read().",
	Doc: `
A FIN is repeated like data. As long as a descriptor refers to the socket,
tcp_retries2 counts (1 here), and read() fails with ETIMEDOUT. After close() it is
tcp_orphan_retries, and nobody is left to be told.

  client                                              server
  ESTABLISHED                                          power off
  shutdown(WR) FIN_WAIT_1 ── FIN ───────────────✗
                       ── FIN ──────────────────✗
                       ── FIN ──────────────────✗
            CLOSED
            read() ETIMEDOUT
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_retransmit_timer", "tcp_write_timeout"},
	Play: func(s *harness.Stage) {
		finUnanswered(s, func(client *harness.Peer) { client.Shutdown(); client.Read(1) })
	},
	Claims: []harness.Claim{
		{
			Says: "read() fails with ETIMEDOUT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
			},
			Refute: harness.Variant{Play: finAnswered},
		},
		{
			Says: "the FIN is repeated, each wait twice the one before, and the socket stays in FIN_WAIT_1 until it is gone",
			Judge: func(g Gomega, r *record.Run) {
				before := Meant(g, r, "client", "client.FIN")
				g.Expect(Meant(g, r, "client", "client.FIN#2")).To(BeNumerically(">", before+before/2))
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closed))
			},
			Refute: harness.Variant{Play: finAnswered},
		},
		{
			Says: "the socket was no orphan: a descriptor held it, and tcp_retries2 counted",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(FirstIn(g, r, "client", tcp.FinWait1).Orphan).To(BeFalse())
				g.Expect(LastIn(g, r, "client", tcp.FinWait1).Orphan).To(BeFalse())
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { finUnanswered(s, func(client *harness.Peer) { client.Close() }) }},
		},
		{
			Says: "giving up is silent: no RST is sent",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: finAnswered},
		},
	},
}

func finUnanswered(s *harness.Stage, end func(client *harness.Peer)) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
	s.Client.Sysctl("net.ipv4.tcp_orphan_retries", "1")
	client, _ := s.Established()
	s.Server.PowerOff()
	end(client)
	s.Await(client.Gone())
}

// finAnswered is the same with a server that lives and closes.
func finAnswered(s *harness.Stage) {
	client, server := s.Established()
	client.Shutdown()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Close()
	client.Read(1)
	s.Await(server.Gone())
}
