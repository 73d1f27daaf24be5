package flow

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/inject/tcp"
)

var (
	clientAddr = netip.MustParseAddrPort("192.0.2.1:40000")
	serverAddr = netip.MustParseAddrPort("192.0.2.2:8080")
)

func hostOf(a netip.Addr) string {
	switch a {
	case clientAddr.Addr():
		return "client"
	case serverAddr.Addr():
		return "server"
	}
	return ""
}

// wire feeds a tracker with segments written as text, one a line:
//
//	> S 0             from the client, flags, relative sequence number
//	< S. 0 ack 1      from the server
//	> P. 1:11 ack 1   ten bytes
//	> F. 11 ack 1 lost
//	! R 1             forged in the client's name
//
// A line may end in "lost" (not delivered), "win N", and "isn N" on a SYN.
type wire struct {
	t    *testing.T
	flow *Tracker
	isn  map[byte]tcp.Seq
}

func newWire(t *testing.T) *wire {
	return &wire{t: t, flow: NewTracker(hostOf), isn: map[byte]tcp.Seq{'>': 0xffffff00, '<': 5000}}
}

func (w *wire) play(script string) [][]string {
	w.t.Helper()
	var all [][]string
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		all = append(all, w.line(line))
	}
	return all
}

func (w *wire) line(line string) []string {
	w.t.Helper()
	words := strings.Fields(line)
	dir := line[0]
	sender, other := byte('>'), byte('<')
	if dir == '<' || dir == '?' {
		sender, other = other, sender
	}
	flags, err := tcp.ParseFlags(words[1])
	if err != nil {
		w.t.Fatal(err)
	}
	seg := tcp.Segment{Flags: flags, Window: 1000, Src: clientAddr, Dst: serverAddr, Options: tcp.Options{WindowScale: -1}}
	if sender == '<' {
		seg.Src, seg.Dst = serverAddr, clientAddr
	}
	var from, to int
	if n, _ := fmt.Sscanf(words[2], "%d:%d", &from, &to); n == 2 {
		seg.Len = to - from
	}
	lost := false
	for i := 3; i < len(words); i++ {
		var n int
		if i+1 < len(words) {
			fmt.Sscan(words[i+1], &n)
		}
		switch words[i] {
		case "ack":
			seg.Ack = w.isn[other].Add(n)
		case "win":
			seg.Window = uint16(n)
		case "isn":
			w.isn[sender] = tcp.Seq(n)
		case "scale":
			seg.Options.WindowScale = int8(n)
		case "lost":
			lost = true
		}
	}
	seg.Seq = w.isn[sender].Add(from)
	var s Sighting
	if dir == '!' || dir == '?' {
		w.flow.Forge(&seg, "attacker", &s)
	} else {
		w.flow.Arrive(0, &seg, &s)
	}
	if !lost {
		w.flow.Deliver(0, &seg, &s)
	}
	return s.Texts()
}

const handshake = `
> S 0
< S. 0 ack 1
> . 1 ack 1
`

