package detect

import (
	"fmt"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// ICMPInMiniSocket shows that an ICMP error means nothing to what is left of a
// socket.
var ICMPInMiniSocket = []harness.Scenario{icmpInMiniSocket(tcp.FinWait2), icmpInMiniSocket(tcp.TimeWait)}

func icmpInMiniSocket(state tcp.State) harness.Scenario {
	ends := map[tcp.State]string{tcp.FinWait2: "goes on to TIME_WAIT with the other end's FIN", tcp.TimeWait: "is in TIME_WAIT at the end"}[state]
	reset := harness.Variant{Play: func(s *harness.Stage) { toldMini(s, state, inject.Forgery{To: "client", Flags: tcp.RST}) }}
	return harness.Scenario{
		Name:    fmt.Sprintf("detect/icmp-in-mini-socket{state=%s}", state),
		Summary: fmt.Sprintf("ICMP port unreachable reaches an orphan in %s.", state),
		Doc: `
After close() an orphan's FIN_WAIT_2 and every TIME_WAIT are mini-sockets. There is no
program that could be told, nothing in flight, and not even a place where a soft error
could be noted: tcp_v4_err looks up the mini-socket and lets it go. A RST in the same
place ends it.

  client                                              server
  close()   ` + fmt.Sprintf("%-10s", state) + ` ◄─ ICMP port unreachable ─
            ` + fmt.Sprintf("%-10s", state) + `
`,
		Refs: []string{"RFC 1122 §4.2.3.9", "RFC 5461", "tcp_v4_err", "tcp_v6_err", "inet_twsk_put"},
		Play: func(s *harness.Stage) { toldMini(s, state, inject.Forgery{To: "client", ICMP: tcp.PortUnreachable}) },
		Claims: []harness.Claim{
			{
				Says: "right behind the error it is in " + state.String() + " still, with its timer",
				Judge: func(g Gomega, r *record.Run) {
					behind := AfterDelivery(g, r, "client", forged(g, r))
					g.Expect(behind.State).To(Equal(state))
					g.Expect(behind.Timer).To(Equal("timewait"))
				},
				Refute: reset,
			},
			{
				Says: "it " + ends + ", and no RST is sent",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(LastSeen(g, r, "client").State).To(Equal(tcp.TimeWait))
					g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
				},
				Refute: reset,
			},
		},
	}
}

// toldMini brings the client's end to what is left of it in a state, forges what
// it is told there, and lets the other end close.
func toldMini(s *harness.Stage, state tcp.State, f inject.Forgery) {
	client, server := s.Established()
	client.Close()
	s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	if state == tcp.TimeWait {
		server.Close()
		s.Await(server.Gone())
	}
	s.Client.Observe(1)
	s.Wire.Inject(1, f)
	s.Await(s.Wire.Delivered(`sent_by == "wire"`))
	if state == tcp.FinWait2 {
		server.Close()
		s.Await(server.Gone())
	}
	s.Client.Observe(1)
}
