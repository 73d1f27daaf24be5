package crash

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// AddressTakenOver is the standby that works as it should: the first host is
// dead when it takes the address.
var AddressTakenOver = harness.Scenario{
	Name:    "crash/address-taken-over",
	Summary: "The server's host loses its power, and another takes over its address: it resets what it never knew.",
	Doc: `
A failover moves the address, not the connections. What the client sends next finds
the standby (it had to ask the LAN anew who bears the address), which knows no such
connection: RST. To the client it looks as if the server had booted within a moment,
and the program must connect again; that works at once.

  client                    server                    standby, same address
  ESTABLISHED               (power off)                listen()
  who has the address?
  write() = 1 ── data ───────────────────────────────►
  CLOSED      ◄─────────────────────────────────  RST ──
  read(): ECONNRESET
  connect() = 0 ── SYN ──────────────────────────────► accept()
`,
	Refs:  []string{"RFC 9293 §3.5.1", "RFC 9293 §3.10.7.1", "RFC 5227", "RFC 826", "RFC 4861 §7.2", "tcp_v4_send_reset", "neigh_update"},
	Hosts: []harness.HostSpec{{Name: "standby", As: "server"}},
	Play:  func(s *harness.Stage) { takenOver(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the data of the old connection reaches the standby, which answers it with RST of the number that it acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				data := Find(g, r, "client.DATA@1")
				g.Expect(data.Departures).NotTo(BeEmpty())
				g.Expect(data.Departures[len(data.Departures)-1].To).To(Equal("standby"))
				reset := resetBy(g, r, "standby")
				g.Expect(reset.Flags).To(Equal(tcp.RST))
				g.Expect(reset.Seq).To(Equal(data.Ack))
				g.Expect(r).To(HaveDelta("standby", "Tcp.OutRsts", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { takenOver(s, false) }},
		},
		{
			Says: "read() fails with ECONNRESET, and the connection is gone at once",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
				g.Expect(AfterDelivery(g, r, "client", resetBy(g, r, "standby")).State).To(Equal(tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { takenOver(s, false) }},
		},
		{
			Says: "the next connect() to the same address and port succeeds, and the standby accepts it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "connect", 2).Errno).To(BeEmpty())
				g.Expect(Call(g, r, "standby", "accept", 1).Errno).To(BeEmpty())
				g.Expect(r).To(HaveStates("2:client", tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { takenOver(s, false) }},
		},
	},
}

// resetBy is the first RST that a host sent.
func resetBy(g Gomega, r *record.Run, host string) *record.Segment {
	for i := range r.Segments {
		if x := &r.Segments[i]; x.SentBy == host && x.Flags.Has(tcp.RST) {
			return x
		}
	}
	g.Expect(host).To(BeEmpty(), "it sent no RST")
	return &record.Segment{}
}

// takenOver ends the server's host; the client asks who has the address, and
// finds the standby, or asks nobody and sends to the dead host.
func takenOver(s *harness.Stage, asks bool) {
	if !asks {
		s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
	}
	client, _ := s.Established()
	standby := s.Host("standby").Peer()
	standby.Listen(8080, 8)
	s.Server.PowerOff()
	if asks {
		s.Client.ResolveNeighbours(true)
	}
	client.Write("x")
	client.Read(1)
	if asks {
		client.Connect(s.Server, 8080)
		standby.Accept()
	}
}
