package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FourWay is the close of the textbook: the passive closer takes its time.
var FourWay = harness.Scenario{
	Name:    "close/four-way",
	Summary: "FIN, ACK, FIN, ACK: the passive closer closes after its ACK was delivered.",
	Doc: `
Each direction is closed on its own. The kernel acknowledges the first FIN by
itself; the second FIN waits for the other program to call close().

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            TIME_WAIT  ◄────────────────────────  FIN ── close()  LAST_ACK
                        ── ACK ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_fin", "tcp_time_wait"},
	Answers: []harness.Answer{
		{Statement: 2, Holds: harness.HoldsWhen, Says: "Four segments when the passive closer's program closes after its kernel has sent the ACK; a FIN does consume one number."},
		{Statement: 3, Holds: harness.Holds, Says: "ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT on the one side; ESTABLISHED, CLOSE_WAIT, LAST_ACK and gone on the other."},
		{Statement: 4, Holds: harness.HoldsWhen, Says: "Both FINs carry ACK: [F.] [.] [F.] [.], as long as the passive closer is not prompt."},
		{Statement: 7, Holds: harness.NotOnLinux, Says: "TIME_WAIT lasts 60 s, a constant (TCP_TIMEWAIT_LEN); no sysctl changes it, and nothing measures an MSL."},
		{Statement: 15, Holds: harness.Holds, Says: "The ACK of a FIN has no flag of its own: its number is the FIN's plus one."},
		{Statement: 19, Holds: harness.Holds, Says: "The filter finds both FINs, and sock_diag, which ss asks, shows FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, LAST_ACK and TIME_WAIT, each for as long as it lasts: some for microseconds."},
		{Statement: 16, Holds: harness.Holds, Says: "Who sends the first FIN closes actively, and is the one in TIME_WAIT."},
	},
	Play: fourWay,
	Claims: []harness.Claim{
		{
			Says: "the close is four segments: FIN, ACK, FIN, ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments("client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)",
					"client.FIN", "server.ACK(client.FIN)", "server.FIN", "client.ACK(server.FIN)"))
				g.Expect(Find(g, r, "server.ACK(client.FIN)").Flags).To(Equal(tcp.ACK))
			},
			Refute: harness.Variant{Play: threeWay},
		},
		{
			Says: "each FIN carries an ACK too, as a capture of a normal close shows: F.",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Find(g, r, "client.FIN").Flags).To(Equal(tcp.FIN | tcp.ACK))
				g.Expect(Find(g, r, "server.FIN").Flags).To(Equal(tcp.FIN | tcp.ACK))
			},
			Refute: harness.Variant{Edit: func(r *record.Run) {
				for i := range r.Segments {
					r.Segments[i].Flags &^= tcp.ACK
				}
			}},
		},
		{
			Says: "the ACK's number is the FIN's sequence number + 1: a FIN consumes one",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Find(g, r, "server.ACK(client.FIN)").Ack).To(Equal(Find(g, r, "client.FIN").Seq + 1))
				g.Expect(Find(g, r, "client.ACK(server.FIN)").Ack).To(Equal(Find(g, r, "server.FIN").Seq + 1))
			},
			// A segment with a byte and the FIN: its number is the byte's.
			Refute: harness.Variant{Play: finWithData},
		},
		{
			Says: "the active closer goes ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
			},
			Refute: harness.Variant{Play: serverClosesFirst},
		},
		{
			Says: "the passive closer goes ESTABLISHED, CLOSE_WAIT, LAST_ACK and is gone",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.LastAck, tcp.Closed))
			},
			Refute: harness.Variant{Play: serverClosesFirst},
		},
		{
			Says: "TIME_WAIT is on the side that closed first, and will last 60 s: a constant of Linux, not 2 MSL of anything",
			Judge: func(g Gomega, r *record.Run) {
				wait := FirstIn(g, r, "client", tcp.TimeWait)
				g.Expect(wait.Timer).To(Equal("timewait"))
				g.Expect(wait).To(SetTo(time.Minute, Find(g, r, "server.FIN").T))
				g.Expect(r).NotTo(HaveStates("server", tcp.TimeWait))
			},
			Refute: harness.Variant{Play: serverClosesFirst},
		},
		{
			Says: "the passive closer's read() returns 0, the end of file, and both close() return 0",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("server", "read", 0))
				g.Expect(r).To(Returned("client", "close", 0))
				g.Expect(r).To(Returned("server", "close", 0))
			},
			Refute: harness.Variant{Play: serverClosesFirst},
		},
		{
			Says: "nothing is sent twice",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 0))
				g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", 0))
			},
			Refute: harness.Variant{Play: finLost},
		},
	},
}

func fourWay(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Close()
	s.Await(server.Gone())
}

// serverClosesFirst is the four-way close with the roles exchanged.
func serverClosesFirst(s *harness.Stage) {
	client, server := s.Established()
	server.Close()
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	client.Read(1) // end of file
	client.Close()
	s.Await(client.Gone())
}

// finWithData closes behind a byte that still waits in the corked socket, so
// that one segment carries both: the FIN's number is the one after the byte's.
func finWithData(s *harness.Stage) {
	client, server := s.Established()
	client.Cork()
	client.Write("x")
	client.Close()
	server.Read(1)
	server.Read(1) // end of file
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Close()
	s.Await(server.Gone())
}
