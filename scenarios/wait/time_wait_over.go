package wait

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// TimeWaitOver waits out what wait/time-wait only reads from the timer.
var TimeWaitOver = harness.Scenario{
	Name:    "wait/time-wait-waited",
	Lasts:   time.Minute,
	Summary: "TIME_WAIT is over after 60 s, and nothing is sent at its end.",
	Doc: `
The slow twin of wait/time-wait: no knob shortens TIME_WAIT, so this one waits.

  client                                              server
  close()   FIN_WAIT_1 ── FIN ───────────────────────► CLOSE_WAIT
            TIME_WAIT  ◄────────────────── FIN and ACK ── close()  LAST_ACK
                       ── ACK ───────────────────────► CLOSED
            60 s
            CLOSED
`,
	Refs: []string{"RFC 9293 §3.6.1", "TCP_TIMEWAIT_LEN", "tw_timer_handler"},
	Slow: true,
	Play: func(s *harness.Stage) {
		timeWaitBegins(s)
		s.Await(s.Wire.After(50 * time.Second)) // a wait for the rest is bound to 30 s
		s.Await(s.Client.Gone(1))
	},
	Claims: []harness.Claim{
		{
			Says: "the client is in TIME_WAIT for 60 s, and then gone",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("client", tcp.TimeWait, tcp.Closed))
				lasted := FirstIn(g, r, "client", tcp.Closed).T - FirstIn(g, r, "client", tcp.TimeWait).T
				g.Expect(lasted).To(BeNumerically(">=", time.Minute-2*Jiffy))
			},
			Refute: harness.Variant{Play: timeWaitReset},
		},
		{
			Says: "it ends in silence: nothing comes to the wire after the last ACK",
			Judge: func(g Gomega, r *record.Run) {
				last := Find(g, r, "client.ACK(server.FIN)")
				for i := range r.Segments {
					if x := &r.Segments[i]; !x.Other {
						g.Expect(x.T).To(BeNumerically("<=", last.T))
					}
				}
			},
			Refute: harness.Variant{Play: timeWaitReset},
		},
	},
}

func timeWaitBegins(s *harness.Stage) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Close()
	s.Await(client.In(tcp.TimeWait))
	s.Await(server.Gone())
}

// timeWaitReset ends TIME_WAIT at once by a RST with the exact number.
func timeWaitReset(s *harness.Stage) {
	timeWaitBegins(s)
	s.Wire.Inject(1, inject.Forgery{To: s.Client.Name(), Flags: tcp.RST})
	s.Await(s.Client.Gone(1))
}
