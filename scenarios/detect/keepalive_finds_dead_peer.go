package detect

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// KeepAliveFindsDeadPeer shows what keep-alive sends, when it gives up, and what
// the program is told.
var KeepAliveFindsDeadPeer = harness.Scenario{
	Name:    "detect/keepalive-finds-dead-peer",
	Lasts:   3 * time.Second,
	Summary: "The peer's host loses its power while the connection is idle; keep-alive finds out.",
	Doc: `
The stock timers are 7200 s of silence, then nine probes 75 s apart: 2 h 11 min.
Here the socket says one second, and two probes one second apart. A probe is a
bare ACK whose number is one too low, so that it must be answered: it carries no
byte on Linux. With the last one unanswered for an interval the kernel sends one
RST to whoever may still be there, and the program's read() fails.

  client                                              server
  ESTABLISHED                                          power off
      1 s              ── KEEPALIVE ────────────✗
      2 s              ── KEEPALIVE ────────────✗
      3 s   CLOSED     ── RST ──────────────────✗
            read() ETIMEDOUT
`,
	Refs: []string{"RFC 9293 §3.8.4", "RFC 1122 §4.2.3.6", "tcp_keepalive_timer", "tcp_write_wakeup", "tcp_send_active_reset"},
	Play: func(s *harness.Stage) { keepAlive(s, true) },
	Answers: []harness.Answer{
		{Statement: 35, Holds: harness.HoldsWhen, Says: "With SO_KEEPALIVE set: 7200 s, then 9 probes 75 s apart, then ETIMEDOUT; the probe carries no byte, and a RST follows the last one."},
		{Statement: 36, Holds: harness.Holds, Says: "Off unless SO_KEEPALIVE is set; the socket's TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT overrule the sysctls."},
	},
	Claims: []harness.Claim{
		{
			Says: "two probes are sent, each with the number before the next and without a byte",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.KEEPALIVE", 2))
				for _, x := range All(g, r, "client.KEEPALIVE") {
					g.Expect(x.Len).To(BeZero())
					g.Expect(x.Seq).To(BeZero(), "the number of the SYN")
				}
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPKeepAlive", 2))
			},
			Refute: harness.Variant{Play: keepAliveAnswered},
		},
		{
			Says: "the first comes when the keep-alive timer runs out, not before",
			Judge: func(g Gomega, r *record.Run) {
				probe := Find(g, r, "client.KEEPALIVE")
				waiting, _ := r.StateAt(1, "client", probe.T)
				g.Expect(waiting.Timer).To(Equal("keepalive"))
				g.Expect(probe.T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
			},
			Refute: harness.Variant{Play: noKeepAlive},
		},
		{
			Says: "read() fails with ETIMEDOUT one interval after the last probe, not before",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
				probes := All(g, r, "client.KEEPALIVE")
				g.Expect(Call(g, r, "client", "read", 1).End).To(BeNumerically(">=", probes[len(probes)-1].T+time.Second-Jiffy))
			},
			Refute: harness.Variant{Play: keepAliveAnswered},
		},
		{
			Says: "giving up sends one RST with ACK, whose number is the next",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.RST", 1))
				reset := Find(g, r, "client.RST")
				g.Expect(reset.Flags).To(Equal(tcp.RST | tcp.ACK))
				g.Expect(reset.Seq).To(BeEquivalentTo(1))
			},
			Refute: harness.Variant{Play: keepAliveAnswered},
		},
		{
			Says: "the kernel counts a connection that was ended by a timeout, and has no socket any more",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
				g.Expect(r).To(HaveStates("client", tcp.Established, tcp.Closed))
			},
			Refute: harness.Variant{Play: keepAliveAnswered},
		},
	},
}

// keepAlive has an idle connection probed; dead takes the server's power before.
func keepAlive(s *harness.Stage, dead bool) {
	client, server := s.Established()
	client.KeepAlive(time.Second, time.Second, 2)
	client.Observe()
	if dead {
		s.Server.PowerOff()
		client.Read(1)
		s.Await(client.Gone())
		return
	}
	s.Await(s.Wire.Seen("client.KEEPALIVE"))
	server.Write("x")
	client.Read(1)
}

func keepAliveAnswered(s *harness.Stage) { keepAlive(s, false) }

// noKeepAlive is the same silence with nothing set.
func noKeepAlive(s *harness.Stage) {
	client, server := s.Established()
	client.Observe()
	server.Write("x")
	client.Read(1)
}
