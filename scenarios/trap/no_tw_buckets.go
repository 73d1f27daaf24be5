package trap

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// NoTWBuckets shows that tcp_max_tw_buckets=0 ends FIN_WAIT_2 as well.
var NoTWBuckets = harness.Scenario{
	Name:    "trap/tcp-max-tw-buckets-0-ends-fin-wait-2",
	Summary: "With tcp_max_tw_buckets=0 an orphan has no FIN_WAIT_2: it is gone when its FIN is acknowledged.",
	Doc: `
An orphan in FIN_WAIT_2 is a mini-socket of the same kind as TIME_WAIT, so it counts
against tcp_max_tw_buckets. With 0 there is no room: the socket is dropped at the ACK
of its FIN, and the peer, which may take its time and has every right to send its
own FIN, is answered with RST.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            CLOSED     ◄────────────────────────  ACK ──
                       ◄────────────────────────  FIN ── close()  LAST_ACK
                       ── RST ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_time_wait", "inet_twsk_alloc"},
	Play: func(s *harness.Stage) {
		s.Client.Sysctl("net.ipv4.tcp_max_tw_buckets", "0")
		closedSlowly(s)
	},
	Claims: []harness.Claim{
		{
			Says: "the client has no socket any more when its FIN is acknowledged: it never is in FIN_WAIT_2",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closed))
				g.Expect(FirstIn(g, r, "client", tcp.Closed).T).To(BeNumerically("<", Find(g, r, "server.FIN").T))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "100"}}},
		},
		{
			Says: "the server's FIN is answered with RST, whose number is the FIN's acknowledgement",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("server.FIN", "client.RST"))
				g.Expect(Find(g, r, "client.RST").Seq).To(Equal(Find(g, r, "server.FIN").Ack))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "100"}}},
		},
		{
			Says: "the kernel counts an overflow of TIME_WAIT, though none was due",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeWaitOverflow", 1))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_max_tw_buckets", Value: "100"}}},
		},
	},
}

func closedSlowly(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	client.Observe()
	server.Close()
	s.Await(server.Gone())
}