func TestNames(t *testing.T) {
	hello := [][]string{
		{"client.SYN"},
		{"server.SYN-ACK", "server.ACK(client.SYN)"},
		{"client.ACK(server.SYN-ACK)"},
	}
	for name, test := range map[string]struct {
		script string
		want   [][]string
	}{
		"four-way close": {`
			> F. 1 ack 1
			< . 1 ack 2
			< F. 1 ack 2
			> . 2 ack 2
		`, [][]string{
			{"client.FIN"}, {"server.ACK(client.FIN)"}, {"server.FIN"}, {"client.ACK(server.FIN)"},
		}},
		"three-way close": {`
			> F. 1 ack 1
			< F. 1 ack 2
			> . 2 ack 2
		`, [][]string{
			{"client.FIN"}, {"server.FIN", "server.ACK(client.FIN)"}, {"client.ACK(server.FIN)"},
		}},
		"last ACK lost: the FIN comes again, and so does its ACK": {`
			> F. 1 ack 1
			< . 1 ack 2
			< F. 1 ack 2
			> . 2 ack 2 lost
			< F. 1 ack 2
			> . 2 ack 2
			< F. 1 ack 2
			> . 2 ack 2
		`, [][]string{
			{"client.FIN"}, {"server.ACK(client.FIN)"}, {"server.FIN"}, {"client.ACK(server.FIN)"},
			{"server.FIN#2"}, {"client.ACK(server.FIN)#2", "client.DUP-ACK"},
			{"server.FIN#3"}, {"client.ACK(server.FIN)#3", "client.DUP-ACK#2"},
		}},
		"simultaneous close": {`
			> F. 1 ack 1
			< F. 1 ack 1
			> . 2 ack 2
			< . 2 ack 2
		`, [][]string{
			{"client.FIN"}, {"server.FIN"}, {"client.ACK(server.FIN)"}, {"server.ACK(client.FIN)"},
		}},
		"turns, however the kernel cut them": {`
			> P. 1:11 ack 1
			> P. 11:21 ack 1
			< . 1 ack 21
			< P. 1:101 ack 21
			> P. 21:22 ack 101
		`, [][]string{
			{"client.DATA@1"}, {"client.DATA@1[10:20]"}, {"server.ACK(client.DATA@1)"},
			{"server.DATA@1"}, {"client.DATA@2", "client.ACK(server.DATA@1)"},
		}},
		"a repeat that merges data and FIN has both names": {`
			> P. 1:11 ack 1 lost
			> F. 11 ack 1 lost
			> FP. 1:11 ack 1
			< . 1 ack 12
		`, [][]string{
			{"client.DATA@1"}, {"client.FIN"}, {"client.FIN#2", "client.DATA@1#2"},
			{"server.ACK(client.FIN)", "server.ACK(client.DATA@1)"},
		}},
		"half-closed: data after the FIN acknowledges it again, but is not named so": {`
			> F. 1 ack 1
			< . 1 ack 2
			< P. 1:11 ack 2
			> . 2 ack 11
		`, [][]string{
			{"client.FIN"}, {"server.ACK(client.FIN)"}, {"server.DATA@1"}, {"client.ACK(server.DATA@1)"},
		}},
		"the ACK of the FIN lost, then data: the data covers the FIN first": {`
			> F. 1 ack 1
			< . 1 ack 2 lost
			< P. 1:11 ack 2
		`, [][]string{
			{"client.FIN"}, {"server.ACK(client.FIN)"}, {"server.DATA@1", "server.ACK(client.FIN)#2"},
		}},
		"keep-alive, zero-window probe and window update": {`
			> . 0 ack 1
			< . 1 ack 1
			< . 1 ack 1 win 0
			> . 0 ack 1
			< . 1 ack 1 win 500
		`, [][]string{
			{"client.KEEPALIVE"}, {"server.DUP-ACK"}, {"server.ACK"}, {"client.PROBE"}, {"server.ACK#2"},
		}},
		"the window of a SYN is not scaled": {`
			> S 0 isn 90000 win 65160 scale 7
			< S. 0 ack 1 win 65160 scale 7
			> . 1 ack 1 win 510
			> P. 2:3 ack 1 win 510
			< . 1 ack 1 win 509
		`, [][]string{
			{"2:client.SYN"}, {"2:server.SYN-ACK", "2:server.ACK(client.SYN)"}, {"2:client.ACK(server.SYN-ACK)"},
			{"2:client.DATA@1[1:2]"}, {"2:server.DUP-ACK"},
		}},
		"a forged RST is challenged once": {`
			! R 5
			< . 1 ack 1
			< . 1 ack 1
		`, [][]string{
			{"forged.RST(client)"}, {"server.CHALLENGE-ACK"}, {"server.DUP-ACK"},
		}},
		"a forged FIN is acknowledged under its own name": {`
			? F. 1 ack 1
			> . 1 ack 2
		`, [][]string{
			{"forged.FIN(server)"}, {"client.ACK(forged.FIN(server))"},
		}},
		"RST": {`
			> R. 1 ack 1
			< R 1
		`, [][]string{{"client.RST"}, {"server.RST"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := newWire(t).play(handshake + test.script)
			if d := cmp.Diff(append(hello[:len(hello):len(hello)], test.want...), got); d != "" {
				t.Errorf("names (-want +got):\n%s", d)
			}
		})
	}
}

// An ACK that was under way when the wire made a RST does not answer it; the next one
// does.
func TestChallengeComesLater(t *testing.T) {
	w := newWire(t)
	w.play(handshake)
	isn := w.isn['<']
	rst := tcp.Segment{Flags: tcp.RST, Src: clientAddr, Dst: serverAddr, Seq: w.isn['>'].Add(50)}
	var forged Sighting
	w.flow.Forge(&rst, "wire", &forged)
	w.flow.Deliver(100, &rst, &forged)
	var got [][]string
	for _, at := range []time.Duration{99, 101, 102} {
		ack := tcp.Segment{Flags: tcp.ACK, Src: serverAddr, Dst: clientAddr, Seq: isn.Add(1), Ack: w.isn['>'].Add(1), Window: 1000}
		var s Sighting
		w.flow.Arrive(at, &ack, &s)
		got = append(got, s.Texts())
	}
	want := [][]string{{"server.DUP-ACK"}, {"server.CHALLENGE-ACK"}, {"server.DUP-ACK#2"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func TestIncarnations(t *testing.T) {
	w := newWire(t)
	w.play(handshake + "> F. 1 ack 1\n< F. 1 ack 2\n> . 2 ack 2")
	old := w.isn['<']
	// The client comes again from the same port; the old end answers first.
	got := w.play("> S 0 isn 70000")
	challenge := tcp.Segment{Flags: tcp.ACK, Src: serverAddr, Dst: clientAddr, Seq: old.Add(2), Ack: tcp.Seq(0xffffff00).Add(2), Window: 1000}
	var s Sighting
	w.flow.Arrive(0, &challenge, &s)
	w.flow.Deliver(0, &challenge, &s)
	got = append(got, s.Texts())
	got = append(got, w.play("< S. 0 ack 1 isn 90000\n> . 1 ack 1")...)
	want := [][]string{
		{"2:client.SYN"}, {"server.DUP-ACK"},
		{"2:server.SYN-ACK", "2:server.ACK(client.SYN)"}, {"2:client.ACK(server.SYN-ACK)"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func TestSimultaneousOpen(t *testing.T) {
	got := newWire(t).play("> S 0\n< S 0\n> S. 0 ack 1\n< S. 0 ack 1")
	want := [][]string{
		{"client.SYN"}, {"server.SYN"}, {"client.SYN-ACK", "client.ACK(server.SYN)"}, {"server.SYN-ACK", "server.ACK(client.SYN-ACK)"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func TestPatternText(t *testing.T) {
	for _, text := range []string{
		"client.FIN", "client.FIN#2", "2:server.SYN-ACK", "client>server:client.RST", "client.ACK(server.FIN)",
		"client.ACK(server.DATA@2[5])", "server.DATA@1[1448:2896]", "server.DATA[-1:]", "server.DATA@1[-1]",
		"server.DATA[100:]", "forged.RST(client)", "forged.RST", "client.ACK(forged.FIN(server))", "client.CHALLENGE-ACK",
	} {
		p, err := ParsePattern(text)
		if text == "server.DATA[-1:]" {
			if err == nil {
				t.Errorf("ParsePattern(%q) took a byte from the end of no turn", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParsePattern(%q): %v", text, err)
			continue
		}
		if got := p.String(); got != text {
			t.Errorf("ParsePattern(%q) prints %q", text, got)
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                       `parse "": column 1: want a host, as in client.FIN`,
		"FIN":                    `parse "FIN": column 1: FIN needs its sender, as in client.FIN`,
		"client":                 `parse "client": column 7: want a dot and a kind after "client", as in client.FIN`,
		"client.fin":             `parse "client.fin": column 8: unknown kind "fin": write FIN`,
		"client.FIN#0":           `parse "client.FIN#0": column 13: copies count from 1`,
		"client.FIN@1":           `parse "client.FIN@1": column 11: only DATA has turns and bytes, not FIN`,
		"client.FIN(server.FIN)": `parse "client.FIN(server.FIN)": column 11: brackets belong to ACK and to forged only`,
		"client.ACK(server.RST)": `parse "client.ACK(server.RST)": column 12: an ACK covers a SYN, SYN-ACK, FIN or DATA, not a RST`,
		"client.DATA[5:5]":       `parse "client.DATA[5:5]": column 12: the range [5:5] holds no byte`,
		"0:client.FIN":           `parse "0:client.FIN": column 1: connections count from 1`,
		"client.FIN x":           `parse "client.FIN x": column 11: unexpected " x" after the name`,
	} {
		_, err := ParsePattern(text)
		if err == nil || err.Error() != want {
			t.Errorf("ParsePattern(%q):\n got %v\nwant %s", text, err, want)
		}
	}
}

func TestArriveAllocatesNothing(t *testing.T) {
	flow := NewTracker(hostOf)
	var s Sighting
	seg := tcp.Segment{Flags: tcp.SYN, Src: clientAddr, Dst: serverAddr}
	flow.Arrive(0, &seg, &s)
	flow.Deliver(0, &seg, &s)
	seg.Flags, seg.Len, seg.Seq = tcp.ACK|tcp.PSH, 1448, 1
	step := func() {
		flow.Arrive(0, &seg, &s)
		flow.Deliver(0, &seg, &s)
		seg.Seq += 1448
	}
	for range 1000 {
		step() // until the counter's ring is full
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("a segment costs %v allocations, want 0", n)
	}
}

func TestForget(t *testing.T) {
	w := newWire(t)
	closing := "> F. 1 ack 1\n< F. 1 ack 2\n> . 2 ack 2"
	w.play(handshake + closing)
	w.play("> S 0 isn 70000\n< S. 0 ack 1 isn 90000\n> . 1 ack 1\n" + closing)
	w.play("> S 0 isn 170000\n< S. 0 ack 1 isn 190000\n> . 1 ack 1")
	numbers := func() (all []int) {
		for _, c := range w.flow.Conns() {
			all = append(all, c.Number)
		}
		return all
	}
	if d := cmp.Diff([]int{1, 2, 3}, numbers()); d != "" {
		t.Fatalf("connections (-want +got):\n%s", d)
	}
	w.flow.Forget(2) // in the middle of its incarnations
	w.flow.Forget(2)
	w.flow.Forget(77)
	if d := cmp.Diff([]int{1, 3}, numbers()); d != "" {
		t.Errorf("connections after 2 was forgotten (-want +got):\n%s", d)
	}
	if w.flow.Conn(2) != nil || w.flow.Conn(3).Number != 3 || w.flow.Latest(serverAddr, clientAddr).Number != 3 {
		t.Error("the others are not found by number and by ends")
	}
	if d := cmp.Diff([][]string{{"3:client.FIN"}}, w.play("> F. 1 ack 1")); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	w.flow.Forget(3)
	w.flow.Forget(1)
	if len(w.flow.Conns()) != 0 || w.flow.Latest(clientAddr, serverAddr) != nil || w.flow.byPair.n != 0 {
		t.Errorf("%d connections and %d pairs are kept after all were forgotten", len(w.flow.Conns()), w.flow.byPair.n)
	}
	// What comes late begins a connection under a new number.
	if d := cmp.Diff([][]string{{"4:server.FIN"}}, w.play("< F. 1 ack 2")); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

func TestPairs(t *testing.T) {
	p := newPairs()
	server := netip.MustParseAddrPort("[2001:db8::2]:80")
	ends := func(i int) (netip.AddrPort, netip.AddrPort) {
		if i%2 == 0 {
			return netip.AddrPortFrom(clientAddr.Addr(), uint16(i)), serverAddr
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 14: byte(i >> 8), 15: byte(i)}), 7), server
	}
	var all []*Conn
	for i := range 1000 {
		c := &Conn{}
		c.ends[0].Addr, c.ends[1].Addr = ends(i)
		p.add(c)
		all = append(all, c)
	}
	for i, c := range all {
		if i%3 == 0 {
			p.remove(c)
		}
	}
	for i, c := range all {
		want := c
		if i%3 == 0 {
			want = nil
		}
		a, b := ends(i)
		if got, from := p.find(a, b); got != want || from != 0 {
			t.Errorf("pair %d: %p, end %d, want %p", i, got, from, want)
		}
		if got, from := p.find(b, a); got != want || want != nil && from != 1 {
			t.Errorf("pair %d, turned round: %p, end %d, want %p", i, got, from, want)
		}
	}
	// An IPv6 address that maps an IPv4 one is another address.
	mapped := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr().As16()), a.Port())
	}
	a, b := ends(2)
	if got, _ := p.find(mapped(a), mapped(b)); got != nil {
		t.Error("a mapped address finds the connection of the other")
	}
}
