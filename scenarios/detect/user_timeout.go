package detect

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// userTimeout is longer than two retransmission timeouts of 200 and 400 ms, and
// shorter than three.
const userTimeout = 900 * time.Millisecond

// UserTimeout shows that TCP_USER_TIMEOUT decides when sent bytes stay
// unacknowledged.
var UserTimeout = harness.Scenario{
	Name:    "detect/user-timeout",
	Summary: "TCP_USER_TIMEOUT of 900 ms; the peer's host is gone when the client writes.",
	Doc: `
tcp_retries2 would go on for a quarter of an hour. TCP_USER_TIMEOUT ends it by
the clock, and the kernel cuts its last wait short for that
(tcp_clamp_rto_to_user_timeout). But the clock starts with the first repeat, where
tcp_retransmit_skb notes retrans_stamp, not with the data: the connection
lives for one retransmission timeout more than the option says.

  client                                              server
  ESTABLISHED                                          power off
  write()              ── DATA ─────────────────✗
    200 ms             ── DATA ─────────────────✗
    600 ms             ── DATA ─────────────────✗
   1100 ms  CLOSED
            read() ETIMEDOUT
`,
	Refs: []string{"RFC 5482", "RFC 9293 §3.9.1", "tcp_clamp_rto_to_user_timeout", "tcp_write_timeout", "retransmits_timed_out"},
	Play: userTimeoutOf(userTimeout),
	Claims: []harness.Claim{
		{
			Says: "read() fails with ETIMEDOUT when 900 ms have passed since the data was first repeated, not before",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
				g.Expect(Call(g, r, "client", "read", 1).End - Find(g, r, "client.DATA@1#2").T).To(BeNumerically(">=", userTimeout-Jiffy))
			},
			Refute: harness.Variant{Play: userTimeoutOf(userTimeout / 3)},
		},
		{
			Says: "the last wait is cut short: the timer is set to what is left of them, not to the doubled timeout",
			Judge: func(g Gomega, r *record.Run) {
				before, cut := Meant(g, r, "client", "client.DATA@1#2"), Meant(g, r, "client", "client.DATA@1#3")
				g.Expect(cut).To(BeNumerically("<", before+before/2))
			},
			Refute: harness.Variant{Play: retriesAlone("2")},
		},
		{
			Says: "the data was sent three times, although tcp_retries2 would have allowed more",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.DATA@1", 3))
				g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", 2))
			},
			Refute: harness.Variant{Play: retriesAlone("3")},
		},
		{
			Says: "giving up is silent: no RST is sent, and the kernel counts a timeout",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.Established, tcp.Closed))
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			},
			// Keep-alive gives up with a RST.
			Refute: harness.Variant{Play: func(s *harness.Stage) { keepAlive(s, true) }},
		},
	},
}

// unacknowledged writes to a host without power and reads the error.
func unacknowledged(s *harness.Stage, set func(client *harness.Peer)) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, _ := s.Established()
	set(client)
	s.Server.PowerOff()
	client.Write("x")
	client.Read(1)
	s.Await(client.Gone())
}

func userTimeoutOf(d time.Duration) func(*harness.Stage) {
	return func(s *harness.Stage) {
		unacknowledged(s, func(client *harness.Peer) { client.UserTimeout(d) })
	}
}

// retriesAlone is the same without TCP_USER_TIMEOUT.
func retriesAlone(retries string) func(*harness.Stage) {
	return func(s *harness.Stage) {
		s.Client.Sysctl("net.ipv4.tcp_retries2", retries)
		unacknowledged(s, func(*harness.Peer) {})
	}
}

// UserTimeoutOverKeepAlive shows that TCP_USER_TIMEOUT takes the place of the
// number of keep-alive probes.
var UserTimeoutOverKeepAlive = harness.Scenario{
	Name:    "detect/user-timeout-overrules-keepalive-count",
	Summary: "Keep-alive with nine probes and TCP_USER_TIMEOUT of 1.5 s: the option ends it.",
	Doc: `
Where both are set, TCP_KEEPCNT does not count any more: the connection ends at
the first keep-alive timer that finds the user's time over and at least one probe
unanswered. Probes are still sent at their idle time and interval only, so
the end comes later than TCP_USER_TIMEOUT says: here at 2 s.

  client                                              server
  ESTABLISHED                                          power off
      1 s              ── KEEPALIVE ────────────✗
      2 s   CLOSED     ── RST ──────────────────✗
            read() ETIMEDOUT
`,
	Refs: []string{"RFC 5482", "RFC 1122 §4.2.3.6", "tcp_keepalive_timer"},
	Play: func(s *harness.Stage) {
		probed(s, 9, func(client *harness.Peer) { client.UserTimeout(1500 * time.Millisecond) })
	},
	Claims: []harness.Claim{
		{
			Says: "one probe is sent, not nine",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.KEEPALIVE", 1))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPKeepAlive", 1))
			},
			Refute: harness.Variant{Play: keptTwice},
		},
		{
			Says: "the end waits for the next keep-alive timer: 2 s after the silence began, although 1.5 s were asked for",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
				silent := Find(g, r, "client.ACK(server.SYN-ACK)").T
				g.Expect(Call(g, r, "client", "read", 1).End - silent).To(BeNumerically(">=", 2*time.Second-Jiffy))
				g.Expect(r).To(HaveCount("client.KEEPALIVE", BeNumerically("<", 2)))
			},
			Refute: harness.Variant{Play: keptTwice},
		},
		{
			Says: "as with keep-alive alone, the end is a RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("client.KEEPALIVE", "client.RST"))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: retriesAlone("1")},
		},
	},
}

// probed has a dead idle peer probed at a second's interval.
func probed(s *harness.Stage, count int, set func(client *harness.Peer)) {
	client, _ := s.Established()
	client.KeepAlive(time.Second, time.Second, count)
	set(client)
	s.Server.PowerOff()
	client.Read(1)
	s.Await(client.Gone())
}

// keptTwice is keep-alive with two probes and no TCP_USER_TIMEOUT.
func keptTwice(s *harness.Stage) { probed(s, 2, func(*harness.Peer) {}) }
