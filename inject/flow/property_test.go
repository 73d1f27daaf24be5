package flow

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/inject/tcp"
)

// conversation makes the segments of a connection as its ends would send them:
// a handshake, data both ways, and the close.
func conversation(r *rand.Rand) []tcp.Segment {
	isn := [2]tcp.Seq{tcp.Seq(r.Uint32()), tcp.Seq(r.Uint32())}
	next := isn
	var all []tcp.Segment
	send := func(from int, flags tcp.Flags, n int) {
		s := tcp.Segment{Flags: flags, Seq: next[from], Len: n, Window: uint16(1 + r.IntN(60000)), Src: clientAddr, Dst: serverAddr}
		if from == 1 {
			s.Src, s.Dst = serverAddr, clientAddr
		}
		if flags.Has(tcp.ACK) {
			s.Ack = next[1-from]
		}
		next[from] = next[from].Add(s.SeqLen())
		all = append(all, s)
	}
	send(0, tcp.SYN, 0)
	send(1, tcp.SYN|tcp.ACK, 0)
	send(0, tcp.ACK, 0)
	for range r.IntN(20) {
		from := r.IntN(2)
		send(from, tcp.PSH|tcp.ACK, 1+r.IntN(1448))
		if r.IntN(2) == 0 {
			send(1-from, tcp.ACK, 0)
		}
	}
	first := r.IntN(2)
	if r.IntN(4) == 0 {
		send(first, tcp.RST|tcp.ACK, 0)
		return all
	}
	send(first, tcp.FIN|tcp.ACK, r.IntN(2)*7)
	send(1-first, tcp.ACK, 0)
	send(1-first, tcp.FIN|tcp.ACK, 0)
	send(first, tcp.ACK, 0)
	return all
}

// identity is what must stay of a segment's names whatever the wire did: its
// kind, and its bytes counted in the stream.
func identity(s *Sighting) []string {
	var names []string
	for _, n := range s.Names.All() {
		switch n.Kind {
		case SYN, SYNACK, FIN, RST:
			names = append(names, fmt.Sprintf("%d:%s.%s", s.Conn, s.From, n.Kind))
		case DATA:
			// Several turns in one segment are one range of the stream.
			text := fmt.Sprintf("%d:%s.DATA", s.Conn, s.From)
			if len(names) > 0 && names[len(names)-1] == text {
				continue
			}
			names = append(names, text)
		}
	}
	return names
}

// stream is the range of bytes that a segment's names speak of.
func stream(s *Sighting) (from, to int64) {
	from, to = -1, -1
	for _, n := range s.Names.All() {
		if n.Kind == DATA {
			if from < 0 {
				from = n.Stream
			}
			to = n.Stream + n.To - n.From
		}
	}
	return from, to
}

func TestNamesSurviveTheWire(t *testing.T) {
	seed := rand.Uint64()
	for i := range 3000 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		segments := conversation(r)

		calm := NewTracker(hostOf)
		want := make([]Sighting, len(segments))
		for k := range segments {
			calm.Arrive(0, &segments[k], &want[k])
			calm.Deliver(0, &segments[k], &want[k])
		}

		// Any loss, any duplication, and any order within a direction, but for
		// its SYN: before that nobody knows where the stream begins.
		order := make([]int, 0, 2*len(segments))
		for k := range segments {
			order = append(order, k)
			for r.IntN(4) == 0 {
				order = append(order, k)
			}
		}
		for range len(order) {
			a := r.IntN(len(order))
			b := r.IntN(len(order))
			x, y := segments[order[a]], segments[order[b]]
			if x.Src == y.Src && !x.Flags.Has(tcp.SYN) && !y.Flags.Has(tcp.SYN) {
				order[a], order[b] = order[b], order[a]
			}
		}
		rough := NewTracker(hostOf)
		for _, k := range order {
			var got Sighting
			rough.Arrive(0, &segments[k], &got)
			if d := cmp.Diff(identity(&want[k]), identity(&got)); d != "" {
				t.Fatalf("seed %d, run %d, segment %d: names (-calm +rough):\n%s\ncalm %v\nrough %v", seed, i, k, d, want[k].Texts(), got.Texts())
			}
			wf, wt := stream(&want[k])
			gf, gt := stream(&got)
			if wf != gf || wt != gt {
				t.Fatalf("seed %d, run %d, segment %d: bytes %d:%d, want %d:%d", seed, i, k, gf, gt, wf, wt)
			}
			if contradiction := contradicts(&segments[k], &got); contradiction != "" {
				t.Fatalf("seed %d, run %d, segment %d: %s", seed, i, k, contradiction)
			}
			if r.IntN(3) > 0 {
				rough.Deliver(0, &segments[k], &got)
			}
		}
	}
}

