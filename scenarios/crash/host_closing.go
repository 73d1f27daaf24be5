package crash

import (
	. "github.com/onsi/gomega"
	"time"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// HostInClosing is the host that dies in a simultaneous close: both FINs have
// arrived, and neither is acknowledged.
var HostInClosing = harness.Scenario{
	Name:    "crash/host-in-closing",
	Lasts:   3 * time.Second,
	Summary: "Both ends are in CLOSING when one loses its power: the other repeats its FIN and gives up, without TIME_WAIT.",
	Doc: `
Both FINs have crossed, and the ACKs of both are lost. The server has everything that
the client ever said, its FIN too; what it lacks is the ACK of its own. So it repeats
that FIN, an orphan, for as long as tcp_orphan_retries says (2 here), and then is gone.
It never comes to TIME_WAIT, so its ports are free sooner than after a close in order.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► FIN_WAIT_1  close()
            CLOSING    ◄────────────────────────  FIN ── CLOSING
  (power off)                  ✗────────────────  FIN ── after RTO
                               ✗────────────────  FIN ── after 2 RTO
                                                        CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.10.7.4", "tcp_retransmit_timer", "tcp_orphan_retries", "retransmits_timed_out"},
	Play: func(s *harness.Stage) { offInClosing(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the power goes when both ends are in CLOSING",
			Judge: func(g Gomega, r *record.Run) {
				off := Call(g, r, "client", "power-off", 1)
				for _, host := range []string{"client", "server"} {
					at, known := r.StateAt(1, host, off.T)
					g.Expect(known).To(BeTrue())
					g.Expect(at.State).To(Equal(tcp.Closing), host)
				}
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { offInClosing(s, false) }},
		},
		{
			Says: "the server repeats its FIN from CLOSING, an orphan, and goes to CLOSED, never to TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("server.FIN", "server.FIN#2"))
				g.Expect(LastIn(g, r, "server", tcp.Closing).Orphan).To(BeTrue())
				g.Expect(LastIn(g, r, "server", tcp.Closing).Timer).To(Equal("retransmit"))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.FinWait1, tcp.Closing, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { offInClosing(s, false) }},
		},
		{
			Says: "it gives up in silence; TCPAbortOnTimeout counts it, and its program was told 0 by close()",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnTimeout", 1))
				g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
				g.Expect(r).To(Returned("server", "close", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { offInClosing(s, false) }},
		},
	},
}

// offInClosing brings both ends into CLOSING, takes the client's power there or
// lets the close come to its end.
func offInClosing(s *harness.Stage, off bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Server.Sysctl("net.ipv4.tcp_orphan_retries", "2")
	client, server := s.Established()
	s.Wire.On("client.FIN").Always().Hold(s.Wire.Seen("server.FIN"))
	s.Wire.On("server.FIN").Always().Hold(client.In(tcp.FinWait1))
	var lost []*harness.Rule
	for _, ack := range []string{"client.ACK(server.FIN)", "server.ACK(client.FIN)"} {
		lost = append(lost, s.Wire.On(ack).Always().Drop())
	}
	client.Close()
	server.Close()
	s.Await(client.In(tcp.Closing))
	s.Await(server.In(tcp.Closing))
	for _, ack := range []string{"client.ACK(server.FIN)", "server.ACK(client.FIN)"} {
		s.Await(s.Wire.Seen(ack))
	}
	if !off {
		for _, rule := range lost {
			rule.Disarm()
		}
		s.Await(server.In(tcp.TimeWait))
		return
	}
	s.Client.PowerOff()
	s.Await(server.Gone())
}

// HostInLastACK is the passive closer's host that dies with its FIN: the active
// closer waits for it, but not for ever.
var HostInLastACK = harness.Scenario{
	Name:    "crash/host-in-last-ack",
	Summary: "The passive closer's host loses its power in LAST_ACK, its FIN is lost: the active closer waits in FIN_WAIT_2.",
	Doc: `
The server's close is half done: its FIN is acknowledged, and it waits for the client's.
That FIN was sent and lost, and whoever would repeat it is dead. The server has nothing
in flight and so nothing to repeat: it cannot find out. What ends the wait is
tcp_fin_timeout (2 s here), for it is an orphan; with a descriptor left it would wait for
ever. It has no TIME_WAIT then, and the client that boots hears nothing of it.

  client                                              server
            CLOSE_WAIT ◄────────────────────────  FIN ── close()  FIN_WAIT_1
                       ── ACK ───────────────────────► FIN_WAIT_2
  close()   LAST_ACK   ── FIN ──────────────✗
  (power off)                                          FIN_WAIT_2
  (boot)                                               CLOSED, tcp_fin_timeout
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_fin_timeout", "tcp_time_wait", "tcp_fin_time"},
	Play: func(s *harness.Stage) { offInLastACK(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the power goes when the client is in LAST_ACK and the server in FIN_WAIT_2",
			Judge: func(g Gomega, r *record.Run) {
				off := Call(g, r, "client", "power-off", 1)
				ours, _ := r.StateAt(1, "client", off.T)
				g.Expect(ours.State).To(Equal(tcp.LastAck))
				theirs, _ := r.StateAt(1, "server", off.T)
				g.Expect(theirs.State).To(Equal(tcp.FinWait2))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { offInLastACK(s, false) }},
		},
		{
			Says: "the server sends nothing more: neither a repeat nor a RST",
			Judge: func(g Gomega, r *record.Run) {
				fin := Find(g, r, "client.FIN")
				for _, x := range r.Segments {
					g.Expect(!x.Other && x.SentBy == "server" && x.T > fin.T).To(BeFalse(), x.Name())
				}
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { offInLastACK(s, false) }},
		},
		{
			Says: "it leaves FIN_WAIT_2 for CLOSED when its timer runs out, without TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				waiting := LastIn(g, r, "server", tcp.FinWait2)
				g.Expect(waiting.Timer).To(Equal("timewait"))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.Closed))
				g.Expect(LastSeen(g, r, "server").T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { offInLastACK(s, false) }},
		},
	},
}

// offInLastACK closes from the server and brings the client into LAST_ACK, where
// it loses its power and later boots, or lives on.
func offInLastACK(s *harness.Stage, off bool) {
	s.Server.Sysctl("net.ipv4.tcp_fin_timeout", "2")
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	server.Close()
	s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	lost := s.Wire.On("client.FIN").Always().Drop()
	client.Close()
	s.Await(client.In(tcp.LastAck))
	s.Await(lost.Fired())
	if !off {
		lost.Disarm()
		s.Await(client.Gone())
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Observe()
		return
	}
	s.Client.PowerOff()
	s.Client.Boot()
	s.Await(server.Gone())
}
