package middlebox

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ForgetsAfterFirstFIN shows a firewall that takes the first FIN for the end.
var ForgetsAfterFirstFIN = harness.Scenario{
	Name:    "middlebox/forgets-after-first-fin",
	Summary: "A firewall forgets the connection when the first FIN has passed; the server still has an answer.",
	Doc: `
A half-closed connection is a connection: the client said that it has no more to send,
and waits for the rest. A firewall that deletes its entry at the first FIN loses
the ACK, the answer and the second FIN. The client's program waits in read() while
its kernel repeats a FIN that had arrived, until tcp_retries2 is over (1 here).

  client                                              server
  shutdown(WR) FIN_WAIT_1 ── FIN ───────────────────►  CLOSE_WAIT
                          (forgotten)   ✗──────── ACK ──
                                        ✗──── response ── write() 8
                       ── FIN ──────────✗
                       ── FIN ──────────✗
            CLOSED                                     LAST_ACK after close()
            read() ETIMEDOUT
`,
	Refs: []string{"RFC 5382 REQ-5", "RFC 9293 §3.6", "tcp_fin", "tcp_write_timeout"},
	Play: func(s *harness.Stage) { halfClosed(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the FIN arrived and the server was in CLOSE_WAIT, but the client repeats it out of FIN_WAIT_1: it cannot know",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN"))
				g.Expect(r).To(HaveStates("server", tcp.CloseWait))
				g.Expect(r).To(Segments("client.FIN", "client.FIN#2"))
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { halfClosed(s, false) }},
		},
		{
			Says: "write() took the whole answer, and the client's read() fails with ETIMEDOUT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("server", "write", 8))
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { halfClosed(s, false) }},
		},
		{
			Says: "the server's program is told that all went well, and its kernel is left an orphan in LAST_ACK with data to repeat",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("server", "close", 0))
				orphan := LastIn(g, r, "server", tcp.LastAck)
				g.Expect(orphan.Orphan).To(BeTrue())
				g.Expect(orphan.Timer).To(Equal("retransmit"))
				g.Expect(r).NotTo(HaveStates("server", tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { halfClosed(s, false) }},
		},
	},
}

// halfClosed half-closes and awaits the rest; forget says whether the middlebox
// knows what that is.
func halfClosed(s *harness.Stage, forget bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
	client, server := s.Established()
	if forget {
		s.Wire.On("server.ACK(client.FIN)").Forget(false)
	}
	client.Shutdown()
	server.Read(1) // end of file
	s.Await(s.Wire.Seen("server.ACK(client.FIN)"))
	server.Write("response")
	s.Await(s.Wire.Seen("server.DATA@1"))
	client.Read(64)
	if forget {
		s.Await(client.Gone())
	}
	server.Close()
	if !forget {
		s.Await(server.Gone())
		return
	}
	server.Observe()
}
