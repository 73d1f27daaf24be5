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

// OrphanRetries shows what a last ACK that is lost for ever costs.
var OrphanRetries = []harness.Scenario{
	orphanRetries(1), orphanRetries(2), orphanRetries(3), orphanRetries(4), OrphanRetriesZero, orphanRetriesZeroWaited(),
}

func orphanRetries(retries int) harness.Scenario {
	tries := retries
	if retries == 0 {
		tries = 8
	}
	bound := (time.Duration(2)<<tries - 1) * 200 * time.Millisecond
	// Far enough off that a longer round trip gives another number of FINs all the
	// same: with 300 ms both 1 and 2 end at the third.
	other := "1"
	if retries == 1 || retries == 2 {
		other = "4"
	}
	return harness.Scenario{
		Name:    fmt.Sprintf("trap/more-fins-than-orphan-retries{tcp_orphan_retries=%d}", retries),
		Lasts:   bound + bound/2,
		Summary: fmt.Sprintf("Every last ACK is lost; tcp_orphan_retries is %d.", retries),
		Doc: fmt.Sprintf(`
tcp_orphan_retries is a time, as tcp_retries2 is: what so many repeats would take from
200 ms on (%d means %.1f s), counted from the first repeat. The orphan ends at the
first timer that finds the time over. Measured: 1 costs 3 FINs and 1.5 s, 2 costs 4
and 3.2 s, and both 3 and 4 cost 5 and 6.5 s: the real timeout is a little more than
200 ms and timers run late, so the last timer of 4 finds its time over, while that
of 3 just does not. No RST is sent in the end: tcp_write_err closes in silence.

  client                                              server
  TIME_WAIT            ◄──────────────────────── FIN ── LAST_ACK, an orphan
                       ── ACK ──────────────────✗
                       ◄──────────────────────── FIN ── 200 ms
                       ── ACK ──────────────────✗
                       …
                                                       CLOSED
`, retries, bound.Seconds()),
		Refs: []string{"RFC 9293 §3.6", "RFC 9293 §3.8.3", "tcp_orphan_retries", "tcp_write_timeout", "retransmits_timed_out"},
		Play: func(s *harness.Stage) { lastACKNever(s, fmt.Sprint(retries)) },
		Claims: []harness.Claim{
			{
				Says: fmt.Sprintf("the FIN is repeated as long as the first repeat is less than %.1f s old, and no longer", bound.Seconds()),
				Judge: func(g Gomega, r *record.Run) {
					fins := All(g, r, "server.FIN")
					g.Expect(len(fins)).To(BeNumerically(">", 2))
					for _, again := range fins[1:] {
						g.Expect(Gap(fins[1], again)).To(BeNumerically("<", bound))
					}
					g.Expect(FirstIn(g, r, "server", tcp.Closed).T - fins[1].T).To(BeNumerically(">=", bound-Jiffy))
				},
				Refute: harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: "net.ipv4.tcp_orphan_retries", Value: other}}},
			},
			{
				Says: "the orphan was in LAST_ACK all the time, by its retransmission timer",
				Judge: func(g Gomega, r *record.Run) {
					for _, s := range Readings(g, r, "server", tcp.LastAck) {
						g.Expect(s.Timer == "retransmit" || s.Timer == "").To(BeTrue())
					}
					g.Expect(LastIn(g, r, "server", tcp.LastAck).Orphan).To(BeTrue())
					g.Expect(r).To(HaveStates("server", tcp.LastAck, tcp.Closed))
					g.Expect(r).To(HaveDelta("server", "TcpExt.TCPAbortOnTimeout", 1))
				},
				Refute: harness.Variant{Play: lastACKArrives},
			},
			{
				Says: "no RST is sent in the end, and the program has long been told that close() went well",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).NotTo(Segments("server.RST"))
					g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
					g.Expect(r).To(Returned("server", "close", 0))
				},
				Refute: harness.Variant{Play: lingerInCloseWait},
			},
		},
	}
}

