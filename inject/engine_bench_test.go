package inject

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// stream is a connection that carries data without end, in full segments, each
// acknowledged, through an engine that keeps no log.
type stream struct {
	engine    *Engine
	now       time.Duration
	data, ack []byte
	seq       uint32
}

const (
	fullSegment = 1460
	// Offsets in a frame: Ethernet 14, IPv4 20, then TCP.
	seqAt = 14 + 20 + 4
	ackAt = 14 + 20 + 8
)

// newStream opens the connection and arms rules, of which none may fire.
func newStream(tb testing.TB, rules ...string) *stream {
	tb.Helper()
	s := &stream{engine: NewEngine(testPorts(), false), seq: 1001}
	craft := func(from int, flags tcp.Flags, seq, ack tcp.Seq, n int) []byte {
		h := tcp.Header{
			Src: clientEnd, Dst: serverEnd, SrcMAC: clientMAC, DstMAC: serverMAC,
			Seq: seq, Ack: ack, Flags: flags, Window: 1000, Payload: make([]byte, n),
		}
		if from == 1 {
			h.Src, h.Dst, h.SrcMAC, h.DstMAC = h.Dst, h.Src, h.DstMAC, h.SrcMAC
		}
		frame, err := h.Frame()
		if err != nil {
			tb.Fatal(err)
		}
		return frame
	}
	for _, text := range rules {
		r, err := ParseRule(text)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := s.engine.Arm(r); err != nil {
			tb.Fatal(err)
		}
	}
	s.pass(0, craft(0, tcp.SYN, 1000, 0, 0))
	s.pass(1, craft(1, tcp.SYN|tcp.ACK, 5000, 1001, 0))
	s.pass(0, craft(0, tcp.ACK, 1001, 5001, 0))
	s.data = craft(0, tcp.ACK, 1001, 5001, fullSegment)
	s.ack = craft(1, tcp.ACK, 5001, 1001, 0)
	return s
}

func (s *stream) pass(port int, frame []byte) int {
	left := 0
	s.now += time.Microsecond
	s.engine.Arrive(s.now, port, frame)
	for {
		em, ok := s.engine.Next(s.now)
		if !ok {
			return left
		}
		s.engine.Left(&em, s.now)
		left++
	}
}

// step passes two segments: data, and its acknowledgement.
func (s *stream) step() int {
	binary.BigEndian.PutUint32(s.data[seqAt:], s.seq)
	s.seq += fullSegment
	binary.BigEndian.PutUint32(s.ack[ackAt:], s.seq)
	return s.pass(0, s.data) + s.pass(1, s.ack)
}

// idle are rules that stand and have no reason to look at data.
var idle = []string{"drop client.FIN always", "delay(200ms) server.RST", "hold server.FIN until client.FIN"}

func TestEnginePassesWithoutAllocating(t *testing.T) {
	for name, rules := range map[string][]string{"no rule": nil, "rules by name": idle} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t, rules...)
			for range 1000 { // until what is remembered of the stream has its size
				if left := s.step(); left != 2 {
					t.Fatalf("%d of 2 segments left the wire", left)
				}
			}
			if n := testing.AllocsPerRun(1000, func() { s.step() }); n != 0 {
				t.Errorf("two segments that no rule looks at cost %v allocations, want 0", n)
			}
		})
	}
}

// BenchmarkEngine is what the engine costs per segment that goes its way: half
// of them are full, half are acknowledgements.
func BenchmarkEngine(b *testing.B) {
	for _, bm := range []struct {
		name  string
		rules []string
	}{
		{"no-rule", nil},
		{"three-names", idle},
		{"one-expression", []string{"drop tcp.flags.fin && tcp.len > 100000 always"}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			s := newStream(b, bm.rules...)
			b.ReportAllocs()
			for b.Loop() {
				s.step()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(2*b.N), "ns/segment")
		})
	}
}
