package trap

import (
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// PAWS shows what old timestamps, and missing ones, protect from.
var PAWS = []harness.Scenario{paws(tcp.RST, "old"), paws(tcp.RST, "none"), paws(tcp.FIN, "old"), paws(tcp.FIN, "none")}

func paws(flag tcp.Flags, stamp string) harness.Scenario {
	kind, said := "rst", "a RST"
	if flag == tcp.FIN {
		kind, said = "fin", "a FIN"
	}
	with := map[string]string{"old": "an old timestamp", "none": "no timestamp"}[stamp]
	other := map[string]string{"old": "none", "none": "old"}[stamp]
	name, summary := "trap/paws-does-not-stop-a-", " is accepted."
	if kind == "fin" && stamp == "old" {
		name, summary = "trap/paws-stops-a-", " is discarded."
	}
	sc := harness.Scenario{
		Name:    name + kind + "{timestamp=" + stamp + "}",
		Summary: "On a connection with timestamps, " + said + " with " + with + summary,
		Doc: `
PAWS discards what bears a timestamp older than the last, except a RST, which is
accepted whatever its timestamp says (RFC 7323 §5.3, tcp_validate_incoming). And
what bears no timestamp at all is not checked, although §3.2 says that it should be
dropped unless it is a RST: leaving the option out is all that a forger has to do.

  client                                              server
                       ── ` + said + `, ` + with + ` ──►
`,
		Refs: []string{"RFC 7323 §3.2", "RFC 7323 §5.3", "tcp_validate_incoming", "tcp_paws_check"},
		Play: func(s *harness.Stage) { stamped(s, flag, stamp, 0) },
	}
	// A number below the window is no good, whatever the timestamp.
	stray := harness.Variant{Play: func(s *harness.Stage) { stamped(s, flag, stamp, -1000) }}
	switch {
	case flag == tcp.RST:
		sc.Claims = []harness.Claim{{
			Says: "the RST ends the connection: read() fails with ECONNRESET",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("server", "recv", "ECONNRESET"))
				g.Expect(r).To(HaveStates("server", tcp.Established, tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			},
			Refute: stray,
		}, {
			Says: "PAWS did not discard it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("forged.RST(client)"))
				g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { stamped(s, tcp.FIN, "old", 0) }},
		}}
	case stamp == "none":
		sc.Claims = []harness.Claim{{
			Says: "the FIN is taken: the server is in CLOSE_WAIT, and its program reads the end of file",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveStates("server", tcp.Established, tcp.CloseWait))
				g.Expect(r).To(Returned("server", "recv", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { stamped(s, flag, other, 0) }},
		}, {
			Says: "PAWS did not discard it",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("forged.FIN(client)"))
				g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { stamped(s, flag, other, 0) }},
		}}
	default:
		sc.Claims = []harness.Claim{{
			Says: "the FIN is discarded: the server stays in ESTABLISHED, and a read would wait",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(r).To(Failed("server", "recv", "EAGAIN"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { stamped(s, flag, other, 0) }},
		}, {
			Says: "it was PAWS that discarded it, and it is answered with an ACK",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "TcpExt.PAWSEstab", 1))
				forged := Find(g, r, "forged.FIN(client)")
				answered := false
				for _, x := range r.Segments {
					answered = answered || x.SentBy == "server" && x.T >= forged.T && x.Flags == tcp.ACK
				}
				g.Expect(answered).To(BeTrue())
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { stamped(s, flag, other, 0) }},
		}}
	}
	return sc
}

// stamped sends a forged segment to the server, so far above what it expects.
func stamped(s *harness.Stage, flag tcp.Flags, stamp string, above int64) {
	client, server := s.Established()
	client.Write("x")
	server.Read(1)
	flags := flag
	if flag == tcp.FIN {
		flags |= tcp.ACK
	}
	s.Wire.Inject(1, inject.Forgery{
		To: "server", Flags: flags, Timestamps: stamp, Seq: &inject.Number{Base: "RCV.NXT", Offset: above},
	})
	// A fence: data from the server, sent by its kernel after the forged segment came.
	if flag == tcp.FIN {
		server.Write("y")
		s.Await(s.Wire.Seen("server.DATA@1"))
	}
	server.Observe()
	server.ReadNow(1)
}
