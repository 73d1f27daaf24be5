package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// OneSide lets something on the path reset the server only.
var OneSide = harness.Scenario{
	Name:    "reset/one-side-only",
	Summary: "Something on the path resets one end; the other believes in the connection until it speaks.",
	Doc: `
A RST is not acknowledged, and one end does not pass it on to the other. The server
is reset in the client's name; the client's kernel has no timer that would ask. An
idle client stays in ESTABLISHED for ever (a half-open connection), and one that
speaks is reset by the server's kernel.

  client                                              server
  ESTABLISHED              forged RST(client) ───────► CLOSED, ECONNRESET
  ESTABLISHED
  write()              ── DATA ──────────────────────►
  read() = ECONNRESET  ◄────────────────────────  RST ──
`,
	Refs: []string{"RFC 9293 §3.5.1", "RFC 9293 §3.5.2", "RFC 3360", "tcp_reset", "tcp_v4_send_reset"},
	Answers: []harness.Answer{{
		Statement: 20, Holds: harness.Holds,
		Says: "The end that got the RST was CLOSED at once and sent nothing for it; the end that did not get it knew nothing until it spoke.",
	}},
	Play: oneSide,
	Claims: []harness.Claim{
		{
			Says: "the server is gone at once and answers nothing: a RST is not acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments("client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)",
					"forged.RST(client)", "client.DATA", "server.RST"))
				g.Expect(AfterDelivery(g, r, "server", Find(g, r, "forged.RST(client)")).State).To(Equal(tcp.Closed))
			},
			Refute: harness.Variant{Play: bothReset},
		},
		{
			Says: "the client stays in ESTABLISHED, without a timer, until it speaks",
			Judge: func(g Gomega, r *record.Run) {
				data := Find(g, r, "client.DATA")
				g.Expect(data.T).To(BeNumerically(">", Find(g, r, "forged.RST(client)").T))
				idle, known := r.StateAt(1, "client", Call(g, r, "client", "write", 1).T)
				g.Expect(known).To(BeTrue())
				g.Expect(idle.State).To(Equal(tcp.Established))
				g.Expect(idle.Timer).To(BeEmpty())
			},
			Refute: harness.Variant{Play: bothReset},
		},
		{
			Says: "its write() succeeds, and the next call fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "client", "write")).To(Equal([]string{"1"}))
				g.Expect(outcomes(r, "client", "read")).To(Equal([]string{"ECONNRESET"}))
			},
			Refute: harness.Variant{Play: bothReset},
		},
	},
}

// BothSides lets something on the path reset both ends.
var BothSides = harness.Scenario{
	Name:    "reset/middlebox-resets-both",
	Summary: "A middlebox resets both ends: each believes that the other did it.",
	Doc: `
A firewall or an intrusion detection that wants to end a connection sends a RST to
each end in the other's name. Both programs read ECONNRESET, both logs blame the
other host, and neither kernel has sent a RST: that is how a capture at both ends
shows it.

  client                   middlebox                  server
  read() = ECONNRESET ◄── RST(server)  RST(client) ──► read() = ECONNRESET
`,
	Refs: []string{"RFC 3360", "RFC 9293 §3.10.7.4", "tcp_reset"},
	Play: bothReset,
	Claims: []harness.Claim{
		{
			Says: "both programs read ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "client", "read")).To(Equal([]string{"ECONNRESET"}))
				g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"ECONNRESET"}))
			},
			Refute: harness.Variant{Play: talk},
		},
		{
			Says: "neither kernel has sent a RST, and each counts one that it got",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).NotTo(Segments("server.RST"))
				for _, host := range []string{"client", "server"} {
					g.Expect(r).To(HaveDelta(host, "Tcp.OutRsts", 0))
					g.Expect(r).To(HaveDelta(host, "Tcp.EstabResets", 1))
				}
			},
			Refute: harness.Variant{Play: oneSide},
		},
		{
			Says: "both ends are CLOSED: neither keeps a TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.Closed))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.Closed))
				g.Expect(r).To(Segments("forged.RST(client)", "forged.RST(server)"))
			},
			Refute: harness.Variant{Play: oneSide},
		},
	},
}

func oneSide(s *harness.Stage) {
	client, server := s.Established()
	s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.RST})
	server.Read(1)
	client.Observe()
	client.Write("x")
	client.Read(1)
}

func bothReset(s *harness.Stage) {
	client, server := s.Established()
	s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.RST})
	s.Wire.Inject(1, inject.Forgery{To: "client", Flags: tcp.RST})
	server.Read(1)
	client.Read(1)
	client.Close()
}
