package wait

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FinWait2Linger2 is the socket that says itself how long its orphan may wait.
var FinWait2Linger2 = harness.Scenario{
	Name:    "wait/fin-wait-2-linger2",
	Lasts:   2 * time.Second,
	Summary: "TCP_LINGER2 bounds FIN_WAIT_2 of one socket, whatever tcp_fin_timeout says.",
	Doc: `
TCP_LINGER2 is tcp_fin_timeout for one socket: seconds that its orphan may stay in
FIN_WAIT_2, up to 120 (TCP_FIN_TIMEOUT_MAX). Here it is 2, beside tcp_fin_timeout=60.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
                 2 s
            CLOSED                                      CLOSE_WAIT
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_fin_time", "do_tcp_setsockopt", "TCP_LINGER2"},
	Play: func(s *harness.Stage) { linger2(s, 2) },
	Claims: []harness.Claim{
		{
			Says: "FIN_WAIT_2 shows the 2 s of TCP_LINGER2",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait2)
				g.Expect(waiting.Timer).To(Equal("timewait"))
				g.Expect(waiting.Expires).To(And(BeNumerically(">", 0), BeNumerically("<=", 2*time.Second+Jiffy)))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { linger2(s, 4) }},
		},
		{
			Says: "it is over when they are, and in silence",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait2)
				g.Expect(FirstIn(g, r, "client", tcp.Closed).T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
				g.Expect(waiting).To(SetTo(2*time.Second, Find(g, r, "server.ACK(client.FIN)").T))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { linger2(s, 1) }},
		},
	},
}

func linger2(s *harness.Stage, n int) {
	s.Client.Sysctl("net.ipv4.tcp_fin_timeout", "60")
	client, _ := s.Established()
	client.Linger2(n)
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	s.Await(client.Gone())
}

// FinWait2KeepAlive is the orphan of a socket that had keep-alive set: it asks
// nothing.
var FinWait2KeepAlive = harness.Scenario{
	Name:    "wait/fin-wait-2-keep-alive",
	Lasts:   3 * time.Second,
	Summary: "SO_KEEPALIVE set, then close(): the orphan in FIN_WAIT_2 sends no probe.",
	Doc: `
The mini-socket that stands for an orphan in FIN_WAIT_2 knows no keep-alive. Whether
the other end lives is not asked any more; tcp_fin_timeout ends the waiting (here 3 s,
and the first probe would be due after 1 s).

A second connection, which was only shut down, keeps its socket and asks all the time.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
                 3 s, no probe
            CLOSED
`,
	Refs: []string{"RFC 9293 §3.8.4", "RFC 1122 §4.2.3.6", "tcp_time_wait", "tcp_keepalive_timer"},
	Play: func(s *harness.Stage) { keepAlive(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the orphan sends no probe, from its close to its end",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2, tcp.Closed))
				g.Expect(r).To(HaveCount("client.KEEPALIVE", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { keepAlive(s, false) }},
		},
		{
			Says: "its timer is that of a mini-socket, not of keep-alive",
			Judge: func(g Gomega, r *record.Run) {
				for _, waiting := range Readings(g, r, "client", tcp.FinWait2) {
					g.Expect(waiting.Timer).To(Equal("timewait"))
				}
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { keepAlive(s, false) }},
		},
		{
			Says: "a connection with a descriptor, shut down at the same time, asks meanwhile: its timer is the keep-alive's",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveTimer("2:client", tcp.FinWait2, "keepalive"))
				probe, gone := Find(g, r, "2:client.KEEPALIVE"), FirstIn(g, r, "client", tcp.Closed)
				g.Expect(probe.T).To(BeNumerically("<", gone.T))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { linger2(s, 1) }},
		},
	},
}

// keepAlive brings two connections with keep-alive to FIN_WAIT_2, the first one
// without a descriptor or with one.
func keepAlive(s *harness.Stage, orphan bool) {
	s.Client.Sysctl("net.ipv4.tcp_fin_timeout", "3")
	client, server := s.Established()
	one := client.Socket
	client.Connect(s.Server, 8080)
	two := client.Socket
	server.Accept()
	for _, c := range []*harness.Socket{one, two} {
		c.KeepAlive(time.Second, time.Second, 9)
	}
	two.Shutdown()
	s.Await(s.Wire.Delivered("2:server.ACK(client.FIN)"))
	if orphan {
		one.Close()
	} else {
		one.Shutdown()
	}
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	s.Await(s.Wire.Delivered("2:client.KEEPALIVE"))
	if orphan {
		s.Await(one.Gone())
	} else {
		s.Await(s.Wire.Delivered("client.KEEPALIVE"))
	}
}
