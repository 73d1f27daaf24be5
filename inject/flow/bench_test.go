package flow

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/lastack/lastack/inject/tcp"
)

// crowd is the segments of many connections, of which a few hundred are open
// at a time, in the order of a capture. last tells where a connection ends.
func crowd(connections, open int) (segments []tcp.Segment, last []bool) {
	r := rand.New(rand.NewPCG(1, 2))
	var talks [][]tcp.Segment
	for begun := 0; begun < connections || len(talks) > 0; {
		for len(talks) < open && begun < connections {
			talk := conversation(r)
			for i := range talk {
				if port := uint16(1024 + begun); talk[i].Src == clientAddr {
					talk[i].Src = netip.AddrPortFrom(clientAddr.Addr(), port)
				} else {
					talk[i].Dst = netip.AddrPortFrom(clientAddr.Addr(), port)
				}
			}
			talks = append(talks, talk)
			begun++
		}
		i := r.IntN(len(talks))
		segments = append(segments, talks[i][0])
		talks[i] = talks[i][1:]
		last = append(last, len(talks[i]) == 0)
		if len(talks[i]) == 0 {
			talks[i] = talks[len(talks)-1]
			talks = talks[:len(talks)-1]
		}
	}
	return segments, last
}

func BenchmarkCrowd(b *testing.B) {
	segments, last := crowd(5000, 500)
	flow := NewTracker(nil)
	var s Sighting
	b.ReportAllocs()
	for b.Loop() {
		for i := range segments {
			flow.Arrive(0, &segments[i], &s)
			flow.Deliver(0, &segments[i], &s)
			if last[i] {
				flow.Forget(s.Conn)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(segments)), "ns/segment")
}

// A tracker that forgets holds what is open, however many there were.
func TestForgettingKeepsMemoryBounded(t *testing.T) {
	segments, last := crowd(2000, 50)
	flow := NewTracker(nil)
	var s Sighting
	play := func() {
		for i := range segments {
			flow.Arrive(0, &segments[i], &s)
			flow.Deliver(0, &segments[i], &s)
			if last[i] {
				flow.Forget(s.Conn)
			}
			if n := len(flow.kept); n > 50 {
				t.Fatalf("%d connections are kept, 50 are open", n)
			}
		}
	}
	play()
	if n := testing.AllocsPerRun(2, play); n > float64(len(segments))/100 {
		t.Errorf("%d segments cost %v allocations, though the memory of 2000 connections was given back", len(segments), n)
	}
	if flow.byPair.n != 0 || len(flow.spare) > maxSpare {
		t.Errorf("%d pairs and %d spare connections are kept", flow.byPair.n, len(flow.spare))
	}
}

// Very many incarnations of one four-tuple cost no more each than a
// few do, neither in finding nor in forgetting them.
func TestManyIncarnations(t *testing.T) {
	flow := NewTracker(nil)
	var s Sighting
	const n = 20_000
	for i := range n {
		seg := tcp.Segment{Flags: tcp.SYN, Src: clientAddr, Dst: serverAddr, Seq: tcp.Seq(i * 40_000)}
		flow.Arrive(0, &seg, &s)
		flow.Deliver(0, &seg, &s)
		seg.Flags, seg.Seq = tcp.ACK, seg.Seq.Add(20_000) // of none of them
		flow.Arrive(0, &seg, &s)
		flow.Deliver(0, &seg, &s)
	}
	if got := len(flow.Conns()); got != n {
		t.Errorf("%d connections, want %d", got, n)
	}
	for number := range n {
		flow.Forget(number + 1)
	}
	if flow.byPair.n != 0 || len(flow.kept) != 0 {
		t.Errorf("%d pairs and %d connections are kept", flow.byPair.n, len(flow.kept))
	}
}
