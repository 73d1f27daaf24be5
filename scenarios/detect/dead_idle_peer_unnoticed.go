package detect

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// DeadIdlePeerUnnoticed shows that nothing in a kernel looks after an idle
// connection whose peer is dead.
var DeadIdlePeerUnnoticed = harness.Scenario{
	Name:    "detect/dead-idle-peer-unnoticed",
	Summary: "The peer's host loses its power while the connection is idle, and nobody asked for keep-alive.",
	Doc: `
A zombie connection: the kernel has nothing to repeat, so no timer runs, and
nothing will ever run. sock_diag shows ESTABLISHED without a timer; that is the
evidence, for an absence cannot be waited for. The program sees nothing either,
and even its next write() is taken: only that starts a clock.

  client                                              server
  ESTABLISHED, no timer                                power off
            poll() nothing, read would wait
            write() 1
                       ── DATA ─────────────────✗
`,
	Refs: []string{"RFC 9293 §3.8.4", "RFC 1122 §4.2.3.6", "tcp_rearm_rto"},
	Play: func(s *harness.Stage) { zombie(s, func(*harness.Peer, *harness.Peer) { s.Server.PowerOff() }) },
	Answers: []harness.Answer{
		{Statement: 34, Holds: harness.Holds, Says: "In ESTABLISHED with nothing in flight Linux runs no timer at all: without keep-alive the zombie stays until the next write, or for ever."},
	},
	Claims: []harness.Claim{
		{
			Says: "the kernel of the survivor runs no timer for the connection: nothing will make it look",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(asked(g, r).Timer).To(BeEmpty())
				g.Expect(asked(g, r).State).To(Equal(tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				zombie(s, func(client, _ *harness.Peer) {
					client.KeepAlive(time.Hour, time.Minute, 3)
					s.Server.PowerOff()
				})
			}},
		},
		{
			Says: "the program cannot see it: poll() shows nothing, and a read would wait",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "poll", 0))
				g.Expect(r).To(Failed("client", "recv", "EAGAIN"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { zombie(s, killed(s)) }},
		},
		{
			Says: "a write() is taken as if all were well; from then on the retransmission timer runs",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "write", 1))
				g.Expect(r).To(HaveTimer("client", tcp.Established, "retransmit"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { zombie(s, killed(s)) }},
		},
		{
			Says: "between the handshake and that write nothing came to the wire",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments("client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)", "client.DATA@1"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { zombie(s, killed(s)) }},
		},
	},
}

// zombie looks at an idle connection after something happened to the server.
func zombie(s *harness.Stage, happens func(client, server *harness.Peer)) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	happens(client, server)
	client.Poll("IN|RDHUP", 0)
	client.ReadNow(1)
	client.Observe()
	client.Write("x")
	s.Await(s.Wire.Seen("client.DATA@1"))
}

// killed ends the server's process instead of its power: its kernel closes, and
// the client has seen it.
func killed(s *harness.Stage) func(client, server *harness.Peer) {
	return func(client, _ *harness.Peer) {
		s.Server.Kill()
		s.Await(client.In(tcp.CloseWait))
	}
}

// asked is what the client's kernel said last before the program wrote.
func asked(g Gomega, r *record.Run) record.State {
	s, known := r.StateAt(1, "client", Call(g, r, "client", "write", 1).T)
	g.Expect(known).To(BeTrue())
	return s
}
