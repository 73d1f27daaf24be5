package wait

import (
	"fmt"
	"strconv"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// Assassinations let an old segment reach TIME_WAIT, whose answer makes the
// other end send the RST that ends it.
var Assassinations = []harness.Scenario{assassination(0), assassination(1)}

func assassination(rfc1337 int) harness.Scenario {
	flip := harness.Variant{Sysctls: []harness.Sysctl{{Host: "client", Key: "net.ipv4.tcp_rfc1337", Value: strconv.Itoa(1 - rfc1337)}}}
	sc := harness.Scenario{
		Name:    fmt.Sprintf("wait/time-wait-assassination{tcp_rfc1337=%d}", rfc1337),
		Summary: "An old byte reaches TIME_WAIT; its acknowledgement is answered with RST by an end that has forgotten.",
		Doc: `
Nobody attacks here. A delayed copy of a byte reaches TIME_WAIT, which answers with
an ACK, as it must. The other end is long gone and answers that ACK with a RST,
whose number is the one that the ACK names: the exact one. TIME_WAIT is over, much
too early, and the next old segment meets no TIME_WAIT or a new connection.

With tcp_rfc1337=0, the stock, this happens. With 1 a RST to TIME_WAIT is ignored.

  client                                              server
            TIME_WAIT  ◄───────── (an old byte)        CLOSED
                       ── ACK ───────────────────────►
            CLOSED     ◄────────────────────────  RST ──
`,
		Refs: []string{"RFC 1337", "RFC 9293 §3.10.7.4", "tcp_timewait_state_process", "tcp_rfc1337"},
		Answers: []harness.Answer{{
			Statement: 9, Holds: harness.HoldsWhen,
			Says: "TIME_WAIT protects for 60 s unless a RST with the exact number ends it, which tcp_rfc1337=0, the stock, allows.",
		}},
		Play: func(s *harness.Stage) { assassinate(s, rfc1337) },
	}
	answered := harness.Claim{
		Says: "the old byte is answered out of TIME_WAIT with an ACK, and that by the other end with a RST of its number",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("server.FIN", "forged.DATA", "server.RST"))
			old, reset := Find(g, r, "forged.DATA"), Find(g, r, "server.RST")
			g.Expect(old.Len).To(Equal(1))
			g.Expect(reset.Flags).To(Equal(tcp.RST))
			g.Expect(reset.Seq).To(Equal(Find(g, r, "server.FIN").Seq + 1))
			before, _ := r.StateAt(1, "client", old.T)
			g.Expect(before.State).To(Equal(tcp.TimeWait))
		},
		Refute: noTimeWait,
	}
	if rfc1337 == 0 {
		sc.Claims = []harness.Claim{answered, {
			Says: "TIME_WAIT is over at the RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(AfterDelivery(g, r, "client", Find(g, r, "server.RST")).State).To(Equal(tcp.Closed))
			},
			Refute: flip,
		}, {
			Says: "the next old byte meets no connection: RST",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.RST", "client.RST"))
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
			},
			Refute: flip,
		}}
		return sc
	}
	sc.Claims = []harness.Claim{answered, {
		Says: "TIME_WAIT stays: the RST is ignored",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(AfterDelivery(g, r, "client", Find(g, r, "server.RST")).State).To(Equal(tcp.TimeWait))
			g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.TimeWait))
		},
		Refute: flip,
	}, {
		Says: "the next old byte is answered out of TIME_WAIT again",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("server.RST", "server.RST#2"))
			g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
		},
		Refute: flip,
	}}
	return sc
}

func assassinate(s *harness.Stage, rfc1337 int) {
	s.Client.Sysctl("net.ipv4.tcp_rfc1337", strconv.Itoa(rfc1337))
	closedByClient(s)
	// The server's FIN is the last number before RCV.NXT: a byte in its place is old.
	byteBefore := inject.Forgery{To: "client", Flags: tcp.PSH | tcp.ACK, Seq: &inject.Number{Base: "RCV.NXT", Offset: -1}, Len: 1}
	s.Wire.Inject(1, byteBefore)
	s.Await(s.Wire.Delivered(`is("server.RST") || is("client.RST")`))
	s.Wire.Inject(1, byteBefore)
	s.Await(s.Wire.Delivered(`is("server.RST#2") || is("client.RST")`))
	s.Client.Observe(1)
}
