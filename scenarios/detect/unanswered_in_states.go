package detect

import (
	. "github.com/onsi/gomega"
	"time"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// DataNeverAnsweredInCloseWait shows that a half-closed connection gives up as
// an open one does.
var DataNeverAnsweredInCloseWait = harness.Scenario{
	Name:    "detect/data-never-answered-in-close-wait",
	Summary: "A server answers a half-closed client whose host has died.",
	Doc: `
The client's FIN has arrived, the server's answer never does. CLOSE_WAIT has no
timer of its own, but the answer has: tcp_retries2 bounds its repeats (1 here).

  client                                              server
  shutdown(WR)  ── FIN ──────────────────────────────► CLOSE_WAIT
                ◄──────────────────────────────  ACK ──
  power off     ✗────────────────────────────── DATA ── write()
                ✗────────────────────────────── DATA ──
                                                       CLOSED
                                                       write() ETIMEDOUT
`,
	Refs: []string{"RFC 9293 §3.8.3", "tcp_retransmit_timer", "tcp_write_timeout"},
	Play: func(s *harness.Stage) { dataInCloseWait(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the server leaves CLOSE_WAIT for CLOSED by its retransmission timer, and sends no RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("server", tcp.CloseWait, tcp.Closed))
				g.Expect(r).NotTo(Segments("server.RST"))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { dataInCloseWait(s, false) }},
		},
		{
			Says: "the data was repeated before",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("server.DATA", "server.DATA#2"))
				g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", BeNumerically(">=", 1)))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { dataInCloseWait(s, false) }},
		},
		{
			Says: "the next write() fails with ETIMEDOUT: unlike after a RST, the FIN that came before does not make it EPIPE",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("server", "write", "ETIMEDOUT"))
				g.Expect(r).NotTo(Failed("server", "write", "EPIPE"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { dataInCloseWait(s, false) }},
		},
	},
}

func dataInCloseWait(s *harness.Stage, dies bool) {
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Server.Sysctl("net.ipv4.tcp_retries2", "1")
	client, server := s.Established()
	client.Shutdown()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	if dies {
		s.Client.PowerOff()
	}
	server.Write("x")
	if dies {
		s.Await(server.Gone())
	} else {
		s.Await(s.Wire.Delivered("client.ACK(server.DATA)"))
	}
	server.Write("y")
}

// SYNACKNeverAcked shows what is left of a connection whose third segment never
// comes.
var SYNACKNeverAcked = harness.Scenario{
	Name:    "detect/syn-ack-never-answered",
	Lasts:   3 * time.Second,
	Summary: "The ACK of the SYN-ACK is lost for ever: SYN_RECV ends by itself.",
	Doc: `
The client has its SYN-ACK and believes in ESTABLISHED. The server holds no
connection yet, only a request of its listener, which repeats the SYN-ACK
tcp_synack_retries times (1 here) and then forgets it. Nobody is told: accept()
never sees it, and the client hears nothing.

  client                                              server
  SYN_SENT     ── SYN ───────────────────────────────► SYN_RECV
  ESTABLISHED  ◄────────────────────────────  SYN-ACK ──
               ── ACK ──────────────✗
               ◄────────────────────────────  SYN-ACK ── after 1 s
               ── ACK ──────────────✗
  ESTABLISHED                                          CLOSED, after 2 s more
`,
	Refs: []string{"RFC 9293 §3.8.3", "reqsk_timer_handler", "tcp_synack_retries"},
	Play: func(s *harness.Stage) { synAckUnanswered(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the request is in SYN_RECV and then gone, without ever being ESTABLISHED",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { synAckUnanswered(s, false) }},
		},
		{
			Says: "the SYN-ACK is repeated as often as tcp_synack_retries says: once",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("server.SYN-ACK", 2))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { synAckUnanswered(s, false) }},
		},
		{
			Says: "the client still believes in ESTABLISHED, and no RST tells it otherwise",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established))
				g.Expect(r).NotTo(Segments("server.RST"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				synAckUnanswered(s, true)
				s.Client.Peer().Linger(0)
				s.Client.Peer().Close()
				s.Await(s.Client.Gone(1))
			}},
		},
	},
}

