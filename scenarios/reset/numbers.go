package reset

import (
	"fmt"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// FINNumber resets with the number of a FIN that was received, one below
// RCV.NXT: Linux lets it pass where a FIN has come, and nowhere else.
var FINNumber = []harness.Scenario{
	finNumber(tcp.CloseWait, true),
	finNumber(tcp.LastAck, true),
	finNumber(tcp.Closing, true),
	finNumber(tcp.Established, false),
}

func finNumber(state tcp.State, accepted bool) harness.Scenario {
	sc := harness.Scenario{
		Name: fmt.Sprintf("reset/number-of-the-fin{state=%s}", state),
		Refs: []string{"RFC 5961 §3.2", "tcp_reset_check", "tcp_validate_incoming"},
		Play: func(s *harness.Stage) { resetOneBelow(s, state, -1) },
	}
	in := harness.Claim{
		Says: fmt.Sprintf("the server is in %s when the RST comes, whose number is RCV.NXT - 1", state),
		Judge: func(g Gomega, r *record.Run) {
			forged := Find(g, r, "forged.RST(client)")
			g.Expect(stateAt(g, r, "server", forged)).To(Equal(state))
			next := int64(1)
			if state != tcp.Established {
				next = Find(g, r, "client.FIN").Seq + 1
			}
			g.Expect(forged.Seq).To(Equal(next - 1))
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) { resetOneBelow(s, state, 0) }},
	}
	if !accepted {
		sc.Summary = fmt.Sprintf("In %s a RST with the number RCV.NXT - 1 is dropped.", state)
		sc.Doc = `
Where no FIN has come the rule of RFC 5961 stands alone: a RST that lies before the
window is dropped without a word. (A number below it does the same in every state.)

  client                                              server
                          forged RST(RCV.NXT-1) ─────► ESTABLISHED, no answer
  write()              ── DATA ──────────────────────► read() = 1
`
		sc.Claims = []harness.Claim{in, {
			Says: "it is dropped without an answer, and the connection lives",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments("client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)",
					"forged.RST(client)", "client.DATA", "server.ACK(client.DATA)"))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { resetOneBelow(s, state, 0) }},
		}}
		return sc
	}
	sc.Summary = fmt.Sprintf("In %s a RST with the number of the FIN, RCV.NXT - 1, is accepted.", state)
	sc.Doc = fmt.Sprintf(`
Some stacks send FIN and then a RST which carries the FIN's number instead of the
one behind it. By RFC 5961 it lies before the window and is dropped, and the end
would wait for nothing. Linux accepts it where a FIN has come: in CLOSE_WAIT,
LAST_ACK and CLOSING. It needs no challenge.

  client                                              server
  shutdown(WR)         ── FIN ───────────────────────► %s …
                          forged RST(RCV.NXT-1) ─────► CLOSED
`, state)
	sc.Claims = []harness.Claim{in,
		{
			Says: "it is accepted: the server's end is gone with it, without a challenge ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(AfterDelivery(g, r, "server", Find(g, r, "forged.RST(client)")).State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { resetOneBelow(s, state, -2) }},
		},
	}
	return sc
}

// resetOneBelow brings the server into a state and resets it with a number
// that lies so far from RCV.NXT.
func resetOneBelow(s *harness.Stage, state tcp.State, offset int64) {
	client, server := s.Established()
	switch state {
	case tcp.CloseWait, tcp.LastAck:
		client.Shutdown()
		s.Await(s.Wire.Delivered("server.ACK(client.FIN)"))
	case tcp.Closing:
		// The client's FIN comes to an end that has sent its own.
		s.Wire.On("client.FIN").Always().Hold(server.In(tcp.FinWait1))
		client.Shutdown()
	}
	if state == tcp.LastAck || state == tcp.Closing {
		s.Wire.On("server.FIN").Always().Hold(s.Wire.Delivered("forged.RST"))
		server.Close()
		s.Await(server.In(state))
	}
	s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.RST, Seq: &inject.Number{Base: "RCV.NXT", Offset: offset}})
	s.Await(s.Wire.Delivered("forged.RST"))
	if state == tcp.Established {
		client.Write("x")
		server.Read(1)
		s.Await(s.Wire.Delivered(`is("server.ACK(client.DATA)") || is("server.RST")`))
		return
	}
	server.Host().Observe(1)
}

