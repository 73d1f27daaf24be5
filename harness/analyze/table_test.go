package analyze

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/capture"
	"github.com/lastack/lastack/inject/tcp"
)

// A capture on all interfaces of a machine has each frame twice. That is no
// repeat, and proves no loss.
func TestFramesCapturedTwice(t *testing.T) {
	var list []*Connection
	table := newTable(nil, false, func(c *Connection) { list = append(list, c) })
	s := newScript(t)
	for line := range strings.Lines(strings.TrimSpace(request + "c FIN\ns ACK\ns FIN\nc ACK")) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		seg, _ := s.segment(line)
		at := began.Add(s.at).UnixNano()
		table.both(seg, at, 0)
		table.both(seg, at+int64(20*time.Microsecond), 0)
	}
	table.flush()
	if len(list) != 1 || inWords(list[0]) != "four-way client" || len(list[0].Repeats) != 0 || list[0].Packets != 11 {
		t.Errorf("got %d connections, the first %+v", len(list), list[0])
	}
	if table.duplicates != 11 {
		t.Errorf("%d frames were taken for duplicates, want 11", table.duplicates)
	}
}

// The captures of both ends, read together, have each frame twice too, and
// later than one machine would.
func TestCapturesOfBothEnds(t *testing.T) {
	var list []*Connection
	table := newTable(nil, false, func(c *Connection) { list = append(list, c) })
	s := newScript(t)
	stamp := 1
	for line := range strings.Lines(strings.TrimSpace(request)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		stamp++
		seg, _ := s.segment(fmt.Sprintf("+50ms %s ts=%d", line, stamp))
		at := began.Add(s.at).UnixNano()
		table.both(seg, at, 0)
		table.both(seg, at+int64(20*time.Millisecond), 1)
	}
	table.flush()
	if len(list) != 1 || len(list[0].Repeats) != 0 || list[0].Packets != 7 {
		t.Errorf("got %d connections, the first %+v", len(list), list[0])
	}
}

// A connection that has ended is handed out while the capture goes on, and
// what is open is handed out in the end.
func TestConnectionsAreHandedOutWhenTheyEnd(t *testing.T) {
	var list []*Connection
	table := newTable(nil, false, func(c *Connection) { list = append(list, c) })
	s := newScript(t)
	s.play(table, request+`
		c FIN
		s ACK
		s FIN
		c ACK`)
	if len(list) != 0 {
		t.Fatal("handed out before its last ACK could have been repeated")
	}
	s.play(table, `
		reopen
		+10s c SYN`)
	if len(list) != 1 || list[0].Conn != 1 {
		t.Fatalf("ten seconds later %d connections were handed out, want the first", len(list))
	}
	table.flush()
	if len(list) != 2 || list[1].Ended != Unanswered || list[1].Conn != 2 {
		t.Errorf("in the end %d connections, want the second, unanswered: %+v", len(list), list)
	}
}

// Memory is bound by what is open, not by the file.
func TestMemoryIsBoundByWhatIsOpen(t *testing.T) {
	ended, most := 0, 0
	table := newTable(nil, false, func(*Connection) { ended++ })
	s := newScript(t)
	const connections = 20_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early uint64
	for i := range connections {
		s.ports[0] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 14), byte(i >> 6)}), uint16(1024+i%64))
		s.next, s.ack = [2]int{}, [2]int{}
		s.play(table, request+`
			c FIN
			s FIN
			+100ms c ACK`)
		most = max(most, len(table.flow.Conns()))
		if i == connections/4 {
			early = heap()
		}
	}
	if late := heap(); late > early+4<<20 {
		t.Errorf("%d bytes are in use after %d connections, and %d after a quarter of them", late, connections, early)
	}
	if most > 100 {
		t.Errorf("%d connections were kept at a time", most)
	}
	table.flush()
	if ended != connections {
		t.Errorf("%d connections were handed out, want %d", ended, connections)
	}
}

// SYNs that nothing answers end too: a flood of them must not stay.
func TestUnansweredSYNsAreForgotten(t *testing.T) {
	ended := 0
	table := newTable(nil, false, func(c *Connection) {
		if c.Ended == Unanswered {
			ended++
		}
	})
	s := newScript(t)
	for i := range 1000 {
		s.ports[0] = netip.AddrPortFrom(s.ports[0].Addr(), uint16(1024+i))
		s.next, s.ack = [2]int{}, [2]int{}
		s.play(table, "+1s c SYN")
	}
	if ended < 600 || len(table.flow.Conns()) > 400 {
		t.Errorf("%d were handed out and %d kept, after a thousand seconds", ended, len(table.flow.Conns()))
	}
}

