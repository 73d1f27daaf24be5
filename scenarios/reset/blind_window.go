package reset

import (
	"fmt"
	"slices"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// BlindWindow sweeps each number of a whole receive window, with what RFC 793
// would have believed anywhere in it.
var BlindWindow = []harness.Scenario{blindWindow("RST"), blindWindow("SYN"), blindWindow("data")}

// windowSweep is one sweep: what is sent, whether with data, and how far its ACK
// number is off.
type windowSweep struct {
	flags tcp.Flags
	data  bool
	ack   int
}

var windowSweeps = map[string]windowSweep{
	"RST":  {flags: tcp.RST},
	"SYN":  {flags: tcp.SYN},
	"data": {flags: tcp.PSH | tcp.ACK, data: true, ack: guess},
}

func blindWindow(what string) harness.Scenario {
	with := windowSweeps[what]
	exact := with
	exact.ack = 0
	wholly := func(w windowSweep) harness.Variant {
		return harness.Variant{Play: func(s *harness.Stage) { sweepWindow(s, w, 0) }}
	}
	short := harness.Variant{Play: func(s *harness.Stage) { sweepWindow(s, with, 1) }}
	sc := harness.Scenario{
		Name:    fmt.Sprintf("reset/blind-window-sweep{segment=%s}", what),
		Summary: fmt.Sprintf("A blind attacker covers the whole receive window with %s segments, from its far end down to RCV.NXT.", what),
		Doc: `
How many segments does a blind attack need? Before RFC 5961 one in each window: 2^32
divided by the window, 65,536 for 64 KiB. The play makes the window small (SO_RCVBUF,
and bytes that nobody reads), covers all of it, and counts how many of the segments do
what the attacker wants. tcp_invalid_ratelimit is 0, so that the kernel answers each
one that it challenges.

  segment  takes effect with            needs before RFC 5961  needs now
  RST      RCV.NXT, with no gap open    2^32 / window          2^32
  SYN      no number                    2^32 / window          cannot
  data     a number in the window, and  2^32 / window          2^32 / window
           an ACK of the last window     × 2                    × 2^32 / window

Whoever knows RCV.NXT needs one segment, or, for data, a guess of the ACK number.

  client                    attacker                  server
  ESTABLISHED               ── RCV.NXT + window - 1 ─► ESTABLISHED
                            ── …                    ─► …
                            ── RCV.NXT              ─► RST: CLOSED
`,
		Refs:  []string{"RFC 5961 §3", "RFC 5961 §4", "RFC 5961 §5", "RFC 4953 §2.2", "tcp_validate_incoming", "tcp_sequence", "tcp_ack", "tcp_send_challenge_ack"},
		Hosts: offPath,
		Play:  func(s *harness.Stage) { sweepWindow(s, with, 0) },
		Claims: []harness.Claim{{
			Says: "each number of the window was covered, from the last one down to RCV.NXT",
			Judge: func(g Gomega, r *record.Run) {
				next, window := offered(g, r)
				edge := next + int64(window)
				for _, x := range sweepOf(r) {
					g.Expect(x.Fate).To(Equal(record.Delivered))
					g.Expect(x.Seq).To(BeNumerically("<", edge))
					g.Expect(x.Seq + int64(max(x.Len, 1))).To(BeNumerically(">=", edge))
					edge = x.Seq
				}
				g.Expect(edge).To(Equal(next))
			},
			Refute: short,
		}},
	}
	challenged := func(counter string, spared int) func(g Gomega, r *record.Run) {
		return func(g Gomega, r *record.Run) {
			_, window := offered(g, r)
			g.Expect(r).To(HaveDelta("server", counter, window-spared))
		}
	}
	switch what {
	case "RST":
		sc.Claims = append(sc.Claims, harness.Claim{
			Says:   "all but the last are challenged: none of the other numbers does anything",
			Judge:  challenged("TcpExt.TCPChallengeACK", 1),
			Refute: wholly(windowSweeps["SYN"]),
		}, harness.Claim{
			Says: "the last, RCV.NXT, cuts the connection: one of as many as the window has bytes",
			Judge: func(g Gomega, r *record.Run) {
				all := sweepOf(r)
				last := all[len(all)-1]
				g.Expect(stateAt(g, r, "server", last)).To(Equal(tcp.Established))
				g.Expect(AfterDelivery(g, r, "server", last).State).To(Equal(tcp.Closed))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
				g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			},
			Refute: short,
		})
	case "SYN":
		sc.Claims = append(sc.Claims, harness.Claim{
			Says:   "all are challenged, the exact number too",
			Judge:  challenged("TcpExt.TCPSYNChallenge", 0),
			Refute: wholly(windowSweeps["RST"]),
		}, lives(wholly(windowSweeps["RST"])))
	case "data":
		sc.Claims = append(sc.Claims, harness.Claim{
			Says: "no byte is taken, whatever the number: the ACK number was a guess",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(len(sweepOf(r))).To(BeNumerically(">", 1))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPOFOQueue", 0))
				g.Expect(Call(g, r, "server", "read", 1).Data).To(Equal([]byte("x")))
			},
			Refute: wholly(exact),
		}, lives(wholly(windowSweeps["RST"])))
	}
	return sc
}