// Timestamps resets with an option that data would be dropped for.
var Timestamps = []harness.Scenario{
	withTimestamps("none", "A RST without the timestamp option ends a connection that uses it."),
	withTimestamps("old", "A RST with a timestamp an hour old ends the connection: PAWS does not look at RST."),
}

func withTimestamps(option, summary string) harness.Scenario {
	fin := func(s *harness.Stage) { oddTimestamps(s, tcp.FIN|tcp.ACK, option) }
	data := func(s *harness.Stage) { oddTimestamps(s, tcp.PSH|tcp.ACK, option) }
	sc := harness.Scenario{
		Name:    fmt.Sprintf("reset/timestamp{tsval=%s}", option),
		Summary: summary,
		Doc: `
Timestamps protect data: what is older than the last is dropped (PAWS, RFC 7323 §5).
They do not protect against a RST. RFC 7323 §3.2 wants the option in each segment but
the RST, so a RST without it must pass; and §5.3 spares one whose timestamp is old,
for a peer that restarted counts anew.

  client                                              server
                          forged RST(RCV.NXT) ───────► CLOSED, ECONNRESET
`,
		Refs: []string{"RFC 7323 §3.2", "RFC 7323 §5.3", "tcp_validate_incoming", "tcp_paws_check"},
		Play: func(s *harness.Stage) { oddTimestamps(s, tcp.RST, option) },
		Claims: []harness.Claim{
			{
				Says: "the RST is believed: read() fails with ECONNRESET",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(Call(g, r, "server", "recv", 1).Errno).To(Equal("ECONNRESET"))
					g.Expect(AfterDelivery(g, r, "server", Find(g, r, "forged.RST(client)")).State).To(Equal(tcp.Closed))
				},
				Refute: harness.Variant{Play: fin},
			},
			{
				Says: "no challenge is sent, and PAWS counts nothing",
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
					g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 0))
					g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 0))
				},
				Refute: harness.Variant{Play: data},
			},
		},
	}
	if option == "old" {
		sc.Doc += `
  A FIN with the same timestamp is dropped and answered with an ACK.
`
		sc.Claims = append(sc.Claims, harness.Claim{
			Says: "it is the RST that is spared: the same timestamp on a FIN, sent before, was dropped by PAWS",
			Judge: func(g Gomega, r *record.Run) {
				dropped := Find(g, r, "forged.FIN(client)")
				g.Expect(AfterDelivery(g, r, "server", dropped).State).To(Equal(tcp.Established))
				g.Expect(stateAt(g, r, "server", Find(g, r, "forged.RST(client)"))).To(Equal(tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				_, server := s.Established()
				s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.FIN | tcp.ACK})
				s.Await(s.Wire.Delivered("forged.FIN"))
				server.Observe()
				s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.RST})
				s.Await(s.Wire.Delivered("forged.RST"))
				server.ReadNow(1)
			}},
		})
		sc.Claims[1].Says = "no challenge is sent; PAWS counts the FIN only, and not the RST"
		sc.Claims[1].Judge = func(g Gomega, r *record.Run) {
			g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 0))
			g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 1))
		}
		sc.Play = func(s *harness.Stage) {
			_, server := s.Established()
			s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.FIN | tcp.ACK, Timestamps: option})
			s.Await(s.Wire.Delivered("forged.FIN"))
			server.Observe()
			s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.RST, Seq: &inject.Number{Offset: 1}, Timestamps: option})
			s.Await(s.Wire.Delivered("forged.RST"))
			server.ReadNow(1)
		}
	}
	return sc
}

// oddTimestamps forges one segment in the client's name.
func oddTimestamps(s *harness.Stage, flags tcp.Flags, option string) {
	_, server := s.Established()
	f := inject.Forgery{To: "server", Flags: flags, Timestamps: option}
	if flags.Has(tcp.PSH) {
		f.Len = 1
	}
	s.Wire.Inject(1, f)
	s.Await(s.Wire.Delivered(`sent_by == "wire"`))
	server.Observe()
	server.ReadNow(1)
}
