package check

import (
	"bytes"
	"math"
	"slices"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// said is one turn of one host, as it was delivered.
type said struct {
	conn, turn int
	text       []byte
	// begin is the position of its first byte in the stream.
	begin int64
	have  []bool
}

// whole tells that no byte is missing.
func (s *said) whole() bool { return len(s.text) > 0 && !slices.Contains(s.have, false) }

// maxTurn bounds how much of a turn is put together: a request that has an effect
// says so at its beginning, and one that is longer is compared by that.
const maxTurn = 1 << 20

// turnsOf puts together what a host was heard to say, and how far the other end's
// kernel acknowledged each connection.
func turnsOf(r *record.Run, host string) (turns []*said, acked map[int]int64) {
	return turnsUntil(r, host, math.MaxInt64)
}

// turnsUntil is turnsOf of what was delivered before a time.
func turnsUntil(r *record.Run, host string, end time.Duration) (turns []*said, acked map[int]int64) {
	acked = map[int]int64{}
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Conn == 0 || s.Forged {
			continue
		}
		if s.To == host {
			if s.Flags.Has(tcp.ACK) && !s.Flags.Has(tcp.RST) {
				acked[s.Conn] = max(acked[s.Conn], s.Ack)
			}
			continue
		}
		if s.From != host || s.Len == 0 || s.Fate != record.Delivered || len(s.Departures) == 0 || s.Departures[0].T > end {
			continue
		}
		var seg tcp.Segment
		frame := s.Frame
		if s.Rewritten != nil {
			frame = s.Rewritten
		}
		if seg.Parse(frame) != nil {
			continue
		}
		payload := seg.Payload()
		for _, n := range s.Names.All() {
			if n.Kind != flow.DATA || n.Turn == 0 || n.To > maxTurn {
				continue
			}
			// The payload begins at the position Seq, counted from the SYN.
			from := n.Stream + 1 - s.Seq
			to := from + n.To - n.From
			if from < 0 || from >= int64(len(payload)) {
				continue
			}
			t := find(turns, s.Conn, n.Turn)
			if t == nil {
				t = &said{conn: s.Conn, turn: n.Turn, begin: n.Stream - n.From}
				turns = append(turns, t)
			}
			t.put(n.From, payload[from:min(to, int64(len(payload)))])
		}
	}
	return turns, acked
}

func find(turns []*said, conn, turn int) *said {
	for _, t := range turns {
		if t.conn == conn && t.turn == turn {
			return t
		}
	}
	return nil
}

func (s *said) put(at int64, data []byte) {
	if more := int(at) + len(data) - len(s.text); more > 0 {
		s.text = append(s.text, make([]byte, more)...)
		s.have = append(s.have, make([]bool, more)...)
	}
	copy(s.text[at:], data)
	for i := range data {
		s.have[int(at)+i] = true
	}
}

// repeats are the turns of the fault-free client that the server's program got
// more often than without the fault: delivered whole, and acknowledged by its
// kernel, which a closed socket does not.
func repeats(free, is *record.Run) []repeat {
	count := func(turns []*said, acked map[int]int64, text []byte) (n int, last *said) {
		for _, t := range turns {
			if t.whole() && acked[t.conn] > t.begin+int64(len(t.text)) && bytes.Equal(t.text, text) {
				n, last = n+1, t
			}
		}
		return n, last
	}
	before, beforeAcked := turnsOf(free, Client)
	after, afterAcked := turnsOf(is, Client)
	var out []repeat
	var done [][]byte
	for _, t := range before {
		if !t.whole() || slices.ContainsFunc(done, func(d []byte) bool { return bytes.Equal(d, t.text) }) {
			continue
		}
		done = append(done, t.text)
		was, _ := count(before, beforeAcked, t.text)
		now, last := count(after, afterAcked, t.text)
		if now > was {
			out = append(out, repeat{turn: t.turn, conn: last.conn, unsafe: unsafeMethod(t.text)})
		}
	}
	return out
}

// safe are methods of HTTP that may be repeated (RFC 9110 §9.2.2).
var safe = []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}

// unsafeMethod is the method of a clear-text HTTP/1 request that must not be
// repeated without being asked; empty for all else.
func unsafeMethod(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\r\n"))
	words := bytes.Fields(line)
	if len(words) != 3 || !bytes.HasPrefix(words[2], []byte("HTTP/1.")) {
		return ""
	}
	for _, c := range words[0] {
		if c < 'A' || c > 'Z' {
			return ""
		}
	}
	if method := string(words[0]); !slices.Contains(safe, method) {
		return method
	}
	return ""
}

// heardAll tells that every byte of the server's stream on that connection came
// before the client's program had ended, as many as without a fault.
func heardAll(free, is *record.Run, conn int) bool {
	bytesOf := func(r *record.Run) (n int64) {
		end := time.Duration(math.MaxInt64)
		if on := r.On(Client).Programs; len(on) > 0 && on[0].End >= 0 {
			end = on[0].End
		}
		turns, _ := turnsUntil(r, Server, end)
		for _, t := range turns {
			if t.conn == conn && t.whole() {
				n += int64(len(t.text))
			}
		}
		return n
	}
	all := bytesOf(free)
	return all > 0 && bytesOf(is) >= all
}

// connections counts those that were opened towards the server by a host.
func connections(r *record.Run, host string) int {
	seen := map[int]bool{}
	for i := range r.Segments {
		if s := &r.Segments[i]; !s.Other && s.Conn > 0 && s.Opener == host {
			seen[s.Conn] = true
		}
	}
	return len(seen)
}

// familyOf is the address family of a connection; 0 where there is none.
func familyOf(r *record.Run, conn int) int {
	for i := range r.Segments {
		s := &r.Segments[i]
		var seg tcp.Segment
		if s.Other || s.Conn != conn || seg.Parse(s.Frame) != nil {
			continue
		}
		if seg.IsIPv6() {
			return 6
		}
		return 4
	}
	return 0
}

// finished tells that the client's FIN came to the wire before the fault struck.
func finished(r *record.Run, conn int) bool {
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Conn != conn {
			continue
		}
		if s.Rule != "" {
			return false
		}
		if s.SentBy == Client && s.Flags.Has(tcp.FIN) {
			return true
		}
	}
	return false
}

// halfCloses tells that the client goes on reading behind its FIN, so that a FIN of
// its says nothing of a close.
func halfCloses(r *record.Run, conn int) bool {
	fin := false
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Conn != conn {
			continue
		}
		fin = fin || s.SentBy == Client && s.Flags.Has(tcp.FIN)
		if fin && s.SentBy == Server && s.Len > 0 && !s.RepeatOnly {
			return true
		}
	}
	return false
}

// gaveUp tells that a host ended the connection by itself, before it had sent as much as
// without a fault.
func gaveUp(free, is *record.Run, conn int, host string) bool {
	sent := func(r *record.Run) (bytes int64, over bool) {
		for i := range r.Segments {
			s := &r.Segments[i]
			if s.Other || s.Conn != conn || s.SentBy != host {
				continue
			}
			if !s.RepeatOnly && !s.Flags.Has(tcp.RST) {
				bytes += int64(s.Len)
			}
			over = over || s.Flags.Has(tcp.FIN) || s.Flags.Has(tcp.RST)
		}
		return bytes, over
	}
	all, _ := sent(free)
	now, over := sent(is)
	return over && now < all
}
