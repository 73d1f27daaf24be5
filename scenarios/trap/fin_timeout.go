package trap

import (
	"fmt"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// FINTimeout shows that FIN_WAIT_2 does not grow steadily with tcp_fin_timeout.
var FINTimeout = finTimeouts(1, 59, 60, 61, 65, 75, 120)

// timewaitLen is TCP_TIMEWAIT_LEN.
const timewaitLen = 60

func finTimeouts(values ...int) []harness.Scenario {
	var list []harness.Scenario
	for _, v := range values {
		list = append(list, finTimeout(v))
	}
	return list
}

func finTimeout(seconds int) harness.Scenario {
	whole, kind, timer := seconds, "a mini-socket", "timewait"
	shown := seconds
	if seconds > timewaitLen {
		kind, timer, shown = "the full socket", "keepalive", seconds-timewaitLen
		whole = 2 * shown
	}
	value := fmt.Sprint(seconds)
	other := "30" // refutes what 60 and less share, and what the others do
	if seconds > timewaitLen {
		other = "60"
	}
	sc := harness.Scenario{
		Name:    "trap/fin-wait-2-is-not-tcp-fin-timeout{tcp_fin_timeout=" + value + "}",
		Summary: fmt.Sprintf("An orphan in FIN_WAIT_2 with tcp_fin_timeout=%s lives for %d s.", value, whole),
		Doc: fmt.Sprintf(`
Up to 60 an orphan in FIN_WAIT_2 becomes a mini-socket at once and lives for
tcp_fin_timeout. Beyond 60 (TCP_TIMEWAIT_LEN) it stays a full socket for what exceeds
60, by the keep-alive timer, and then becomes a mini-socket: for what exceeds
60 once more, not for 60, because tcp_keepalive_timer computes the rest from the
sysctl again. So 61 gives 2 s, no more than 2 does; 65 gives 10, 75 gives 30, and
above 60 only 120 gives what it says.

  client (tcp_fin_timeout=%s)                          server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            FIN_WAIT_2 ◄────────────────────────  ACK ── never closes
      %s, %d s to go
`, value, kind, shown),
		Refs: []string{"RFC 9293 §3.6", "tcp_rcv_state_process", "tcp_keepalive_timer", "tcp_time_wait", "tcp_fin_time"},
		Play: func(s *harness.Stage) { orphaned(s, value) },
		Claims: []harness.Claim{
			{
				Says: fmt.Sprintf("it is %s whose timer, %s, has %d s to go", kind, timer, shown),
				Judge: func(g Gomega, r *record.Run) {
					wait := FirstIn(g, r, "client", tcp.FinWait2)
					g.Expect(wait.Timer).To(Equal(timer))
					g.Expect(wait).To(SetTo(time.Duration(shown)*time.Second, Find(g, r, "server.ACK(client.FIN)").T))
				},
				Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_fin_timeout", Value: other}}},
			},
			{
				Says: "the program is long gone from it: its close() returned 0, and the peer never closes",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Returned("client", "close", 0))
					g.Expect(FirstIn(g, r, "client", tcp.FinWait2).Orphan).To(BeTrue())
					g.Expect(r).NotTo(Segments("server.FIN"))
				},
				Refute: harness.Variant{Play: halfClosed},
			},
		},
	}
	switch seconds {
	case 60:
		sc.Answers = []harness.Answer{{Statement: 13, Holds: harness.HoldsWhen, Says: "Only an orphan is dropped, after tcp_fin_timeout (60 s); above 60 the time is twice what exceeds 60. With a descriptor FIN_WAIT_2 lasts for ever."}}
	case 61:
		sc.Play = func(s *harness.Stage) { reaped(s, value) }
		sc.Claims[0].Refute = harness.Variant{Play: func(s *harness.Stage) { orphaned(s, other) }} // nobody waits for a minute
		sc.Claims = append(sc.Claims, harness.Claim{
			Says: "after that second it becomes a mini-socket with one second to go, and is gone 2 s after the ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveTimer("client", tcp.FinWait2, "keepalive"))
				g.Expect(r).To(HaveTimer("client", tcp.FinWait2, "timewait"))
				mini := LastIn(g, r, "client", tcp.FinWait2)
				g.Expect(mini.Expires).To(BeNumerically("<=", 1100*time.Millisecond))
				gone := FirstIn(g, r, "client", tcp.Closed)
				g.Expect(Find(g, r, "server.ACK(client.FIN)").T + 2*time.Second - Jiffy).To(BeNumerically("<=", gone.T))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { reaped(s, "1") }},
		})
	}
	return sc
}

// orphaned leaves the client as an orphan in FIN_WAIT_2.
func orphaned(s *harness.Stage, timeout string) (client *harness.Peer) {
	s.Client.Sysctl("net.ipv4.tcp_fin_timeout", timeout)
	client, _ = s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	s.Await(client.In(tcp.FinWait2))
	return client
}

// reaped waits until the orphan is gone, and looks on the way.
func reaped(s *harness.Stage, timeout string) {
	client := orphaned(s, timeout)
	for range 8 {
		s.Await(s.Wire.After(200 * time.Millisecond))
		client.Observe()
	}
	s.Await(client.Gone())
}

// halfClosed keeps the descriptor.
func halfClosed(s *harness.Stage) {
	client, _ := s.Established()
	client.Shutdown()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	s.Await(client.In(tcp.FinWait2))
}
