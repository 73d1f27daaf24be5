package detect

import (
	"fmt"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
)

// SYNBackoff shows both kinds of repeats in one connect().
var SYNBackoff = harness.Scenario{
	Name:    "detect/syn-retries-linear-then-doubling",
	Lasts:   8 * time.Second,
	Summary: "connect() to a silent host: first the SYN is repeated each second, then with doubled waits.",
	Doc: `
tcp_syn_linear_timeouts (1 here, stock 4) is how many timeouts leave the wait at a
second; from the next one on it doubles. tcp_syn_retries (2 here, stock 6) sets the end:
7 s from connect() on, which is what two repeats alone would take. The timer that runs
out after 4 s is too early for it, so the SYN is sent once more, and ETIMEDOUT comes
after 8 s: the end is never between two timers. Stock it comes after 131 s.

  client                                              server
  connect()  SYN_SENT  ── SYN ──────────────────✗      power off
      1 s              ── SYN ──────────────────✗      linear
      2 s              ── SYN ──────────────────✗      doubling begins
      4 s              ── SYN ──────────────────✗
      8 s    CLOSED
             connect() ETIMEDOUT
`,
	Refs:  []string{"RFC 6298 §2", "RFC 9293 §3.8.3", "tcp_retransmit_timer", "tcp_write_timeout", "retransmits_timed_out"},
	Needs: []harness.Need{{Sysctl: linearTimeouts}},
	Play: func(s *harness.Stage) {
		s.Client.SysctlAlways("net.ipv4.tcp_syn_retries", "2")
		s.Client.Sysctl(linearTimeouts, "1")
		connecting(s)
	},
	Claims: []harness.Claim{
		{
			Says: "the waits are 1, 1, 2 and 4 s: so says the timer behind each SYN",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveCount("client.SYN", 4))
				for i, wait := range []time.Duration{1, 1, 2, 4} {
					planned := Meant(g, r, "client", fmt.Sprintf("client.SYN#%d", i+1))
					g.Expect(planned).To(BeNumerically("~", wait*time.Second, wait*time.Second/4), "after SYN %d", i+1)
				}
			},
			Refute: notLinear,
		},
		{
			Says: "and each SYN came no sooner than that behind the one before",
			Judge: func(g Gomega, r *record.Run) {
				syns := All(g, r, "client.SYN")
				g.Expect(syns).To(HaveLen(4))
				for i, wait := range []time.Duration{1, 1, 2} {
					g.Expect(Gap(syns[i], syns[i+1])).To(BeNumerically(">=", wait*time.Second-Jiffy))
				}
			},
			Refute: notLinear,
		},
		{
			Says: "connect() fails with ETIMEDOUT when the last timer runs out, not after 7 s",
			Judge: func(g Gomega, r *record.Run) {
				connected := Call(g, r, "client", "connect", 1)
				g.Expect(connected.Errno).To(Equal("ETIMEDOUT"))
				g.Expect(connected.End - Find(g, r, "client.SYN").T).To(BeNumerically(">=", 8*time.Second-Jiffy))
			},
			Refute: notLinear, // then 7 s are the end
		},
	},
}

const linearTimeouts = "net.ipv4.tcp_syn_linear_timeouts"

// notLinear lets the waits double from the first on.
var notLinear = harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: linearTimeouts, Value: "0"}}}
