package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// SockDestroy lets the administrator destroy a socket under its program.
var SockDestroy = harness.Scenario{
	Name:    "reset/sock-destroy",
	Summary: "SOCK_DESTROY (ss -K): RST to the other end, ECONNABORTED for the program that owns the socket.",
	Doc: `
"ss -K" asks the kernel to destroy a socket. The other end gets a RST as from any
abort, and its program ECONNRESET. The program under whose feet it was done sees
ECONNABORTED: the one errno that says "it was done here". Its descriptor stays.

  client                                              server
  (ss -K)   CLOSED     ── RST ───────────────────────► CLOSED
  read() = ECONNABORTED                               read() = ECONNRESET
`,
	Refs: []string{"tcp_abort", "tcp_diag_destroy", "tcp_send_active_reset"},
	Play: func(s *harness.Stage) {
		client, server := s.Established()
		client.Destroy()
		client.Read(1)
		server.Read(1)
		client.Close()
	},
	Claims: []harness.Claim{
		{
			Says: "the owner's read() fails with ECONNABORTED, the other end's with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "client", "read")).To(Equal([]string{"ECONNABORTED"}))
				g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"ECONNRESET"}))
			},
			Refute: harness.Variant{Play: bothReset},
		},
		{
			Says: "it is the client's own kernel that sends the RST, with the number that is next",
			Judge: func(g Gomega, r *record.Run) {
				reset := Find(g, r, "client.RST")
				g.Expect(reset.Seq).To(BeEquivalentTo(1))
				g.Expect(reset.Flags).To(Equal(tcp.RST | tcp.ACK))
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
			},
			Refute: harness.Variant{Play: bothReset},
		},
		{
			Says: "both ends go from ESTABLISHED to CLOSED, and close() of the descriptor still returns 0",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.Closed))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.Closed))
				g.Expect(r).To(Returned("client", "close", 0))
			},
			Refute: harness.Variant{Play: talk},
		},
	},
}
