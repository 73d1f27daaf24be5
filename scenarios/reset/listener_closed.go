package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ListenerClosed closes a listener that has a connection in its accept queue.
var ListenerClosed = harness.Scenario{
	Name:    "reset/listener-closed-with-pending",
	Summary: "close() of a listener resets every connection that nobody had accepted.",
	Doc: `
connect() succeeds as soon as the kernels have shaken hands; the server's program
need not have heard of it. When it closes its listener (a restart, a deployment),
the kernel gives up what is in the queue: RST, although the client did nothing
wrong. Bytes that it had sent, and that were acknowledged, are lost.

  client                                              server
  connect() = 0 ESTABLISHED ◄────────────────────────► ESTABLISHED, pending
  write()                   ── DATA ─────────────────►
                            ◄──────────────────  ACK ──
  read() = ECONNRESET       ◄──────────────────  RST ── close(listener)
`,
	Refs: []string{"inet_csk_listen_stop", "inet_child_forget", "tcp_disconnect", "tcp_need_reset"},
	Play: func(s *harness.Stage) { closeListener(s, false) },
	Claims: []harness.Claim{
		{
			Says: "the client, whose bytes were acknowledged, gets a RST when the listener is closed",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.DATA", "server.ACK(client.DATA)", "server.RST"))
				g.Expect(Find(g, r, "server.RST").T).To(BeNumerically(">=", Call(g, r, "server", "close", 1).T))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closeListener(s, true) }},
		},
		{
			Says: "its write() had succeeded, and its read() fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "client", "write")).To(Equal([]string{"1"}))
				g.Expect(outcomes(r, "client", "recv")).To(Equal([]string{"ECONNRESET"}))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closeListener(s, true) }},
		},
		{
			Says: "nothing is left at either end, and the server's program never had a descriptor of it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.Closed))
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.Closed))
				g.Expect(outcomes(r, "server", "accept")).To(BeEmpty())
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closeListener(s, true) }},
		},
	},
}

// closeListener closes the listener when a connection is complete, and accepts
// it before or does not.
func closeListener(s *harness.Stage, accept bool) {
	client, server := s.Client.Peer(), s.Server.Peer()
	server.Listen(8080, 8)
	client.Connect(s.Server, 8080)
	client.Write("x")
	s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
	if accept {
		server.Accept()
		server.Listener().Close()
		client.ReadNow(1)
		return
	}
	server.Listener().Close()
	s.Await(s.Wire.Delivered("server.RST"))
	client.ReadNow(1)
}
