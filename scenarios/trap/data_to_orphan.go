package trap

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// DataToOrphan shows that each segment to an orphan is answered with a RST.
var DataToOrphan = harness.Scenario{
	Name:    "trap/many-rsts-for-one-close",
	Summary: "Three segments reach an orphan in FIN_WAIT_2: three RSTs, all with one number.",
	Doc: `
The first segment finds the mini-socket, is answered with RST and removes it. The
others find no socket, and no socket answers each segment anew. Every RST takes
its number from the ACK of the segment that it answers, and these are all the
same: a capture shows a burst of equal RSTs, and only the first of them had an effect.

  client                                              server
  close()   FIN_WAIT_2                                 CLOSE_WAIT
                       ◄──────────────────────── DATA ── write()
                       ◄──────────────────────── DATA ── write()
                       ◄──────────────────────── DATA ── write()
            CLOSED     ── RST ──────────────────────►  CLOSED
                       ── RST, the same number ─────►
                       ── RST, the same number ─────►
`,
	Refs: []string{"RFC 9293 §3.5.2", "RFC 1122 §4.2.2.13", "tcp_timewait_state_process", "tcp_v4_send_reset", "tcp_v6_send_reset"},
	Play: func(s *harness.Stage) { toOrphan(s, true) },
	Claims: []harness.Claim{
		{
			Says: "three segments are answered with three RSTs of the same number, which is their ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.RST", 3))
				for _, x := range All(g, r, "client.RST") {
					g.Expect(x.Seq).To(Equal(Find(g, r, "server.DATA@1").Ack))
					g.Expect(x.Flags).To(Equal(tcp.RST))
				}
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 3))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { toOrphan(s, false) }},
		},
		{
			Says: "the first one ended the orphan, long before tcp_fin_timeout",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.FinWait2, tcp.Closed))
				g.Expect(FirstIn(g, r, "client", tcp.FinWait2).Orphan).To(BeTrue())
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { toOrphan(s, false) }},
		},
		{
			Says: "the server is reset once, and its program sees the end of file and then EPIPE",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
				g.Expect(r).To(Returned("server", "read", 0))
				g.Expect(r).To(Failed("server", "write", "EPIPE"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { toOrphan(s, false) }},
		},
	},
}

// toOrphan writes thrice to a client that has closed, or only half.
func toOrphan(s *harness.Stage, closes bool) {
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	if closes {
		s.Wire.On("client.RST").Times(3).Hold(s.Wire.Seen("client.RST#3"))
		client.Close()
	} else {
		client.Shutdown()
	}
	server.Read(1) // end of file
	s.Await(client.In(tcp.FinWait2))
	for _, text := range []string{"a", "b", "c"} {
		server.Write(text)
	}
	if closes {
		s.Await(server.Gone())
	} else {
		client.ReadBulk(3)
	}
	server.Write("d")
}
