package wait

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// jiffy is the coarsest tick that a kernel is built with (HZ=100): sock_diag
// shows expiries rounded to ticks.
const jiffy = 10 * time.Millisecond

// readings are those of a host's end of a connection in a state: there is one
// at least.
func readings(g Gomega, r *record.Run, conn int, host string, state tcp.State) []record.State {
	var found []record.State
	for _, s := range r.States {
		if s.Conn == conn && s.Host == host && s.State == state {
			found = append(found, s)
		}
	}
	g.Expect(found).NotTo(BeEmpty(), "%s was never seen in %s on connection %d", host, state, conn)
	return found
}

// first is the first reading of a host's end of a connection in a state.
func first(g Gomega, r *record.Run, conn int, host string, state tcp.State) record.State {
	return readings(g, r, conn, host, state)[0]
}

// last is the last one.
func last(g Gomega, r *record.Run, conn int, host string, state tcp.State) record.State {
	all := readings(g, r, conn, host, state)
	return all[len(all)-1]
}

// end is the last reading of a host's end of a connection in the whole run.
func end(g Gomega, r *record.Run, conn int, host string) record.State {
	s, known := r.StateAt(conn, host, r.Duration)
	g.Expect(known).To(BeTrue(), "%s was never asked for connection %d", host, conn)
	return s
}

// after is how a host's end of a connection stood right behind the delivery of
// a segment. The record holds a reading only where something had changed.
func after(g Gomega, r *record.Run, conn int, host string, segment *record.Segment) record.State {
	g.Expect(segment.Departures).NotTo(BeEmpty(), "%s was not delivered", segment.Name())
	var found record.State
	known := false
	for _, s := range r.States {
		if s.Conn != conn || s.Host != host {
			continue
		}
		at := s.T <= segment.Departures[0].T
		if !at && s.Segment >= 0 {
			at = &r.Segments[s.Segment] == segment
		}
		if at {
			found, known = s, true
		}
	}
	g.Expect(known).To(BeTrue(), "%s was never asked for connection %d", host, conn)
	return found
}

// call is the nth system call of a name on a host, from 1.
func call(g Gomega, r *record.Run, host, name string, n int) record.Call {
	for _, c := range r.Calls {
		if c.Host == host && c.Name == name {
			if n--; n == 0 {
				return c
			}
		}
	}
	g.Expect(n).To(BeZero(), "calls of %s on %s that are missing", name, host)
	return record.Call{}
}
