package wait

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// PortsExhausted is the client that has no port left for one server.
var PortsExhausted = harness.Scenario{
	Name:    "wait/ports-exhausted",
	Summary: "Every port of the client is in TIME_WAIT towards one server: connect() fails with EADDRNOTAVAIL.",
	Doc: `
A client that opens and closes connections to one server uses up a port for 60 s
each time. Stock are 28,232 ports (ip_local_port_range), so 470 connections a
second; here there are two. Then connect() fails, and nothing is sent.

A port is used up for one remote address and port only. The same client still
connects to another port of the same server, from a port that is in TIME_WAIT.

  client                                              server
  40001     TIME_WAIT                                  8080
  40002     TIME_WAIT                                  8080
  connect(8080): EADDRNOTAVAIL
  connect(8081) ── SYN, from 40001 or 40002 ─────────► 8081
`,
	Refs: []string{"RFC 6056 §3", "__inet_hash_connect", "ip_local_port_range"},
	Answers: []harness.Answer{{
		Statement: 21, Holds: harness.HoldsWhen,
		Says: "Many TIME_WAIT sockets hurt where a client runs out of ports to one server: after 28,232 connections within 60 s. A server's do not: they have one port in common.",
	}},
	Play: func(s *harness.Stage) { exhaust(s, "40001 40002") },
	Claims: []harness.Claim{
		{
			Says: "the third connect() to the same address and port fails with EADDRNOTAVAIL",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 1).Errno).To(BeEmpty())
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
				g.Expect(Call(g, r, "client", "connect", 3).Errno).To(Equal("EADDRNOTAVAIL"))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.ip_local_port_range", Value: "40001 40009"}}},
		},
		{
			Says: "both ports are in TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.TimeWait))
				g.Expect(LastSeen(g, r, "2:client").State).To(Equal(tcp.TimeWait))
			},
			Refute: noTimeWait,
		},
		{
			Says: "to another port of the same server connect() still succeeds, from one of the two",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 4).Errno).To(BeEmpty())
				port := parsed(g, Find(g, r, "3:client.SYN")).Src.Port()
				g.Expect(port).To(BeElementOf(uint16(40001), uint16(40002)))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.ip_local_port_range", Value: "41001 41002"}}},
		},
	},
}

// exhaust uses the client's ports up towards the server's port 8080, if there
// are no more than two.
func exhaust(s *harness.Stage, ports string) {
	s.Client.Sysctl("net.ipv4.ip_local_port_range", ports)
	server, client := s.Server.Peer(), s.Client.Peer()
	server.Listen(8081, 8)
	server.Listen(8080, 8)
	for _, acked := range []string{"server.ACK(client.FIN)", "2:server.ACK(client.FIN)"} {
		client.Connect(s.Server, 8080)
		server.Accept()
		client.Close()
		s.Await(s.Wire.Delivered(acked))
		server.Close()
		s.Await(server.Gone())
	}
	client.Connect(s.Server, 8080)
	client.Connect(s.Server, 8081)
	s.Client.Observe(1)
	s.Client.Observe(2)
}
