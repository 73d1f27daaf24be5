package reset

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

// BlindSweep lets an attacker who does not know the number try one in each
// window, and then one after another.
var BlindSweep = harness.Scenario{
	Name:    "reset/blind-rst-sweep",
	Summary: "A blind sweep of RSTs: one in each window hits nothing but a challenge; one after another gets there.",
	Doc: `
Before RFC 5961 a blind attacker sent one RST for each window of the 2^32 numbers:
with a window of 64 KiB that is 65,536 segments, and any of them that hit the window
cut the connection. The play sends 32 of these steps around the right one. The one
that falls into the window is answered with a challenge ACK, which the attacker does
not see; the others are dropped.

So the attacker must send every number: 4,294,967,296 of them, 2,147,483,648 on
average. The play sends the last 64 on the way down to RCV.NXT. Only the last cuts.

  client                    attacker                  server
  ESTABLISHED               ── 32 RSTs, 64 KiB apart ► ESTABLISHED
              ◄─────────────────────────── challenge ACK ── (one)
                            ── 64 RSTs, 1 apart ─────► CLOSED with the last
`,
	Refs:  []string{"RFC 5961 §3", "RFC 4953 §2", "RFC 6528", "tcp_validate_incoming", "tcp_send_challenge_ack"},
	Hosts: offPath,
	Play:  func(s *harness.Stage) { sweep(s, 0) },
	Claims: []harness.Claim{
		{
			Says: "a step in each window cuts nothing: the connection carries a byte behind all 32",
			Judge: func(g Gomega, r *record.Run) {
				steps := All(g, r, "forged.RST(client)")
				data := Find(g, r, "client.DATA")
				g.Expect(len(steps)).To(BeNumerically(">=", windows))
				g.Expect(data.T).To(BeNumerically(">", steps[windows-1].T))
				g.Expect(stateAt(g, r, "server", data)).To(Equal(tcp.Established))
				g.Expect(outcomes(r, "server", "read")[0]).To(Equal("1"))
			},
			// The same steps, shifted so that one of them is exact.
			Refute: harness.Variant{Play: func(s *harness.Stage) { sweep(s, -inWindow) }},
		},
		{
			Says: "one of them was in the window: one challenge ACK, to the client and not to the attacker",
			Judge: func(g Gomega, r *record.Run) {
				challenge := Find(g, r, "server.CHALLENGE-ACK")
				g.Expect(challenge.T).To(BeNumerically("<", Find(g, r, "client.DATA").T))
				g.Expect(challenge.To).To(Equal("client"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { sweep(s, -inWindow) }},
		},
		{
			Says: "one after another they cut with the exact number and not before: the other 63 in the window do not",
			Judge: func(g Gomega, r *record.Run) {
				all := All(g, r, "forged.RST(client)")
				g.Expect(all).To(HaveLen(windows + neighbours))
				exact := all[len(all)-1]
				g.Expect(exact.Seq).To(BeEquivalentTo(2), "behind the SYN and the one byte")
				g.Expect(stateAt(g, r, "server", exact)).To(Equal(tcp.Established))
				g.Expect(AfterDelivery(g, r, "server", exact).State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { sweep(s, -inWindow) }},
		},
		{
			Says: "the server's program is told of a RST that the client did not send",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(HaveDelta("client", "Tcp.OutRsts", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				client, server := s.Established()
				client.Linger(0)
				client.Close()
				server.Read(1)
			}},
		},
	},
}

// How many segments the sweeps send.
const (
	windows    = 32 // one in each window, around the right one
	neighbours = 64 // one after another, down to the right one
	stride     = 1 << 16
)

// sweep sends one RST for each window, one of which lies so far beyond the
// middle of the window's edge, then lets the client speak, and then sends a RST
// for each number down to the exact one.
func sweep(s *harness.Stage, shift int) {
	a := newAttack(s)
	defer a.close()
	client, server := s.Established()
	a.overhear(client, server)
	a.sweep(func(yield func(tcp.Seq) bool) {
		for i := range windows {
			if !yield(a.seen.Seq.Add((i-windows/2)*stride + inWindow + shift)) {
				return
			}
		}
	})
	s.Await(s.Wire.Delivered(fmt.Sprintf(`is("forged.RST") && tcp.seq == %d`, 1+(windows/2-1)*stride+inWindow+shift)))
	client.Write("x")
	server.Read(1)
	if shift != 0 {
		return
	}
	s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
	a.sweep(func(yield func(tcp.Seq) bool) {
		for i := range neighbours {
			if !yield(a.seen.Seq.Add(neighbours - i)) { // the byte moved the edge by one
				return
			}
		}
	})
	server.Read(1)
}

// BlindSYN sends a SYN into a connection that stands.
var BlindSYN = harness.Scenario{
	Name:    "reset/blind-syn",
	Summary: "A SYN in a connection that stands is answered with a challenge ACK, whatever its number.",
	Doc: `
RFC 793 said that a SYN in the window is an error, and the connection is reset: one
more way to cut it blindly. RFC 5961 answers any SYN with a challenge ACK. If the
client really begins anew (it booted), that ACK is what makes it send the RST that
clears the way.

  client                    attacker                  server
  ESTABLISHED                ── SYN(any number) ─────► ESTABLISHED
              ◄─────────────────────────── challenge ACK ──
  write()                   ── DATA ─────────────────► read() = 1
`,
	Refs:  []string{"RFC 5961 §4", "RFC 9293 §3.10.7.4", "tcp_validate_incoming", "tcp_send_challenge_ack"},
	Hosts: offPath,
	Play:  func(s *harness.Stage) { blind(s, tcp.SYN, inWindow, 0, 0) },
	Claims: []harness.Claim{
		{
			Says: "the SYN is answered with a challenge ACK, which the kernel counts as one for a SYN",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("forged.SYN(client)", "server.CHALLENGE-ACK", "client.DATA"))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPSYNChallenge", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { blind(s, tcp.RST, inWindow, 0, 0) }},
		},
		{
			Says: "the connection lives: no RST from anybody, and the next byte is read",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"1"}))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
				g.Expect(r).NotTo(Segments("server.RST"))
				g.Expect(r).NotTo(Segments("client.RST"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { blind(s, tcp.RST, 0, 0, 0) }},
		},
	},
}

