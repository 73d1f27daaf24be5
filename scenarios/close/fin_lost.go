package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FINLost loses the active closer's FIN once.
var FINLost = harness.Scenario{
	Name:    "close/fin-lost",
	Summary: "The active closer's FIN is lost once.",
	Doc: `
close() has returned and the program may be gone, but the kernel still owes the
FIN and repeats it. Until the copy arrives the server believes in ESTABLISHED.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ──────────────✗          ESTABLISHED
                       ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            TIME_WAIT  ◄────────────────────────  FIN ── close()  LAST_ACK
                        ── ACK ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_retransmit_timer", "tcp_send_loss_probe"},
	Answers: []harness.Answer{
		{Statement: 17, Holds: harness.HoldsWhen, Says: "A FIN that is repeated was lost, or its ACK was, or the host that should send it is gone. A FIN that waits up to 40 ms for its ACK is none of these: the kernel delays it."},
	},
	Play: finLost,
	Claims: []harness.Claim{
		{
			Says: "the client sends its FIN again, with the same sequence number",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Dropped("client.FIN"))
				g.Expect(r).To(Delivered("client.FIN#2"))
				g.Expect(Find(g, r, "client.FIN#2").Seq).To(Equal(Find(g, r, "client.FIN").Seq))
				g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 1))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "it stays in FIN_WAIT_1 until the copy is acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
				moved := FirstIn(g, r, "client", tcp.FinWait2)
				g.Expect(moved.T).To(BeNumerically(">=", Find(g, r, "client.FIN#2").T))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "the FIN that was lost was waiting for its timer as an orphan: no descriptor was left",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait1)
				g.Expect(waiting.Timer).To(Equal("retransmit"))
				g.Expect(waiting.Orphan).To(BeTrue())
				g.Expect(Find(g, r, "client.FIN#2").T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "the server knows nothing of the close until the copy arrives",
			Judge: func(g Gomega, r *record.Run) {
				knows := FirstIn(g, r, "server", tcp.CloseWait)
				g.Expect(knows.T).To(BeNumerically(">=", Find(g, r, "client.FIN#2").T))
				for _, c := range r.Server().Calls {
					if c.Name == "read" {
						g.Expect(c.Result).To(BeZero(), "the end of file")
						g.Expect(c.End).To(BeNumerically(">=", Find(g, r, "client.FIN#2").T))
					}
				}
			},
			Refute: harness.Variant{Play: fourWay},
		},
	},
}

func finLost(s *harness.Stage) {
	client, server := s.Established()
	lost := s.Wire.On("client.FIN").Drop()
	client.Close()
	s.Await(lost.Fired())
	server.Read(1) // end of file, when the copy has come
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Close()
	s.Await(server.Gone())
}
