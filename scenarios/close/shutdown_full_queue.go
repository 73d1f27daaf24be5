package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ShutdownFullQueue shuts the sending direction while its queue is full of
// bytes that the other end does not take.
var ShutdownFullQueue = harness.Scenario{
	Name:    "close/shutdown-full-queue",
	Summary: "shutdown(SHUT_WR) with a full send queue: the FIN waits for its turn.",
	Doc: `
shutdown() does not wait: it puts the FIN at the end of the queue and returns 0.
The state is FIN_WAIT_1 from that moment on, although no FIN has been sent; the
name says what the program did, not what the wire saw. The reader gets every
byte, and then the end of file.

  client                                              server
  write(8 KiB)         ── DATA ─────────────────────► (nobody reads: window 0)
  shutdown(WR) = 0 FIN_WAIT_1                         ESTABLISHED
                       ◄─────────── ACK, window open ── read()
                       ── DATA … FIN ────────────────► CLOSE_WAIT, end of file
            FIN_WAIT_2 ◄────────────────────────  ACK ──
`,
	Refs: []string{"RFC 9293 §3.10.4", "tcp_shutdown", "tcp_send_fin", "tcp_close_state"},
	Play: func(s *harness.Stage) { shutWithQueue(s, func(c *harness.Peer) { c.Shutdown() }) },
	Claims: []harness.Claim{
		{
			Says: "shutdown() returns 0 while bytes wait, and the state is FIN_WAIT_1 though no FIN has left",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "shutdown", 0))
				fin := Find(g, r, "client.FIN")
				g.Expect(Call(g, r, "client", "shutdown", 1).End).To(BeNumerically("<", fin.T))
				g.Expect(FirstIn(g, r, "client", tcp.FinWait1).T).To(BeNumerically("<", Call(g, r, "server", "bulk-read", 1).T))
				g.Expect(fin.T).To(BeNumerically(">", Call(g, r, "server", "bulk-read", 1).T))
			},
			Refute: harness.Variant{Play: halfClose},
		},
		{
			Says: "the FIN leaves behind the last byte of the queue",
			Judge: func(g Gomega, r *record.Run) {
				fin := Find(g, r, "client.FIN")
				g.Expect(fin.Seq + int64(fin.Len)).To(BeEquivalentTo(1 + flood))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				shutWithQueue(s, func(c *harness.Peer) {
					c.Linger(0)
					c.Close()
				})
			}},
		},
		{
			Says: "the reader gets every byte and then the end of file",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "server", "bulk-read", 1).Call).To(ContainSubstring("[8192 bytes]"))
				g.Expect(Call(g, r, "server", "bulk-read", 1).Errno).To(BeEmpty())
				g.Expect(r).To(HaveStates("server", tcp.CloseWait))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				shutWithQueue(s, func(c *harness.Peer) {
					c.Linger(0)
					c.Close()
				})
			}},
		},
		{
			Says: "the descriptor stays: the client is in FIN_WAIT_2 without a timer, and no orphan",
			Judge: func(g Gomega, r *record.Run) {
				waiting := LastIn(g, r, "client", tcp.FinWait2)
				g.Expect(waiting.Orphan).To(BeFalse())
				g.Expect(waiting.Timer).To(BeEmpty())
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { shutWithQueue(s, func(c *harness.Peer) { c.Close() }) }},
		},
	},
}

func shutWithQueue(s *harness.Stage, shut func(*harness.Peer)) {
	client, server := filled(s)
	shut(client)
	s.Client.Observe(1)
	server.ReadAll()
	s.Await(s.Wire.Delivered(`is("server.ACK(client.FIN)") || is("client.RST")`))
}
