package wait

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// noTimeWait lets the client's kernel keep no TIME_WAIT at all.
var noTimeWait = harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "0"}}}

// TimeWait is what the active closer is left with, and how long.
var TimeWait = harness.Scenario{
	Name:    "wait/time-wait",
	Summary: "TIME_WAIT lasts 60 s whatever tcp_fin_timeout says, and needs no process.",
	Doc: `
TIME_WAIT on Linux is TCP_TIMEWAIT_LEN, 60 s: a constant of the build, without a
sysctl. tcp_fin_timeout, which is often set to shorten it, is for orphans in
FIN_WAIT_2 only (here it is 5 s).

What waits is a mini-socket of the namespace. It has no descriptor and no owner, so
the end of the process that closed does not end it.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            TIME_WAIT  ◄────────────────────────  FIN ── close()  LAST_ACK
                       ── ACK ───────────────────────► CLOSED
  exit()    TIME_WAIT, 60 s
`,
	Refs: []string{"RFC 9293 §3.4.2", "RFC 9293 §3.6", "tcp_time_wait", "TCP_TIMEWAIT_LEN", "tcp_fin_timeout"},
	Answers: []harness.Answer{
		{Statement: 7, Holds: harness.NotOnLinux, Says: "TIME_WAIT is 60 s, a constant (TCP_TIMEWAIT_LEN). No sysctl changes it, tcp_fin_timeout neither."},
		{Statement: 21, Holds: harness.HoldsWhen, Says: "A TIME_WAIT is a mini-socket of some 250 bytes without a process; what runs out is a client's ports (tcp_tw_reuse) or tcp_max_tw_buckets. No setting makes it shorter."},
	},
	Play: timeWait,
	Claims: []harness.Claim{
		{
			Says: "TIME_WAIT shows 60 s although tcp_fin_timeout is 5 s",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.TimeWait)
				g.Expect(waiting.Timer).To(Equal("timewait"))
				g.Expect(waiting).To(SetTo(time.Minute, Find(g, r, "server.FIN").T))
			},
			Refute: noTimeWait,
		},
		{
			Says: "FIN_WAIT_2, which tcp_fin_timeout is for, showed 5 s on the same socket",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait2)
				g.Expect(waiting.Timer).To(Equal("timewait"))
				g.Expect(waiting.Expires).To(And(BeNumerically(">", time.Second), BeNumerically("<=", 5*time.Second+Jiffy)))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_fin_timeout", Value: "30"}}},
		},
		{
			Says: "it is there still when the process that closed has ended",
			Judge: func(g Gomega, r *record.Run) {
				ended := Call(g, r, "client", "exit", 1)
				still, known := r.StateAt(1, "client", r.Duration)
				g.Expect(known).To(BeTrue())
				g.Expect(still.State).To(Equal(tcp.TimeWait))
				g.Expect(r.Duration).To(BeNumerically(">", ended.T))
			},
			Refute: noTimeWait,
		},
		{
			Says: "only the active closer waits: the other end is gone with the last ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
				g.Expect(r).NotTo(HaveStates("server", tcp.TimeWait))
				g.Expect(r).To(HaveStates("server", tcp.LastAck, tcp.Closed))
			},
			Refute: harness.Variant{Play: timeWaitAtServer},
		},
	},
}

func timeWait(s *harness.Stage) {
	s.Client.SysctlAlways("net.ipv4.tcp_fin_timeout", "5")
	client := closedByClient(s)
	client.Exit(0)
	s.Client.Observe(1)
}

// closedByClient brings the client's end of connection 1 to TIME_WAIT, with its
// port clientPort, and the server's to its end.
func closedByClient(s *harness.Stage) (client *harness.Peer) {
	client, server := connected(s)
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Close()
	s.Await(server.Gone())
	return client
}

// closedByServer brings the server's end of connection 1 to TIME_WAIT, and the
// client's, with its port clientPort, to its end.
func closedByServer(s *harness.Stage) (client, server *harness.Peer) {
	client, server = connected(s)
	server.Close()
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	client.Close()
	s.Await(client.Gone())
	return client, server
}

func timeWaitAtServer(s *harness.Stage) {
	client, _ := closedByServer(s)
	client.Exit(0)
	s.Client.Observe(1)
}

// clientPort is the client's port where a play uses it twice.
const clientPort = 40001

// connected is Stage.Established, from clientPort.
func connected(s *harness.Stage) (client, server *harness.Peer) {
	server, client = s.Server.Peer(), s.Client.Peer()
	server.Listen(8080, 8)
	again(s, client)
	server.Accept()
	return client, server
}

// again opens a socket on clientPort and connects it, once more where it was
// used before. It returns whether that went well.
func again(s *harness.Stage, client *harness.Peer) bool {
	client.Open()
	client.ReuseAddr()
	client.Bind(clientPort)
	return client.Connect(s.Server, 8080)
}
