package crash

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// SameAddress is a second host that believes it has the server's address: a
// standby that took over too early, or a copied machine.
var SameAddress = harness.Scenario{
	Name:    "crash/same-address",
	Summary: "A second host bears the server's address: the answers to its SYN go to the first, which resets them.",
	Doc: `
The client's neighbour entry points at the first host. So the SYN of the second one
reaches the client, and the SYN-ACK goes to the first, which never asked: RST. The
client's half-open connection is gone, and accept() sees nothing. The second host
hears nothing at all and sends its SYN again.

The connections of the first host are not disturbed. What is seen from the client's
side is a host that connects and resets at once.

  client                    server                    standby, same address
  SYN_RECV ◄──────────────────────────────────── SYN ── connect()  SYN_SENT
           ── SYN-ACK ────►
           ◄──── RST ──────
`,
	Refs:  []string{"RFC 5227", "RFC 9293 §3.5.2", "tcp_v4_send_reset", "tcp_check_req"},
	Hosts: []harness.HostSpec{{Name: "standby", As: "server"}},
	Play:  func(s *harness.Stage) { sameAddress(s, s.Host("standby")) },
	Claims: []harness.Claim{
		{
			Says: "the SYN-ACK reaches the first host, which answers it with RST",
			Judge: func(g Gomega, r *record.Run) {
				answer, reset := Find(g, r, "2:client.SYN-ACK"), resetBy(g, r, "server")
				g.Expect(answer.Departures).NotTo(BeEmpty())
				g.Expect(answer.Departures[0].To).To(Equal("server"))
				g.Expect(reset.T).To(BeNumerically(">", answer.T))
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", BeNumerically(">=", 1)))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { sameAddress(s, s.Server) }},
		},
		{
			Says: "connect() of the second host waits on: it never hears of the SYN-ACK",
			Judge: func(g Gomega, r *record.Run) {
				for _, c := range r.On("standby").Calls {
					if c.Name == "connect" {
						g.Expect(c.End).To(BeNumerically("<", 0))
						g.Expect(r).To(HaveDelta("standby", "Tcp.InSegs", 0))
						return
					}
				}
				g.Expect(r).To(Failed("standby", "connect", "nothing: it did not connect"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { sameAddress(s, s.Server) }},
		},
		{
			Says: "the first host's own connection goes on",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.Established))
				g.Expect(Find(g, r, "client.DATA@1").T).To(BeNumerically(">", resetBy(g, r, "server").T))
				g.Expect(r).To(Returned("server", "read", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { sameAddress(s, s.Server) }},
		},
	},
}

// sameAddress lets a host connect to the client beside a connection of the
// server's.
func sameAddress(s *harness.Stage, from *harness.Host) {
	client, server := s.Established()
	one := client.Socket
	client.Listen(9090, 8)
	connecting := from.Peer().BeginConnect(s.Client, 9090)
	if from == s.Server {
		connecting.Wait()
	} else {
		s.Await(s.Wire.Delivered(`sent_by == "server" && tcp.flags.reset`))
	}
	one.Write("x")
	if from != s.Server {
		server.Read(1)
	}
	s.Client.Observe(1)
}
