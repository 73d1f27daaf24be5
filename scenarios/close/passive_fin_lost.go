package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// PassiveFINLost loses the passive closer's FIN once.
var PassiveFINLost = harness.Scenario{
	Name:    "close/passive-fin-lost",
	Summary: "The passive closer's FIN is lost once.",
	Doc: `
The client is closed and waits in FIN_WAIT_2 for a FIN that was lost. The server
owes it and repeats it out of LAST_ACK. The client's program is gone, and so is
its socket: what waits is a mini-socket with a timer of tcp_fin_timeout, 60 s.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
                                 ✗──────────────  FIN ── close()  LAST_ACK
            TIME_WAIT  ◄────────────────────────  FIN ── sent again
                        ── ACK ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_retransmit_timer", "tcp_timewait_state_process", "tcp_time_wait"},
	Play: passiveFINLost,
	Claims: []harness.Claim{
		{
			Says: "the server sends its FIN again, with the same sequence number",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Dropped("server.FIN"))
				g.Expect(r).To(Delivered("server.FIN#2", "client.ACK(server.FIN)"))
				g.Expect(Find(g, r, "server.FIN#2").Seq).To(Equal(Find(g, r, "server.FIN").Seq))
				g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", 1))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "it waits for its timer in LAST_ACK, as an orphan: close() had returned 0 at once",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "server", tcp.LastAck)
				g.Expect(waiting.Timer).To(Equal("retransmit"))
				g.Expect(waiting.Orphan).To(BeTrue())
				again := Find(g, r, "server.FIN#2")
				g.Expect(again.T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
				g.Expect(Call(g, r, "server", "close", 1).End).To(BeNumerically("<", again.T))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "until the copy comes the client stays in FIN_WAIT_2, which would be given up after tcp_fin_timeout: 60 s",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait2)
				g.Expect(waiting.Timer).To(Equal("timewait"))
				g.Expect(waiting).To(SetTo(time.Minute, Find(g, r, "server.ACK(client.FIN)").T))
				g.Expect(FirstIn(g, r, "client", tcp.TimeWait).T).To(BeNumerically(">=", Find(g, r, "server.FIN#2").T))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_fin_timeout", Value: "10"}}},
		},
		{
			Says: "the server is gone only when the copy is acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("server", tcp.CloseWait, tcp.LastAck, tcp.Closed))
				g.Expect(FirstIn(g, r, "server", tcp.Closed).T).To(BeNumerically(">=", Find(g, r, "server.FIN#2").T))
			},
			Refute: harness.Variant{Play: fourWay},
		},
	},
}

func passiveFINLost(s *harness.Stage) {
	client, server := s.Established()
	lost := s.Wire.On("server.FIN").Drop()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Close()
	s.Await(lost.Fired())
	s.Await(server.Gone())
}
