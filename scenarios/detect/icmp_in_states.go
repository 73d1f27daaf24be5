package detect

import (
	"fmt"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// ICMPInStates shows that an ICMP error ends no close, in whatever state
// it finds the socket.
var ICMPInStates = func() []harness.Scenario {
	var list []harness.Scenario
	for _, state := range []tcp.State{tcp.FinWait1, tcp.FinWait2, tcp.Closing, tcp.CloseWait, tcp.LastAck} {
		for _, u := range unreachables {
			list = append(list, icmpInState(state, u))
		}
	}
	return list
}()

// ends is how a close goes on that an error has not ended, by the state that
// the error found.
var ends = map[tcp.State][]tcp.State{
	tcp.FinWait1:  {tcp.FinWait1, tcp.FinWait2, tcp.TimeWait},
	tcp.FinWait2:  {tcp.FinWait2, tcp.TimeWait},
	tcp.Closing:   {tcp.Closing, tcp.TimeWait},
	tcp.CloseWait: {tcp.CloseWait, tcp.LastAck, tcp.Closed},
	tcp.LastAck:   {tcp.LastAck, tcp.Closed},
}

func icmpInState(state tcp.State, u unreachable) harness.Scenario {
	reset := harness.Variant{Play: func(s *harness.Stage) { toldIn(s, state, inject.Forgery{To: "client", Flags: tcp.RST}) }}
	return harness.Scenario{
		Name:    fmt.Sprintf("detect/icmp-in-state{state=%s,icmp=%s}", state, u.why),
		Summary: fmt.Sprintf("ICMP %s reaches a socket in %s, whose program still holds it.", u.why, state),
		Doc: `
RFC 1122 calls "net unreachable" and "host unreachable" soft errors and "port
unreachable" a hard one, which should abort the connection. Linux makes no such
difference in a synchronised state: all of them are soft (sk_err_soft), unless the
program has set IP_RECVERR. SO_ERROR shows the error once, and the close goes on as
if nothing had come. What a RST does in the same place is the counterpart.

The error must quote a number from SND.UNA to SND.NXT, or it is dropped
(OutOfWindowIcmps).

  state of the client   behind an ICMP error   behind a RST
  FIN_WAIT_1            the same               CLOSED, ECONNRESET
  FIN_WAIT_2            the same               CLOSED, ECONNRESET
  CLOSING               the same               CLOSED, ECONNRESET
  CLOSE_WAIT            the same               CLOSED, EPIPE
  LAST_ACK              the same               CLOSED, ECONNRESET

  ICMP                  SO_ERROR
  port unreachable      ECONNREFUSED
  host unreachable      EHOSTUNREACH
  net unreachable       ENETUNREACH
  admin prohibited      EHOSTUNREACH, over IPv6 EACCES
`,
		Refs: []string{"RFC 1122 §4.2.3.9", "RFC 5461", "RFC 5927", "tcp_v4_err", "tcp_v6_err", "tcp_reset", "sk_getsockopt"},
		// A FIN that is held must not be repeated before it is let go.
		Hosts: []harness.HostSpec{{Name: "client", RTOMin: 5 * time.Second}, {Name: "server", RTOMin: 5 * time.Second}},
		Play:  func(s *harness.Stage) { toldIn(s, state, inject.Forgery{To: "client", ICMP: u.why}) },
		Claims: []harness.Claim{
			{
				Says: "the socket is in " + state.String() + " when the error comes, and right behind it still",
				Judge: func(g Gomega, r *record.Run) {
					told := forged(g, r)
					before, known := r.StateAt(1, "client", told.T)
					g.Expect(known).To(BeTrue())
					g.Expect(before.State).To(Equal(state))
					g.Expect(AfterDelivery(g, r, "client", told).State).To(Equal(state))
				},
				Refute: reset,
			},
			{
				Says: "the kernel took the error for this socket: SO_ERROR shows " + u.says() + ", once",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(errorsShown(r)).To(Equal([]string{u.errno(r), "0"}))
					g.Expect(r).To(HaveDelta("client", "TcpExt.OutOfWindowIcmps", 0))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) {
					toldIn(s, state, inject.Forgery{To: "client", ICMP: u.why, Seq: &inject.Number{Base: "SND.NXT", Offset: 1}})
				}},
			},
			{
				Says: "the close goes on to its orderly end, and neither end sends a RST",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveStates("client", ends[state]...))
					g.Expect(r).NotTo(Segments("client.RST"))
					g.Expect(r).NotTo(Segments("server.RST"))
				},
				Refute: reset,
			},
		},
	}
}

// forged is the segment, or the error, that was made.
func forged(g Gomega, r *record.Run) *record.Segment {
	for i := range r.Segments {
		if r.Segments[i].Forged {
			return &r.Segments[i]
		}
	}
	g.Expect(r).To(Segments("forged.ICMP(server)"))
	return &record.Segment{}
}

// toldIn brings the client into a closing state whose socket its program still
// holds, forges what it is told there, reads SO_ERROR twice, and lets the close
// come to its end.
func toldIn(s *harness.Stage, state tcp.State, f inject.Forgery) {
	client, server := s.Established()
	told := s.Wire.Delivered(`sent_by == "wire"`)
	switch state {
	case tcp.FinWait1:
		s.Wire.On("client.FIN").Always().Hold(client.Returned("getsockopt#2"))
		client.Shutdown()
	case tcp.FinWait2:
		client.Shutdown()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	case tcp.Closing:
		s.Wire.On("client.FIN").Always().Hold(client.Returned("getsockopt#2"))
		client.Shutdown()
		s.Await(client.In(tcp.FinWait1))
		server.Shutdown()
	case tcp.CloseWait:
		server.Shutdown()
		s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	case tcp.LastAck:
		server.Shutdown()
		s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
		s.Wire.On("client.FIN").Always().Hold(client.Returned("getsockopt#2"))
		client.Shutdown()
	}
	s.Await(client.In(state))
	s.Wire.Inject(1, f)
	s.Await(told)
	client.SocketError()
	client.SocketError()
	if f.ICMP == "" {
		s.Await(client.Gone())
		return
	}
	switch state {
	case tcp.FinWait1, tcp.FinWait2:
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
		server.Shutdown()
		s.Await(server.Gone())
	case tcp.Closing:
		s.Await(client.In(tcp.TimeWait))
	case tcp.CloseWait:
		client.Shutdown()
		s.Await(client.Gone())
	case tcp.LastAck:
		s.Await(client.Gone())
	}
	client.Observe()
}
