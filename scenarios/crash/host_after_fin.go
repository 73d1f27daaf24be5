package crash

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// HostAfterFIN is the host that loses its power right after its FIN: the other
// end's own FIN is never answered.
var HostAfterFIN = harness.Scenario{
	Name:    "crash/host-after-fin",
	Lasts:   3 * time.Second,
	Summary: "The active closer's host loses its power after its FIN: the other end repeats its own FIN and gives up.",
	Doc: `
The client's FIN was acknowledged; then the power goes. The server learns nothing
of it. It closes, and its FIN is repeated from an orphan in LAST_ACK, with the
timeout doubled each time: at 0.2, 0.6, 1.4 … s. (With the stock tcp_early_retrans
a tail-loss probe comes first, and everything after it 0.2 s later.)

What ends it is tcp_orphan_retries: 0 means 8, which takes about 107 s. The limit is
no count of repeats but a time: the sum that so many doublings of the least timeout
take, counted from the first repeat. Here it is 2, so 1.4 s: the timer that runs out
1.4 s after the first FIN is too early for it, a third repeat is sent, and the end
comes after 3 s. Nothing is sent then, and no program is told, for none is left.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
  (power off)                                          close()  LAST_ACK
                               ✗────────────────  FIN ──
                               ✗────────────────  FIN ── after RTO
                               ✗────────────────  FIN ── after 2 RTO …
                                                        CLOSED
`,
	Refs: []string{"RFC 9293 §3.8.3", "tcp_retransmit_timer", "tcp_write_timeout", "tcp_orphan_retries", "retransmits_timed_out"},
	Answers: []harness.Answer{{
		Statement: 31, Holds: harness.HoldsWhen,
		Says: "The FIN is repeated and given up, but from 0.2 s on and not from 1 s: with the stock tcp_orphan_retries=0, which means 8, eight repeats in about 107 s; a tail-loss probe may add one. Then the connection is given up in silence.",
	}},
	Play: hostAfterFIN,
	Claims: []harness.Claim{
		{
			Says: "the server repeats its FIN, the same number each time, and no host answers",
			Judge: func(g Gomega, r *record.Run) {
				fins := All(g, r, "server.FIN")
				g.Expect(len(fins)).To(BeNumerically(">=", 3))
				for _, fin := range fins {
					g.Expect(fin.Seq).To(Equal(fins[0].Seq))
					g.Expect(fin.Departures).To(BeEmpty())
				}
				g.Expect(r).NotTo(Segments("server.FIN", "client.ACK"))
			},
			Refute: harness.Variant{Play: hostStays},
		},
		{
			Says: "the timeout doubles: the waits are at least 0.2, 0.4, 0.8 … s",
			Judge: func(g Gomega, r *record.Run) {
				fins := All(g, r, "server.FIN")
				g.Expect(len(fins)).To(BeNumerically(">=", 3))
				for i := 1; i < len(fins); i++ {
					// Timers are late and never early.
					g.Expect(Gap(fins[i-1], fins[i])).To(BeNumerically(">=", time.Duration(1<<(i-1))*200*time.Millisecond-Jiffy))
				}
			},
			// The first repeat is then a tail-loss probe, and the second comes too soon.
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_early_retrans", Value: "3"}}},
		},
		{
			Says: "the socket is an orphan in LAST_ACK with a retransmission timer, and is gone when the last timer runs out",
			Judge: func(g Gomega, r *record.Run) {
				waiting := LastIn(g, r, "server", tcp.LastAck)
				g.Expect(waiting.Orphan).To(BeTrue())
				g.Expect(waiting.Timer).To(Equal("retransmit"))
				g.Expect(FirstIn(g, r, "server", tcp.Closed).T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
			},
			Refute: harness.Variant{Play: hostBootsEarly},
		},
		{
			Says: "it gives up in silence: no RST at the end; TCPAbortOnTimeout counts it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("server.RST"))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnTimeout", 1))
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
			},
			Refute: harness.Variant{Play: hostBootsEarly},
		},
		{
			Says: "the program was told long before that all is well: close() returned 0",
			Judge: func(g Gomega, r *record.Run) {
				closed := Call(g, r, "server", "close", 1)
				g.Expect(closed.Result).To(BeZero())
				g.Expect(closed.End).To(BeNumerically("<", Find(g, r, "server.FIN#2").T))
			},
			Refute: harness.Variant{Play: hostStays},
		},
	},
}

