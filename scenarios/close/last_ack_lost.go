package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// LastACKLost loses the ACK of the passive closer's FIN once. TIME_WAIT exists
// for this moment.
var LastACKLost = harness.Scenario{
	Name:    "close/last-ack-lost",
	Summary: "The ACK of the passive closer's FIN is lost once.",
	Doc: `
The client closes first and its last ACK is lost. TIME_WAIT exists for this
moment: the server repeats its FIN, and the client, whose program has long
forgotten the connection, acknowledges it again.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            TIME_WAIT  ◄────────────────────────  FIN ── close()  LAST_ACK
                        ── ACK ──────────────✗
                       ◄────────────────────────  FIN ── sent again
                        ── ACK ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.10.7.4", "tcp_timewait_state_process", "tcp_retransmit_timer"},
	Answers: []harness.Answer{
		{Statement: 8, Holds: harness.Holds, Says: "The FIN that comes again after a lost last ACK is acknowledged out of TIME_WAIT, whose 60 s then start again."},
	},
	Play: func(s *harness.Stage) {
		lost := s.Wire.On("client.ACK(server.FIN)")
		lastACK(s, func() { lost.Drop() })
		s.Await(lost.Fired())
	},
	Claims: []harness.Claim{
		{
			Says: "the server sends its FIN again, with the same sequence number",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r.Segments).To(Segments("server.FIN", "server.FIN#2"))
				first, again := Find(g, r, "server.FIN"), Find(g, r, "server.FIN#2")
				g.Expect(again.Seq).To(Equal(first.Seq))
			},
			Refute: harness.Variant{Play: nothingLost},
		},
		{
			Says: "it does so when its retransmission timer runs out, not before",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "server", tcp.LastAck)
				g.Expect(waiting.Timer).To(Equal("retransmit"))
				again := Find(g, r, "server.FIN#2")
				g.Expect(again.T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy), "timers run late, never early")
			},
			Refute: harness.Variant{Play: nothingLost},
		},
		{
			Says: "the client acknowledges the FIN again out of TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.FIN#2", "client.ACK(server.FIN)#2"))
				again := Find(g, r, "client.ACK(server.FIN)#2")
				state, known := r.StateAt(1, "client", again.T)
				g.Expect(known).To(BeTrue())
				g.Expect(state.State).To(Equal(tcp.TimeWait))
			},
			Refute: harness.Variant{Play: nothingLost},
		},
		{
			Says: "the repeated FIN starts TIME_WAIT's 60 s again",
			Judge: func(g Gomega, r *record.Run) {
				first, restarted := FirstIn(g, r, "client", tcp.TimeWait), LastIn(g, r, "client", tcp.TimeWait)
				again := Find(g, r, "server.FIN#2")
				g.Expect(restarted.T).To(BeNumerically(">=", again.T))
				g.Expect(first).To(SetTo(time.Minute, Find(g, r, "server.FIN").T))
				g.Expect(restarted).To(SetTo(time.Minute, again.T))
			},
			Refute: harness.Variant{Play: nothingLost},
		},
		{
			Says: "the server stays in LAST_ACK until the ACK arrives, and is gone then",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("server", tcp.CloseWait, tcp.LastAck, tcp.Closed))
				gone := FirstIn(g, r, "server", tcp.Closed)
				g.Expect(gone.T).To(BeNumerically(">=", Find(g, r, "client.ACK(server.FIN)#2").T))
			},
			Refute: harness.Variant{Play: nothingLost},
		},
		{
			Says: "neither program notices: each close() returns 0",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "close", 0))
				g.Expect(r).To(Returned("server", "close", 0))
				g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", 1))
			},
			Refute: harness.Variant{Play: nothingLost},
		},
	},
}

// nothingLost is the same close on a wire that loses nothing.
func nothingLost(s *harness.Stage) {
	lastACK(s, func() {})
}

// lastACK closes a connection from the client's end, step by step; arm stands
// before what it is about.
func lastACK(s *harness.Stage, arm func()) {
	client, server := s.Established()
	arm()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)")) // a prompt close() would merge it into the FIN
	server.Read(1)                                      // end of file
	server.Close()
	s.Await(server.Gone())
}
