package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// HalfOpen lets one host lose its power and boot again: it knows nothing of
// the connection in which the other end still believes.
var HalfOpen = harness.Scenario{
	Name:    "reset/half-open-after-boot",
	Summary: "A host lost its power and booted: it answers data of the old connection with RST.",
	Doc: `
Power off sends nothing, and a boot sends nothing either. The server's end is half
open: in ESTABLISHED, with nobody there. It finds out when it speaks. The new
kernel knows no such connection and says so, with the number of the ACK that it was
sent: so the RST is in order, and is believed.

  client                                              server
  (power off, boot)                                   ESTABLISHED
  CLOSED               ◄────────────────────── DATA ── write() = 1
                       ── RST(its ACK) ──────────────► CLOSED, ECONNRESET
`,
	Refs: []string{"RFC 9293 §3.5.1", "RFC 9293 §3.10.7.1", "tcp_v4_send_reset", "tcp_reset"},
	Answers: []harness.Answer{{
		Statement: 39, Holds: harness.Holds,
		Says: "Data to a rebooted host is answered with RST at once, and the next call fails with ECONNRESET. While nothing is sent nothing is known.",
	}},
	Play: func(s *harness.Stage) {
		_, server := s.Established()
		s.Client.PowerOff()
		s.Client.Boot()
		server.Observe()
		server.Write("x")
		s.Await(s.Wire.Delivered("client.RST"))
		server.Read(1)
	},
	Claims: []harness.Claim{
		{
			Says: "neither power off nor boot says a word: the server is in ESTABLISHED until it speaks",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments("client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)", "server.DATA", "client.RST"))
				g.Expect(stateAt(g, r, "server", Find(g, r, "server.DATA"))).To(Equal(tcp.Established))
				g.Expect(Find(g, r, "server.DATA").T).To(BeNumerically(">", Call(g, r, "client", "boot", 1).End))
			},
			Refute: harness.Variant{Play: talk},
		},
		{
			Says: "the data is answered with a RST that has the data's ACK as its number, and no ACK of its own",
			Judge: func(g Gomega, r *record.Run) {
				answer := Find(g, r, "client.RST")
				g.Expect(answer.Flags).To(Equal(tcp.RST))
				g.Expect(answer.Seq).To(Equal(Find(g, r, "server.DATA").Ack))
			},
			Refute: harness.Variant{Play: talk},
		},
		{
			Says: "the write that met nobody had succeeded; the next call fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "server", "write")).To(Equal([]string{"1"}))
				g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"ECONNRESET"}))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: talk},
		},
	},
}