// OrphanRetriesZero shows that 0, the stock value, does not mean none.
var OrphanRetriesZero = harness.Scenario{
	Name:    "trap/more-fins-than-orphan-retries{tcp_orphan_retries=0}",
	Lasts:   6 * time.Second,
	Summary: "Every last ACK is lost; tcp_orphan_retries is 0, the stock value.",
	Doc: `
0 stands for 8 (tcp_orphan_retries): 102.2 s from the first repeat on, so nine or
ten FINs. Only an orphan whose timeout has reached its maximum, 120 s, gets the 0 that
is written there. This play waits for the sixth FIN, which no value from 1 to 4 sends,
and looks at the timer.

  client                                              server
  TIME_WAIT            ◄──────────────────────── FIN ── LAST_ACK, an orphan
                       ── ACK ──────────────────✗
                       … 0.2, 0.6, 1.4, 3, 6.2 s
                       ◄──────────────────────── FIN ── the sixth
`,
	Refs: []string{"RFC 9293 §3.6", "tcp_orphan_retries", "tcp_write_timeout"},
	Play: func(s *harness.Stage) {
		s.Server.Sysctl("net.ipv4.tcp_orphan_retries", "0")
		lastACKLost(s)
		s.Await(s.Wire.Delivered("server.FIN#6"))
		s.Server.Observe(1)
	},
	Answers: []harness.Answer{
		{Statement: 31, Holds: harness.HoldsWhen, Says: "The orphan's FIN is repeated from 0.2 s on, not from 1 s; the stock tcp_orphan_retries of 0 means 8, nine or ten FINs over 102 s at least, and no RST."},
	},
	Claims: []harness.Claim{
		{
			Says: "a sixth FIN is sent, and the orphan goes on: the next is due in more than six seconds",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("server.FIN#6"))
				g.Expect(Meant(g, r, "server", "server.FIN#6")).To(BeNumerically(">", 6*time.Second))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { lastACKNever(s, "1") }},
		},
		{
			Says: "each wait is twice the one before",
			Judge: func(g Gomega, r *record.Run) {
				before := Meant(g, r, "server", "server.FIN")
				for n := 2; n <= 6; n++ {
					next := Meant(g, r, "server", fmt.Sprintf("server.FIN#%d", n))
					g.Expect(next).To(BeNumerically(">", before+before/2))
					before = next
				}
			},
			Refute: harness.Variant{Play: lastACKArrives},
		},
	},
}

// orphanRetriesZeroWaited is the slow twin of OrphanRetriesZero: it waits until the
// orphan has given up.
func orphanRetriesZeroWaited() harness.Scenario {
	sc := orphanRetries(0)
	sc.Name = "trap/more-fins-than-orphan-retries-waited{tcp_orphan_retries=0}"
	sc.Summary = "Every last ACK is lost, and tcp_orphan_retries is 0, the stock value: until the end."
	sc.Doc = `
The slow twin of the same without -waited: 0 stands for 8, and so for 102.2 s from the
first repeat on. The wait behind the ninth FIN ends beyond that, and with it the
orphan: no tenth FIN, and no RST.

  client                                              server
  TIME_WAIT            ◄──────────────────────── FIN ── LAST_ACK, an orphan
                       ── ACK ──────────────────✗
                       … 0.2, 0.6, 1.4, 3, 6.2, 12.6, 25.4 s
                       ◄──────────────────────── FIN ── 51 s, the ninth
                       ── ACK ──────────────────✗
                                                       CLOSED
`
	sc.Slow = true
	return sc
}

// lastACKNever loses every last ACK until the orphan is gone.
func lastACKNever(s *harness.Stage, retries string) {
	s.Server.Sysctl("net.ipv4.tcp_orphan_retries", retries)
	server := lastACKLost(s)
	s.Await(server.Gone())
}

func lastACKLost(s *harness.Stage) *harness.Peer {
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	s.Wire.On("client.ACK(server.FIN)").Always().Drop()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Close()
	s.Await(server.In(tcp.LastAck))
	return server
}

// lastACKArrives is the same on a wire that loses nothing.
func lastACKArrives(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Close()
	s.Await(server.Gone())
}

// lingerInCloseWait ends the passive closer by a RST.
func lingerInCloseWait(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Linger(0)
	server.Close()
	s.Await(s.Wire.Seen("server.RST"))
}
