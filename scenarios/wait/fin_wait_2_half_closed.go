package wait

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FinWait2HalfClosed is the FIN_WAIT_2 of a program that still reads: it has no
// timer, and data flows.
var FinWait2HalfClosed = harness.Scenario{
	Name:    "wait/fin-wait-2-half-closed",
	Summary: "shutdown(SHUT_WR) and a descriptor that stays: FIN_WAIT_2 outlives tcp_fin_timeout, and data flows.",
	Doc: `
tcp_fin_timeout is for orphans. A program that called shutdown(SHUT_WR) wants to
read, for as long as it likes: FIN_WAIT_2 then has no timer at all.

That it outlives tcp_fin_timeout (1 s here) is shown by a second connection, which
is closed after the first one was shut down and reaped while that one stays.

  client                                              server
  shutdown() FIN_WAIT_1 ── FIN ──────────────────────► CLOSE_WAIT
             FIN_WAIT_2 ◄───────────────────────  ACK ──
  (a second connection: close(), FIN_WAIT_2, reaped)
             FIN_WAIT_2 ◄──────────────────────  data ── write()
  read() = 1            ── ACK ──────────────────────►
             TIME_WAIT  ◄───────────────────────  FIN ── close()  LAST_ACK
                        ── ACK ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.6.1", "tcp_shutdown", "tcp_rcv_state_process"},
	Answers: []harness.Answer{
		{Statement: 13, Holds: harness.HoldsWhen, Says: "Not after shutdown(): a FIN_WAIT_2 with a descriptor has no timer and stays until the other end closes."},
		{Statement: 1, Holds: harness.Holds, Says: "After the first FIN data flows the other way for as long as the receiver keeps its descriptor."},
	},
	Play: finWait2HalfClosed,
	Claims: []harness.Claim{
		{
			Says: "no timer runs in FIN_WAIT_2, and the socket is no orphan",
			Judge: func(g Gomega, r *record.Run) {
				for _, waiting := range Readings(g, r, "client", tcp.FinWait2) {
					g.Expect(waiting.Timer).To(BeEmpty())
					g.Expect(waiting.Orphan).To(BeFalse())
				}
			},
			Refute: harness.Variant{Play: finWait2Orphan},
		},
		{
			Says: "it outlives an orphan that was closed after it and reaped by tcp_fin_timeout",
			Judge: func(g Gomega, r *record.Run) {
				reaped := FirstIn(g, r, "2:client", tcp.Closed)
				g.Expect(FirstIn(g, r, "2:client", tcp.FinWait2).T).To(BeNumerically(">", FirstIn(g, r, "client", tcp.FinWait2).T))
				g.Expect(Find(g, r, "server.DATA@1").T).To(BeNumerically(">", reaped.T))
				g.Expect(AfterDelivery(g, r, "client", Find(g, r, "server.DATA@1")).State).To(Equal(tcp.FinWait2))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { halfClosed(s, true) }},
		},
		{
			Says: "what the other end sends then is acknowledged and read",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "server.DATA@1", "client.ACK(server.DATA@1)"))
				g.Expect(string(Call(g, r, "client", "read", 1).Data)).To(Equal("late"))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { halfClosed(s, true) }},
		},
		{
			Says: "the close ends in order whenever the other end closes: end of file, TIME_WAIT, and nobody is reset",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
				g.Expect(r).To(HaveStates("server", tcp.CloseWait, tcp.LastAck, tcp.Closed))
				g.Expect(Call(g, r, "client", "read", 2).Result).To(BeZero())
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { halfClosed(s, true) }},
		},
	},
}

func finWait2HalfClosed(s *harness.Stage) { halfClosed(s, false) }

// halfClosed shuts a connection down, or closes it, and lets the other end
// write when an orphan that was closed later is gone.
func halfClosed(s *harness.Stage, orphan bool) {
	s.Client.Sysctl("net.ipv4.tcp_fin_timeout", "1")
	client, server := s.Established()
	half, writer := client.Socket, server.Socket
	if orphan {
		half.Close()
	} else {
		half.Shutdown()
	}
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))

	client.Connect(s.Server, 8080)
	second := client.Socket
	server.Accept()
	second.Close()
	s.Await(s.Wire.Delivered("2:server.ACK(client.FIN)"))
	s.Await(second.Gone())
	if orphan {
		s.Await(half.Gone())
	}

	writer.Read(1) // end of file
	writer.Write("late")
	half.Read(8)
	writer.Close()
	if !orphan {
		s.Await(writer.Gone())
		half.Read(8)
		half.Read(8)
		half.Close()
	}
}
