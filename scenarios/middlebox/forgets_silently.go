package middlebox

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ForgetsSilently shows an idle connection that a firewall forgot and now drops.
var ForgetsSilently = harness.Scenario{
	Name:    "middlebox/forgets-silently",
	Summary: "A firewall has forgotten the idle connection and drops what comes next.",
	Doc: `
Both kernels are in ESTABLISHED, and neither knows that nothing passes any more. The
end that writes finds out when its retransmissions are given up: after 924.6 s at
least with the stock tcp_retries2 of 15 (1 here). The end that only reads never does.

  client                                              server
  ESTABLISHED          ── request ──────────────────►  ESTABLISHED
                       ◄───────────────── response ──
                              (forgotten)
  write() 1            ── DATA ────────────✗
                       ── DATA ────────────✗
            CLOSED                                     ESTABLISHED, no timer
            read() ETIMEDOUT
`,
	Refs: []string{"RFC 5382 REQ-5", "RFC 9293 §3.8.3", "tcp_write_timeout", "tcp_rearm_rto"},
	Play: forgottenSilently,
	Answers: []harness.Answer{
		{Statement: 40, Holds: harness.Holds, Says: "Linux is not told where the middlebox drops: the writer needs tcp_retries2 (924.6 s at least) to find out, and the reader runs no timer at all."},
	},
	Claims: []harness.Claim{
		{
			Says: "write() succeeds; the read() behind it fails with ETIMEDOUT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "write", 1))
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
			},
			Refute: harness.Variant{Play: forgottenWithRST},
		},
		{
			Says: "the data is repeated until the kernel gives up, in silence: no RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(len(All(g, r, "client.DATA@2"))).To(BeNumerically(">=", 2))
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: remembered},
		},
		{
			Says: "the server stays in ESTABLISHED for ever: no timer runs there, and no error waits",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(LastIn(g, r, "server", tcp.Established).Timer).To(BeEmpty())
				g.Expect(r).To(Failed("server", "recv", "EAGAIN"))
			},
			Refute: harness.Variant{Play: remembered},
		},
	},
}

// ForgetsWithRST shows the same firewall where it answers.
var ForgetsWithRST = harness.Scenario{
	Name:    "middlebox/forgets-then-resets",
	Summary: "A load balancer has forgotten the idle connection and answers the next segment with RST.",
	Doc: `
The kinder kind: whoever speaks next is told at once. But only this end is told; the
other stays in ESTABLISHED with nothing to wait for.

  client                                              server
  ESTABLISHED          ── request ──────────────────►  ESTABLISHED
                       ◄───────────────── response ──
                              (forgotten)
  write() 1            ── DATA ────────────✗
            CLOSED     ◄────────── RST ────            ESTABLISHED, no timer
            read() ECONNRESET
`,
	Refs: []string{"RFC 5382 REQ-5", "RFC 9293 §3.5.2", "tcp_reset"},
	Play: forgottenWithRST,
	Claims: []harness.Claim{
		{
			Says: "write() succeeds; the read() behind it fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "write", 1))
				g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
			},
			Refute: harness.Variant{Play: forgottenSilently},
		},
		{
			Says: "the client's kernel repeats nothing, and counts a reset",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("client.DATA@2", "forged.RST(server)"))
				g.Expect(r).To(HaveCount("client.DATA@2", 1))
				g.Expect(r).To(HaveDelta("client", "Tcp.EstabResets", 1))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeouts", 0))
			},
			Refute: harness.Variant{Play: forgottenSilently},
		},
		{
			Says: "the server is not told: it stays in ESTABLISHED, no timer runs there, and no error waits",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(LastIn(g, r, "server", tcp.Established).Timer).To(BeEmpty())
				g.Expect(r).To(Failed("server", "recv", "EAGAIN"))
			},
			Refute: harness.Variant{Play: resetToBoth},
		},
	},
}

// forgotten plays a request and a response, and has the middlebox forget.
func forgotten(s *harness.Stage, forget func(*harness.Rule)) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Client.Sysctl("net.ipv4.tcp_retries2", "1")
	client, server := s.Established()
	talk(client, server)
	forget(s.Wire.On("client.DATA@2"))
	client.Write("x")
	client.Read(1)
	s.Await(client.Gone())
	server.Observe()
	server.ReadNow(1)
}

func forgottenSilently(s *harness.Stage) { forgotten(s, func(r *harness.Rule) { r.Forget(false) }) }

func forgottenWithRST(s *harness.Stage) { forgotten(s, func(r *harness.Rule) { r.Forget(true) }) }

// talk is a request and its response.
func talk(client, server *harness.Peer) {
	client.Write("request")
	server.Read(64)
	server.Write("response")
	client.Read(64)
}

// remembered is the same with nothing between the hosts.
func remembered(s *harness.Stage) {
	client, server := s.Established()
	talk(client, server)
	client.Write("x")
	s.Await(s.Wire.Delivered("client.DATA@2"))
	server.Read(1)
	server.Close()
	client.Read(1)
	s.Await(client.In(tcp.CloseWait))
	server.Observe()
}

// resetToBoth has the middlebox reset both ends.
func resetToBoth(s *harness.Stage) {
	client, server := s.Established()
	talk(client, server)
	s.Wire.Rule("forge(after, R, to=client) client.DATA@2")
	s.Wire.Rule("forge(instead, R, to=server) server.ACK(client.DATA@2)")
	client.Write("x")
	s.Await(server.Gone())
	server.ReadNow(2)
}
