package wait

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// TimeWaitRestarted repeats the passive closer's FIN into TIME_WAIT, which
// begins again each time.
var TimeWaitRestarted = harness.Scenario{
	Name:    "wait/fin-restarts-time-wait",
	Summary: "The last ACK is lost three times: each repeated FIN starts the 60 s of TIME_WAIT again.",
	Doc: `
The 60 s count from the last FIN that was heard, not from the first. As long as the
other end repeats its FIN, TIME_WAIT does not come nearer to its end.

  client                                              server
            TIME_WAIT  ◄────────────────────────  FIN ── close()  LAST_ACK
                 60 s  ── ACK ──────────────✗
                       ◄────────────────────────  FIN ── after 0.2 s
                 60 s  ── ACK ──────────────✗
                       ◄────────────────────────  FIN ── after 0.6 s
                 60 s  ── ACK ──────────────✗
                       ◄────────────────────────  FIN ── after 1.4 s
                 60 s  ── ACK ───────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "tcp_timewait_state_process", "inet_twsk_reschedule"},
	Answers: []harness.Answer{{
		Statement: 8, Holds: harness.Holds,
		Says: "Each repeated FIN is acknowledged out of TIME_WAIT, and the 60 s begin again.",
	}},
	Play: func(s *harness.Stage) { lastACKsLost(s, 3) },
	Claims: []harness.Claim{
		{
			Says: "each copy of the FIN is acknowledged out of TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("server.FIN", "client.ACK(server.FIN)", "server.FIN#2", "client.ACK(server.FIN)#2",
					"server.FIN#3", "client.ACK(server.FIN)#3", "server.FIN#4", "client.ACK(server.FIN)#4"))
				g.Expect(AfterDelivery(g, r, "client", Find(g, r, "server.FIN#4")).State).To(Equal(tcp.TimeWait))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lastACKsLost(s, 0) }},
		},
		{
			Says: "the end of TIME_WAIT moves by as much as the last copy came after the first FIN",
			Judge: func(g Gomega, r *record.Run) {
				begun, restarted := FirstIn(g, r, "client", tcp.TimeWait), LastIn(g, r, "client", tcp.TimeWait)
				moved := restarted.T + restarted.Latest - begun.T - begun.Expires
				g.Expect(moved).To(BeNumerically(">=", Gap(Find(g, r, "server.FIN"), Find(g, r, "server.FIN#4"))-2*Jiffy))
				g.Expect(restarted).To(SetTo(time.Minute, Find(g, r, "server.FIN#4").T))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lastACKsLost(s, 0) }},
		},
		{
			Says: "the server stays in LAST_ACK until an ACK arrives",
			Judge: func(g Gomega, r *record.Run) {
				gone := FirstIn(g, r, "server", tcp.Closed)
				g.Expect(gone.T).To(BeNumerically(">=", Find(g, r, "client.ACK(server.FIN)#4").T))
				g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", 3))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lastACKsLost(s, 1) }},
		},
	},
}

// lastACKsLost loses the ACK of the passive closer's FIN n times.
func lastACKsLost(s *harness.Stage, n int) {
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0") // repeats are counted
	client, server := s.Established()
	if n > 0 {
		s.Wire.On("client.ACK(server.FIN)").Times(n).Drop()
	}
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Close()
	s.Await(server.Gone())
}
