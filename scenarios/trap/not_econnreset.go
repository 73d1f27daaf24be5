package trap

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// NotECONNRESET shows as what a RST is seen, by state.
var NotECONNRESET = []harness.Scenario{
	notECONNRESET(tcp.SynSent, "ECONNREFUSED"), notECONNRESET(tcp.Established, "ECONNRESET"),
	notECONNRESET(tcp.CloseWait, "EPIPE"), notECONNRESET(tcp.FinWait2, "ECONNRESET"),
}

func notECONNRESET(state tcp.State, errno string) harness.Scenario {
	other := tcp.Established
	if state == tcp.Established {
		other = tcp.CloseWait
	}
	if state == tcp.FinWait2 {
		other = tcp.CloseWait
	}
	sc := harness.Scenario{
		Name:    "trap/rst-is-not-always-econnreset{" + state.String() + "}",
		Summary: "A RST in " + state.String() + " shows as " + errno + ".",
		Doc: `
tcp_reset chooses the error by the state: ECONNREFUSED in SYN_SENT, EPIPE in
CLOSE_WAIT, ECONNRESET elsewhere. A program that read the peer's FIN and then tests
for ECONNRESET only will miss the reset: its write() fails with EPIPE, as if it had
closed the connection itself.

  client                                              server
            ` + state.String() + `
            CLOSED     ◄──────────────────────── RST ──
            SO_ERROR ` + errno + `
`,
		Refs: []string{"RFC 9293 §3.10.7.4", "tcp_reset"},
		Play: func(s *harness.Stage) { resetIn(s, state) },
		Claims: []harness.Claim{
			{
				Says: "the error is " + errno,
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(Call(g, r, "client", "getsockopt", 1).Call).To(HaveSuffix("[" + errno + "])"))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) { resetIn(s, other) }},
			},
			{
				Says: "the RST ended the connection in " + state.String() + " at once",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveStates("client", state, tcp.Closed))
					seen := r.Visited(1, "client")
					g.Expect(seen[len(seen)-2].State).To(Equal(state))
					g.Expect(r).To(Segments("forged.RST(server)"))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) { resetIn(s, other) }},
			},
		},
	}
	if state == tcp.CloseWait {
		sc.Answers = []harness.Answer{{Statement: 25, Holds: harness.HoldsWhen, Says: "ECONNRESET in ESTABLISHED and the FIN_WAIT states; in CLOSE_WAIT the error is EPIPE, in SYN_SENT ECONNREFUSED."}}
	}
	return sc
}

// resetIn resets the client in a state and reads SO_ERROR.
func resetIn(s *harness.Stage, state tcp.State) {
	if state == tcp.SynSent {
		s.Server.Peer().Listen(8080, 8)
		s.Wire.On("client.SYN").Forge(inject.Forgery{Place: inject.Instead, To: "client", Flags: tcp.RST | tcp.ACK, Ack: &inject.Number{Base: "SND.NXT"}})
		client := s.Client.Peer()
		client.Open()
		client.Nonblock(true)
		client.Connect(s.Server, 8080)
		client.Poll("OUT", -1)
		client.SocketError()
		client.Observe()
		return
	}
	client, server := s.Established()
	switch state {
	case tcp.CloseWait:
		server.Shutdown()
		client.Read(1) // end of file
	case tcp.FinWait2:
		client.Shutdown()
	}
	s.Await(client.In(state))
	s.Wire.Inject(1, inject.Forgery{To: "client", Flags: tcp.RST})
	s.Await(client.Gone())
	client.SocketError()
}