// BlindData sends data in the window whose ACK number is a guess.
var BlindData = harness.Scenario{
	Name:    "reset/blind-data",
	Summary: "Blind data in the window with a wrong ACK number is answered and dropped: two numbers must be right.",
	Doc: `
Data that is in the window would be queued and read. So its ACK number is checked
as well (RFC 5961 §5): one that acknowledges what was never sent is answered with an
ACK, and the segment is dropped. A blind attacker must guess two numbers of 32 bits
for one byte. (The answer is new: Linux gives it since 7.1, and in 6.18 since 6.18.33;
before, it dropped the segment in silence.)

  client                    attacker                  server
  ESTABLISHED        ── DATA(RCV.NXT, ack: a guess) ─► ESTABLISHED, no data
              ◄───────────────────────────────────── ACK ──
  write("x")                ── DATA ─────────────────► read() = "x"
`,
	Refs:  []string{"RFC 5961 §5", "tcp_rcv_established", "tcp_ack", "tcp_send_challenge_ack"},
	Needs: []harness.Need{{Linux: "6.18.33"}},
	Hosts: offPath,
	Play:  func(s *harness.Stage) { blind(s, tcp.PSH|tcp.ACK, 0, guess, 1) },
	Claims: []harness.Claim{
		{
			Says: "the forged byte is not read: the program reads the client's",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("forged.DATA(client)", "client.DATA"))
				g.Expect(Call(g, r, "server", "read", 1).Data).To(Equal([]byte("x")))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { blind(s, tcp.PSH|tcp.ACK, 0, 0, 1) }},
		},
		{
			Says: "the segment is answered with an ACK of what the server had before",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("forged.DATA(client)", "server.CHALLENGE-ACK", "client.DATA"))
				g.Expect(Find(g, r, "server.CHALLENGE-ACK").Ack).To(BeEquivalentTo(1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { blind(s, tcp.PSH|tcp.ACK, 0, 0, 1) }},
		},
	},
}

