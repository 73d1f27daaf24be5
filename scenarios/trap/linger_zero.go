package trap

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// LingerZero shows in which states SO_LINGER {1, 0} sends no RST.
var LingerZero = []harness.Scenario{
	lingerZero(tcp.Established, true), lingerZero(tcp.CloseWait, true), lingerZero(tcp.FinWait1, true),
	lingerZero(tcp.FinWait2, true), lingerZero(tcp.Closing, false), lingerZero(tcp.LastAck, false), lingerZero(tcp.TimeWait, false),
}

func lingerZero(state tcp.State, resets bool) harness.Scenario {
	what, how := "sends a RST", "── RST ──────────────────────►"
	refute := func(s *harness.Stage) { closedIn(s, state, false) }
	says := "a RST is sent, before anything else that the program does"
	if !resets {
		what, how = "sends nothing", "   (nothing)"
		refute = func(s *harness.Stage) { closedIn(s, tcp.Established, true) }
		says = "no RST is sent: the next segment is the SYN of another connection"
	}
	sc := harness.Scenario{
		Name:    "trap/so-linger-0-does-not-always-reset{" + state.String() + "}",
		Summary: "close() with SO_LINGER {1, 0} in " + state.String() + " " + what + ".",
		Doc: `
tcp_disconnect sends a RST where tcp_need_reset says so: in ESTABLISHED, SYN_RECV,
CLOSE_WAIT, FIN_WAIT_1 and FIN_WAIT_2. In CLOSING and LAST_ACK both ends have said
FIN, and it drops the socket in silence, unless data is still unsent. In TIME_WAIT the
descriptor's socket is closed already, and TIME_WAIT stays.

The RST's number is the next to be sent, behind a FIN. Where the FIN was lost, as in
this table's FIN_WAIT_1, it lies beyond what the peer expects: the peer challenges
it (RFC 5961), and only the RST that answers the challenge ends the other half.

  client                                              server
            ` + state.String() + `
  close()              ` + how + `
`,
		Refs: []string{"RFC 9293 §3.10.5", "tcp_disconnect", "tcp_need_reset", "__tcp_close"},
		Play: func(s *harness.Stage) { closedIn(s, state, true) },
		Claims: []harness.Claim{
			{
				Says: says,
				Judge: func(g Gomega, r *record.Run) {
					if resets {
						g.Expect(r).To(Segments("client.RST", "2:client.SYN"))
						if state != tcp.FinWait1 {
							g.Expect(r).To(HaveCount("client.RST", 1))
						}
						return
					}
					g.Expect(r).To(Segments("2:client.SYN"))
					fence := Find(g, r, "2:client.SYN").T
					for _, x := range r.Segments {
						g.Expect(x.T < fence && x.SentBy == "client" && x.Flags.Has(tcp.RST)).To(BeFalse(), x.Name())
					}
				},
				Refute: harness.Variant{Play: refute},
			},
			{
				Says: "before close() the connection was in " + state.String() + ", and close() returns 0",
				Judge: func(g Gomega, r *record.Run) {
					at, _ := r.StateAt(1, "client", Call(g, r, "client", "close", 1).T)
					g.Expect(at.State).To(Equal(state))
					g.Expect(r).To(Returned("client", "close", 0))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) {
					other := tcp.Established
					if state == tcp.Established {
						other = tcp.CloseWait
					}
					closedIn(s, other, true)
				}},
			},
		},
	}
	gone := harness.Claim{
		Says: "the socket is gone with close(): nothing waits, nothing is repeated",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.Closed))
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) { closedIn(s, state, false) }},
	}
	if state == tcp.TimeWait {
		gone.Says = "TIME_WAIT stays: SO_LINGER comes too late to end it"
		gone.Judge = func(g Gomega, r *record.Run) {
			g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.TimeWait))
		}
		gone.Refute = harness.Variant{Play: func(s *harness.Stage) { closedIn(s, tcp.FinWait2, true) }}
	}
	sc.Claims = append(sc.Claims, gone)
	if state == tcp.Established {
		sc.Answers = []harness.Answer{{Statement: 11, Holds: harness.HoldsWhen, Says: "RST in ESTABLISHED, CLOSE_WAIT, FIN_WAIT_1 and FIN_WAIT_2; in CLOSING and LAST_ACK the socket goes without one, and TIME_WAIT stays."}}
	}
	return sc
}

// closedIn closes in a state, with SO_LINGER {1, 0} or without.
func closedIn(s *harness.Stage, state tcp.State, linger bool) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	if state == tcp.FinWait1 || state == tcp.Closing || state == tcp.LastAck {
		s.Wire.On("client.FIN").Always().Drop()
	}
	switch state {
	case tcp.CloseWait, tcp.LastAck:
		server.Close()
		s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
		client.Read(1) // end of file
	}
	switch state {
	case tcp.FinWait1, tcp.FinWait2, tcp.LastAck, tcp.Closing, tcp.TimeWait:
		client.Shutdown()
		s.Await(s.Wire.Seen("client.FIN"))
	}
	switch state {
	case tcp.Closing:
		server.Close()
	case tcp.TimeWait:
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)")) // or it may follow the FIN, and TIME_WAIT answers it
		server.Read(1)                                      // end of file
		server.Close()
	}
	s.Await(client.In(state))
	client.Observe()
	if linger {
		client.Linger(0)
	} else if state == tcp.CloseWait {
		s.Wire.On("client.FIN").Always().Drop() // or LAST_ACK is over at once
	}
	client.Close()
	client.Observe()
	// Whatever close() sent is on the wire before this.
	client.Connect(s.Server, 8080)
}
