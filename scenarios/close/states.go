package close

import (
	"time"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// jiffy is the coarsest tick that a kernel is built with (HZ=100): sock_diag
// shows expiries rounded to ticks.
const jiffy = 10 * time.Millisecond

// first is the first reading of a host's end in a state.
func first(g Gomega, r *record.Run, host string, state tcp.State) record.State {
	return readings(g, r, host, state)[0]
}

// last is the last reading of a host's end in a state.
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

// call is the nth system call of that name on a host, from 1.
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

// results are what the calls of that name returned on a host, in order.
func results(r *record.Run, host, name string) (list []int64) {
	for _, c := range r.Calls {
		if c.Host == host && c.Name == name {
			list = append(list, c.Result)
		}
	}
	return list
}

// errnos are the errors of the calls of that name on a host, in order; empty
// where one went well.
func errnos(r *record.Run, host, name string) (list []string) {
	for _, c := range r.Calls {
		if c.Host == host && c.Name == name {
			list = append(list, c.Errno)
		}
	}
	return list
}

// next is the first segment of a host that came to the wire after a moment.
func next(g Gomega, r *record.Run, host string, after time.Duration) *record.Segment {
	for i := range r.Segments {
		if s := &r.Segments[i]; !s.Other && s.SentBy == host && s.T > after {
			return s
		}
	}
	g.Expect(host).To(BeEmpty(), "it sent nothing more")
	return &record.Segment{}
}
