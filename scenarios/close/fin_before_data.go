package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FINBeforeData lets the FIN overtake the data that it follows.
var FINBeforeData = harness.Scenario{
	Name:    "close/fin-before-data",
	Summary: "The FIN overtakes the last data on its way.",
	Doc: `
A FIN has a place in the stream. One that comes before its turn waits in the
out-of-order queue like any byte: the connection stays ESTABLISHED, the program
reads nothing, and the ACK asks for what is missing. When the data comes, both
are taken at once.

  client                                              server
  write()              ── DATA ──────────╮
  close()   FIN_WAIT_1 ── FIN ───────────┼───────────► ESTABLISHED, queued
                       ◄─────────────────┼──── ACK of nothing new ──
                                         ╰───────────► CLOSE_WAIT, read() = 4, 0
            FIN_WAIT_2 ◄────────────────────────  ACK ──
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "tcp_data_queue_ofo", "tcp_ofo_queue", "tcp_fin"},
	Play: finBeforeData,
	Claims: []harness.Claim{
		{
			Says: "the server stays in ESTABLISHED when the FIN has come, and asks for what is missing",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "client.DATA", "server.ACK(client.FIN)"))
				asks := next(g, r, "server", Find(g, r, "client.FIN").T)
				g.Expect(asks.Flags).To(Equal(tcp.ACK))
				g.Expect(asks.Ack).To(Equal(Find(g, r, "client.DATA").Seq))
				state, known := r.StateAt(1, "server", asks.T)
				g.Expect(known).To(BeTrue())
				g.Expect(state.State).To(Equal(tcp.Established))
			},
			Refute: harness.Variant{Play: dataThenFIN},
		},
		{
			Says: "the FIN waits in the out-of-order queue",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPOFOQueue", BeNumerically(">=", 1)))
			},
			Refute: harness.Variant{Play: dataThenFIN},
		},
		{
			Says: "the data ends the wait: the server is in CLOSE_WAIT, and one ACK covers both",
			Judge: func(g Gomega, r *record.Run) {
				data := Find(g, r, "client.DATA")
				closeWait := FirstIn(g, r, "server", tcp.CloseWait)
				g.Expect(closeWait.T).To(BeNumerically(">=", data.Departures[0].T))
				fin := Find(g, r, "client.FIN")
				g.Expect(data.Departures[0].T).To(BeNumerically(">", fin.Departures[0].T))
				g.Expect(Find(g, r, "server.ACK(client.FIN)").Ack).To(Equal(fin.Seq + 1))
			},
			Refute: harness.Variant{Play: dataThenFIN},
		},
		{
			Says: "the program reads the data before the end of file, in the order in which it was written",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(results(r, "server", "read")).To(Equal([]int64{int64(len("data")), 0}))
				g.Expect(Call(g, r, "server", "read", 1).Data).To(Equal([]byte("data")))
			},
			// What never comes is never read: the FIN alone ends nothing.
			Refute: harness.Variant{Play: fourWay},
		},
	},
}

func finBeforeData(s *harness.Stage) {
	dataAndFIN(s, func() {
		s.Wire.On("client.DATA").Always().Hold(s.Wire.Seen(`from == "server" && !tcp.flags.syn`))
	})
}

func dataThenFIN(s *harness.Stage) { dataAndFIN(s, func() {}) }

func dataAndFIN(s *harness.Stage, arm func()) {
	client, server := s.Established()
	arm()
	client.Write("data")
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(64)
	server.Read(64) // end of file
	server.Close()
	s.Await(server.Gone())
}
