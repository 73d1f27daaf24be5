package reset

import (
	"encoding/binary"
	"iter"
	"net"
	"os"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// offPath is the lab of an attack: a third host, which sees no packet of the
// other two.
var offPath = []harness.HostSpec{{Name: harness.AttackerName}}

// SpoofedExact is the attack that works: a forged RST with the very number that
// the server expects next.
var SpoofedExact = harness.Scenario{
	Name:    "reset/spoofed-exact",
	Summary: "An attacker off the path sends a RST in the client's name, with the exact number.",
	Doc: `
Whoever knows the two addresses, the two ports and RCV.NXT cuts the connection:
a RST needs no ACK, no timestamp and no key. The addresses and one port are
public and the other port is one of 28,000; what protects is the number, which
is one of 4,294,967,296 (RFC 5961 §3.2). While a segment is missing, Linux takes the
right edge of the last SACK block for it too: a sender that gives up then puts that
number into its RST (tcp_validate_incoming).

The client has sent nothing and hears nothing. It learns of its fate when it
speaks: the server's kernel knows no such connection any more.

  client                    attacker                  server
  ESTABLISHED                   ── RST(RCV.NXT) ─────► CLOSED, ECONNRESET
  write()                   ── DATA ─────────────────►
  CLOSED, read() = ECONNRESET ◄────────────────── RST ──
`,
	Refs:  []string{"RFC 5961 §3", "RFC 9293 §3.10.7.4", "RFC 4953", "tcp_validate_incoming", "tcp_reset", "tcp_v4_send_reset"},
	Hosts: offPath,
	Answers: []harness.Answer{{
		Statement: 29, Holds: harness.HoldsWhen,
		Says: "A forged RST cuts the connection when its number is exactly RCV.NXT: one number of 2^32 (two while the receiver reports a gap by SACK: the right edge of its last block counts as well). Elsewhere in the window it is answered with a challenge ACK, and outside it is dropped.",
	}},
	Play: func(s *harness.Stage) { spoofed(s, 0) },
	Claims: []harness.Claim{
		{
			Says: "the server's program reads ECONNRESET for a RST that the client never sent",
			Judge: func(g Gomega, r *record.Run) {
				forged := Find(g, r, "forged.RST(client)")
				g.Expect(forged.SentBy).To(Equal(harness.AttackerName))
				g.Expect(r).NotTo(Segments("client.RST"))
				g.Expect(r).To(Failed("server", "read", "ECONNRESET"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, inWindow) }},
		},
		{
			Says: "the server's end is gone at once, without TIME_WAIT and without an answer to the RST",
			Judge: func(g Gomega, r *record.Run) {
				forged := Find(g, r, "forged.RST(client)")
				g.Expect(AfterDelivery(g, r, "server", forged).State).To(Equal(tcp.Closed))
				g.Expect(r).To(Segments("forged.RST(client)", "client.DATA", "server.RST"))
				g.Expect(r).To(HaveCount("server.ACK", 0))
				g.Expect(r).To(HaveCount("server.CHALLENGE-ACK", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, inWindow) }},
		},
		{
			Says: "the kernel counts it as a reset of an established connection, and sends no challenge",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 1))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, outOfWindow) }},
		},
		{
			Says: "the client believes in ESTABLISHED until it speaks; a RST with the number of its ACK then ends its side",
			Judge: func(g Gomega, r *record.Run) {
				data, answer := Find(g, r, "client.DATA"), Find(g, r, "server.RST")
				g.Expect(stateAt(g, r, "client", data)).To(Equal(tcp.Established))
				g.Expect(answer.Flags).To(Equal(tcp.RST))
				g.Expect(answer.Seq).To(Equal(data.Ack))
				g.Expect(r).To(Failed("client", "read", "ECONNRESET"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, outOfWindow) }},
		},
	},
}

