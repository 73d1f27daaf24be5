package detect

import (
	"time"

	. "github.com/onsi/gomega"

	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// jiffy is the coarsest tick that a kernel is built with (HZ=100): sock_diag
// shows expiries rounded to ticks.
const jiffy = 10 * time.Millisecond

// first is the first reading of a host's end of connection 1 in a state.
func first(g Gomega, r *record.Run, host string, state tcp.State) record.State {
	return readings(g, r, host, state)[0]
}

// last is the last reading of a host's end of connection 1 in a state.
func last(g Gomega, r *record.Run, host string, state tcp.State) record.State {
	all := readings(g, r, host, state)
	return all[len(all)-1]
}

func readings(g Gomega, r *record.Run, host string, state tcp.State) []record.State {
	var found []record.State
	for _, s := range r.States {
		if s.Conn == 1 && s.Host == host && s.State == state {
			found = append(found, s)
		}
	}
	g.Expect(found).NotTo(BeEmpty(), "%s was never seen in %s", host, state)
	return found
}

// call is the first call of that name on a host.
func call(g Gomega, r *record.Run, host, name string) record.Call {
	for _, c := range r.Calls {
		if c.Host == host && c.Name == name {
			return c
		}
	}
	g.Expect(name).To(BeEmpty(), "%s never made that call", host)
	return record.Call{}
}

// wait is how long the kernel meant to wait after it had sent a segment: what its
// timer said then. It does not depend on when the timer was looked at.
func wait(g Gomega, r *record.Run, host, segment string) time.Duration {
	sent := Find(g, r, segment)
	for _, s := range r.States {
		if s.Conn == 1 && s.Host == host && s.T >= sent.T && s.Timer != "" {
			return s.T + s.Expires - sent.T
		}
	}
	g.Expect(segment).To(BeEmpty(), "no timer of %s was seen after it", host)
	return 0
}
