package wait

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FinWait2Orphan is the FIN_WAIT_2 that nobody owns any more: the kernel ends
// it by itself when tcp_fin_timeout is over, and tells nobody.
var FinWait2Orphan = harness.Scenario{
	Name:    "wait/fin-wait-2-orphan",
	Lasts:   2 * time.Second,
	Summary: "close(), and the other end never closes: FIN_WAIT_2 ends after tcp_fin_timeout.",
	Doc: `
After close() nobody can read what the other end might still send, so the kernel
keeps no socket: as soon as the FIN is acknowledged it trades it for a mini-socket
of a timewait block, in the state FIN_WAIT_2, with a timer of tcp_fin_timeout
(60 s; here 2 s). RFC 9293 has no such timer.

When it runs out the connection is forgotten, and no segment says so. The other
end stays in CLOSE_WAIT. Its next write() succeeds, and the answer is a RST.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
                 2 s
            CLOSED                                      CLOSE_WAIT
                       ◄────────────────────────  data ─ write() = 1
                       ── RST ───────────────────────► CLOSED
                                                        write(): EPIPE
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 1122 §4.2.2.13", "tcp_rcv_state_process", "tcp_time_wait", "tcp_fin_time"},
	Answers: []harness.Answer{{
		Statement: 13, Holds: harness.HoldsWhen,
		Says: "It holds after close(): the orphan lasts tcp_fin_timeout, 60 s, or TCP_LINGER2 of its socket. While a descriptor is open, as after shutdown(), FIN_WAIT_2 lasts for ever.",
	}},
	Play: finWait2Orphan,
	Claims: []harness.Claim{
		{
			Says: "FIN_WAIT_2 is an orphan's, with a timer that was started with tcp_fin_timeout",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait2)
				g.Expect(waiting.Orphan).To(BeTrue())
				g.Expect(waiting.Timer).To(Equal("timewait"))
				g.Expect(waiting.Expires).To(And(BeNumerically(">", 0), BeNumerically("<=", 2*time.Second+Jiffy)))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_fin_timeout", Value: "4"}}},
		},
		{
			Says: "it ends when that timer runs out, not before",
			Judge: func(g Gomega, r *record.Run) {
				waiting := FirstIn(g, r, "client", tcp.FinWait2)
				g.Expect(FirstIn(g, r, "client", tcp.Closed).T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
			},
			Refute: harness.Variant{Play: finWait2Reset},
		},
		{
			Says: "the kernel forgets in silence: the other end is in CLOSE_WAIT still when FIN_WAIT_2 is over",
			Judge: func(g Gomega, r *record.Run) {
				forgotten := FirstIn(g, r, "client", tcp.Closed)
				still, known := r.StateAt(1, "server", forgotten.T)
				g.Expect(known).To(BeTrue())
				g.Expect(still.State).To(Equal(tcp.CloseWait))
				g.Expect(Find(g, r, "server.DATA@1").T).To(BeNumerically(">", forgotten.T))
			},
			Refute: harness.Variant{Play: finWait2Reset},
		},
		{
			Says: "what the other end sends then is answered with RST, as by any port that knows no connection",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("client.FIN", "server.ACK(client.FIN)", "server.DATA@1", "client.RST"))
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
				g.Expect(Find(g, r, "client.RST").Flags).To(Equal(tcp.RST), "the number is enough: the segment had an ACK")
			},
			Refute: harness.Variant{Play: finWait2HalfClosed},
		},
		{
			Says: "the first write() of the other end succeeds, and the one after the RST is EPIPE with SIGPIPE, not ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "server", "write", 1).Result).To(BeEquivalentTo(1))
				second := Call(g, r, "server", "write", 2)
				g.Expect(second.Errno).To(Equal("EPIPE"))
				g.Expect(second.Signal).To(Equal("SIGPIPE"))
			},
			Refute: harness.Variant{Play: finWait2HalfClosed},
		},
	},
}

func finWait2Orphan(s *harness.Stage) {
	s.Client.SysctlAlways("net.ipv4.tcp_fin_timeout", "2")
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	s.Await(client.Gone())
	server.Write("x")
	s.Await(server.Gone())
	server.Write("y")
}

// finWait2Reset ends FIN_WAIT_2 from the other end, before its time.
func finWait2Reset(s *harness.Stage) {
	s.Client.Sysctl("net.ipv4.tcp_fin_timeout", "20")
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Linger(0)
	server.Close()
	s.Await(client.Gone())
}
