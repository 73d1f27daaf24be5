package trap

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// OrphanKeepAlive shows that keep-alive ends with close().
var OrphanKeepAlive = harness.Scenario{
	Name:    "trap/keepalive-stops-at-close",
	Lasts:   4 * time.Second,
	Summary: "Keep-alive of one second is set, then close(): the orphan in FIN_WAIT_2 does not probe.",
	Doc: `
The keep-alive timer is used for two things. In FIN_WAIT_2 of an orphan it counts
tcp_fin_timeout (62 here, so that the full socket stays for 2 s), and
tcp_keepalive_timer looks at that before it looks at SO_KEEPALIVE: the timer that
would have sent a probe ends the socket instead. Nobody would be told of a dead peer
anyway.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ── never closes
      4 s   CLOSED     nothing was sent
`,
	Refs: []string{"RFC 1122 §4.2.3.6", "tcp_keepalive_timer"},
	Play: func(s *harness.Stage) {
		client := keptAlive(s, true)
		s.Await(client.Gone())
	},
	Claims: []harness.Claim{
		{
			Says: "no probe is sent, for longer than keep-alive's second",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.KEEPALIVE"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPKeepAlive", 0))
				gone := FirstIn(g, r, "client", tcp.Closed)
				g.Expect(gone.T - Find(g, r, "server.ACK(client.FIN)").T).To(BeNumerically(">", 2*time.Second))
			},
			Refute: harness.Variant{Play: probedInFinWait2},
		},
		{
			Says: "the timer of that name runs, with the time of tcp_fin_timeout beyond 60 s: it is no keep-alive",
			Judge: func(g Gomega, r *record.Run) {
				wait := FirstIn(g, r, "client", tcp.FinWait2)
				g.Expect(wait.Orphan).To(BeTrue())
				g.Expect(wait.Timer).To(Equal("keepalive"))
				g.Expect(wait.Expires).To(BeNumerically(">", 1500*time.Millisecond))
			},
			Refute: harness.Variant{Play: probedInFinWait2},
		},
		{
			Says: "its end is silent: no RST is sent",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.FinWait2, tcp.Closed))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: probedInFinWait2},
		},
	},
}

func keptAlive(s *harness.Stage, closes bool) *harness.Peer {
	s.Client.SysctlAlways("net.ipv4.tcp_fin_timeout", "62")
	client, _ := s.Established()
	client.KeepAlive(time.Second, time.Second, 2)
	if closes {
		client.Close()
	} else {
		client.Shutdown()
	}
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	s.Await(client.In(tcp.FinWait2))
	return client
}

// probedInFinWait2 keeps the descriptor.
func probedInFinWait2(s *harness.Stage) {
	keptAlive(s, false)
	s.Await(s.Wire.Seen("client.KEEPALIVE"))
}
