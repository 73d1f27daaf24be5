package trap

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// WhichWasLost shows how the passive closer can tell which of two was lost.
var WhichWasLost = []harness.Scenario{whichWasLost(true), whichWasLost(false)}

func whichWasLost(fin bool) harness.Scenario {
	name, echoed, ladder := "ack", "server.FIN#1", `
                       ◄──────────────────────── FIN ── TSval 100
                       ── ACK ──────────────────✗
                       ◄──────────────────────── FIN ── TSval 304
                       ── ACK, TSecr 100 ───────────►`
	if fin {
		name, echoed, ladder = "fin", "server.FIN#2", `
                                    ✗─────────── FIN ── TSval 100
                       ◄──────────────────────── FIN ── TSval 304
                       ── ACK, TSecr 304 ───────────►`
	}
	return harness.Scenario{
		Name:    "trap/was-it-the-fin-or-its-ack-that-was-lost{" + name + "}",
		Summary: "The passive closer's FIN is repeated; the timestamp that comes back tells why.",
		Doc: `
Two repeats look the same to whoever sends them. The ACK in the end tells: a FIN that
had arrived left its timestamp in the TIME_WAIT socket (tw_ts_recent), and a
repeat below the window does not replace it. So the echo is that of the first FIN
where the ACK was lost, and that of the repeat where the FIN was.

  client                                              server` + ladder + `
`,
		Refs: []string{"RFC 7323 §4.3", "tcp_timewait_state_process", "tcp_time_wait"},
		Play: func(s *harness.Stage) { lostOnce(s, fin) },
		Claims: []harness.Claim{
			{
				Says: "the ACK that arrives echoes the timestamp of " + echoed,
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Delivered("server.FIN#2", "client.ACK(server.FIN)"))
					acks := All(g, r, "client.ACK(server.FIN)")
					g.Expect(options(g, acks[len(acks)-1]).TSEcr).To(Equal(options(g, Find(g, r, echoed)).TSVal))
					g.Expect(options(g, Find(g, r, "server.FIN#1")).TSVal).NotTo(Equal(options(g, Find(g, r, "server.FIN#2")).TSVal))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) { lostOnce(s, !fin) }},
			},
			{
				Says: "the server counts one repeat in either case; what differs is how many ACKs the client sent",
				Judge: func(g Gomega, r *record.Run) {
					acks := 2
					if fin {
						acks = 1
					}
					g.Expect(r).To(HaveCount("client.ACK(server.FIN)", acks))
					g.Expect(r).To(HaveDelta("server", "Tcp.RetransSegs", 1))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) { lostOnce(s, !fin) }},
			},
		},
	}
}

func lostOnce(s *harness.Stage, fin bool) {
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0")
	client, server := s.Established()
	if fin {
		s.Wire.On("server.FIN").Drop()
	} else {
		s.Wire.On("client.ACK(server.FIN)").Drop()
	}
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	server.Read(1) // end of file
	server.Close()
	s.Await(server.Gone())
}

// options are those of a segment as it came in.
func options(g Gomega, x *record.Segment) tcp.Options {
	var s tcp.Segment
	g.Expect(s.Parse(x.Frame)).To(Succeed())
	return s.Options
}
