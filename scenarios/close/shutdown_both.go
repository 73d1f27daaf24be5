package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ShutdownBoth shuts both directions and keeps the descriptor.
var ShutdownBoth = harness.Scenario{
	Name:    "close/shutdown-both",
	Summary: "shutdown(SHUT_RDWR) sends FIN and keeps the descriptor; later data is answered with RST.",
	Doc: `
On the wire it is a close(): a FIN, and RST to whatever still comes. The program
keeps its descriptor, and so the socket keeps its state: a FIN_WAIT_2 that does
not time out, and that can be asked for its error.

  client                                              server
  shutdown(RDWR) FIN_WAIT_1 ── FIN ──────────────────► CLOSE_WAIT
                 FIN_WAIT_2 ◄───────────────────  ACK ──
                            ◄──────────────────  DATA ── write()
                 CLOSED     ── RST ──────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 1122 §4.2.2.13", "tcp_shutdown", "tcp_rcv_state_process"},
	Play: shutdownBoth,
	Claims: []harness.Claim{
		{
			Says: "data that comes after it is answered with RST: nobody will read it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "server.DATA", "client.RST"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnData", 1))
			},
			Refute: harness.Variant{Play: halfClose},
		},
		{
			Says: "until then the client is in FIN_WAIT_2 with its descriptor and without a timer",
			Judge: func(g Gomega, r *record.Run) {
				wait := LastIn(g, r, "client", tcp.FinWait2)
				g.Expect(wait.Orphan).To(BeFalse())
				g.Expect(wait.Timer).To(BeEmpty())
				g.Expect(wait.T).To(BeNumerically("<=", Find(g, r, "server.DATA").T))
				g.Expect(Find(g, r, "client.RST").T).To(BeNumerically(">", wait.T))
			},
			Refute: harness.Variant{Play: closedInstead},
		},
		{
			Says: "the descriptor goes on: read() returns 0 before the data, poll() shows HUP",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "client", "recv")).To(Equal([]int64{0}))
				g.Expect(Call(g, r, "client", "poll", 1).Call).To(ContainSubstring("HUP"))
				g.Expect(r).To(Returned("client", "close", 0))
			},
			Refute: harness.Variant{Play: closedInstead},
		},
		{
			Says: "the server is reset out of CLOSE_WAIT, and its program sees EPIPE, not ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.Closed))
				g.Expect(errnos(r, "server", "write")).To(Equal([]string{"", "EPIPE"}))
			},
			Refute: harness.Variant{Play: halfClose},
		},
	},
}

func shutdownBoth(s *harness.Stage) {
	client, server := s.Established()
	client.ShutdownBoth()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	client.ReadNow(1) // 0
	client.Poll("IN|OUT", 0)
	server.Read(1) // end of file
	server.Write("late")
	s.Await(s.Wire.Delivered("client.RST"))
	server.Write("later")
	client.Close()
}
