package middlebox

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// idleTimeout is after how much silence the middlebox of these scenarios forgets.
const idleTimeout = 1500 * time.Millisecond

// HeartbeatShorter shows that heartbeats keep a middlebox's entry alive.
var HeartbeatShorter = harness.Scenario{
	Name:    "middlebox/heartbeat-shorter-than-idle-timeout",
	Summary: "Keep-alive asks every second; the middlebox forgets after 1.5 s of silence.",
	Doc: `
Any segment will do: a keep-alive probe carries no byte and is answered with a
bare ACK, and both keep the middlebox's entry fresh. The stock 7200 s are longer than
the idle timeout of any load balancer (60 s is usual, 350 s is known), so
TCP_KEEPIDLE must be set.

  client                                              server
  ESTABLISHED          ── request ──────────────────►  ESTABLISHED
                       ◄───────────────── response ──
      1 s              ── KEEPALIVE ────────────────►
                       ◄────────────────────── ACK ──
      2 s              ── KEEPALIVE ────────────────►
                       ◄────────────────────── ACK ──
  write()              ── DATA ─────────────────────►  read() 1
`,
	Refs: []string{"RFC 1122 §4.2.3.6", "RFC 5382 REQ-5", "tcp_keepalive_timer"},
	Play: func(s *harness.Stage) { idle(s, time.Second) },
	Claims: []harness.Claim{
		{
			Says: "the wire was never silent for as long as the middlebox's idle timeout",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(longestSilence(r)).To(BeNumerically("<", idleTimeout))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { idle(s, time.Hour) }},
		},
		{
			Says: "two probes were sent, and each was answered",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.KEEPALIVE", 2))
				probes := All(g, r, "client.KEEPALIVE")
				for _, probe := range probes {
					answered := false
					for _, x := range r.Segments {
						answered = answered || !x.Other && x.SentBy == "server" && x.T > probe.T && x.T < probe.T+time.Second/2
					}
					g.Expect(answered).To(BeTrue())
				}
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { idle(s, time.Hour) }},
		},
		{
			Says: "what is written after more than the idle timeout arrives, and nothing is repeated",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Returned("server", "recv", 1))
				g.Expect(r).To(HaveCount("client.DATA@2", 1))
				g.Expect(r).To(HaveStates("client", tcp.Established))
				g.Expect(Gap(Find(g, r, "server.DATA@1"), Find(g, r, "client.DATA@2"))).To(BeNumerically(">", idleTimeout))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { idle(s, time.Hour) }},
		},
	},
}

// HeartbeatLonger shows that a heartbeat which comes too seldom is only a way to
// find out.
var HeartbeatLonger = harness.Scenario{
	Name:    "middlebox/heartbeat-longer-than-idle-timeout",
	Summary: "Keep-alive asks after two seconds; the middlebox forgets after 1.5 s of silence, and resets.",
	Doc: `
The first probe comes when the entry is gone. It does not save the connection; it
finds out that it is lost, before the application wants to write. Where the
middlebox resets, the program that waits in read() is told at once.

  client                                              server
  ESTABLISHED          ── request ──────────────────►  ESTABLISHED
                       ◄───────────────── response ──
      1.5 s                   (forgotten)
      2 s              ── KEEPALIVE ────────✗
            CLOSED     ◄─────────── RST ────           ESTABLISHED
            read() ECONNRESET
`,
	Refs: []string{"RFC 1122 §4.2.3.6", "RFC 5382 REQ-5", "tcp_keepalive_timer", "tcp_reset"},
	Play: func(s *harness.Stage) { idle(s, 2*time.Second) },
	Claims: []harness.Claim{
		{
			Says: "the wire was silent for longer than the middlebox's idle timeout",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(longestSilence(r)).To(BeNumerically(">", idleTimeout))
			},
			Refute: harness.Variant{Play: HeartbeatShorter.Play},
		},
		{
			Says: "the RST that answers the first probe ends the connection: read() fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("client.KEEPALIVE", "forged.RST(server)"))
				g.Expect(r).To(HaveCount("client.KEEPALIVE", 1))
				g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
				g.Expect(r).To(HaveDelta("client", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: HeartbeatShorter.Play},
		},
		{
			Says: "the server, which has no keep-alive, stays in ESTABLISHED without a timer",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.Established, tcp.Closed))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(LastIn(g, r, "server", tcp.Established).Timer).To(BeEmpty())
			},
			Refute: harness.Variant{Play: HeartbeatShorter.Play},
		},
	},
}

// idle is silent behind a middlebox with an idle timeout, but for keep-alive after
// that much silence. An hour stands for none: then the application writes.
func idle(s *harness.Stage, heartbeat time.Duration) {
	client, server := s.Established()
	client.KeepAlive(heartbeat, time.Second, 9)
	talk(client, server)
	if heartbeat < idleTimeout {
		s.Await(s.Wire.Seen("client.KEEPALIVE#2"))
		client.Write("x")
		s.Await(s.Wire.Delivered("client.DATA@2"))
		s.Await(s.Wire.Seen("server.ACK(client.DATA@2)"))
		server.ReadNow(1)
		return
	}
	if heartbeat == time.Hour {
		s.Await(s.Wire.After(idleTimeout))
	}
	// The probe comes when its timer is out, never before: the entry is gone by then.
	s.Wire.On(`is("client.KEEPALIVE") || is("client.DATA")`).Forget(true)
	if heartbeat == time.Hour {
		client.Write("x")
	}
	client.Read(1)
	s.Await(client.Gone())
	server.ReadNow(1)
	server.Observe()
}

// longestSilence is the longest time without a segment that passed.
func longestSilence(r *record.Run) time.Duration {
	var longest, before time.Duration
	for _, x := range r.Segments {
		if x.Other {
			continue
		}
		if before > 0 {
			longest = max(longest, x.T-before)
		}
		before = x.T
	}
	return longest
}