// SpoofedInWindow is the attack that RFC 5961 defeats: a forged RST somewhere
// in the window.
var SpoofedInWindow = harness.Scenario{
	Name:    "reset/spoofed-in-window",
	Summary: "An attacker off the path sends a RST that is in the window, but not at its edge.",
	Doc: `
Before RFC 5961 any number in the window would do, and a window of 64 KiB is hit
within 65,536 segments. Now the kernel asks the one whom the RST claims to come
from: "this is what I expect". A sender that really is gone answers that with a
RST of the exact number; one that is alive ignores it.

  client                    attacker                  server
  ESTABLISHED                   ── RST(RCV.NXT+10) ──► ESTABLISHED
              ◄─────────────────────────── challenge ACK ──
  write()                   ── DATA ─────────────────► read() = 1
`,
	Refs:  []string{"RFC 5961 §3.2", "tcp_validate_incoming", "tcp_send_challenge_ack"},
	Hosts: offPath,
	Play:  func(s *harness.Stage) { spoofed(s, inWindow) },
	Claims: []harness.Claim{
		{
			Says: "the server answers the RST with a challenge ACK, which goes to the client and says what it expects",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("forged.RST(client)", "server.CHALLENGE-ACK", "client.DATA"))
				challenge := Find(g, r, "server.CHALLENGE-ACK")
				g.Expect(challenge.To).To(Equal("client"))
				g.Expect(challenge.Ack).To(Equal(Find(g, r, "forged.RST(client)").Seq - inWindow))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 1))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, outOfWindow) }},
		},
		{
			Says: "the connection lives: the client's next byte is acknowledged and read",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("forged.RST(client)", "client.DATA", "server.ACK(client.DATA)"))
				g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"1"}))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, 0) }},
		},
		{
			Says: "the client, who is alive, ignores the challenge",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("server.CHALLENGE-ACK"))
				g.Expect(r).To(HaveCount("client.RST", 0))
				g.Expect(r).To(OnlyStates("client", tcp.SynSent, tcp.Established))
			},
			Refute: harness.Variant{Play: challengedAfterBoot},
		},
		{
			Says: "nothing counts as a reset",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(Find(g, r, "forged.RST(client)").Fate).To(Equal(record.Delivered))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 0))
				g.Expect(r).To(HaveDelta("client", "Tcp.EstabResets", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, 0) }},
		},
	},
}

// SpoofedOutOfWindow is the attack that hits nothing.
var SpoofedOutOfWindow = harness.Scenario{
	Name:    "reset/spoofed-out-of-window",
	Summary: "An attacker off the path sends a RST outside the window.",
	Doc: `
A segment outside the window is answered with an ACK, except a RST: it is dropped
without a word, so that two ends which both know of nothing cannot keep each other
busy. That nothing came is shown by a fence: the client's next byte is answered,
and there was no answer before.

  client                    attacker                  server
  ESTABLISHED               ── RST(RCV.NXT + 2^30) ──► ESTABLISHED, no answer
  write()                   ── DATA ─────────────────► read() = 1
              ◄───────────────────────────────────── ACK ──
`,
	Refs:  []string{"RFC 5961 §3.2", "RFC 9293 §3.10.7.4", "tcp_validate_incoming", "tcp_sequence"},
	Hosts: offPath,
	Play:  func(s *harness.Stage) { spoofed(s, outOfWindow) },
	Claims: []harness.Claim{
		{
			Says: "the server says nothing to it: its next segment is the ACK of the client's byte",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(OnlySegments("client.SYN", "server.SYN-ACK", "client.ACK(server.SYN-ACK)",
					"forged.RST(client)", "client.DATA", "server.ACK(client.DATA)"))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, inWindow) }},
		},
		{
			Says: "it was delivered, and is no challenge and no reset in the kernel's books",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Delivered("forged.RST(client)"))
				g.Expect(r).To(HaveDelta("server", "TcpExt.TCPChallengeACK", 0))
				g.Expect(r).To(HaveDelta("server", "Tcp.EstabResets", 0))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, inWindow) }},
		},
		{
			Says: "the connection lives: the byte is read",
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(r).To(Segments("forged.RST(client)", "client.DATA"))
				g.Expect(outcomes(r, "server", "read")).To(Equal([]string{"1"}))
				g.Expect(r).To(OnlyStates("server", tcp.SynRecv, tcp.Established))
			},
			Refute: harness.Variant{Play: func(s *harness.Stage) { spoofed(s, 0) }},
		},
	},
}

