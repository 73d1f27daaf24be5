package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ACKOfFINLost loses the ACK of the active closer's FIN once.
var ACKOfFINLost = harness.Scenario{
	Name:    "close/ack-of-fin-lost",
	Summary: "The ACK of the active closer's FIN is lost once.",
	Doc: `
The server has heard the FIN and its program has read the end of file; only the
client does not know. It repeats the FIN, and the server's kernel acknowledges
the copy out of CLOSE_WAIT, at once: a segment that brings nothing new is
answered without waiting for more (tcp_data_queue).

To the client this looks as if its FIN was lost; only a capture at the server
can tell.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT, read() = 0
                                 ✗──────────────  ACK ──
                       ── FIN ───────────────────────►
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            TIME_WAIT  ◄────────────────────────  FIN ── close()  LAST_ACK
                        ── ACK ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "tcp_rcv_state_process", "tcp_data_queue", "tcp_retransmit_timer"},
	Play: func(s *harness.Stage) {
		client, server := s.Established()
		lost := s.Wire.On("server.ACK(client.FIN)").Drop()
		client.Close()
		s.Await(lost.Fired())
		server.Read(1) // end of file
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Close()
		s.Await(server.Gone())
	},
	Claims: []harness.Claim{
		{
			Says: "the client sends its FIN again, although the first one had arrived",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "client.FIN#2"))
				g.Expect(Find(g, r, "client.FIN#2").Seq).To(Equal(Find(g, r, "client.FIN").Seq))
				g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 1))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "it does so when its retransmission timer runs out, not before",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait1)
				g.Expect(waiting.Timer).To(Equal("retransmit"))
				g.Expect(Find(g, r, "client.FIN#2").T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "the server had been in CLOSE_WAIT all along, and its program had read the end of file",
			Judge: func(g Gomega, r *record.Run) {
				again := Find(g, r, "client.FIN#2")
				state, known := r.StateAt(1, "server", again.T)
				g.Expect(known).To(BeTrue())
				g.Expect(state.State).To(Equal(tcp.CloseWait))
				g.Expect(Call(g, r, "server", "read", 1).Result).To(BeZero())
				g.Expect(FirstIn(g, r, "server", tcp.CloseWait).T).To(BeNumerically("<", again.T))
			},
			Refute: harness.Variant{Play: finLost},
		},
		{
			Says: "the server's kernel acknowledges the copy, and only that ends FIN_WAIT_1",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Dropped("server.ACK(client.FIN)"))
				g.Expect(r).To(Delivered("client.FIN#2", "server.ACK(client.FIN)"))
				g.Expect(FirstIn(g, r, "client", tcp.FinWait2).T).To(BeNumerically(">=", Find(g, r, "client.FIN#2").T))
			},
			Refute: harness.Variant{Play: finLost},
		},
	},
}
