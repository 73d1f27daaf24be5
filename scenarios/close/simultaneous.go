package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// Simultaneous lets both FINs cross on the wire: each end is an active closer,
// and each passes through CLOSING.
var Simultaneous = harness.Scenario{
	Name:    "close/simultaneous",
	Summary: "Both ends close before either has heard of the other's FIN.",
	Doc: `
Neither FIN acknowledges the other: each end is in FIN_WAIT_1 when the other's
FIN arrives, and that FIN is not the ACK that it waits for. So each acknowledges
what came, goes on waiting in CLOSING, and ends in TIME_WAIT: there is no passive
closer, and two ports are kept for 60 s.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────╮   ╭──────── FIN ── close()  FIN_WAIT_1
            CLOSING    ◄─────────────┼───╯
                                     ╰───────────────► CLOSING
                       ── ACK ───────╮   ╭──────── ACK ──
            TIME_WAIT  ◄─────────────┼───╯
                                     ╰───────────────► TIME_WAIT
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 9293 figure 13", "tcp_fin", "tcp_rcv_state_process", "tcp_time_wait"},
	Answers: []harness.Answer{{
		Statement: 6, Holds: harness.Holds,
		Says: "Two FINs and two ACKs end it in order; both ends pass through CLOSING, and both stay in TIME_WAIT for 60 s.",
	}},
	Play: simultaneous,
	Claims: []harness.Claim{
		{
			Says: "the client goes FIN_WAIT_1, CLOSING, TIME_WAIT: never through FIN_WAIT_2",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closing, tcp.TimeWait))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "so does the server: there is no CLOSE_WAIT and no LAST_ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.FinWait1, tcp.Closing, tcp.TimeWait))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "neither FIN acknowledges the other: each has the number that the other's FIN has, not the one behind it",
			Judge: func(g Gomega, r *record.Run) {
				client, server := Find(g, r, "client.FIN"), Find(g, r, "server.FIN")
				g.Expect(server.Ack).To(Equal(client.Seq))
				g.Expect(client.Ack).To(Equal(server.Seq))
			},
			Refute: harness.Variant{Play: threeWay},
		},
		{
			Says: "each FIN is answered with an ACK alone, which is all that ends CLOSING",
			Judge: func(g Gomega, r *record.Run) {
				for _, end := range []struct{ ack, host string }{
					{"server.ACK(client.FIN)", "client"}, {"client.ACK(server.FIN)", "server"},
				} {
					ack := Find(g, r, end.ack)
					g.Expect(ack.Flags).To(Equal(tcp.ACK))
					g.Expect(FirstIn(g, r, end.host, tcp.TimeWait).T).To(BeNumerically(">=", ack.Departures[0].T))
				}
			},
			Refute: harness.Variant{Play: threeWay},
		},
		{
			Says: "in CLOSING the FIN still waits for its ACK: the retransmission timer runs on a socket without a descriptor",
			Judge: func(g Gomega, r *record.Run) {
				for _, host := range []string{"client", "server"} {
					g.Expect(r).To(HaveTimer(host, tcp.Closing, "retransmit"))
					g.Expect(FirstIn(g, r, host, tcp.Closing).Orphan).To(BeTrue())
				}
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "both ends pay for the close: each is in TIME_WAIT for 60 s",
			Judge: func(g Gomega, r *record.Run) {
				first := min(Find(g, r, "client.ACK(server.FIN)").T, Find(g, r, "server.ACK(client.FIN)").T)
				for _, host := range []string{"client", "server"} {
					wait := FirstIn(g, r, host, tcp.TimeWait)
					g.Expect(wait.Timer).To(Equal("timewait"))
					g.Expect(wait).To(SetTo(time.Minute, first))
				}
			},
			Refute: harness.Variant{Play: fourWay},
		},
	},
}

func simultaneous(s *harness.Stage) {
	client, server := s.Established()
	// Both FINs cross; CLOSING lasts as long as the other end's ACK is held.
	s.Wire.On("client.FIN").Always().Hold(s.Wire.Seen("server.FIN"))
	s.Wire.On("server.FIN").Always().Hold(client.In(tcp.FinWait1))
	s.Wire.On("server.ACK(client.FIN)").Always().Hold(client.In(tcp.Closing))
	s.Wire.On("client.ACK(server.FIN)").Always().Hold(server.In(tcp.Closing))
	client.Close()
	server.Close()
	s.Await(client.In(tcp.TimeWait))
	s.Await(server.In(tcp.TimeWait))
}
