package analyze

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// A script is a connection written down, a segment a line:
//
//	[+PAUSE] c|s KIND [LENGTH] [seq=N] [ack=N] [win=N] [ttl=N] [ts=N] [again] [hidden]
//
// KIND is SYN, SYN-ACK, ACK, DATA, FIN, ASK (a keep-alive or a probe), RST
// (without ACK, its number what the other end acknowledged last), RST-ACK (of
// its own accord), or REFUSE (the answer to a SYN). Numbers count from each
// end's SYN; what is left out is what the end would send then. A segment is
// one millisecond behind the one before, unless it pauses. Again repeats the
// end's last DATA, FIN or SYN; hidden is not in the capture.
type script struct {
	t     testing.TB
	ports [2]netip.AddrPort
	isn   [2]tcp.Seq
	next  [2]int // the next number of each end
	ack   [2]int // what each end acknowledges
	last  [2]tcp.Header
	at    time.Duration
}

func newScript(t testing.TB) *script {
	return &script{
		t:     t,
		ports: [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:80")},
		isn:   [2]tcp.Seq{0xfffffff0, 5000},
	}
}

// reopen begins another incarnation of the same four-tuple.
func (s *script) reopen() {
	s.isn[0] += 1 << 28
	s.isn[1] += 1 << 28
	s.next, s.ack = [2]int{}, [2]int{}
}

// began is when scripts begin.
var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// play feeds a script into a table.
func (s *script) play(t *table, text string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch line {
		case "":
			continue
		case "reopen":
			s.reopen()
			continue
		}
		seg, hidden := s.segment(line)
		if !hidden {
			t.both(seg, began.Add(s.at).UnixNano(), 0)
		}
	}
}

func (s *script) segment(line string) (*tcp.Segment, bool) {
	fail := func(err error) {
		if err != nil {
			s.t.Fatalf("script line %q: %s", line, err)
		}
	}
	words := strings.Fields(line)
	s.at += time.Millisecond
	if pause, ok := strings.CutPrefix(words[0], "+"); ok {
		d, err := time.ParseDuration(pause)
		fail(err)
		s.at += d
		words = words[1:]
	}
	x := strings.Index("cs", words[0])
	if x < 0 || len(words) < 2 {
		fail(fmt.Errorf("want an end and a kind"))
	}
	y := 1 - x
	h := tcp.Header{Src: s.ports[x], Dst: s.ports[y], Window: 1000, Flags: tcp.ACK}
	seq, ack := s.next[x], s.ack[x]
	takes, again, hidden := 0, false, false
	args := words[2:]
	switch kind := words[1]; kind {
	case "SYN":
		h.Flags, takes, seq = tcp.SYN, 1, 0
	case "SYN-ACK":
		h.Flags, takes, seq = tcp.SYN|tcp.ACK, 1, 0
	case "ACK":
	case "DATA", "FIN":
		n := 0
		if kind == "DATA" {
			n = 1
			h.Flags |= tcp.PSH
		}
		if len(args) > 0 {
			if given, err := strconv.Atoi(args[0]); err == nil {
				n, args = given, args[1:]
			}
		}
		h.Payload, takes = make([]byte, n), n
		if kind == "FIN" {
			h.Flags |= tcp.FIN
			takes++
		}
	case "ASK":
		seq--
	case "RST":
		h.Flags, seq, h.Window = tcp.RST, s.ack[y], 0
	case "RST-ACK":
		h.Flags, h.Window = tcp.RST|tcp.ACK, 0
	case "REFUSE":
		h.Flags, h.Window = tcp.RST|tcp.ACK, 0
	default:
		fail(fmt.Errorf("no kind %q", kind))
	}
	ttl, stamp := 64, 0
	for _, word := range args {
		name, value, _ := strings.Cut(word, "=")
		n := 0
		if value != "" {
			var err error
			n, err = strconv.Atoi(value)
			fail(err)
		}
		switch name {
		case "seq":
			seq = n
		case "ack":
			ack = n
		case "win":
			h.Window = uint16(n)
		case "ttl":
			ttl = n
		case "ts":
			stamp = n
		case "sack": // a block of ten bytes that ends there
			left, right := s.isn[y].Add(n-10), s.isn[y].Add(n)
			h.Options = []byte{1, 1, 5, 10}
			h.Options = binary.BigEndian.AppendUint32(h.Options, uint32(left))
			h.Options = binary.BigEndian.AppendUint32(h.Options, uint32(right))
		case "again":
			again = true
		case "hidden":
			hidden = true
		default:
			fail(fmt.Errorf("no word %q", word))
		}
	}
	h.TTL = uint8(ttl)
	h.Seq, h.Ack = s.isn[x].Add(seq), s.isn[y].Add(ack)
	if words[1] == "REFUSE" {
		h.Seq = 0
	}
	if stamp != 0 {
		h.Options = []byte{1, 1, 8, 10, 0, 0, byte(stamp >> 8), byte(stamp), 0, 0, 0, 1}
	}
	if again {
		h = s.last[x]
		h.Ack = s.isn[y].Add(ack)
		takes = 0
	} else if takes > 0 {
		s.last[x] = h
	}
	if takes > 0 {
		s.next[x] = max(s.next[x], seq+takes)
	}
	if takes > 0 || again {
		s.ack[y] = max(s.ack[y], h.Seq.Diff(s.isn[x])+len(h.Payload)+numbered(h.Flags))
	}
	packet, err := h.Packet()
	fail(err)
	var seg tcp.Segment
	fail(seg.ParseIP(packet, 0, len(packet)))
	return &seg, hidden
}

// numbered is how many numbers SYN and FIN take.
func numbered(f tcp.Flags) int {
	if f&(tcp.SYN|tcp.FIN) != 0 {
		return 1
	}
	return 0
}

// analysed is what a script's connections come to.
func analysed(t testing.TB, text string) []*Connection {
	t.Helper()
	var list []*Connection
	table := newTable(nil, false, func(c *Connection) {
		c.keepSteps()
		list = append(list, c)
	})
	newScript(t).play(table, text)
	table.flush()
	return list
}
