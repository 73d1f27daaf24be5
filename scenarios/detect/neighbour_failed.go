package detect

import (
	"fmt"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// NeighbourFailed shows that a host gone from the same LAN is missed sooner, and
// by another name, than one behind a router.
var NeighbourFailed = harness.Scenario{
	Name:    "detect/neighbour-gone-is-ehostunreach",
	Summary: "A host of the same LAN is gone: nobody answers for its hardware address.",
	Doc: `
The same silence has two names. Behind a router that lives, segments vanish, and
connect() takes its two minutes to ETIMEDOUT. On one LAN the kernel asks for the
hardware address first (ARP, neighbour discovery), and where three questions stay
unanswered (a second apart; 100 ms here) it answers its own SYN with an ICMP error
that never was on the wire: EHOSTUNREACH.

  client                                              server
  connect()  SYN_SENT  ── who has …? ───────────✗      power off
                       ── who has …? ───────────✗
                       ── who has …? ───────────✗
             CLOSED
             connect() EHOSTUNREACH
`,
	Refs: []string{"RFC 826", "RFC 4861 §7.2.2", "RFC 1122 §2.3.2.1", "neigh_timer_handler", "arp_error_report", "ndisc_error_report"},
	Play: func(s *harness.Stage) { neighbourGone(s, true) },
	Claims: []harness.Claim{
		{
			Says: "connect() fails with EHOSTUNREACH",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "connect", "EHOSTUNREACH"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { neighbourGone(s, false) }},
		},
		{
			Says: "no segment ever came to the wire: only the questions for the address did",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments())
				questions := 0
				for _, x := range r.Segments {
					if x.Other && x.SentBy == "client" {
						questions++
					}
				}
				g.Expect(questions).To(BeNumerically(">=", 3))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { neighbourGone(s, false) }},
		},
		{
			Says: "the kernel counts a failed attempt, not a timeout that ended a connection",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "Tcp.AttemptFails", 1))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { neighbourGone(s, false) }},
		},
	},
}

// neighbourGone connects to a host without power; lan says whether its address must
// be asked for.
func neighbourGone(s *harness.Stage, lan bool) {
	s.Client.Sysctl("net.ipv4.tcp_syn_retries", "1")
	s.Client.Sysctl("net.ipv4.tcp_syn_linear_timeouts", "0")
	askFast(s)
	s.Server.PowerOff()
	s.Client.ResolveNeighbours(lan)
	s.Client.Peer().Connect(s.Server, 8080)
}

// askFast has the client ask for hardware addresses every 100 ms.
func askFast(s *harness.Stage) {
	for _, v := range []int{4, 6} {
		s.Client.Sysctl(fmt.Sprintf("net.ipv%d.neigh.eth0.retrans_time_ms", v), "100")
	}
}

// NeighbourFailedEstablished shows what becomes of an established connection whose
// peer is gone from the LAN.
var NeighbourFailedEstablished = harness.Scenario{
	Name:    "detect/neighbour-gone-in-established",
	Summary: "The peer is gone from the same LAN when data is sent: EHOSTUNREACH, but only when time is over.",
	Doc: `
The failed question for the hardware address is an error of the kernel's own to
each copy of the data. It is a soft one, so it does not end the connection; time does
(tcp_retries2), and then the program is told EHOSTUNREACH. Had the peer been behind
a router that lives, it would be ETIMEDOUT at the same time.

  client                                              server
  ESTABLISHED                                          power off
  write()    ESTABLISHED, nothing leaves
                       ── who has …? ───────────✗
             CLOSED
             read() EHOSTUNREACH
`,
	Refs: []string{"RFC 826", "RFC 4861 §7.2.2", "RFC 5461", "arp_error_report", "ndisc_error_report", "tcp_write_err"},
	Play: func(s *harness.Stage) { neighbourLost(s, true) },
	Claims: []harness.Claim{
		{
			Says: "read() fails with EHOSTUNREACH, and behind a silent router it would be ETIMEDOUT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "EHOSTUNREACH"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { neighbourLost(s, false) }},
		},
		{
			Says: "not one copy of the data came to the wire, although the kernel sent and repeated it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.DATA@1"))
				g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", BeNumerically(">=", 1)))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { neighbourLost(s, false) }},
		},
		{
			Says: "it was a timeout that ended the connection: the error of the address did not",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeouts", BeNumerically(">=", 2)))
				g.Expect(r).To(HaveStates("client", tcp.Established, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { neighbourGone(s, true) }},
		},
	},
}

// neighbourLost writes to a host that lost its power.
func neighbourLost(s *harness.Stage, lan bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
	askFast(s)
	client, _ := s.Established()
	s.Server.PowerOff()
	s.Client.ResolveNeighbours(lan)
	client.Write("x")
	client.Read(1)
	s.Await(client.Gone())
}
