package harness

import (
	"testing"
	"time"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// TestSettle: behind it the wire has every answer, and what a kernel sent and
// took in is what the wire handed over, to the segment.
func TestSettle(t *testing.T) {
	agree := func(t *testing.T, s *Stage) {
		t.Helper()
		for _, h := range []*Host{s.Client, s.Server} {
			h.Settle()
			handed, taken := h.passed()
			n, err := h.counters.TCP()
			if err != nil {
				t.Fatal(err)
			}
			same(t, "segments handed to "+h.name, handed, n.In)
			same(t, "segments that came from "+h.name, taken, n.Out+n.Retrans)
		}
	}
	showEffects(t, []effect{
		{
			name: "a whole connection, a reset and a repeat",
			play: func(t *testing.T, s *Stage) {
				client, server := s.Established()
				agree(t, s)
				s.Wire.On("client.DATA").Drop()
				client.Write("x")
				server.Read(1)
				client.Connect(s.Server, 9)
				server.Close()
				s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
				agree(t, s)
			},
			arrived: map[string]int{"2:server.RST": 1, "client.DATA": 2},
			lost:    map[string]int{"client.DATA#1": 1},
		},
		{
			name: "a request repeats its SYN-ACK",
			play: func(t *testing.T, s *Stage) {
				s.Server.Peer().Listen(defaultPort, 8)
				s.Wire.On("server.SYN-ACK").Always().Drop()
				client := s.Client.Peer()
				client.Open()
				client.Nonblock(true)
				client.Connect(s.Server, defaultPort)
				s.Await(s.Wire.Seen("server.SYN-ACK#2"))
				agree(t, s)
			},
			arrived: map[string]int{"server.SYN-ACK": some},
			lost:    map[string]int{"server.SYN-ACK": some},
		},
		{
			// Its SYN-ACK bears the number of its SYN, and is in no counter of the host.
			name: "a simultaneous open",
			play: func(t *testing.T, s *Stage) {
				s.Wire.On("server.SYN").Always().Drop()
				server := s.Server.Peer()
				server.Open()
				server.Nonblock(true)
				server.Connect(s.Client, defaultPort)
				s.Await(s.Wire.Seen("server.SYN"))
				s.Wire.On("conn != 0").Always().Drop()
				s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.SYN})
				agree(t, s)
				segments := 0
				s.Wire.wire.Do(func(e *inject.Engine, _ time.Duration) {
					for _, p := range e.Log() {
						if !p.Other {
							segments++
						}
					}
				})
				same(t, "segments by then", segments, 3)
			},
			lost: map[string]int{"server.SYN-ACK": 1},
		},
		{
			name: "each answer is there",
			play: func(t *testing.T, s *Stage) {
				s.Established()
				for n := range 50 {
					s.Wire.Inject(1, inject.Forgery{To: "server", Flags: tcp.PSH | tcp.ACK, Len: 1, Seq: &inject.Number{Base: "RCV.NXT", Offset: -50}})
					s.Server.Settle()
					_, taken := s.Server.passed()
					same(t, "segments by then", taken, int64(n)+2)
				}
			},
			arrived: map[string]int{"server.DUP-ACK": 50},
		},
		{
			name: "a host listens, and does not any more",
			play: func(t *testing.T, s *Stage) {
				server := s.Server.Peer()
				same(t, "before", s.Server.Listens(defaultPort), false)
				server.Listen(defaultPort, 8)
				same(t, "while", s.Server.Listens(defaultPort), true)
				server.Close()
				same(t, "after", s.Server.Listens(defaultPort), false)
			},
		},
	})
}