// guess is an ACK number of data that was never sent.
const guess = 1 << 20

// blind sends one segment in the client's name and then lets the client speak.
func blind(s *harness.Stage, flags tcp.Flags, offset, ack, length int) {
	a := newAttack(s)
	defer a.close()
	client, server := s.Established()
	a.overhear(client, server)
	a.seen.Ack = a.seen.Ack.Add(ack)
	a.send(flags, offset, length)
	s.Await(s.Wire.Delivered(`sent_by == "attacker"`))
	client.Write("x")
	server.Read(1)
	s.Await(s.Wire.Delivered(`from == "server" && !tcp.flags.syn`))
}

// ChallengeLimit sends two stimuli, and shows how many challenges there are.
var ChallengeLimit = []harness.Scenario{
	challengeLimit("500", 1, "0"),
	challengeLimit("0", 2, "500"),
}

const rateLimitKey = "net.ipv4.tcp_invalid_ratelimit"

func challengeLimit(limit string, answers int, other string) harness.Scenario {
	sc := harness.Scenario{
		Name:    fmt.Sprintf("reset/challenge-ack-limit{tcp_invalid_ratelimit=%s}", limit),
		Summary: "The second challenge on a connection within 500 ms is silent.",
		Doc: `
A challenge costs a segment, and an attacker could make a host send as many as he
likes. So each connection sends one in tcp_invalid_ratelimit, 500 ms, and counts the
others (TCPACKSkippedChallenge). Whoever tests for challenge ACKs sees "no answer"
where there was one a moment ago.

  client                                              server
                          forged RST(RCV.NXT+10) ────►
                       ◄───────────────── challenge ACK ──
                          forged RST(RCV.NXT+20) ────► (nothing, 500 ms long)
`,
		Refs: []string{"RFC 5961 §7", "__tcp_oow_rate_limited", "tcp_send_challenge_ack"},
		Play: func(s *harness.Stage) {
			s.Server.Sysctl(rateLimitKey, limit)
			client, server := s.Established()
			s.Promptly("the second forged RST within 500 ms of the first", "forged.RST", s.Server, "read", 400*time.Millisecond)
			for _, offset := range []int64{10, 20} {
				s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.RST, Seq: &inject.Number{Base: "RCV.NXT", Offset: offset}})
				s.Await(s.Wire.Delivered("server.CHALLENGE-ACK"))
			}
			s.Await(s.Wire.Delivered(`is("forged.RST") && tcp.seq == 21`))
			client.Write("x")
			server.Read(1)
			s.Await(s.Wire.Delivered("server.ACK(client.DATA)"))
		},
		Claims: []harness.Claim{
			{
				Says: fmt.Sprintf("two RSTs in the window get %d challenge ACK(s) before the next byte is acknowledged", answers),
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(All(g, r, "forged.RST(client)")).To(HaveLen(2))
					g.Expect(r).To(HaveCount("server.CHALLENGE-ACK", answers))
				},
			},
			{
				Says: fmt.Sprintf("the kernel counts %d sent and %d kept back", answers, 2-answers),
				Judge: func(g Gomega, r *record.Run) {
					g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", answers))
					g.Expect(r).To(HaveDelta("server", "TcpExt.TCPACKSkippedChallenge", 2-answers))
				},
			},
		},
	}
	if answers == 2 {
		sc.Summary = "Without the limit every RST in the window is challenged."
		sc.Doc = `
With tcp_invalid_ratelimit=0 each connection answers every stimulus.

  client                                              server
                          forged RST(RCV.NXT+10) ────►
                       ◄───────────────── challenge ACK ──
                          forged RST(RCV.NXT+20) ────►
                       ◄───────────────── challenge ACK ──
`
	}
	for i := range sc.Claims {
		sc.Claims[i].Refute = harness.Variant{Sysctls: []harness.Sysctl{{Host: "server", Key: rateLimitKey, Value: other}}}
	}
	return sc
}
