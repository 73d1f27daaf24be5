package close

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// DuplicateFIN lets the network deliver the active closer's FIN twice.
var DuplicateFIN = harness.Scenario{
	Name:    "close/duplicate-fin",
	Summary: "The network delivers the active closer's FIN twice.",
	Doc: `
The copy is behind RCV.NXT: it says nothing new. It is acknowledged at once, so
that a sender whose ACK was lost learns of it, and it changes no state: the
program reads one end of file. With SACK on, the answer carries a D-SACK of the
FIN's number. (The other end, which has repeated nothing, takes no notice of it:
TCPDSACKIgnoredDubious.)

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
                       ── FIN (the same once more) ──►
            FIN_WAIT_2 ◄────────────────────────  ACK ──
            TIME_WAIT  ◄────────────────────────  FIN ── close()  LAST_ACK
                        ── ACK ──────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.10.7.4", "RFC 2883", "tcp_rcv_state_process", "tcp_data_queue"},
	Play: func(s *harness.Stage) {
		client, server := s.Established()
		s.Wire.On("client.FIN").Duplicate(1)
		client.Close()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Read(1) // end of file
		server.ReadNow(1)
		server.Close()
		s.Await(server.Gone())
	},
	Claims: []harness.Claim{
		{
			Says: "the copy is acknowledged at once, without a program's doing",
			Judge: func(g Gomega, r *record.Run) {
				fin := Find(g, r, "client.FIN")
				g.Expect(fin.Departures).To(HaveLen(2))
				acks := All(g, r, "server.ACK(client.FIN)")
				g.Expect(acks[0].Ack).To(Equal(fin.Seq + 1))
				g.Expect(acks[0].T).To(BeNumerically("<", Call(g, r, "server", "close", 1).T))
				g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 0))
			},
			Refute: harness.Variant{Play: fourWay},
		},
		{
			Says: "the answer tells of the copy: it carries a D-SACK of the FIN's number, and the kernel counts one sent",
			Judge: func(g Gomega, r *record.Run) {
				var fin, ack tcp.Segment
				acks := All(g, r, "server.ACK(client.FIN)")
				g.Expect(fin.Parse(Find(g, r, "client.FIN").Frame)).To(Succeed())
				g.Expect(ack.Parse(acks[len(acks)-1].Frame)).To(Succeed())
				g.Expect(ack.Options.SACKs).To(Equal(1))
				g.Expect(ack.Options.SACK[0]).To(Equal([2]tcp.Seq{fin.Seq, fin.Seq.Add(1)}))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPDSACKOldSent", 1))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Key: "net.ipv4.tcp_sack", Value: "0"}}},
		},
		{
			Says: "no state changes for it, and the program sees an end of file as ever",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Find(g, r, "client.FIN").Departures).To(HaveLen(2))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.CloseWait, tcp.LastAck, tcp.Closed))
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
				g.Expect(results(r, "server", "read")).To(Equal([]int64{0}))
				g.Expect(results(r, "server", "recv")).To(Equal([]int64{0}))
			},
			Refute: harness.Variant{Play: fourWay},
		},
	},
}
