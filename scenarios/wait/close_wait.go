package wait

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// CloseWaitLeak is the socket that a program forgets to close.
var CloseWaitLeak = harness.Scenario{
	Name:    "wait/close-wait-leak",
	Summary: "CLOSE_WAIT that nobody closes: no timer ends it, and it outlives the other end.",
	Doc: `
CLOSE_WAIT means: the other end has closed, and our program has not. The kernel
waits for the program, and nothing else: there is no timer, and no sysctl that makes
one. A growing number of CLOSE_WAIT is a leak of descriptors in the program.

The other end's FIN_WAIT_2 is reaped after tcp_fin_timeout (here 1 s), which this
side does not notice. Only the end of the process, or a write, brings it to light:
its FIN then is answered with RST.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            CLOSED (tcp_fin_timeout)                   CLOSE_WAIT …
                       ◄────────────────────────  FIN ── the process ends
                       ── RST ───────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.10.4", "tcp_fin"},
	Answers: []harness.Answer{
		{Statement: 18, Holds: harness.HoldsWhen, Says: "Between the first FIN's ACK and the second FIN lies the program, not the network: CLOSE_WAIT lasts until somebody calls close(), without any timer. Gaps between copies of one segment are loss: 200 ms, then doubling."},
		{Statement: 42, Holds: harness.Holds, Says: "Sockets that stay in CLOSE_WAIT show a program that does not close: no timer of the kernel ends them."},
	},
	Play: closeWait,
	Claims: []harness.Claim{
		{
			Says: "no timer runs in CLOSE_WAIT, and the socket is there still when the other end is gone",
			Judge: func(g Gomega, r *record.Run) {
				gone := FirstIn(g, r, "client", tcp.Closed)
				still, known := r.StateAt(1, "server", gone.T)
				g.Expect(known).To(BeTrue())
				g.Expect(still.State).To(Equal(tcp.CloseWait))
				g.Expect(still.Timer).To(BeEmpty())
				g.Expect(still.Orphan).To(BeFalse())
			},
			Refute: harness.Variant{Play: closedInTime},
		},
		{
			Says: "the FIN comes with the end of the process, long after",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Find(g, r, "server.FIN").T).To(BeNumerically(">", FirstIn(g, r, "client", tcp.Closed).T))
				g.Expect(Find(g, r, "server.FIN").T).To(BeNumerically(">=", Call(g, r, "server", "kill", 1).T))
			},
			Refute: harness.Variant{Play: closedInTime},
		},
		{
			Says: "by then the other end knows nothing of the connection: RST, and LAST_ACK is over",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.FIN", "client.RST"))
				g.Expect(AfterDelivery(g, r, "server", Find(g, r, "client.RST")).State).To(Equal(tcp.Closed))
			},
			Refute: harness.Variant{Play: closedInTime},
		},
	},
}

func closeWait(s *harness.Stage) {
	s.Client.Sysctl("net.ipv4.tcp_fin_timeout", "1")
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file, and the program does nothing about it
	s.Await(client.Gone())
	server.Kill()
	s.Await(server.Gone())
}

// closedInTime closes while the other end still waits.
func closedInTime(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1)
	server.Kill()
	s.Await(server.Gone())
	s.Client.Observe(1)
}
