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

// SYNRetries shows how often and when connect() asks a host that is silent.
var SYNRetries = []harness.Scenario{synRetries(0), synRetries(2)}

func synRetries(linear int) harness.Scenario {
	const retries = 1
	syns := map[int]int{0: 2, 2: 3}[linear]
	play := func(s *harness.Stage) {
		s.Client.SysctlAlways("net.ipv4.tcp_syn_retries", fmt.Sprint(retries))
		s.Client.Sysctl("net.ipv4.tcp_syn_linear_timeouts", fmt.Sprint(linear))
		connecting(s)
	}
	other := 2 - linear // the table's other row
	return harness.Scenario{
		Name:    fmt.Sprintf("detect/syn-retries{tcp_syn_linear_timeouts=%d}", linear),
		Lasts:   3 * time.Second,
		Summary: fmt.Sprintf("connect() to a silent host with tcp_syn_retries %d and %d linear repeats.", retries, linear),
		Doc: fmt.Sprintf(`
Since 6.5 the first tcp_syn_linear_timeouts repeats (stock: 4) come a second
apart, and only then the waits double. They may come in addition to
tcp_syn_retries (stock: 6), but the end is a time, too: what tcp_syn_retries alone
would take, counted from connect(), where tcp_connect notes retrans_stamp.
Stock: SYNs at 0, 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s, and ETIMEDOUT after 131 s.
With tcp_syn_retries 1 the time is 3 s, however many linear ones there are: here
%d SYNs fit.

  client                                              server
  connect()  SYN_SENT  ── SYN ──────────────────✗      power off
      1 s              ── SYN ──────────────────✗
      …
      3 s    CLOSED
             connect() ETIMEDOUT
`, syns),
		Refs:  []string{"RFC 6298 §2", "RFC 9293 §3.8.3", "tcp_write_timeout", "tcp_retransmit_timer"},
		Needs: []harness.Need{{Sysctl: "net.ipv4.tcp_syn_linear_timeouts"}},
		Play:  play,
		Claims: []harness.Claim{
			{
				Says: fmt.Sprintf("the SYN is sent %d times", syns),
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveCount("client.SYN", syns))
					g.Expect(r).To(HaveDelta("client", "Tcp.RetransSegs", syns-1))
				},
				Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_syn_linear_timeouts", Value: fmt.Sprint(other)}}},
			},
			{
				Says: "the waits are a second as long as they are linear, and twice as long then: so says the timer after each SYN",
				Judge: func(g Gomega, r *record.Run) {
					for n := 1; n <= syns; n++ {
						planned := Meant(g, r, "client", fmt.Sprintf("client.SYN#%d", n))
						if n <= 1+linear {
							g.Expect(planned).To(BeNumerically("<", 1500*time.Millisecond), "after SYN %d", n)
						} else {
							g.Expect(planned).To(BeNumerically(">", 1500*time.Millisecond), "after SYN %d", n)
						}
					}
				},
				Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_syn_linear_timeouts", Value: fmt.Sprint(other)}}},
			},
			{
				Says: "connect() fails with ETIMEDOUT after 3 s, not before",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Failed("client", "connect", "ETIMEDOUT"))
					g.Expect(Call(g, r, "client", "connect", 1).End - Find(g, r, "client.SYN").T).To(BeNumerically(">=", 3*time.Second-Jiffy))
				},
				Refute: harness.Variant{Play: synLostOnce},
			},
			{
				Says: "the socket was never more than in SYN_SENT, and nothing else was sent",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Closed))
					for _, x := range r.Segments {
						g.Expect(x.Other || x.Flags == tcp.SYN || x.Flags == tcp.SYN|tcp.ECE|tcp.CWR).To(BeTrue(), x.Name())
					}
				},
				Refute: harness.Variant{Play: synLostOnce},
			},
		},
	}
}

// connecting connects to a host without power.
func connecting(s *harness.Stage) {
	s.Server.PowerOff()
	client := s.Client.Peer()
	client.Connect(s.Server, 8080)
	s.Await(client.Gone())
}

// synLostOnce connects to a host that lives; the first SYN is lost.
func synLostOnce(s *harness.Stage) {
	s.Wire.On("client.SYN").Drop()
	s.Established()
}
