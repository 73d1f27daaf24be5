package reset

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// InClosing is a RST that meets a simultaneous close before its last ACK.
var InClosing = harness.Scenario{
	Name:    "reset/in-closing",
	Summary: "Both FINs have crossed, and a RST comes in place of the last ACK.",
	Doc: `
In CLOSING nothing is left to be read or written; only the ACK of our FIN is
missing, and after it TIME_WAIT. A RST with the exact number ends the connection
at once: no TIME_WAIT keeps its ports.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSING
            CLOSING    ◄────────────────────────  FIN ── close()  FIN_WAIT_1
            CLOSED     ◄── RST (forged)
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "tcp_validate_incoming", "tcp_reset"},
	Play: func(s *harness.Stage) { inClosing(s, inject.Number{Base: "RCV.NXT"}) },
	Claims: []harness.Claim{
		{
			Says: "the client goes from CLOSING to CLOSED, and never is in TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closing, tcp.Closed))
			},
			Refute: harness.Variant{Play: outsideClosing},
		},
		{
			Says: "the RST is not answered",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPChallengeACK", 0))
				g.Expect(r).NotTo(Segments("forged.RST(server)", "client.CHALLENGE-ACK"))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: outsideClosing},
		},
	},
}

// outsideClosing sends the RST to another number of the window, which RFC 5961
// challenges.
func outsideClosing(s *harness.Stage) { inClosing(s, inject.Number{Base: "RCV.NXT", Offset: 10}) }

func inClosing(s *harness.Stage, seq inject.Number) {
	client, server := s.Established()
	// Both FINs cross, and the ACK of the client's never comes.
	s.Wire.On("client.FIN").Always().Hold(s.Wire.Seen("server.FIN"))
	s.Wire.On("server.FIN").Always().Hold(client.In(tcp.FinWait1))
	s.Wire.On("server.ACK(client.FIN)").Always().Drop()
	client.Close()
	server.Close()
	s.Await(client.In(tcp.Closing))
	s.Await(s.Wire.Seen("server.ACK(client.FIN)"))
	s.Wire.Inject(1, inject.Forgery{To: s.Client.Name(), Flags: tcp.RST, Seq: &seq})
	if seq.Offset == 0 {
		s.Await(client.Gone())
		return
	}
	s.Await(s.Wire.Seen("client.CHALLENGE-ACK"))
}
