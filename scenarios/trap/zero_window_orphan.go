package trap

import (
	"strings"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ZeroWindowOrphan shows that FIN_WAIT_1 ends although the peer answers every probe.
var ZeroWindowOrphan = harness.Scenario{
	Name:    "trap/fin-wait-1-ends-behind-answered-zero-window",
	Lasts:   2 * time.Second,
	Summary: "close() with data unsent; the peer's window stays 0, and it answers each probe.",
	Doc: `
For a socket that a program holds, an answered probe starts the count again: it waits
for ever. For an orphan the kernel looks at the wait itself, too. When the doubled
wait has reached its maximum (120 s in stock, after about 200 s; tcp_rto_max_ms says
1 s here), tcp_probe_timer gives up, answers or not. The data was written, close()
returned 0, and neither the rest of it nor a FIN is ever sent.

  client                                              server
  write(), close() FIN_WAIT_1 ── DATA, window full ──► nobody reads
                       ── PROBE ─────────────────────►
                       ◄─────────────── ACK, window 0 ──
                       … until the wait is the maximum
            CLOSED     nothing is sent                 ESTABLISHED
`,
	Refs:  []string{"RFC 9293 §3.8.6.1", "RFC 1122 §4.2.2.17", "tcp_probe_timer", "tcp_orphan_retries"},
	Needs: []harness.Need{{Sysctl: "net.ipv4.tcp_rto_max_ms"}},
	Play: func(s *harness.Stage) {
		client := unread(s)
		client.Close()
		s.Await(client.Gone())
		s.Server.Observe(1)
	},
	Claims: []harness.Claim{
		{
			Says: "the orphan in FIN_WAIT_1 is gone, as by a timeout, and its FIN never came to the wire",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.Closed))
				g.Expect(LastIn(g, r, "client", tcp.FinWait1).Timer).To(Equal("persist"))
				g.Expect(r).NotTo(Segments("client.FIN"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				client := unread(s)
				client.Shutdown() // the descriptor stays
				s.Await(s.Wire.Seen("client.PROBE#6"))
			}},
		},
		{
			Says: "every probe was answered",
			Judge: func(g Gomega, r *record.Run) {
				probes := All(g, r, "client.PROBE")
				for i, probe := range probes {
					answered := false
					for _, x := range r.Segments {
						answered = answered || !x.Other && x.SentBy == "server" && x.T > probe.T && (i+1 == len(probes) || x.T < probes[i+1].T)
					}
					g.Expect(answered).To(BeTrue(), "probe %d", i+1)
				}
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				client := unread(s)
				s.Server.PowerOff()
				client.Close()
				s.Await(client.Gone())
			}},
		},
		{
			Says: "the server is told nothing: no RST, and it stays in ESTABLISHED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(r).To(Returned("client", "close", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				client := unread(s)
				client.Linger(0)
				client.Close()
				s.Await(s.Wire.Seen("client.RST"))
			}},
		},
	},
}

// unread writes more than the server's window takes, and awaits the first probe.
func unread(s *harness.Stage) *harness.Peer {
	s.Client.Sysctl("net.ipv4.tcp_rto_max_ms", "1000")
	s.Server.Sysctl("net.ipv4.tcp_invalid_ratelimit", "0")
	server, client := s.Server.Peer(), s.Client.Peer()
	server.Open()
	server.ReceiveBuffer(4096)
	server.Listen(8080, 8)
	client.Connect(s.Server, 8080)
	server.Accept()
	client.Write(strings.Repeat("x", 10_000))
	s.Await(s.Wire.Seen("client.PROBE"))
	return client
}