// HostAfterFINBoots is the same host, which boots while the other end still
// repeats its FIN.
var HostAfterFINBoots = harness.Scenario{
	Name:    "crash/host-after-fin-boots",
	Summary: "The active closer's host loses its power after its FIN and boots: it answers the repeated FIN with RST.",
	Doc: `
A kernel that has just booted knows no connection. The FIN that the server still
repeats is for nobody there, and the answer is a RST with the number that the FIN's
ACK field names. LAST_ACK ends at once.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ──
  (power off)                                          close()  LAST_ACK
                               ✗────────────────  FIN ──
  (boot)
            CLOSED     ◄────────────────────────  FIN ── after RTO
                       ── RST ───────────────────────► CLOSED
`,
	Refs: []string{"RFC 9293 §3.5.1", "RFC 9293 §3.10.7.1", "tcp_v4_send_reset", "tcp_reset"},
	Answers: []harness.Answer{
		{Statement: 22, Holds: harness.Holds, Says: "A host that rebooted answers a segment of a connection that it no longer knows with RST."},
		{Statement: 39, Holds: harness.HoldsWhen, Says: "It holds when something is sent to it: data or, as here, a FIN that is repeated. The RST alone tells; an idle end learns nothing."},
	},
	Play: hostBootsEarly,
	Claims: []harness.Claim{
		{
			Says: "the repeat that reaches the booted host is answered with RST, without an ACK, with the FIN's ACK as its number",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.FIN", "client.RST"))
				g.Expect(Find(g, r, "server.FIN").Departures).To(BeEmpty(), "the first came before the boot")
				reset := Find(g, r, "client.RST")
				g.Expect(reset.Flags).To(Equal(tcp.RST))
				g.Expect(reset.Seq).To(Equal(Find(g, r, "server.FIN").Ack))
				g.Expect(reset.T).To(BeNumerically(">=", Call(g, r, "client", "boot", 1).T))
			},
			Refute: harness.Variant{Play: hostAfterFIN},
		},
		{
			Says: "LAST_ACK ends at the RST, before its retransmissions are used up",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(AfterDelivery(g, r, "server", Find(g, r, "client.RST")).State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnTimeout", 0))
			},
			Refute: harness.Variant{Play: hostAfterFIN},
		},
		{
			Says: "the booted kernel has no TIME_WAIT: it knows nothing of the connection",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(HaveStates("client", tcp.TimeWait))
				g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
			},
			Refute: harness.Variant{Play: hostStays},
		},
	},
}

// hostAfterFIN powers the client off after its FIN and leaves it off.
func hostAfterFIN(s *harness.Stage) {
	s.Server.Sysctl("net.ipv4.tcp_orphan_retries", "2")
	server := offAfterFIN(s)
	server.Close()
	s.Await(server.Gone())
}

// hostBootsEarly powers the client off, and boots it after the server's first
// FIN.
func hostBootsEarly(s *harness.Stage) {
	server := offAfterFIN(s)
	server.Close()
	s.Await(s.Wire.Seen("server.FIN"))
	s.Client.Boot()
	s.Await(server.Gone())
	s.Client.Observe(1)
}

// hostStays closes in order: the client's host lives.
func hostStays(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Close()
	s.Await(server.Gone())
}

func offAfterFIN(s *harness.Stage) (server *harness.Peer) {
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0") // the first repeat would be a tail-loss probe
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	s.Client.PowerOff()
	return server
}
