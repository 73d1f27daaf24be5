package trap

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// OldSYNEndsTimeWait shows that a stray SYN leaves nothing of TIME_WAIT.
var OldSYNEndsTimeWait = harness.Scenario{
	Name:    "trap/old-syn-ends-time-wait",
	Summary: "A stray SYN with a higher number reaches TIME_WAIT, and its SYN-ACK is answered with RST.",
	Doc: `
A SYN above the last number is taken for a new connection: TIME_WAIT is removed
before anybody knows whether the peer meant it. The peer did not, and answers the
SYN-ACK with RST, which ends the request. The old connection's TIME_WAIT does
not come back, although RFC 9293 §3.6.1 wants that: its 60 s of protection are gone,
tcp_rfc1337 or not.

  client                                              server
                                                       TIME_WAIT
                       ── SYN, a duplicate ──────────► request
                       ◄──────────────────── SYN-ACK ──
                       ── RST ───────────────────────► nothing
`,
	Refs: []string{"RFC 9293 §3.6.1", "RFC 6191", "RFC 1337", "tcp_timewait_state_process", "inet_twsk_deschedule_put"},
	Play: func(s *harness.Stage) { straySYN(s, 1000) },
	Claims: []harness.Claim{
		{
			Says: "the SYN is answered with SYN-ACK out of TIME_WAIT, and the peer answers that with RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("server", tcp.TimeWait))
				g.Expect(r).To(Delivered("forged.SYN(client)", "server.SYN-ACK", "client.RST"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { straySYN(s, -1000) }},
		},
		{
			Says: "nothing is left: neither TIME_WAIT nor the request, although tcp_rfc1337 is set",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(LastSeen(g, r, "server").State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveStates("server", tcp.TimeWait, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { straySYN(s, -1000) }},
		},
		{
			Says: "the listener hears nothing of it: no connection waits to be accepted",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "Tcp.AttemptFails", 1))
				g.Expect(r).To(HaveDelta("server", "Tcp.PassiveOpens", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { straySYN(s, -1000) }},
		},
	},
}

// straySYN sends a SYN to a server in TIME_WAIT, whose number lies so far above
// what the server expects.
func straySYN(s *harness.Stage, above int64) {
	s.Server.Sysctl("net.ipv4.tcp_rfc1337", "1")
	server := serverInTimeWait(s)
	s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.SYN, Seq: &inject.Number{Base: "RCV.NXT", Offset: above}})
	s.Await(s.Wire.Delivered("client.RST"))
	server.Observe()
}

// serverInTimeWait closes from the server's end.
func serverInTimeWait(s *harness.Stage) *harness.Peer {
	client, server := s.Established()
	server.Close()
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)")) // or it may follow the FIN, and TIME_WAIT answers it
	client.Read(1)                                      // end of file
	client.Close()
	s.Await(server.In(tcp.TimeWait))
	s.Await(client.Gone())
	return server
}
