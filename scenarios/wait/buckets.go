package wait

import (
	"fmt"
	"strconv"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// Buckets are a namespace that has no room for one more TIME_WAIT, and one that
// has no room for any.
var Buckets = []harness.Scenario{buckets(1), buckets(0)}

func buckets(n int) harness.Scenario {
	over := fmt.Sprintf("%d:", n+1) // the connection that is too much
	room := harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "100"}}}
	return harness.Scenario{
		Name:    fmt.Sprintf("wait/tw-buckets{tcp_max_tw_buckets=%d}", n),
		Summary: fmt.Sprintf("Two connections end where there is room for %d TIME_WAIT.", n),
		Doc: `
tcp_max_tw_buckets bounds the mini-sockets of a namespace. Who comes when they are
used up gets none: its connection is CLOSED where it should have waited. Nothing is
sent and nobody is told; TCPTimeWaitOverflow counts it. (The kernel's documentation
promises a warning in its log; there is none.)

It is thrown away early, at the last ACK, so a FIN that is repeated because that ACK
was lost finds nobody: it is answered with RST.

  client                                              server
            FIN_WAIT_2 ◄────────────────────────  FIN ── close()
            CLOSED     ── ACK ───────────────────────►
`,
		Refs: []string{"RFC 9293 §3.6", "inet_twsk_alloc", "tcp_time_wait", "tcp_max_tw_buckets"},
		Answers: []harness.Answer{{
			Statement: 21, Holds: harness.HoldsWhen,
			Says: "The one setting that bounds TIME_WAIT sockets, tcp_max_tw_buckets, bounds their number and not their time: what is too much gets no TIME_WAIT at all.",
		}},
		Play: func(s *harness.Stage) { fill(s, n) },
		Claims: []harness.Claim{
			{
				Says: "the connection for which there is no room is gone at its last ACK, without TIME_WAIT",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveStates(over+"client", tcp.FinWait1, tcp.FinWait2, tcp.Closed))
					g.Expect(r).NotTo(HaveStates(over+"client", tcp.TimeWait))
					g.Expect(r).To(Segments(over + "client.ACK(server.FIN)"))
				},
				Refute: room,
			},
			{
				Says: "TCPTimeWaitOverflow counts each",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeWaitOverflow", 2-n))
				},
				Refute: room,
			},
			{
				Says: "a FIN that is repeated then is answered with RST",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Delivered(over+"server.FIN#2", over+"client.RST"))
					g.Expect(r).NotTo(Segments(over + "client.ACK(server.FIN)#2"))
				},
				Refute: room,
			},
		},
	}
}

// fill ends two connections; of the one that is too much the last ACK is lost.
// Each descriptor stays open until then, or FIN_WAIT_2 would want a bucket too.
func fill(s *harness.Stage, n int) {
	s.Client.Sysctl("net.ipv4.tcp_max_tw_buckets", strconv.Itoa(n))
	server, client := s.Server.Peer(), s.Client.Peer()
	server.Listen(8080, 8)
	for i := range 2 {
		conn := fmt.Sprintf("%d:", i+1)
		client.Connect(s.Server, 8080)
		server.Accept()
		if i == n {
			s.Wire.On(conn + "client.ACK(server.FIN)").Drop()
		}
		client.Shutdown()
		s.Await(s.Wire.Delivered(conn + "server.ACK(client.FIN)"))
		server.Close()
		s.Await(server.Gone())
	}
}

// BucketsFinWait2 is the orphan in FIN_WAIT_2, which wants such a mini-socket too.
var BucketsFinWait2 = harness.Scenario{
	Name:    "wait/tw-buckets-fin-wait-2",
	Summary: "With tcp_max_tw_buckets=0 there is no FIN_WAIT_2 after close() either: the other end's FIN is answered with RST.",
	Doc: `
An orphan in FIN_WAIT_2 is a mini-socket as TIME_WAIT is, and counts for the same
limit. Where there is no room the connection is CLOSED when its FIN is acknowledged,
while the other end may still send. What comes from there, data or its FIN, is
answered with RST: a close in order on one side is a reset on the other.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            CLOSED     ◄────────────────────────  ACK ──
                       ◄────────────────────────  FIN ── close()  LAST_ACK
                       ── RST ───────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_rcv_state_process", "tcp_time_wait", "inet_twsk_alloc"},
	Play: noBuckets,
	Claims: []harness.Claim{
		{
			Says: "the client goes from FIN_WAIT_1 to CLOSED when its FIN is acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closed))
				g.Expect(AfterDelivery(g, r, "client", Find(g, r, "server.ACK(client.FIN)")).State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeWaitOverflow", 1))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "9"}}},
		},
		{
			Says: "the other end's FIN is answered with RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.FIN", "client.RST"))
				g.Expect(r).NotTo(Segments("client.ACK(server.FIN)"))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "9"}}},
		},
		{
			Says: "both close() return 0: neither program learns of it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "close", 0))
				g.Expect(r).To(Returned("server", "close", 0))
				g.Expect(AfterDelivery(g, r, "server", Find(g, r, "client.RST")).State).To(Equal(tcp.Closed))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "9"}}},
		},
	},
}

func noBuckets(s *harness.Stage) {
	s.Client.Sysctl("net.ipv4.tcp_max_tw_buckets", "0")
	closedByClient(s)
}
