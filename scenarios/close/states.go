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
