package detect

import (
	"fmt"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// RetransmissionTimeout shows what tcp_retries2 counts, and that it is a time.
var RetransmissionTimeout = []harness.Scenario{retransmissionTimeout(2), retransmissionTimeout(3)}

func retransmissionTimeout(retries int) harness.Scenario {
	// tcp_model_timeout: the time that so many doublings of 200 ms take.
	bound := (time.Duration(2)<<retries - 1) * 200 * time.Millisecond
	const other = "0" // far enough that a slow handshake, of which the first wait is made, does not hide it
	play := retriesAlone(fmt.Sprint(retries))
	return harness.Scenario{
		Name:    fmt.Sprintf("detect/retransmission-timeout{tcp_retries2=%d}", retries),
		Lasts:   2 * bound,
		Summary: fmt.Sprintf("The peer's host is gone when the client writes; tcp_retries2 is %d.", retries),
		Doc: fmt.Sprintf(`
The kernel repeats what is not acknowledged, each wait twice as long as the one
before, from 200 ms on. tcp_retries2 is not a number of repeats but a time: what so
many repeats would take had the first wait been 200 ms, whatever it really was.
The stock value 15 means 924.6 s, %d means %.1f s. And that time starts with the
first repeat, not with the data (retrans_stamp), so there is usually one repeat more
than the number says.

  client                                              server
  ESTABLISHED                                          power off
  write()              ── DATA ─────────────────✗
    200 ms             ── DATA ─────────────────✗
    600 ms             ── DATA ─────────────────✗
    …
            CLOSED      nothing is sent
            read() ETIMEDOUT
`, retries, bound.Seconds()),
		Refs: []string{"RFC 6298 §5", "RFC 9293 §3.8.3", "tcp_retransmit_timer", "tcp_model_timeout", "retransmits_timed_out"},
		Play: play,
		Answers: []harness.Answer{
			{Statement: 33, Holds: harness.Holds, Says: "Waits double from 200 ms up to 120 s; with the stock tcp_retries2 of 15 write() or read() fails with ETIMEDOUT after 924.6 s at least."},
		},
		Claims: []harness.Claim{
			{
				Says: fmt.Sprintf("the data is repeated as long as the first repeat is less than %.1f s old, and no longer", bound.Seconds()),
				Judge: func(g Gomega, r *record.Run) {
					copies := All(g, r, "client.DATA@1")
					g.Expect(len(copies)).To(BeNumerically(">", 2))
					for _, again := range copies[1:] {
						g.Expect(Gap(copies[1], again)).To(BeNumerically("<", bound))
					}
					g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", len(copies)-1))
					g.Expect(r).To(HaveDelta("client", "TcpExt.TCPTimeouts", len(copies)), "the last finds the time over")
				},
				Refute: harness.Variant{Play: userTimeoutOf(2*bound + time.Second)},
			},
			{
				Says: "each wait is twice the one before: so says the timer after each copy",
				Judge: func(g Gomega, r *record.Run) {
					before := Meant(g, r, "client", "client.DATA@1")
					for n := 2; n <= len(All(g, r, "client.DATA@1")); n++ {
						next := Meant(g, r, "client", fmt.Sprintf("client.DATA@1#%d", n))
						g.Expect(next).To(BeNumerically(">", before+before/2), "after copy %d", n)
						before = next
					}
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) {
					unacknowledged(s, func(client *harness.Peer) { client.UserTimeout(userTimeout) })
				}},
			},
			{
				Says: fmt.Sprintf("read() fails with ETIMEDOUT, %.1f s after the first repeat or later", bound.Seconds()),
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Failed("client", "read", "ETIMEDOUT"))
					g.Expect(Call(g, r, "client", "read", 1).End - Find(g, r, "client.DATA@1#2").T).To(BeNumerically(">=", bound-Jiffy))
				},
				Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_retries2", Value: other}}},
			},
			{
				Says: "giving up is silent: no RST is sent",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveStates("client", tcp.Established, tcp.Closed))
					g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnTimeout", 1))
					g.Expect(r).NotTo(Segments("client.RST"))
				},
				Refute: harness.Variant{Play: keptTwice},
			},
		},
	}
}