// contradicts says where a name disagrees with the bytes of its segment.
func contradicts(seg *tcp.Segment, s *Sighting) string {
	if s.Names.n == 0 {
		return "it has no name"
	}
	for _, n := range s.Names.All() {
		f, ok := seg.Flags, true
		switch n.Kind {
		case SYN:
			ok = f.Has(tcp.SYN) && !f.Has(tcp.ACK) && !f.Has(tcp.RST)
		case SYNACK:
			ok = f.Has(tcp.SYN|tcp.ACK) && !f.Has(tcp.RST)
		case FIN:
			ok = f.Has(tcp.FIN)
		case RST:
			ok = f.Has(tcp.RST)
		case DATA:
			ok = seg.Len > 0 && n.To-n.From <= int64(seg.Len)
		case ACK:
			// A segment without any flag is called by the most general name.
			ok = f.Has(tcp.ACK) || f&(tcp.SYN|tcp.FIN|tcp.RST) == 0 && n.Of == None
		case DUPACK, CHALLENGEACK, KEEPALIVE, PROBE:
			ok = seg.Pure()
		case ICMP:
			ok = seg.ICMP != nil
		}
		if !ok {
			return fmt.Sprintf("%s %d bytes is called %s", seg.Flags, seg.Len, s.Text(n))
		}
	}
	return ""
}

func TestLateSYNBelongsToItsConnection(t *testing.T) {
	got := newWire(t).play("> P. 1:11 ack 1\n> S 0\n< S. 0 ack 1\n> P. 11:21 ack 1")
	want := [][]string{
		{"client.DATA@1"}, {"client.SYN"}, {"server.SYN-ACK", "server.ACK(client.SYN)"},
		{"client.DATA@1[10:20]"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

// FuzzFlow feeds any sequence of segments: no panic, the same answers twice,
// and no name that the segment's own bytes contradict.
func FuzzFlow(f *testing.F) {
	f.Add([]byte{0, 2, 0, 0, 0, 1, 18, 0, 1, 0, 0, 16, 1, 1, 0})
	f.Add([]byte{0, 2, 0, 0, 0, 0, 24, 1, 1, 50, 1, 16, 1, 51, 0, 0, 17, 51, 1, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		one, two := NewTracker(hostOf), NewTracker(hostOf)
		for len(script) >= 5 {
			step := script[:5]
			script = script[5:]
			seg := tcp.Segment{
				Src: clientAddr, Dst: serverAddr, Flags: tcp.Flags(step[1]),
				Seq: tcp.Seq(uint32(step[2]) << (step[0] >> 3 & 24)), Ack: tcp.Seq(step[3]), Len: int(step[4]), Window: uint16(step[4]),
			}
			if step[0]&1 != 0 {
				seg.Src, seg.Dst = seg.Dst, seg.Src
			}
			if step[0]&8 != 0 {
				seg.ICMP = &tcp.ICMP{Type: 3}
				seg.Flags, seg.Len = 0, 0
			}
			var a, b Sighting
			if step[0]&2 != 0 {
				one.Forge(&seg, "attacker", &a)
				two.Forge(&seg, "attacker", &b)
			} else {
				one.Arrive(0, &seg, &a)
				two.Arrive(0, &seg, &b)
				if c := contradicts(&seg, &a); c != "" {
					t.Error(c)
				}
			}
			if a.Names != b.Names || a.Conn != b.Conn {
				t.Fatalf("%v and %v for the same segments", a.Texts(), b.Texts())
			}
			if step[0]&4 == 0 {
				one.Deliver(0, &seg, &a)
				two.Deliver(0, &seg, &b)
			}
			for _, text := range a.Texts() {
				if _, err := ParsePattern(text); err != nil {
					t.Errorf("the name %q does not parse: %v", text, err)
				}
			}
			if c := one.Conn(a.Conn); c != nil {
				c.Numbers(c.Opener())
				if n := len(c.ends[0].turns) + len(c.ends[1].turns); n > 2*maxTurns {
					t.Errorf("%d turns are kept", n)
				}
			}
		}
	})
}