func lives(refute harness.Variant) harness.Claim {
	return harness.Claim{
		Says: "the connection lives: the client's byte is read behind the sweep, and nobody sent a RST",
		Judge: func(g Gomega, r *record.Run) {
			all := sweepOf(r)
			data := All(g, r, "client.DATA")
			g.Expect(data[len(data)-1].T).To(BeNumerically(">", all[len(all)-1].T))
			g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"1"}))
			g.Expect(r).To(HaveDelta("server", "Tcp.OutRsts", 0))
			g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
		},
		Refute: refute,
	}
}

// sweepOf are the attacker's segments, in order.
func sweepOf(r *record.Run) (list []*record.Segment) {
	for i := range r.Segments {
		if x := &r.Segments[i]; x.Conn == 1 && x.SentBy == harness.AttackerName {
			list = append(list, x)
		}
	}
	return list
}

// offered is what the server said last before the sweep: RCV.NXT, relative, and
// its window, which no scale applies to.
func offered(g Gomega, r *record.Run) (next int64, window int) {
	all := sweepOf(r)
	g.Expect(all).NotTo(BeEmpty())
	for i := range r.Segments {
		if x := &r.Segments[i]; !x.Other && x.SentBy == "server" && x.T < all[0].T {
			var s tcp.Segment
			g.Expect(s.Parse(x.Frame)).To(Succeed())
			next, window = x.Ack, int(s.Window)
		}
	}
	return next, window
}

const (
	// steps is how many segments a sweep has, more or less: a wire that looks at
	// both hosts for each is not to fall behind.
	steps = 96
	// burst is how many of them the attacker sends at once.
	burst = 16
)

// sweepWindow covers the server's window with segments, from its far end down,
// leaves out the last ones where that is asked for, and lets the client speak.
func sweepWindow(s *harness.Stage, with windowSweep, spared int) {
	s.Server.Sysctl(rateLimitKey, "0")
	s.Server.Sysctl("net.ipv4.tcp_window_scaling", "0")
	a := newAttack(s)
	defer a.close()
	client, server := s.Client.Peer(), s.Server.Peer()
	server.Open()
	server.ReceiveBuffer(1) // as little as the kernel gives
	server.Listen(8080, 8)
	client.Connect(s.Server, 8080)
	server.Accept()
	a.overhear(client, server)
	unread, bytes := 0, max(a.window/steps, 1)
	if !with.data {
		// Such a segment covers one number. Bytes that nobody reads leave few.
		unread, bytes = a.window-steps, 1
		client.WriteBulk(int64(unread))
		s.Await(s.Wire.Delivered(fmt.Sprintf(`sent_by == "server" && tcp.ack == %d`, 1+unread)))
	}
	a.seen.Seq, a.seen.Ack = a.seen.Seq.Add(unread), a.seen.Ack.Add(with.ack)
	var places []int
	for place := a.window - unread - bytes; place > 0; place -= bytes {
		places = append(places, place)
	}
	places = append(places, 0)
	length := 0
	if with.data {
		length = bytes
	}
	for chunk := range slices.Chunk(places[:len(places)-spared], burst) {
		a.sweepWith(with.flags, length, func(yield func(tcp.Seq) bool) {
			for _, place := range chunk {
				if !yield(a.seen.Seq.Add(place)) {
					return
				}
			}
		})
		s.Await(s.Wire.Delivered(fmt.Sprintf(`sent_by == "attacker" && tcp.seq == %d`, 1+unread+chunk[len(chunk)-1])))
	}
	if unread > 0 {
		server.ReadBulk(int64(unread))
	}
	if with.flags == tcp.RST && spared == 0 {
		server.Read(1)
		return
	}
	client.Write("x")
	server.Read(1)
}
