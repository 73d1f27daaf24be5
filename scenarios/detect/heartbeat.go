package detect

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// Heartbeat shows that a question of the application's own finds a dead peer as
// soon as the application likes, and what it does to keep-alive.
var Heartbeat = harness.Scenario{
	Name:    "detect/heartbeat-beats-keepalive",
	Summary: "The application asks and gives the answer 300 ms; keep-alive would have asked in two hours.",
	Doc: `
The application writes a heartbeat and waits for the answer with poll(): it decides
when late is too late. Keep-alive, set too, has its stock two hours to go. And as long
as the heartbeat is not acknowledged keep-alive does not ask at all: its timer finds
data in flight and only sets itself again (tcp_keepalive_timer), so the heartbeat
puts tcp_retries2 in its place.

  client                                              server
  ESTABLISHED                                          power off
  write("ping")        ── DATA ─────────────────✗
  poll() 0             ── DATA ─────────────────✗
  close()
`,
	Refs: []string{"RFC 1122 §4.2.3.6", "tcp_keepalive_timer"},
	Play: func(s *harness.Stage) { heartbeat(s, 2*time.Hour, true) },
	Answers: []harness.Answer{
		{Statement: 37, Holds: harness.Holds, Says: "The application finds a dead peer after its own interval and patience, while the stock keep-alive of Linux waits 7200 s for its first probe."},
	},
	Claims: []harness.Claim{
		{
			Says: "poll() returns 0 after 300 ms: no answer came, and the application knows",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("client", "poll", 0))
				p := Call(g, r, "client", "poll", 1)
				g.Expect(p.End - p.T).To(BeNumerically(">=", patience))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { heartbeat(s, 2*time.Hour, false) }},
		},
		{
			Says: "keep-alive's timer had two hours to go when the heartbeat was sent",
			Judge: func(g Gomega, r *record.Run) {
				before, _ := r.StateAt(1, "client", Call(g, r, "client", "write", 1).T)
				g.Expect(before.Timer).To(Equal("keepalive"))
				g.Expect(before.Expires).To(BeNumerically(">", time.Hour))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { heartbeat(s, time.Second, true) }},
		},
		{
			Says: "from then on the retransmission timer runs for the heartbeat; the kernel itself has not given up",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveTimer("client", tcp.Established, "retransmit"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 0))
				at, _ := r.StateAt(1, "client", Call(g, r, "client", "poll", 1).End)
				g.Expect(at.State).To(Equal(tcp.Established))
				g.Expect(at.Timer).To(Equal("retransmit"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { heartbeat(s, 2*time.Hour, false) }},
		},
	},
}

// patience is what the application gives to an answer.
const patience = 300 * time.Millisecond

func heartbeat(s *harness.Stage, idle time.Duration, dead bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	client.KeepAlive(idle, time.Second, 9)
	client.Observe()
	if dead {
		s.Server.PowerOff()
	}
	client.Write("ping")
	if !dead {
		server.Read(4)
		server.Write("pong")
	}
	client.Poll("IN", patience)
	client.Observe()
	client.Close()
}

// KeepAliveSilentWithDataInFlight shows that keep-alive does not probe while data is
// unacknowledged.
var KeepAliveSilentWithDataInFlight = harness.Scenario{
	Name:    "detect/keepalive-does-not-probe-with-data-in-flight",
	Lasts:   3 * time.Second,
	Summary: "Keep-alive of one second, and a write that is never acknowledged: tcp_retries2 decides.",
	Doc: `
Who sets keep-alive to be told of dead peers within seconds, and then writes, is
told when tcp_retries2 is over: with stock values after a quarter of an hour. The
keep-alive timer comes, finds data in flight, and goes again. TCP_USER_TIMEOUT is
what covers both.

  client                                              server
  ESTABLISHED                                          power off
  write()              ── DATA ─────────────────✗
      200 ms           ── DATA ─────────────────✗
      600 ms           ── DATA ─────────────────✗
      1 s              keep-alive's timer: nothing is sent
      1.4 s …          ── DATA ─────────────────✗
            CLOSED, read() ETIMEDOUT
`,
	Refs: []string{"RFC 1122 §4.2.3.6", "tcp_keepalive_timer"},
	Play: func(s *harness.Stage) {
		s.Client.Sysctl("net.ipv4.tcp_retries2", "2")
		s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
		client, _ := s.Established()
		s.Server.PowerOff()
		client.Write("x")
		client.KeepAlive(time.Second, time.Second, 1) // not before: a late write would find it at work
		client.Read(1)
		s.Await(client.Gone())
	},
	Claims: []harness.Claim{
		{
			Says: "no probe was sent, although more than a second and a half passed with keep-alive at one",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.KEEPALIVE"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPKeepAlive", 0))
				// 200 ms, and the 1.4 s that tcp_retries2 stands for; one timer more where
				// the round trip was short.
				passed := Call(g, r, "client", "read", 1).End - Find(g, r, "client.DATA@1").T
				g.Expect(passed).To(BeNumerically(">", 1500*time.Millisecond))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { probed(s, 1, func(*harness.Peer) {}) }},
		},
		{
			Says: "the end was that of the retransmissions: silent, without a RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(HaveCount("client.DATA@1", BeNumerically(">", 2)))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { probed(s, 1, func(*harness.Peer) {}) }},
		},
	},
}
