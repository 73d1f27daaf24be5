package docs

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

func TestSteps(t *testing.T) {
	at := func(ms int, conn int, host string, state tcp.State) record.State {
		return record.State{T: time.Duration(ms) * time.Millisecond, Conn: conn, Host: host, State: state}
	}
	rst := func(ms int, conn int, to string) record.Segment {
		return record.Segment{
			Sighting: flow.Sighting{Conn: conn}, Flags: tcp.RST,
			Departures: []record.Departure{{T: time.Duration(ms) * time.Millisecond, To: to}},
		}
	}
	for _, c := range []struct {
		name string
		run  record.Run
		want []step
	}{
		{
			name: "both ends, and the same state again",
			run: record.Run{States: []record.State{
				at(0, 1, "client", tcp.SynSent), at(1, 1, "server", tcp.SynRecv), at(2, 1, "client", tcp.Established), at(2, 1, "server", tcp.SynRecv),
				at(3, 1, "server", tcp.Established),
			}},
			want: []step{
				{from: tcp.Closed, to: tcp.SynSent}, {from: tcp.Listen, to: tcp.SynRecv},
				{from: tcp.SynSent, to: tcp.Established}, {from: tcp.SynRecv, to: tcp.Established},
			},
		},
		{
			name: "what was before the first sight is not guessed",
			run:  record.Run{States: []record.State{at(0, 1, "client", tcp.Established), at(1, 1, "client", tcp.FinWait1)}},
			want: []step{{from: tcp.Established, to: tcp.FinWait1}},
		},
		{
			name: "closed, then a request again",
			run:  record.Run{States: []record.State{at(0, 1, "server", tcp.Closed), at(1, 1, "server", tcp.SynRecv)}},
			want: []step{{from: tcp.Listen, to: tcp.SynRecv}},
		},
		{
			name: "by a RST, but only by one that came, to this end, before",
			run: record.Run{
				States: []record.State{
					at(0, 1, "client", tcp.Established), at(0, 1, "server", tcp.Established), at(0, 2, "server", tcp.Established),
					at(5, 1, "server", tcp.Closed), at(6, 2, "server", tcp.Closed), at(7, 1, "client", tcp.Closed),
				},
				Segments: []record.Segment{rst(4, 1, "server"), rst(8, 1, "client"), {Sighting: flow.Sighting{Conn: 2}, Flags: tcp.RST}},
			},
			want: []step{
				{from: tcp.Established, to: tcp.Closed, reset: true}, {from: tcp.Established, to: tcp.Closed}, {from: tcp.Established, to: tcp.Closed},
			},
		},
		{
			name: "a listener's life is in its calls",
			run: record.Run{Calls: []record.Call{
				{Host: "server", Name: "listen", Call: "listen(3, 8)"},
				{Host: "client", Name: "listen", Call: "listen(3, 8)", Result: -1, Errno: "EADDRINUSE"},
				{Host: "client", Name: "close", Call: "close(3)"},
				{Host: "server", Peer: "second", Name: "close", Call: "close(3)"},
				{Host: "server", Name: "shutdown", Call: "shutdown(3, SHUT_WR)"},
				{Host: "server", Name: "close", Call: "close(3)"},
				{Host: "server", Name: "close", Call: "close(3)"},
			}},
			want: []step{{from: tcp.Closed, to: tcp.Listen}, {from: tcp.Listen, to: tcp.Closed}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, steps(&c.run), cmp.AllowUnexported(step{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestNewIncarnation: a new connection takes the place of TIME_WAIT only where
// its ports are the same.
func TestNewIncarnation(t *testing.T) {
	segment := func(conn int, port uint16) record.Segment {
		return record.Segment{Sighting: flow.Sighting{Conn: conn}, Flags: tcp.SYN, Frame: syn(port)}
	}
	for _, c := range []struct {
		port uint16
		last tcp.State
		want tcp.State
	}{
		{40000, tcp.TimeWait, tcp.TimeWait},
		{40001, tcp.TimeWait, tcp.Listen},
		{40000, tcp.Closed, tcp.Listen},
	} {
		run := record.Run{
			States: []record.State{
				{T: 1, Conn: 1, Host: "server", State: tcp.TimeWait}, {T: 2, Conn: 1, Host: "server", State: c.last},
				{T: 3, Conn: 2, Host: "server", State: tcp.SynRecv},
			},
			Segments: []record.Segment{segment(1, 40000), segment(2, c.port)},
		}
		tr := Transition{From: c.want, To: tcp.SynRecv}
		if !tr.In(&run) {
			t.Errorf("port %d after %s: %+v, want a step from %s", c.port, c.last, steps(&run), c.want)
		}
	}
}

// syn is a frame with a SYN from a port of the client to the server.
func syn(port uint16) []byte {
	f := make([]byte, 14+20+20)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip := f[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(ip[2:], 40)
	copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	segment := ip[20:]
	binary.BigEndian.PutUint16(segment, port)
	binary.BigEndian.PutUint16(segment[2:], 8080)
	segment[12], segment[13] = 5<<4, byte(tcp.SYN)
	return f
}

func TestIn(t *testing.T) {
	run := record.Run{
		States: []record.State{{Conn: 1, Host: "client", State: tcp.FinWait2}, {T: 2, Conn: 1, Host: "client", State: tcp.Closed}},
		Segments: []record.Segment{{
			Sighting: flow.Sighting{Conn: 1}, Flags: tcp.RST, Departures: []record.Departure{{T: 1, To: "client"}},
		}},
	}
	for _, c := range []struct {
		t    Transition
		want bool
	}{
		{Transition{From: tcp.FinWait2, To: tcp.Closed, By: Reset}, true},
		{Transition{From: tcp.FinWait2, To: tcp.Closed}, false},
		{Transition{From: tcp.FinWait2, To: tcp.Closed, By: Timer}, false},
		{Transition{From: tcp.FinWait2, To: tcp.TimeWait}, false},
	} {
		if got := c.t.In(&run); got != c.want {
			t.Errorf("%v, cause %v: %v", c.t, c.t.By, got)
		}
	}
}

// TestTimer: what is seen closed when a segment has just come was closed by
// it, as far as anybody knows.
func TestTimer(t *testing.T) {
	byTimer := Transition{From: tcp.LastAck, To: tcp.Closed, By: Timer}
	byAnything := Transition{From: tcp.LastAck, To: tcp.Closed}
	for _, c := range []struct {
		closed record.State
		want   bool
	}{
		{record.State{Segment: -1}, true},
		{record.State{Segment: 0}, true},
		{record.State{Segment: 0, After: true}, false},
		{record.State{Segment: 1, After: true}, true},
	} {
		c.closed.T, c.closed.Conn, c.closed.Host, c.closed.State = 2, 1, "server", tcp.Closed
		run := record.Run{
			States: []record.State{{T: 1, Conn: 1, Host: "server", State: tcp.LastAck, Segment: -1}, c.closed},
			Segments: []record.Segment{
				{Departures: []record.Departure{{To: "server"}}}, {Departures: []record.Departure{{To: "client"}}},
			},
		}
		if got := byTimer.In(&run); got != c.want || !byAnything.In(&run) {
			t.Errorf("seen at segment %d, after %v: by timer %v, want %v", c.closed.Segment, c.closed.After, got, c.want)
		}
	}
}
