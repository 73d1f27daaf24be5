package docs

import (
	"regexp"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// In reports whether an end of any connection of a run took this transition.
// A state that was shorter than a segment's stay on the wire was not seen, and
// the transitions around it are not found.
func (t Transition) In(r *record.Run) bool {
	for _, s := range steps(r) {
		if s.from == t.From && s.to == t.To && (t.To != tcp.Closed || t.By.fits(s)) {
			return true
		}
	}
	return false
}

func (c Cause) fits(s step) bool {
	return s.reset == (c == Reset) && !(c == Timer && s.heard)
}

// step is a change of state that a run shows.
type step struct {
	from, to tcp.State
	reset    bool // a RST had been delivered to this end
	heard    bool // it was seen when a segment had just been delivered to this end
}

// end is one end of a connection.
type end struct {
	conn int
	host string
}

func steps(r *record.Run) []step {
	found := listeners(r)
	last := map[end]tcp.State{}
	for _, s := range r.States {
		e := end{s.Conn, s.Host}
		from, known := last[e]
		last[e] = s.State
		if !known || from == tcp.Closed {
			from = origin(r, s)
		}
		if from != 0 && from != s.State {
			found = append(found, step{from, s.State, wasReset(r, e, s.T), heard(r, s)})
		}
	}
	return found
}

// origin is the state before the first that was seen of a connection's end; 0
// where it is not known.
func origin(r *record.Run, s record.State) tcp.State {
	if s.State != tcp.SynSent && s.State != tcp.SynRecv {
		return 0
	}
	for conn := 1; conn < s.Conn; conn++ {
		if old, seen := r.StateAt(conn, s.Host, s.T); seen && old.State == tcp.TimeWait && ports(r, conn) == ports(r, s.Conn) {
			return tcp.TimeWait
		}
	}
	if s.State == tcp.SynSent {
		return tcp.Closed
	}
	return tcp.Listen
}

// ports are both ends of a connection, in either order; "" where no segment of
// it was seen.
func ports(r *record.Run, conn int) string {
	for i := range r.Segments {
		s := &r.Segments[i]
		var parsed tcp.Segment
		if s.Other || s.Conn != conn || parsed.Parse(s.Frame) != nil {
			continue
		}
		a, b := parsed.Src.String(), parsed.Dst.String()
		return min(a, b) + " " + max(a, b)
	}
	return ""
}

// wasReset reports whether a RST had come to an end by then.
func wasReset(r *record.Run, e end, by time.Duration) bool {
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Conn != e.conn || s.Flags&tcp.RST == 0 {
			continue
		}
		for _, d := range s.Departures {
			if d.To == e.host && d.T <= by {
				return true
			}
		}
	}
	return false
}

func heard(r *record.Run, s record.State) bool {
	if !s.After || s.Segment < 0 || s.Segment >= len(r.Segments) {
		return false
	}
	for _, d := range r.Segments[s.Segment].Departures {
		if d.To == s.Host {
			return true
		}
	}
	return false
}

var descriptor = regexp.MustCompile(`^\w+\((\d+)`)

// listeners are the steps of sockets that belong to no connection: the calls
// that succeeded are their evidence.
func listeners(r *record.Run) (found []step) {
	listening := map[string]bool{}
	for _, c := range r.Calls {
		m := descriptor.FindStringSubmatch(c.Call)
		if m == nil || c.Result != 0 || c.End < 0 {
			continue
		}
		key := c.Host + " " + c.Peer + " " + m[1]
		switch {
		case c.Name == "listen" && !listening[key]:
			listening[key] = true
			found = append(found, step{from: tcp.Closed, to: tcp.Listen})
		case listening[key] && (c.Name == "close" || c.Name == "shutdown" && strings.Contains(c.Call, "RD")):
			delete(listening, key)
			found = append(found, step{from: tcp.Listen, to: tcp.Closed})
		}
	}
	return found
}
