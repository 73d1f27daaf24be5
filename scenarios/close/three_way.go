package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ThreeWay is what most closes look like: the passive closer is ready at once.
var ThreeWay = harness.Scenario{
	Name:    "close/three-way",
	Summary: "FIN, FIN+ACK, ACK: a prompt close() merges the ACK into the FIN.",
	Doc: `
The ACK of a FIN is not sent at once: the kernel waits for something to send it
with (tcp_fin enters the interactive mode). A program that closes at the end of
file gives it the FIN.

On a connection that has carried nothing the kernel waits until the next tick of its
timers (less than 4 ms where CONFIG_HZ is 250),
too short to be sure of any program. Once a request was answered it waits for
40 ms (TCP_ATO_MIN), so this play sends one first. A run whose program closed
later than that says nothing, and is played again.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            TIME_WAIT  ◄────────────────── FIN and ACK ── close()  LAST_ACK
                        ── ACK ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.8.6.3", "tcp_fin", "tcp_send_delayed_ack"},
	Answers: []harness.Answer{
		{Statement: 5, Holds: harness.HoldsWhen, Says: "The ACK rides on the FIN when close() comes before the delayed ACK: before the next tick (4 ms where CONFIG_HZ is 250) on a fresh connection, within 40 ms after a request was answered."},
	},
	Play: threeWay,
	Claims: []harness.Claim{
		{
			Says: "the server's FIN is its ACK of the client's FIN: three segments close the connection",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("server.ACK(client.FIN)", 1))
				g.Expect(Find(g, r, "server.ACK(client.FIN)").Flags).To(Equal(tcp.FIN | tcp.ACK))
				g.Expect(r).To(Delivered("client.FIN", "server.FIN", "client.ACK(server.FIN)"))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "the active closer never is in FIN_WAIT_2: it goes from FIN_WAIT_1 to TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.TimeWait))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			// CLOSE_WAIT lasts for microseconds here: it may be seen or not.
			Says: "the passive closer is in LAST_ACK when its FIN leaves, and is gone when that is acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("server", tcp.Established, tcp.LastAck, tcp.Closed))
			},
			Refute: harness.Variant{Play: serverClosesFirst},
		},
		{
			Says: "nothing is sent twice, and both close() return 0",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "close", 0))
				g.Expect(r).To(Returned("server", "close", 0))
				g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 0))
				g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", 0))
			},
			Refute: harness.Variant{Play: finLost},
		},
	},
}

func threeWay(s *harness.Stage) {
	client, server := s.Established()
	client.Write("request")
	server.Read(64)
	server.Write("response")
	client.Read(64)

	server.CloseAtEOF()
	s.Promptly("the server's close() after the FIN was delivered, before the kernel's delayed ACK",
		"client.FIN", s.Server, "close", 30*time.Millisecond)
	client.Close()
	s.Await(server.Returned("close"))
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	s.Await(server.Gone())
}
