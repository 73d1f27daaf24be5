package reset

import (
	"strconv"

	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// stateAt is the state in which a host's end of connection 1 was last seen at
// the time when a segment came to the wire.
func stateAt(g Gomega, r *record.Run, host string, at *record.Segment) tcp.State {
	state, known := r.StateAt(1, host, at.T)
	g.Expect(known).To(BeTrue(), "no state of %s is known", host)
	return state.State
}

// outcomes are what the calls of that name came to on a host, in order: the
// error's name, or else the number as text.
func outcomes(r *record.Run, host, name string) (list []string) {
	for _, c := range r.Calls {
		if c.Host == host && c.Name == name {
			list = append(list, outcome(c))
		}
	}
	return list
}

// outcome is a call's error, or else the number that it returned.
func outcome(c record.Call) string {
	if c.Errno != "" {
		return c.Errno
	}
	return strconv.FormatInt(c.Result, 10)
}
