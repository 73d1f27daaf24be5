package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ShutdownRead shuts the receiving direction, which TCP has no word for.
var ShutdownRead = harness.Scenario{
	Name:    "close/shutdown-read",
	Summary: "shutdown(SHUT_RD) sends nothing, and later bytes are still read.",
	Doc: `
There is no segment that says "I read no more". So shutdown(SHUT_RD) is between
the program and its own kernel: a read() that would wait returns 0 instead.
Linux goes on receiving, acknowledging and queueing, and hands out what is queued
(tcp_recvmsg looks into the queue before it looks at the shutdown).

  client                                              server
  shutdown(RD) = 0                                    notices nothing
  recv() = 0
               ◄──────────────────────────────── DATA ── write()
               ── ACK ───────────────────────────────►
  read() = 1
`,
	Refs: []string{"tcp_shutdown", "inet_shutdown", "tcp_recvmsg_locked"},
	Play: shutdownRead,
	Claims: []harness.Claim{
		{
			Says: "nothing is sent: between the handshake and the server's byte the wire is silent",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "shutdown", 0))
				silent := true
				for _, s := range r.Segments {
					if s.Other || s.Seq == 0 || s.T <= Call(g, r, "client", "shutdown", 1).T {
						continue
					}
					silent = silent && s.From == "server"
					break
				}
				g.Expect(silent).To(BeTrue(), "the first segment after the call is the server's")
				g.Expect(r).NotTo(Segments("client.FIN"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				shutFirst(s, func(c *harness.Peer) {
					c.Shutdown()
					s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
				})
			}},
		},
		{
			Says: "a byte that comes later is acknowledged, queued and read",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.DATA", "client.ACK(server.DATA)"))
				g.Expect(results(r, "client", "read")).To(Equal([]int64{1}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				shutFirst(s, func(c *harness.Peer) { c.ShutdownBoth() })
			}},
		},
		{
			Says: "with nothing queued a read returns 0 at once, before that byte and behind it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "client", "recv")).To(Equal([]int64{0, 0}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				shutFirst(s, func(*harness.Peer) {})
			}},
		},
		{
			Says: "neither kernel leaves ESTABLISHED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
			},
			Refute: harness.Variant{Play: halfClose},
		},
	},
}

func shutdownRead(s *harness.Stage) {
	shutFirst(s, func(c *harness.Peer) { c.ShutdownRead() })
}

// shutFirst lets the client shut something, and then sends it a byte.
func shutFirst(s *harness.Stage, shut func(*harness.Peer)) {
	client, server := s.Established()
	shut(client)
	client.ReadNow(1)
	server.Write("x")
	s.Await(s.Wire.Delivered(`is("client.ACK(server.DATA)") || is("client.RST")`))
	client.Read(1)
	client.ReadNow(1)
}
