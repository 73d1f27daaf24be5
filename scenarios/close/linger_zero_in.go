package close

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

// LingerZeroIn is SO_LINGER {1, 0} on a socket whose close is under way
// already: one scenario for each state in which a descriptor can be closed.
var LingerZeroIn = []harness.Scenario{
	lingerZeroIn(tcp.FinWait1, true),
	lingerZeroIn(tcp.FinWait2, true),
	lingerZeroIn(tcp.CloseWait, true),
	lingerZeroIn(tcp.Closing, false),
	lingerZeroIn(tcp.LastAck, false),
	lingerZeroIn(tcp.TimeWait, false),
}

// lingerZeroIn brings the client into a state by shutdown(), which leaves it
// the descriptor, and closes it with SO_LINGER {1, 0}.
func lingerZeroIn(state tcp.State, resets bool) harness.Scenario {
	sc := harness.Scenario{
		Name: fmt.Sprintf("close/linger-zero-in{state=%s}", state),
		Refs: []string{"RFC 9293 §3.10.5", "tcp_disconnect", "tcp_need_reset"},
		// A FIN that is not acknowledged must not be repeated before close(): each
		// copy would bring an ACK of its own, and that a RST.
		Hosts: []harness.HostSpec{{Name: "client", RTOMin: 5 * time.Second}},
		Play:  func(s *harness.Stage) { closeIn(s, state, true) },
	}
	// The other play: the same state, and a close() that lingers for nothing.
	ordinary := harness.Variant{Play: func(s *harness.Stage) { closeIn(s, state, false) }}
	was := harness.Claim{
		Says: fmt.Sprintf("the client is in %s, with its descriptor, when it closes", state),
		Judge: func(g Gomega, r *record.Run) {
			before, known := r.StateAt(1, "client", Call(g, r, "client", "close", 1).T)
			g.Expect(known).To(BeTrue())
			g.Expect(before.State).To(Equal(state))
			g.Expect(before.Orphan).To(BeFalse())
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) { lingerZero(s, true) }},
	}
	if resets {
		sc.Summary = fmt.Sprintf("SO_LINGER {1, 0} and close() in %s send RST.", state)
		sc.Doc = fmt.Sprintf(`
In %s the other end still counts on this one, so tcp_need_reset says yes:
close() resets what shutdown() or the other end's FIN had begun to end in order.

  client                                              server
  close()   %-10s ── RST ───────────────────────► CLOSED
            CLOSED
`, state, state)
		sc.Claims = []harness.Claim{
			was,
			{
				Says: "close() sends a RST and returns 0",
				Judge: func(g Gomega, r *record.Run) {
					closing := Call(g, r, "client", "close", 1)
					g.Expect(closing.Result).To(BeZero())
					g.Expect(Find(g, r, "client.RST").T).To(BeNumerically(">=", closing.T))
					g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnData", 1))
				},
				Refute: ordinary,
			},
			{
				Says: "both ends are gone with it: the ordinary end of the close never comes",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(LastIn(g, r, "client", tcp.Closed).T).To(BeNumerically(">=", Call(g, r, "client", "close", 1).T))
					g.Expect(r).To(HaveStates("server", tcp.Closed))
					g.Expect(r).NotTo(HaveStates("client", tcp.TimeWait))
					g.Expect(r).NotTo(HaveStates("client", tcp.LastAck))
				},
				Refute: ordinary,
			},
		}
		return sc
	}
	sc.Summary = fmt.Sprintf("SO_LINGER {1, 0} and close() in %s send nothing.", state)
	if state == tcp.TimeWait {
		sc.Doc = `
The socket of the descriptor is CLOSED already; TIME_WAIT is a mini-socket of its
own, which no descriptor can reach. SO_LINGER 0 cannot shorten it: only a server
that makes the other end close first can.

  client                                              server
  (TIME_WAIT) close() = 0, nothing is sent
            TIME_WAIT  ◄────────────────────────  FIN ── once more
                       ── ACK ──────────────────────►
`
		sc.Claims = []harness.Claim{
			was,
			{
				Says: "close() sends nothing: the next segment of the client is the ACK of a repeated FIN",
				Judge: func(g Gomega, r *record.Run) {
					sent := next(g, r, "client", Call(g, r, "client", "close", 1).T)
					g.Expect(sent.Flags).To(Equal(tcp.ACK))
					g.Expect(r).NotTo(Segments("client.RST"))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) { closeIn(s, tcp.FinWait2, true) }},
			},
			{
				Says: "TIME_WAIT lives on: it answers out of its own state, with its timer running",
				Judge: func(g Gomega, r *record.Run) {
					sent := next(g, r, "client", Call(g, r, "client", "close", 1).T)
					state, known := r.StateAt(1, "client", sent.T)
					g.Expect(known).To(BeTrue())
					g.Expect(state.State).To(Equal(tcp.TimeWait))
					g.Expect(state.Timer).To(Equal("timewait"))
				},
				Refute: harness.Variant{Play: func(s *harness.Stage) { closeIn(s, tcp.LastAck, true) }},
			},
		}
		return sc
	}
	sc.Doc = fmt.Sprintf(`
In %s the other end has said all and has heard all but one ACK, and
everything that was written has left: tcp_need_reset says no. The socket is
forgotten without a word, and the FIN is not repeated any more. The ACK that was
on its way comes to a port which knows nothing, and that answers it with RST. So
a RST is seen after all, but the close did not send it.

  client                                              server
  close()   %-10s    (nothing)
            CLOSED     ◄────────────────────────  ACK ──
                       ── RST ──────────────────────►
`, state, state)
	sc.Claims = []harness.Claim{
		was,
		{
			Says: "close() sends nothing: the client's next segment is the RST that answers an ACK delivered later",
			Judge: func(g Gomega, r *record.Run) {
				closing := Call(g, r, "client", "close", 1)
				ack := Find(g, r, "server.ACK(client.FIN)")
				g.Expect(ack.Departures[0].T).To(BeNumerically(">=", closing.T))
				sent := next(g, r, "client", closing.T)
				g.Expect(sent.Flags).To(Equal(tcp.RST))
				g.Expect(sent.Seq).To(Equal(ack.Ack))
				g.Expect(sent.T).To(BeNumerically(">=", ack.Departures[0].T))
			},
			Refute: ordinary,
		},
		{
			Says: "the socket is gone with the call, although its FIN is not acknowledged",
			Judge: func(g Gomega, r *record.Run) {
				gone := FirstIn(g, r, "client", tcp.Closed)
				g.Expect(gone.T).To(BeNumerically("<=", Find(g, r, "server.ACK(client.FIN)").Departures[0].T))
			},
			Refute: ordinary,
		},
		{
			Says: "the one RST that is sent is that of the port which knows nothing; the abort is counted all the same",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 1))
				g.Expect(r).To(HaveDelta("client", "TcpExt.TCPAbortOnData", 1))
			},
			Refute: ordinary,
		},
	}
	return sc
}

