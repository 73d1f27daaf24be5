package detect

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// ICMPInFinWait1 shows that an orphan does not die of an ICMP error either.
var ICMPInFinWait1 = eachUnreachable(icmpInFinWait1)

func icmpInFinWait1(u unreachable) harness.Scenario {
	return harness.Scenario{
		Name:    "detect/icmp-in-fin-wait-1{" + string(u.why) + "}",
		Summary: "ICMP " + string(u.why) + " answers the FIN of an orphan; the repeat arrives.",
		Doc: `
close() has returned, and nobody could be told. The error is noted as a soft one
and ends nothing: the FIN is repeated when its timer runs out, and the close goes
on. (An orphan that has an error noted and whose timeout has reached its maximum is
given up sooner: tcp_orphan_retries.)

  client                                              server
  close()    FIN_WAIT_1 ── FIN ─────────────────✗
                       ◄─ ICMP ` + string(u.why) + ` ─
                       ── FIN ───────────────────────► CLOSE_WAIT
             FIN_WAIT_2 ◄───────────────────────  ACK ──
             TIME_WAIT ◄────────────────────────  FIN ── close()
`,
		Refs: []string{"RFC 1122 §4.2.3.9", "RFC 5461", "tcp_v4_err", "tcp_v6_err", "tcp_orphan_retries"},
		Play: finRefused(u.why, 1),
		Claims: []harness.Claim{
			{
				Says: "the orphan survives the error in FIN_WAIT_1, and the close goes on to TIME_WAIT",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established, tcp.FinWait1, tcp.FinWait2, tcp.TimeWait))
					g.Expect(LastIn(g, r, "client", tcp.FinWait1).Orphan).To(BeTrue())
				},
				Refute: harness.Variant{Play: finRefused(u.why, 100)},
			},
			{
				Says: "the FIN that the error quotes is sent again when its timer runs out, not before",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Segments("client.FIN", "forged.ICMP(server)", "client.FIN#2"))
					g.Expect(r).To(Delivered("client.FIN#2"))
					waiting := FirstIn(g, r, "client", tcp.FinWait1)
					g.Expect(Find(g, r, "client.FIN#2").T).To(BeNumerically(">=", waiting.T+waiting.Expires-Jiffy))
				},
				Refute: harness.Variant{Play: finRefused(u.why, 0)},
			},
			{
				Says: "the server notices nothing: its program reads the end of file, and both close() return 0",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(Returned("server", "read", 0))
					g.Expect(r).To(Returned("server", "close", 0))
					g.Expect(r).To(Returned("client", "close", 0))
				},
				Refute: harness.Variant{Play: finRefused(u.why, 100)},
			},
		},
	}
}

// finRefused answers so many FINs of an orphan with an ICMP error; a hundred are
// all of them.
func finRefused(why tcp.Unreachable, times int) func(*harness.Stage) {
	return func(s *harness.Stage) {
		s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
		s.Client.Sysctl("net.ipv4.tcp_orphan_retries", "1")
		client, server := s.Established()
		if times > 0 {
			s.Wire.On("client.FIN").Times(times).Forge(inject.Forgery{Place: inject.Instead, ICMP: why})
		}
		client.Close()
		if times == 100 {
			s.Await(client.Gone())
			return
		}
		server.Read(1) // end of file
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Close()
		s.Await(server.Gone())
	}
}
