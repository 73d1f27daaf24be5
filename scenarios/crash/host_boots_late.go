package crash

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// HostBootsTooLate is the host that comes back when nobody asks for it any more.
var HostBootsTooLate = harness.Scenario{
	Name:    "crash/host-boots-too-late",
	Summary: "The server's host boots when the client has given up: ETIMEDOUT, no RST, and a new connection at once.",
	Doc: `
A host that boots can tell of its loss only by answering. Here the client's repeats
have ended before (tcp_retries2 is 1), its program has ETIMEDOUT, and its kernel sent
nothing when it gave up. So nobody ever says RST. Neither end knows the old connection
now, and a new one opens at once.

  client                                              server
  write() = 1 ── data ───────────────✗                 (power off)
              ── data ───────────────✗
  CLOSED, read() = ETIMEDOUT                           (boot)
  connect()   ── SYN ───────────────────────────────► SYN_RECV
`,
	Refs: []string{"RFC 9293 §3.5.1", "RFC 9293 §3.8.3", "tcp_write_timeout", "tcp_write_err"},
	Answers: []harness.Answer{{
		Statement: 39, Holds: harness.HoldsWhen,
		Says: "Only when the repeats last until the boot; if they were given up before, the program has ETIMEDOUT, and no RST is ever sent.",
	}},
	Play: bootsTooLate,
	Claims: []harness.Claim{
		{
			Says: "read() fails with ETIMEDOUT before the host boots",
			Judge: func(g Gomega, r *record.Run) {
				read := Call(g, r, "client", "read", 1)
				g.Expect(read.Errno).To(Equal("ETIMEDOUT"))
				g.Expect(read.End).To(BeNumerically("<=", Call(g, r, "server", "boot", 1).T))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { boots(s, true) }},
		},
		{
			Says: "nobody sends a RST, neither who gave up nor who booted",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { boots(s, true) }},
		},
		{
			Says: "the next connection opens on its first SYN",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("2:client.SYN", 1))
				g.Expect(r).To(HaveStates("2:client", tcp.SynSent, tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { boots(s, true) }},
		},
	},
}

func bootsTooLate(s *harness.Stage) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
	client, _ := s.Established()
	s.Server.PowerOff()
	client.Write("x")
	client.Read(1)
	s.Await(client.Gone())
	s.Server.Boot()
	server := s.Server.Peer()
	server.Listen(8080, 8)
	client.Connect(s.Server, 8080)
	server.Accept()
}
