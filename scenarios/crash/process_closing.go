package crash

import (
	"fmt"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ProcessClosing are processes that are killed in the closing states, with
// nothing unread.
var ProcessClosing = []harness.Scenario{
	closing(tcp.FinWait1), closing(tcp.FinWait2), closing(tcp.Closing), closing(tcp.LastAck), closing(tcp.TimeWait),
}

// closing is a process that called shutdown(SHUT_WR) and is killed in a state.
func closing(state tcp.State) harness.Scenario {
	inOrder := harness.Variant{Play: func(s *harness.Stage) { killedIn(s, tcp.Established, false) }}
	unread := harness.Variant{Play: func(s *harness.Stage) { killedIn(s, state, true) }}
	left := "what is left is an orphan in the same state, and closes in order"
	if state == tcp.TimeWait {
		left = "TIME_WAIT stays: it belonged to no process before"
		unread = harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "0"}}}
	}
	return harness.Scenario{
		Name:    fmt.Sprintf("crash/process-closing{state=%s}", state),
		Summary: fmt.Sprintf("A process is killed whose connection is in %s: nothing is sent.", state),
		Doc: `
The process has shut its sending direction down, so its FIN is on its way and there
is no second one. When it is killed with everything read, nothing is sent: the kernel
only notes that nobody is left. The connection closes as if nothing had happened, as
an orphan. (With bytes unread it is a RST, except in TIME_WAIT.)

What changes is FIN_WAIT_2, which tcp_fin_timeout bounds from now on, and how often
a FIN is repeated, which tcp_orphan_retries bounds instead of tcp_retries2. In
TIME_WAIT there is no socket any more that could be closed.

  state when it is killed   becomes
  FIN_WAIT_1                orphan with the same timer
  FIN_WAIT_2                mini-socket for tcp_fin_timeout
  CLOSING                   orphan with the same timer
  LAST_ACK                  orphan with the same timer
  TIME_WAIT                 as before
`,
		Refs:    []string{"RFC 9293 §3.6", "do_exit", "tcp_close", "tcp_orphan_retries"},
		Answers: []harness.Answer{{Statement: 41, Holds: harness.Holds, Says: "Killed after its FIN a process sends nothing more; its kernel ends the close in order. A host without power does not."}},
		// A FIN that is held must not be repeated before the process is dead.
		Hosts: []harness.HostSpec{{Name: "client", RTOMin: 5 * time.Second}},
		Play:  func(s *harness.Stage) { killedIn(s, state, false) },
		Claims: []harness.Claim{
			{
				Says: "the process is killed in " + state.String(),
				Judge: func(g Gomega, r *record.Run) {
					was, known := r.StateAt(1, "client", Call(g, r, "client", "kill", 1).T)
					g.Expect(known).To(BeTrue())
					g.Expect(was.State).To(Equal(state))
				},
				Refute: inOrder,
			},
			{
				Says: "nothing is sent for it, neither a second FIN nor a RST",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveCount("client.FIN", 1))
					g.Expect(r).NotTo(Segments("client.RST"))
					g.Expect(Find(g, r, "client.FIN").T).To(BeNumerically("<", Call(g, r, "client", "kill", 1).T))
				},
				Refute: inOrder,
			},
			{
				Says: left,
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(LastIn(g, r, "client", state).Orphan).To(Equal(state != tcp.TimeWait))
					g.Expect(LastSeen(g, r, "server").State).NotTo(Equal(tcp.Established))
					switch state {
					case tcp.FinWait2:
						g.Expect(LastSeen(g, r, "client").Timer).To(Equal("timewait"))
					case tcp.LastAck:
						g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.Closed))
					case tcp.FinWait1:
						g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.FinWait2))
					default:
						g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.TimeWait))
					}
					g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnClose", 0))
				},
				Refute: unread,
			},
		},
	}
}

// killedIn kills the client's process when its end is in a state, with a byte
// unread or without.
func killedIn(s *harness.Stage, state tcp.State, unread bool) {
	client, server := s.Established()
	if unread {
		server.Write("x")
		s.Await(s.Wire.Delivered("client.ACK(server.DATA@1)"))
	}
	// What would end the state is held until the process is dead and was looked
	// at; no RST comes.
	hold := func(match string) *harness.Rule {
		return s.Wire.On(match).Optional().Hold(s.Wire.Seen("client.RST"))
	}
	var held *harness.Rule
	switch state {
	case tcp.FinWait1:
		held = hold("client.FIN")
		client.Shutdown()
	case tcp.FinWait2:
		client.Shutdown()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	case tcp.Closing:
		s.Wire.On("client.FIN").Always().Hold(s.Wire.Seen("server.FIN"))
		s.Wire.On("server.FIN").Always().Hold(client.In(tcp.FinWait1))
		held = hold("server.ACK(client.FIN)")
		client.Shutdown()
		server.Shutdown()
		s.Await(client.In(tcp.Closing))
	case tcp.LastAck:
		server.Shutdown()
		s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
		held = hold("server.ACK(client.FIN)")
		client.Shutdown()
		s.Await(client.In(tcp.LastAck))
	case tcp.TimeWait:
		client.Shutdown()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Shutdown()
		s.AwaitFirst(0, client.In(tcp.TimeWait), client.Gone())
	}
	s.Client.Observe(1)
	client.Kill()
	s.Client.Observe(1)
	if held != nil {
		held.Disarm()
	}
	if !unread {
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	}
	s.Client.Observe(1)
}