func synAckUnanswered(s *harness.Stage, lost bool) {
	s.Server.SysctlAlways("net.ipv4.tcp_synack_retries", "1")
	server := s.Server.Peer()
	server.Listen(8080, 8)
	if lost {
		s.Wire.On("client.ACK(server.SYN-ACK)").Always().Drop()
	}
	s.Client.Peer().Connect(s.Server, 8080)
	if !lost {
		server.Accept()
		return
	}
	s.Await(s.Wire.Seen("server.SYN-ACK#2"))
	s.Await(s.Server.Gone(1))
}

// FINNeverAnsweredInClosing shows how a simultaneous close ends that nobody
// finishes.
var FINNeverAnsweredInClosing = harness.Scenario{
	Name:    "detect/fin-never-answered-in-closing",
	Summary: "Both FINs cross, and then the wire is silent: CLOSING ends by itself.",
	Doc: `
In CLOSING the other end's FIN has come and our own is not acknowledged. Our FIN
is repeated as from FIN_WAIT_1, for as long as tcp_orphan_retries says (1 here), and
then the orphan is gone, in silence and without TIME_WAIT.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ──────────────✗
            CLOSING    ◄────────────────────────  FIN ── close()  FIN_WAIT_1
                       ── ACK ──────────────✗
                       ── FIN ──────────────✗
            CLOSED
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_orphan_retries", "tcp_write_timeout"},
	Play: func(s *harness.Stage) { closingUnanswered(s, true) },
	Claims: []harness.Claim{
		{
			Says: "the client goes from CLOSING to CLOSED, never to TIME_WAIT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.Closing, tcp.Closed))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closingUnanswered(s, false) }},
		},
		{
			Says: "its FIN was repeated before, and no RST is sent in the end",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("client.FIN", "client.FIN#2"))
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { closingUnanswered(s, false) }},
		},
		{
			Says: "no descriptor was left: the program had closed in FIN_WAIT_1",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(LastIn(g, r, "client", tcp.Closing).Orphan).To(BeTrue())
				g.Expect(r).To(Returned("client", "close", 0))
			},
			Refute: harness.Variant{Play: closingWithDescriptor},
		},
	},
}

// closingWithDescriptor is the same end of a socket that its program still holds:
// tcp_retries2 counts then.
func closingWithDescriptor(s *harness.Stage) {
	s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
	closingBy(s, true, func(client *harness.Peer) { client.Shutdown() })
}

func closingUnanswered(s *harness.Stage, lost bool) {
	closingBy(s, lost, func(client *harness.Peer) { client.Close() })
}

func closingBy(s *harness.Stage, lost bool, end func(client *harness.Peer)) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Client.Sysctl("net.ipv4.tcp_orphan_retries", "1")
	client, server := s.Established()
	if lost {
		s.Wire.On(`from == "client"`).Always().Drop()
		// The server repeats its FIN too; one that found the client gone would be
		// answered with RST.
		s.Wire.On(`is("server.FIN") && copy > 1`).Always().Optional().Drop()
		end(client)
		s.Await(s.Wire.Seen("client.FIN"))
		server.Close()
		s.Await(client.In(tcp.Closing))
		s.Await(s.Client.Gone(1))
		return
	}
	// Nothing is lost: CLOSING lasts until the other end's ACK is let go.
	s.Wire.On("client.FIN").Always().Hold(s.Wire.Seen("server.FIN"))
	s.Wire.On("server.FIN").Always().Hold(client.In(tcp.FinWait1))
	end(client)
	server.Close()
	s.Await(client.In(tcp.TimeWait))
}
