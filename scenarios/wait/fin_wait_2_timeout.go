package wait

import (
	"fmt"
	"strconv"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FinWait2Timeouts show how long an orphan stays in FIN_WAIT_2 for values of
// tcp_fin_timeout: not for that long where it is above 60 s.
var FinWait2Timeouts = []harness.Scenario{
	finWait2Timeout(1, 3, 1), finWait2Timeout(59, 60, 0), finWait2Timeout(60, 59, 0), finWait2Timeout(61, 1, 2),
	finWait2Timeout(65, 62, 1), finWait2Timeout(75, 60, 0), finWait2Timeout(120, 60, 0),
}

// FinWait2TimeoutsWaited wait the whole time of a value out.
var FinWait2TimeoutsWaited = []harness.Scenario{waited(59), waited(60), waited(75), waited(120)}

// timeWaitLen is TCP_TIMEWAIT_LEN.
const timeWaitLen = 60

// leastFinTimeout is what tcp_fin_time, which goes no lower than 3.5 RTO, gives
// at most where less was asked for: a handshake of 190 ms would make more of it,
// and in that the wire would have been late.
const leastFinTimeout = 2

// finWait2Timeout is the scenario of one value of tcp_fin_timeout, in seconds.
// another is one with another result; phases is how many timers are waited
// out: where the value is above 60 s there are two.
func finWait2Timeout(timeout, another, phases int) harness.Scenario {
	refute := harness.Variant{Sysctls: []harness.Sysctl{{
		Host: "client", Key: "net.ipv4.tcp_fin_timeout", Value: strconv.Itoa(another),
	}}}
	shown, timer := timeout, "timewait"
	if timeout > timeWaitLen {
		shown, timer = timeout-timeWaitLen, "keepalive"
	}
	claims := []harness.Claim{{
		Says: fmt.Sprintf("the orphan in FIN_WAIT_2 shows %d s on its %s timer", shown, timer),
		Judge: func(g Gomega, r *record.Run) {
			acked := Find(g, r, "server.ACK(client.FIN)")
			waiting := FirstIn(g, r, "client", tcp.FinWait2)
			g.Expect(waiting.Orphan).To(BeTrue())
			g.Expect(waiting.Timer).To(Equal(timer))
			if timeout > leastFinTimeout {
				g.Expect(waiting).To(SetTo(seconds(shown), acked.T))
				return
			}
			g.Expect(waiting.T + waiting.Latest).To(BeNumerically(">=", acked.T+seconds(shown)-Jiffy))
			g.Expect(waiting.Expires).To(BeNumerically("<=", seconds(leastFinTimeout)+Jiffy))
		},
		Refute: refute,
	}}
	if phases > 0 && timeout > timeWaitLen {
		claims = append(claims, harness.Claim{
			Says: fmt.Sprintf("then a mini-socket takes over, and what it gets is %d s again, not the rest of %d s", shown, timeout),
			Judge: func(g Gomega, r *record.Run) {
				mini := firstMini(g, r)
				acked := Find(g, r, "server.ACK(client.FIN)")
				g.Expect(mini).To(SetTo(seconds(shown), acked.T+seconds(shown)-2*Jiffy))
			},
			Refute: refute,
		})
	}
	if whole := total(timeout); phases > 1 || phases > 0 && timeout <= timeWaitLen {
		claims = append(claims, harness.Claim{
			Says: fmt.Sprintf("FIN_WAIT_2 is over after %d s", whole),
			Judge: func(g Gomega, r *record.Run) {
				lasted := FirstIn(g, r, "client", tcp.Closed).T - Find(g, r, "server.ACK(client.FIN)").T
				g.Expect(lasted).To(BeNumerically(">=", seconds(whole)-2*Jiffy))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: finWait2Reset},
		})
	}
	return harness.Scenario{
		Name:    fmt.Sprintf("wait/fin-wait-2-timeout{tcp_fin_timeout=%d}", timeout),
		Summary: fmt.Sprintf("With tcp_fin_timeout=%d an orphan's FIN_WAIT_2 lasts %d s.", timeout, total(timeout)),
		Doc: `
How long an orphan stays in FIN_WAIT_2 does not grow steadily with
tcp_fin_timeout. Up to 60 s (TCP_TIMEWAIT_LEN) the kernel makes a mini-socket with
that timer. Above it a full socket waits for the part beyond 60 s on its
keep-alive timer; tcp_keepalive_timer then makes the mini-socket, and computes
once more what is beyond 60 s, instead of taking the 60 s that are left.

  tcp_fin_timeout   full socket   mini-socket   in all
            1            -             1            1 s
           59            -            59           59 s
           60            -            60           60 s
           61            1             1            2 s
           65            5             5           10 s
           75           15            15           30 s
          120           60            60          120 s

The least is 3.5 retransmission timeouts, 0.7 s on a fast network.
`,
		Lasts:  time.Duration(phases) * seconds(shown),
		Refs:   []string{"RFC 9293 §3.6", "tcp_fin_time", "tcp_rcv_state_process", "tcp_keepalive_timer", "tcp_time_wait"},
		Claims: claims,
		Play: func(s *harness.Stage) {
			s.Client.Sysctl("net.ipv4.tcp_fin_timeout", strconv.Itoa(timeout))
			client, _ := s.Established()
			client.Close()
			s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
			if phases > 0 && timeout > timeWaitLen {
				for client.Observe().Kind == "full" {
					s.Await(s.Wire.After(20 * time.Millisecond))
				}
				client.Observe()
			}
			if phases > 1 || phases > 0 && timeout <= timeWaitLen {
				s.Await(client.Gone())
			}
		},
	}
}

// waited is the slow twin: all timers of a value are waited out, of one above 60 s
// both.
func waited(timeout int) harness.Scenario {
	sc := finWait2Timeout(timeout, 62, 2)
	sc.Name = fmt.Sprintf("wait/fin-wait-2-timeout-waited{tcp_fin_timeout=%d}", timeout)
	sc.Slow = true
	return sc
}

// total is how long FIN_WAIT_2 lasts in all, in seconds.
func total(timeout int) int {
	if timeout > timeWaitLen {
		return 2 * (timeout - timeWaitLen)
	}
	return timeout
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// firstMini is the first reading of the client's mini-socket in FIN_WAIT_2.
func firstMini(g Gomega, r *record.Run) record.State {
	for _, s := range Readings(g, r, "client", tcp.FinWait2) {
		if s.Timer == "timewait" {
			return s
		}
	}
	g.Expect(r).To(HaveTimer("client", tcp.FinWait2, "timewait"))
	return record.State{}
}
