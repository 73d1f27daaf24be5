package wait

import (
	"fmt"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// Binds restart a server whose port is held by a TIME_WAIT.
var Binds = []harness.Scenario{
	bind(false, false), bind(true, false), bind(false, true), bind(true, true),
}

// bind is a server that closed first and binds its port again: before and now
// tell whether the listener had SO_REUSEADDR in its first life and in its second.
func bind(before, now bool) harness.Scenario {
	allowed := before && now
	says := "bind() fails with EADDRINUSE"
	if allowed {
		says = "bind() and listen() succeed, while TIME_WAIT stays"
	}
	play := func(s *harness.Stage) { restarted(s, before, now) }
	other := harness.Variant{Play: func(s *harness.Stage) { restarted(s, !allowed, !allowed) }}
	return harness.Scenario{
		Name:    fmt.Sprintf("wait/bind-to-port-in-time-wait{SO_REUSEADDR=%d,%d}", bit(before), bit(now)),
		Summary: fmt.Sprintf("A server that closed first is started again; SO_REUSEADDR was %d before and is %d now.", bit(before), bit(now)),
		Doc: `
The TIME_WAIT of an accepted connection has the port of the listener, and so holds
it after the server has ended. SO_REUSEADDR lets the port be bound all the same,
but only where both sides agreed: the mini-socket inherited the option from the old
listener, through the connection. A server that sets it for the first time when it
is restarted after an upgrade still gets EADDRINUSE, for up to 60 s.

  SO_REUSEADDR before   now    bind()
                    0     0    EADDRINUSE
                    1     0    EADDRINUSE
                    0     1    EADDRINUSE
                    1     1    0
`,
		Refs: []string{"RFC 9293 §3.6.1", "inet_csk_get_port", "inet_bind_conflict", "inet_twsk_hashdance_schedule"},
		Answers: []harness.Answer{{
			Statement: 14, Holds: harness.HoldsWhen,
			Says: "TIME_WAIT holds the port of a server that closed first, for 60 s. SO_REUSEADDR lets it be bound at once if the old listener had set it too.",
		}},
		Play: play,
		Claims: []harness.Claim{
			{
				Says: says,
				Judge: func(g Gomega, r *record.Run) {
					got := Call(g, r, "server", "bind", 2)
					if allowed {
						g.Expect(got.Errno).To(BeEmpty())
						g.Expect(Call(g, r, "server", "listen", 2).Errno).To(BeEmpty())
						g.Expect(LastSeen(g, r, "server").State).To(Equal(tcp.TimeWait))
					} else {
						g.Expect(got.Errno).To(Equal("EADDRINUSE"))
					}
				},
				Refute: other,
			},
			{
				Says: "it is TIME_WAIT that holds the port: the old listener was closed, and the old connection is gone on the other side",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveStates("server", tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
					g.Expect(LastSeen(g, r, "server").State).To(Equal(tcp.TimeWait))
					g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.Closed))
					g.Expect(Call(g, r, "server", "close", 2).End).To(BeNumerically("<", Call(g, r, "server", "bind", 2).T))
				},
				Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_max_tw_buckets", Value: "0"}}},
			},
			{
				Says: connectSays(allowed),
				Judge: func(g Gomega, r *record.Run) {
					got := Call(g, r, "client", "connect", 2)
					if allowed {
						g.Expect(got.Errno).To(BeEmpty())
					} else {
						g.Expect(got.Errno).To(Equal("ECONNREFUSED"))
					}
				},
				Refute: other,
			},
		},
	}
}

func connectSays(allowed bool) string {
	if allowed {
		return "the next client is served at once"
	}
	return "the next client is refused: ECONNREFUSED"
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// restarted lets a server end in TIME_WAIT and binds its port again.
func restarted(s *harness.Stage, before, now bool) {
	server, client := s.Server.Peer(), s.Client.Peer()
	listener := server.Open()
	if before {
		listener.ReuseAddr()
	}
	listener.Bind(8080)
	listener.Listen(8)
	client.Connect(s.Server, 8080)
	accepted := listener.Accept()
	accepted.Close()
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	client.Close()
	s.Await(client.Gone())
	listener.Close()

	next := server.Open()
	if now {
		next.ReuseAddr()
	}
	if next.Bind(8080) {
		next.Listen(8)
	}
	client.Connect(s.Server, 8080)
	s.Server.Observe(1)
}
