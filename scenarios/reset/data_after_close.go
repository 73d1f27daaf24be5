package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// DataAfterClose sends data to an end whose program has closed.
var DataAfterClose = harness.Scenario{
	Name:    "reset/data-after-close",
	Summary: "Data to an end that was closed: RST, for nobody will read it.",
	Doc: `
The client has closed; its FIN was acknowledged. The server's program, for which a
FIN is only an end of file, writes on. In FIN_WAIT_2 without a descriptor new data
can have no reader: the mini-socket answers it with RST and ends.

The server's state was CLOSE_WAIT: its program sees EPIPE, and never ECONNRESET.
The first write succeeds, because the kernel does not know yet; the second fails
and raises SIGPIPE.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT, read() = 0
            FIN_WAIT_2 ◄────────────────────────  ACK ──
                       ◄────────────────────────  DATA ── write() = 1
            CLOSED     ── RST ───────────────────────► CLOSED
                                                       write() = EPIPE, SIGPIPE
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 1122 §4.2.2.13", "tcp_timewait_state_process", "tcp_reset", "sk_stream_error"},
	Answers: []harness.Answer{{
		Statement: 25, Holds: harness.HoldsWhen,
		Says: "ECONNRESET in ESTABLISHED. A RST in CLOSE_WAIT shows as EPIPE on write() and as an end of file on read(), one in SYN_SENT as ECONNREFUSED.",
	}},
	Play: func(s *harness.Stage) { writeAfter(s, func(c *harness.Peer) { c.Close() }) },
	Claims: []harness.Claim{
		{
			Says: "the data is answered with RST out of FIN_WAIT_2, which ends with it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "server.ACK(client.FIN)", "server.DATA", "client.RST"))
				data := Find(g, r, "server.DATA")
				g.Expect(stateAt(g, r, "client", data)).To(Equal(tcp.FinWait2))
				g.Expect(AfterDelivery(g, r, "client", data).State).To(Equal(tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { writeAfter(s, func(c *harness.Peer) { c.Shutdown() }) }},
		},
		{
			Says: "the first write() succeeds, the second fails with EPIPE and SIGPIPE",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "server", "write")).To(Equal([]string{"1", "EPIPE"}))
				g.Expect(Call(g, r, "server", "write", 1).Signal).To(BeEmpty())
				g.Expect(Call(g, r, "server", "write", 2).Signal).To(Equal("SIGPIPE"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { writeAfter(s, func(c *harness.Peer) { c.Shutdown() }) }},
		},
		{
			Says: "the server's end is gone from CLOSE_WAIT, and counts a reset",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { writeAfter(s, func(c *harness.Peer) { c.Shutdown() }) }},
		},
		{
			Says: "the mini-socket counts no abort: only a RST sent",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnData", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { writeAfter(s, func(c *harness.Peer) { c.ShutdownBoth() }) }},
		},
	},
}

// writeAfter ends the client's direction, and the server writes twice.
func writeAfter(s *harness.Stage, end func(*harness.Peer)) {
	client, server := s.Established()
	end(client)
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Write("x")
	s.Await(s.Wire.Delivered(`is("client.RST") || is("client.ACK(server.DATA)")`))
	server.Write("y")
}
