package middlebox

import (
	"fmt"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// NATReusesPort shows what a server in TIME_WAIT makes of another host that a
// NAT gave the same port: its timestamps come from another clock.
var NATReusesPort = []harness.Scenario{natReusesPort(0), natReusesPort(1)}

func natReusesPort(rfc1337 int) harness.Scenario {
	sysctl := fmt.Sprint(rfc1337)
	sc := harness.Scenario{
		Name:    "middlebox/nat-reuses-port-of-time-wait{tcp_rfc1337=" + sysctl + "}",
		Summary: "The server is in TIME_WAIT when a NAT gives the port to a host whose timestamps are older.",
		Refs:    []string{"RFC 6191", "RFC 7323 §5", "RFC 1337", "RFC 5382 REQ-5", "tcp_timewait_state_process", "tcp_rcv_synsent_state_process"},
		Play:    func(s *harness.Stage) { reused(s, sysctl, true) },
	}
	ack := harness.Claim{
		Says: "the SYN with the older timestamp is answered with the ACK of the old connection, not with SYN-ACK",
		Judge: func(g Gomega, r *record.Run) {
			syn := Find(g, r, "2:client.SYN#1")
			for _, x := range r.Segments {
				if !x.Other && x.SentBy == "server" && x.T > syn.T {
					g.Expect(x.Flags).To(Equal(tcp.ACK))
					break
				}
			}
			g.Expect(r).To(Segments("2:client.SYN#1", "client.RST"))
			g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) { reused(s, sysctl, false) }},
	}
	if rfc1337 == 0 {
		sc.Doc = natDoc + `
With tcp_rfc1337=0, the default, this RST ends TIME_WAIT (a name for that is
assassination), and the SYN that the client sends right behind its RST finds the
listener. Nobody notices: here the hazard of RFC 1337 is a help.

  client                                              server
                                                       TIME_WAIT
  connect()  SYN_SENT  ── SYN, older timestamp ─────►
                       ◄──────── ACK of the old one ──
                       ── RST ──────────────────────►  CLOSED
                       ── SYN ──────────────────────►  SYN_RECV
`
		sc.Claims = []harness.Claim{ack, {
			Says: "the RST with which the client answers ends TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("1:server", tcp.TimeWait))
				g.Expect(r).To(Delivered("client.RST", "2:client.SYN#2"))
				g.Expect(r).To(HaveDelta("server", "Tcp.PassiveOpens", 2))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_rfc1337", Value: "1"}}},
		}, {
			Says: "the SYN is sent again within milliseconds, not after a second, and connect() succeeds",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("2:client.SYN", 2))
				g.Expect(Gap(Find(g, r, "client.RST"), Find(g, r, "2:client.SYN#2"))).To(BeNumerically("<", time.Second/2))
				calls := connects(r)
				g.Expect(calls).To(HaveLen(2))
				g.Expect(calls[1].Errno).To(BeEmpty())
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_rfc1337", Value: "1"}}},
		}}
		return sc
	}
	sc.Doc = natDoc + `
With tcp_rfc1337=1 the RST is ignored: TIME_WAIT is kept for its 60 s, and
every SYN may start them again. The client behind the NAT cannot connect; it
sees ETIMEDOUT (after 3 s here: tcp_syn_retries is 1).

  client                                              server
                                                       TIME_WAIT
  connect()  SYN_SENT  ── SYN, older timestamp ─────►
                       ◄──────── ACK of the old one ──
                       ── RST ──────────────────────►  TIME_WAIT
                       ── SYN, older timestamp ─────►
                       …
             connect() ETIMEDOUT
`
	sc.Claims = []harness.Claim{{
		Says: "no SYN is answered with SYN-ACK, though the client asks again",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(r).NotTo(Segments("2:server.SYN-ACK"))
			g.Expect(len(All(g, r, "2:client.SYN"))).To(BeNumerically(">=", 2))
			g.Expect(r).To(HaveDelta("server", "Tcp.PassiveOpens", 1))
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) { reused(s, "0", true) }},
	}, {
		Says: "the RST is ignored: TIME_WAIT is still there when connect() has given up",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("client.RST"))
			g.Expect(LastSeen(g, r, "server").State).To(Equal(tcp.TimeWait))
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) { reused(s, "0", true) }},
	}, {
		Says: "connect() fails with ETIMEDOUT, although the server lives and listens",
		Judge: func(g Gomega, r *record.Run) {
			calls := connects(r)
			g.Expect(calls).To(HaveLen(2))
			g.Expect(calls[1].Errno).To(Equal("ETIMEDOUT"))
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) { reused(s, "0", true) }},
	}}
	return sc
}

const natDoc = `
A NAT or load balancer has one address for many hosts. When it reuses a port
within 60 s, the server may still be in TIME_WAIT with it. A SYN from the host of
before would be let in: its number and its timestamp have grown. That of another
host carries the timestamp of another clock; if it is older, PAWS rejects it, and
TIME_WAIT answers with the ACK of the old connection. The new client
answers this with RST, as it must, and sets its timer for the SYN to TCP_TIMEOUT_MIN,
two ticks, instead of the second that it would have waited.
`

// reused connects twice from one port; the second time stale says whether the
// timestamps are of a clock an hour behind.
func reused(s *harness.Stage, rfc1337 string, stale bool) {
	s.Server.Sysctl("net.ipv4.tcp_rfc1337", rfc1337)
	s.Client.SysctlAlways("net.ipv4.tcp_syn_retries", "1")
	s.Client.Sysctl("net.ipv4.tcp_syn_linear_timeouts", "0")
	server, client := s.Server.Peer(), s.Client.Peer()
	server.Listen(8080, 8)
	client.Open()
	client.Bind(40000)
	client.Connect(s.Server, 8080)
	server.Accept()
	server.Close()
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)")) // or it may follow the FIN, and TIME_WAIT answers it
	client.Read(1)                                      // end of file
	client.Close()
	s.Await(server.In(tcp.TimeWait))
	s.Await(client.Gone())

	hour := &inject.Change{Add: true, By: -3600 * 1000}
	if stale {
		s.Wire.On("2:client.SYN").Always().Rewrite(inject.Edit{TSVal: hour})
		// The client must find its own clock in the echo.
		s.Wire.On("2:server.SYN-ACK").Optional().Rewrite(inject.Edit{TSEcr: &inject.Change{Add: true, By: -hour.By}})
	}
	client.Open()
	client.Bind(40000)
	client.Connect(s.Server, 8080)
	s.Server.Observe(1)
}

func connects(r *record.Run) []record.Call {
	var list []record.Call
	for _, c := range r.Client().Calls {
		if c.Name == "connect" {
			list = append(list, c)
		}
	}
	return list
}