func TestFilter(t *testing.T) {
	for _, tt := range []struct {
		match string
		want  int
	}{
		{"server.RST", 1},
		{"client.FIN", 1},
		{"client.SYN", 2},
		{"tcp.dstport == 80", 2},
		{`is("client.DATA@1") && tcp.len == 100`, 2},
		{"server.DATA@9", 0},
	} {
		match, err := inject.ParseMatch(tt.match)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		table := newTable(&match, false, func(*Connection) { n++ })
		newScript(t).play(table, request+"c FIN\ns ACK\ns FIN\nc ACK\nreopen"+request+"s RST-ACK")
		table.flush()
		if n != tt.want {
			t.Errorf("--filter %q picks %d connections, want %d", tt.match, n, tt.want)
		}
	}
}

func TestIdleBeforeTheEnd(t *testing.T) {
	for _, tt := range []struct {
		script     string
		idle, half int64 // -1: null
	}{
		{request, -1, -1},
		{request + "+5s c FIN\n+2s s FIN\nc ACK", 5_001 + 1, 2_001},
		{request + "+350s c DATA\ns RST", 350_002, -1},
		{request + "+30s s RST-ACK", 30_002, -1},
		{request + "c FIN\n+4s s ACK", 2, 4_001},
	} {
		c := analysed(t, tt.script)[0]
		value := func(p *int64) int64 {
			if p == nil {
				return -1
			}
			return *p
		}
		if idle, half := value(c.Idle), value(c.HalfClosed); idle != tt.idle || half != tt.half {
			t.Errorf("idle for %d ms and half-closed for %d ms, want %d and %d\n%s", idle, half, tt.idle, tt.half, tt.script)
		}
	}
}

// A file may hold anything: it is analysed, or refused with one line.
func FuzzAnalyze(f *testing.F) {
	var file bytes.Buffer
	w, err := capture.NewWriter(&file, capture.Options{Application: "lastack", Comment: "close/four-way"})
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"client", "injected"} {
		if _, err := w.AddInterface(capture.Interface{Name: name, Description: "what came in from " + name}); err != nil {
			f.Fatal(err)
		}
	}
	s := newScript(f)
	for i, line := range []string{"c SYN", "s SYN-ACK", "c ACK", "c DATA 3", "c FIN", "s FIN", "s RST"} {
		seg, _ := s.segment(line)
		frame := append(make([]byte, 12, 14), 8, 0)
		err := w.WritePacket(capture.Packet{
			Interface: i / 6, Time: began.Add(s.at), Data: append(frame, seg.Frame...),
			Comments: []string{"client.FIN; delivered; left for server at 0.000100 s"},
		})
		if err != nil {
			f.Fatal(err)
		}
	}
	f.Add(file.Bytes())
	f.Add(bytes.ReplaceAll(file.Bytes(), []byte("what came in from"), []byte("another interface")))
	f.Add(file.Bytes()[:file.Len()-40])
	f.Fuzz(func(t *testing.T, data []byte) {
		totals, err := Read(t.Context(), []Input{{Name: "fuzz", Reader: bytes.NewReader(data)}}, Options{Ended: func(c *Connection) {
			c.keepSteps()
			c.Ladder(80, false)
		}})
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of more than one line: %s", err)
		}
		if totals.Packets > len(data)/16+1 {
			t.Errorf("%d packets in %d bytes", totals.Packets, len(data))
		}
	})
}

// A segment may be anything: nothing in it may break the table.
func FuzzSegments(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x10\x20\x00\x30\x11"))
	f.Add([]byte{0x00, 0x02, 0, 0, 0, 0x10, 0x12, 0, 0, 1, 0x00, 0x10, 1, 1, 9, 0x10, 0x04, 1, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		table := newTable(nil, len(data)%2 == 0, func(c *Connection) {
			c.keepSteps()
			n++
			if _, err := ParseEnded(string(c.Ended)); err != nil {
				t.Error(err)
			}
			if len(c.Repeats) > repeatsKept || len(c.Notes) > 2*notesKept+12 {
				t.Errorf("%d repeats and %d notes were kept", len(c.Repeats), len(c.Notes))
			}
			c.Ladder(80, false)
			c.Explanation(80)
		})
		at := began.UnixNano()
		var seg tcp.Segment
		for len(data) >= 5 {
			// end and pause, flags, seq, ack, length and window
			h := tcp.Header{Src: netip.MustParseAddrPort("192.0.2.1:1"), Dst: netip.MustParseAddrPort("192.0.2.2:2")}
			if data[0]&1 != 0 {
				h.Src, h.Dst = h.Dst, h.Src
			}
			h.Flags = tcp.Flags(data[1])
			h.Seq, h.Ack = tcp.Seq(int8(data[2])), tcp.Seq(int8(data[3]))
			h.Window = uint16(data[4] >> 4)
			h.Payload = make([]byte, data[4]&15)
			at += 1 << (data[0] >> 1 & 63 % 40)
			packet, err := h.Packet()
			if err != nil {
				t.Fatal(err)
			}
			if err := seg.ParseIP(packet, 0, len(packet)); err != nil {
				t.Fatal(err)
			}
			table.both(&seg, at, 0)
			data = data[5:]
		}
		table.flush()
		if n != table.opened {
			t.Errorf("%d connections began and %d were handed out", table.opened, n)
		}
	})
}
