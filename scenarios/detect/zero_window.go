package detect

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// ZeroWindowAnswered shows that a reader that does not read is no reason to give
// up.
var ZeroWindowAnswered = harness.Scenario{
	Name:    "detect/zero-window-probes-answered",
	Lasts:   2 * time.Second,
	Summary: "The server's program does not read, its window is 0, and its kernel answers each probe.",
	Doc: `
A full window ends nothing: the sender probes, the receiver's kernel answers, and
each answer sets the count of unanswered probes back to zero. tcp_retries2 is
2 here and is never reached. Only the receiver's program, or TCP_USER_TIMEOUT, ends
this. What tcp_retries2 does bound is how often the wait between probes doubles
(tcp_send_probe0).

A probe looks like any segment with an old number, so its answer is subject to
tcp_invalid_ratelimit (500 ms): the second, 400 ms behind the first, would stay
unanswered, and count. Here the limit is off; the stock tcp_retries2 of 15 never
notices it.

  client                                              server
  write()              ── DATA, until the window is full ► nobody reads
                       ◄─────────────── ACK, window 0 ──
      200 ms           ── PROBE ─────────────────────►
                       ◄─────────────── ACK, window 0 ──
      then 400, 800 ms ── PROBE ─────────────────────►
                       ◄─────────────── ACK, window 0 ──
                                                       read()
                       ◄──────────── ACK, window opens ─
                       ── DATA ──────────────────────►
`,
	Refs: []string{"RFC 9293 §3.8.6.1", "RFC 1122 §4.2.2.17", "tcp_probe_timer", "tcp_ack_probe", "tcp_send_probe0", "tcp_oow_rate_limited"},
	Play: func(s *harness.Stage) {
		s.Client.Sysctl("net.ipv4.tcp_retries2", "2")
		s.Server.Sysctl("net.ipv4.tcp_invalid_ratelimit", "0")
		writing := windowShut(s)
		s.Await(s.Wire.Seen("client.PROBE#4"))
		s.Server.Peer().ReadBulk(flood)
		writing.Wait()
	},
	Claims: []harness.Claim{
		{
			Says: "the persist timer runs in place of the retransmission timer",
			Judge: func(g Gomega, r *record.Run) {
				probe := Find(g, r, "client.PROBE#2")
				waiting, _ := r.StateAt(1, "client", probe.T)
				g.Expect(waiting.Timer).To(Equal("persist"))
				g.Expect(probe.T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeouts", 0))
			},
			Refute: harness.Variant{Play: retriesAlone("1")},
		},
		{
			Says: "the wait between probes doubles as often as tcp_retries2 says, and grows no more then",
			Judge: func(g Gomega, r *record.Run) {
				one, two := Meant(g, r, "client", "client.PROBE"), Meant(g, r, "client", "client.PROBE#2")
				three := Meant(g, r, "client", "client.PROBE#3")
				g.Expect(two).To(BeNumerically(">", one+one/2))
				g.Expect(three).To(BeNumerically("<", two+two/2))
			},
			// Keep-alive's waits do not grow.
			Refute: harness.Variant{Play: func(s *harness.Stage) { probed(s, 4, func(*harness.Peer) {}) }},
		},
		{
			Says: "each probe is answered, and four of them are more than tcp_retries2 allows without an answer",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(len(All(g, r, "client.PROBE"))).To(BeNumerically(">=", 4))
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 0))
			},
			Refute: harness.Variant{Play: zeroWindowSilent("1")},
		},
		{
			Says: "nothing is lost: when the program reads at last, all bytes come, and write() returns",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Call(g, r, "client", "bulk-write", 1).Errno).To(BeEmpty())
				g.Expect(Call(g, r, "client", "bulk-write", 1).Result).To(BeNumerically(">=", 0))
				g.Expect(Call(g, r, "server", "bulk-read", 1).Call).To(ContainSubstring("[100000 bytes]"))
			},
			Refute: harness.Variant{Play: zeroWindowSilent("1")},
		},
	},
}

// ZeroWindowUnanswered shows that probes are given up as repeats are, where
// nobody answers.
var ZeroWindowUnanswered = harness.Scenario{
	Name:    "detect/zero-window-probes-unanswered",
	Lasts:   2 * time.Second,
	Summary: "The server's window is 0 when its host loses its power: the probes are not answered.",
	Doc: `
Nothing is in flight, so no byte can be overdue; the unanswered probes are counted
instead. After tcp_retries2 of them (2 here, 15 in stock) the connection is given
up, without a RST, and the blocked write() returns.

  client                                              server
  write()              ── DATA, until the window is full ► nobody reads
                       ◄─────────────── ACK, window 0 ──
                       ── PROBE ─────────────────────►
                       ◄─────────────── ACK, window 0 ── power off
                       ── PROBE ────────────────✗
                       ── PROBE ────────────────✗
            CLOSED
            read() ETIMEDOUT
`,
	Refs: []string{"RFC 9293 §3.8.6.1", "RFC 1122 §4.2.2.17", "tcp_probe_timer", "tcp_write_err"},
	Play: zeroWindowSilent("2"),
	Claims: []harness.Claim{
		{
			Says: "as many probes go unanswered as tcp_retries2 says",
			Judge: func(g Gomega, r *record.Run) {
				// The first may be one of them: its answer can be too late, or
				// tcp_invalid_ratelimit forbids it where data was repeated before.
				var said time.Duration
				for i := range r.Segments {
					if x := &r.Segments[i]; !x.Other && x.SentBy == "server" {
						said = x.T
					}
				}
				lost := 0
				for _, x := range All(g, r, "client.PROBE") {
					if x.T > said {
						lost++
					}
				}
				g.Expect(lost).To(Equal(2))
			},
			Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_retries2", Value: "1"}}},
		},
		{
			Says: "the program that waits in write() is told ETIMEDOUT",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("client", "bulk-write", "ETIMEDOUT"))
			},
			Refute: harness.Variant{Play: ZeroWindowAnswered.Play},
		},
		{
			Says: "the connection goes without a RST, and the kernel counts a timeout",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(HaveStates("client", tcp.Established, tcp.Closed))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
			},
			Refute: harness.Variant{Play: keptTwice},
		},
	},
}

// flood is more than a small window and a small send buffer take.
const flood = 100_000

// windowShut writes to a program that does not read, until the first probe.
func windowShut(s *harness.Stage) *harness.Pending {
	server := s.Server.Peer()
	client := s.Client.Peer()
	server.Open()
	server.ReceiveBuffer(4096)
	server.Listen(8080, 8)
	client.Open()
	client.SendBuffer(4096)
	client.Connect(s.Server, 8080)
	server.Accept()
	writing := client.BeginWriteBulk(flood)
	s.Await(s.Wire.Seen("client.PROBE"))
	return writing
}

// zeroWindowSilent takes the server's power when its window is shut.
func zeroWindowSilent(retries string) func(*harness.Stage) {
	return func(s *harness.Stage) {
		s.Client.Sysctl("net.ipv4.tcp_retries2", retries)
		writing := windowShut(s)
		s.Server.PowerOff()
		writing.Wait()
		s.Await(s.Client.Peer().Gone())
	}
}