// Where a forged number lies, counted from the one that the server expects.
const (
	inWindow    = 10      // in any window
	outOfWindow = 1 << 30 // in none: the largest that can be offered ends there
)

// spoofed resets the server's end in the client's name, so far from the number
// that the server expects, and then lets the client speak.
func spoofed(s *harness.Stage, offset int) {
	a := newAttack(s)
	defer a.close()
	client, server := s.Established()
	a.overhear(client, server)
	a.send(tcp.RST, offset, 0)
	s.Await(s.Wire.Delivered("forged.RST(client)"))
	client.Write("x")
	server.Read(1)
	s.Await(s.Wire.Delivered(`is("server.ACK(client.DATA)") || is("server.RST")`))
	if offset == 0 {
		client.Read(1)
	}
}

// challengedAfterBoot is the challenge that finds a host which really has
// forgotten the connection.
func challengedAfterBoot(s *harness.Stage) {
	a := newAttack(s)
	defer a.close()
	client, server := s.Established()
	a.overhear(client, server)
	s.Client.PowerOff()
	s.Client.Boot()
	a.send(tcp.RST, inWindow, 0)
	server.Read(1)
}

// attack is an attacker off the path. It sends by a raw socket of a host that
// sees nothing; what it cannot guess it is told, as by a leak.
type attack struct {
	stage  *harness.Stage
	raw    *inject.Attacker
	leak   net.PacketConn
	seen   tcp.Header // what the attacker writes: from the client to the server
	window int        // what the server offered in its SYN-ACK
}

func newAttack(s *harness.Stage) *attack {
	host := s.Attacker()
	raw, err := inject.NewAttacker(host.OpenRaw("ip4:tcp"), host.OpenRaw("ip6:raw"))
	if err != nil {
		panic(err)
	}
	network := "ip4:tcp"
	if s.IP == 6 {
		network = "ip6:tcp"
	}
	leak, err := net.FilePacketConn(s.Client.OpenRaw(network))
	if err != nil {
		raw.Close()
		panic(err)
	}
	return &attack{stage: s, raw: raw, leak: leak}
}

// noMAC stands where the attacker's kernel writes the addresses of Ethernet.
var noMAC = make(net.HardwareAddr, 6)

// overhear reads the handshake's second segment at the client, which has all of
// the numbers.
func (a *attack) overhear(client, server *harness.Peer) {
	buf := make([]byte, 1<<16)
	for {
		if err := a.leak.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			panic(err)
		}
		n, _, err := a.leak.ReadFrom(buf)
		if err != nil {
			panic(os.NewSyscallError("overhear the handshake", err))
		}
		if n < 20 || tcp.Flags(buf[13])&(tcp.SYN|tcp.ACK) != tcp.SYN|tcp.ACK {
			continue
		}
		a.seen = tcp.Header{
			SrcMAC: noMAC, DstMAC: noMAC, Src: client.Local(), Dst: client.Remote(), Window: 500,
			Seq: tcp.Seq(binary.BigEndian.Uint32(buf[8:])), Ack: tcp.Seq(binary.BigEndian.Uint32(buf[4:])).Add(1),
		}
		a.window = int(binary.BigEndian.Uint16(buf[14:]))
		return
	}
}

// send sends one segment in the client's name, so far from the number that the
// server expects next.
func (a *attack) send(flags tcp.Flags, offset, length int) {
	h := a.seen
	h.Flags, h.Seq, h.Payload = flags, h.Seq.Add(offset), make([]byte, length)
	if err := a.raw.Send(h); err != nil {
		panic(err)
	}
}

// sweep sends a RST in the client's name for each number.
func (a *attack) sweep(numbers iter.Seq[tcp.Seq]) { a.sweepWith(tcp.RST, 0, numbers) }

// sweepWith sends a segment with so many bytes in the client's name for each
// number.
func (a *attack) sweepWith(flags tcp.Flags, length int, numbers iter.Seq[tcp.Seq]) {
	h := a.seen
	h.Flags, h.Payload = flags, make([]byte, length)
	if _, err := a.raw.Sweep(h, numbers); err != nil {
		panic(err)
	}
}

func (a *attack) close() {
	a.raw.Close()
	a.leak.Close()
}