// closeIn brings the client into a state and closes its descriptor there.
func closeIn(s *harness.Stage, state tcp.State, zero bool) {
	client, server := s.Established()
	end := func() {
		client.Observe()
		if zero {
			client.Linger(0)
		}
		client.Close()
		client.Observe()
	}
	acked, until := s.Wire.Delivered("server.ACK(client.FIN)"), client.Returned("close")
	if zero {
		acked, until = s.Wire.Delivered("client.RST"), client.Gone()
	}
	switch state {
	case tcp.FinWait1:
		s.Wire.On("server.ACK(client.FIN)").Always().Optional().Hold(until)
		client.Shutdown()
		s.Await(client.In(tcp.FinWait1))
		end()
	case tcp.FinWait2:
		client.Shutdown()
		s.Await(client.In(tcp.FinWait2))
		end()
	case tcp.CloseWait:
		server.Shutdown()
		s.Await(client.In(tcp.CloseWait))
		end()
	case tcp.Closing:
		s.Wire.On("client.FIN").Always().Hold(s.Wire.Seen("server.FIN"))
		s.Wire.On("server.FIN").Always().Hold(client.In(tcp.FinWait1))
		s.Wire.On("server.ACK(client.FIN)").Always().Hold(until)
		client.Shutdown()
		server.Shutdown()
		s.Await(client.In(tcp.Closing))
		end()
	case tcp.LastAck:
		s.Wire.On("server.ACK(client.FIN)").Always().Hold(until)
		server.Shutdown()
		s.Await(s.Wire.Delivered("client.ACK(server.FIN)")) // or else it may follow the FIN
		client.Shutdown()
		s.Await(client.In(tcp.LastAck))
		end()
	case tcp.TimeWait:
		client.Shutdown()
		s.Await(client.In(tcp.FinWait2))
		server.Close()
		s.Await(client.In(tcp.TimeWait))
		end()
		s.Wire.Inject(1, inject.Forgery{To: "client", Flags: tcp.FIN | tcp.ACK, Seq: &inject.Number{Base: "RCV.NXT", Offset: -1}})
		acked = s.Wire.Delivered(`is("client.ACK(server.FIN)#2") || is("client.ACK(forged.FIN)") || is("client.DUP-ACK")`)
	}
	s.Await(acked)
}
