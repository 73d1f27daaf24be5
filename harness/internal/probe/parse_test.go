package probe

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lastack/lastack/inject/tcp"
)

// attribute is one netlink attribute, padded.
func attribute(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// answer is one netlink message of sock_diag about 192.0.2.1:4660, or [::1]:4660
// where family is IPv6's, to port 80 of the same address.
func answer(family, state, timer uint8, inode uint32, attributes ...[]byte) []byte {
	body := []byte{family, state, timer, 2, 0x12, 0x34, 0, 80}
	addr := make([]byte, 16)
	if family == familyIPv4 {
		copy(addr, []byte{192, 0, 2, 1})
	} else {
		addr[15] = 1
	}
	body = append(append(body, addr...), addr...)
	for _, n := range []uint32{0 /* interface */, 0x11111111, 0x22222222, 1500, 3, 4, 1000, inode} {
		body = binary.NativeEndian.AppendUint32(body, n)
	}
	return datagram(messageFamily, append(body, slices.Concat(attributes...)...))
}

func datagram(kind uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(headerLen+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, 10)...)
	return append(b, body...)
}

func TestParseDiag(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::1")
	socket := func(addr netip.Addr, change func(*Socket)) Socket {
		s := Socket{
			Local: netip.AddrPortFrom(addr, 0x1234), Remote: netip.AddrPortFrom(addr, 80),
			Expires: 1500 * time.Millisecond, Retrans: 2, RQueue: 3, WQueue: 4, UID: 1000, Cookie: 0x22222222_11111111,
		}
		change(&s)
		return s
	}
	memory := make([]byte, memoryInfoLen)
	for i := range 9 {
		binary.NativeEndian.PutUint32(memory[4*i:], uint32(i+1))
	}
	tests := []struct {
		name  string
		bytes []byte
		want  []Socket
		done  bool
		fails bool
	}{
		{name: "nothing"},
		{name: "end of a dump", bytes: datagram(messageDone, make([]byte, 4)), done: true},
		{name: "full socket", bytes: answer(familyIPv4, 1, 0, 7, attribute(attrShutdown, 1)), want: []Socket{
			socket(v4, func(s *Socket) { s.State, s.Inode, s.Shutdown = tcp.Established, 7, ShutdownReceive })}},
		{name: "orphan in FIN_WAIT_1", bytes: answer(familyIPv6, 4, 1, 0, attribute(attrShutdown, 3), attribute(attrInfo, 4, 0, 1)), want: []Socket{
			socket(v6, func(s *Socket) {
				s.State, s.Timer, s.Shutdown = tcp.FinWait1, TimerRetransmit, shutdownBoth
				s.Info = &TCPInfo{State: tcp.FinWait1}
			})}},
		{name: "memory", bytes: answer(familyIPv4, 1, 0, 7, attribute(attrMemory, memory...), attribute(attrShutdown, 0)), want: []Socket{
			socket(v4, func(s *Socket) {
				s.State, s.Inode = tcp.Established, 7
				s.Memory = &Memory{1, 2, 3, 4, 5, 6, 7, 8, 9}
			})}},
		{name: "two mini-sockets", bytes: slices.Concat(answer(familyIPv4, 5, 3, 0), answer(familyIPv6, 6, 3, 0)), want: []Socket{
			socket(v4, func(s *Socket) { s.Kind, s.State, s.Timer = TimeWait, tcp.FinWait2, TimerTimeWait }),
			socket(v6, func(s *Socket) { s.Kind, s.State, s.Timer = TimeWait, tcp.TimeWait, TimerTimeWait })}},
		{name: "mini-socket with the header of tcp_info", bytes: answer(familyIPv4, 6, 3, 0, attribute(attrInfo)), want: []Socket{
			socket(v4, func(s *Socket) { s.Kind, s.State, s.Timer = TimeWait, tcp.TimeWait, TimerTimeWait })}},
		{name: "request", bytes: answer(familyIPv4, 3, 1, 0), want: []Socket{
			socket(v4, func(s *Socket) { s.Kind, s.State, s.Timer = Request, tcp.SynRecv, TimerRetransmit })}},
		{name: "unknown attribute", bytes: answer(familyIPv4, 1, 0, 7, attribute(99, 1, 2, 3), attribute(attrShutdown, 2)), want: []Socket{
			socket(v4, func(s *Socket) { s.State, s.Inode, s.Shutdown = tcp.Established, 7, ShutdownSend })}},
		{name: "unknown family", bytes: answer(1, 1, 0, 7), fails: true},
		{name: "cut header", bytes: make([]byte, headerLen-1), fails: true},
		{name: "length of 0", bytes: make([]byte, headerLen), fails: true},
		{name: "cut message", bytes: answer(familyIPv4, 1, 0, 7)[:40], fails: true},
		{name: "short message", bytes: datagram(messageFamily, make([]byte, diagLen-1)), fails: true},
		{name: "attribute beyond the end", bytes: answer(familyIPv4, 1, 0, 7, []byte{200, 200, attrInfo, 0}), fails: true},
		{name: "attribute of length 0", bytes: answer(familyIPv4, 1, 0, 7, make([]byte, 4)), fails: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, done, err := parseSockets(test.bytes)
			if (err != nil) != test.fails || done != test.done {
				t.Fatalf("done %v, %v", done, err)
			}
			if test.name == "orphan in FIN_WAIT_1" {
				got[0].Info.Retransmits = 0 // the third byte only shows that short structures are read
			}
			if d := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRequestBytes(t *testing.T) {
	var r request
	r.exact(7, askAll, netip.MustParseAddrPort("192.0.2.1:4660"), netip.MustParseAddrPort("192.0.2.2:80"))
	want := append(binary.NativeEndian.AppendUint32(nil, 72), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	binary.NativeEndian.PutUint16(want[4:], 20)
	binary.NativeEndian.PutUint16(want[6:], 1)
	binary.NativeEndian.PutUint32(want[8:], 7)
	want = append(want, 2, 6, 0xc2, 0)
	want = binary.NativeEndian.AppendUint32(want, 0x1ffe)
	want = append(want, 0x12, 0x34, 0, 80)
	want = append(want, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	want = append(want, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	want = append(want, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255)
	if d := cmp.Diff(want, r[:]); d != "" {
		t.Error(d)
	}
}

func TestOnceKeepsTheLastAnswer(t *testing.T) {
	got := once([]Socket{{Cookie: 1, State: tcp.Established}, {Cookie: 0}, {Cookie: 2}, {Cookie: 0}, {Cookie: 1, State: tcp.TimeWait}})
	want := []Socket{{Cookie: 0}, {Cookie: 2}, {Cookie: 0}, {Cookie: 1, State: tcp.TimeWait}}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Error(d)
	}
}

func TestParseCounters(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]int64
		fails      bool
	}{
		{name: "nothing", want: map[string]int64{}},
		{name: "two groups", text: "Ip: Forwarding InReceives\nIp: 1 20\nTcp: MaxConn OutRsts\nTcp: -1 3\n",
			want: map[string]int64{"Ip.Forwarding": 1, "Ip.InReceives": 20, "Tcp.MaxConn": -1, "Tcp.OutRsts": 3}},
		{name: "group without counters", text: "MPTcpExt:\nMPTcpExt:\n", want: map[string]int64{}},
		{name: "no newline at the end", text: "Tcp: A\nTcp: 1", want: map[string]int64{"Tcp.A": 1}},
		{name: "unsigned", text: "T: A\nT: 18446744073709551615\n", want: map[string]int64{"T.A": -1}},
		{name: "one line", text: "Tcp: A\n", fails: true},
		{name: "another group", text: "Tcp: A\nUdp: 1\n", fails: true},
		{name: "fewer values", text: "Tcp: A B\nTcp: 1\n", fails: true},
		{name: "not a number", text: "Tcp: A\nTcp: x\n", fails: true},
		{name: "too large", text: "Tcp: A\nTcp: 99999999999999999999\n", fails: true},
		{name: "no colon", text: "Tcp\nTcp\n", fails: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := map[string]int64{}
			err := parseCounters([]byte(test.text), got)
			if (err != nil) != test.fails {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, got); d != "" && !test.fails {
				t.Error(d)
			}
		})
	}
}

func TestDeltas(t *testing.T) {
	got := Deltas(map[string]int64{"b": 1, "a": 5, "same": 2}, map[string]int64{"b": 3, "a": 4, "same": 2, "new": 1})
	want := []Delta{{"a", -1}, {"b", 2}, {"new", 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestNames(t *testing.T) {
	for name, got := range map[string]string{
		"retransmit": TimerRetransmit.String(), "TIMER_9": Timer(9).String(), "request": Request.String(),
		"KIND_9": Kind(9).String(), "both": shutdownBoth.String(), "SHUTDOWN_9": Shutdown(9).String(),
	} {
		if got != name {
			t.Errorf("got %s, want %s", got, name)
		}
	}
	for timer := TimerNone; timer <= TimerPersist; timer++ {
		text, _ := timer.MarshalText()
		var back Timer
		if err := back.UnmarshalText(text); err != nil || back != timer {
			t.Errorf("%v reads back as %v, %v", timer, back, err)
		}
	}
	var timer Timer
	if timer.UnmarshalText([]byte("soon")) == nil {
		t.Error("an unknown timer was read")
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(answer(familyIPv4, 1, 0, 7, attribute(attrShutdown, 1), attribute(attrInfo, make([]byte, 240)...), attribute(attrMemory, make([]byte, 36)...)))
	f.Add(answer(familyIPv6, 5, 3, 0))
	f.Add(datagram(messageDone, make([]byte, 4)))
	f.Add(datagram(messageError, make([]byte, 20)))
	f.Fuzz(func(t *testing.T, b []byte) {
		first, _, err := parseSockets(b)
		again, _, errAgain := parseSockets(b)
		if !cmp.Equal(first, again, cmpopts.EquateComparable(netip.AddrPort{})) || (err == nil) != (errAgain == nil) {
			t.Error("the same bytes read differently")
		}
		if len(first) > len(b)/(headerLen+diagLen) {
			t.Errorf("%d bytes hold %d sockets", len(b), len(first))
		}
		for _, s := range first {
			_, _, _ = s.Mini(), s.Orphan(), s.Unaccepted()
			_ = s.State.String() + s.Timer.String() + s.Kind.String() + s.Shutdown.String()
		}
		if m, _, err := nextMessage(b); err == nil {
			m.errno()
		}
	})
}

func FuzzParseCounters(f *testing.F) {
	f.Add([]byte("Ip: Forwarding InReceives\nIp: 1 20\nTcp: MaxConn OutRsts\nTcp: -1 3\n"))
	f.Add([]byte("Tcp: A\nTcp: 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		counters := map[string]int64{}
		_ = parseCounters(text, counters)
		if len(counters) > len(text) {
			t.Errorf("%d bytes hold %d counters", len(text), len(counters))
		}
		if d := Deltas(counters, counters); d != nil {
			t.Errorf("no difference is %v", d)
		}
	})
}
