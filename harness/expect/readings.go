package expect

import (
	"fmt"
	"time"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// Jiffy is the coarsest tick that a kernel is built with (HZ=100): sock_diag
// shows expiries rounded to ticks, so a claim that compares with one allows
// this much.
const Jiffy = 10 * time.Millisecond

// FirstIn is the first reading of a host's end of a connection in a state; the
// expectation fails where there is none. The host is written as in HaveStates:
// "2:client" for connection 2.
func FirstIn(g types.Gomega, r *record.Run, host string, state tcp.State) record.State {
	return Readings(g, r, host, state)[0]
}

// LastIn is the last reading of a host's end of a connection in a state.
func LastIn(g types.Gomega, r *record.Run, host string, state tcp.State) record.State {
	all := Readings(g, r, host, state)
	return all[len(all)-1]
}

// Readings are all readings of a host's end of a connection in a state, in their
// order. There is one at least, if only an empty one after a failure that did
// not end the claim.
func Readings(g types.Gomega, r *record.Run, host string, state tcp.State) []record.State {
	if !g.Expect(r).To(HaveStates(host, state)) {
		return []record.State{{}}
	}
	conn, name, _ := endOf(host, r) // the matcher has read it
	var found []record.State
	for _, s := range r.States {
		if s.Conn == conn && s.Host == name && s.State == state {
			found = append(found, s)
		}
	}
	return found
}

// LastSeen is the last reading of a host's end of a connection in the whole run.
func LastSeen(g types.Gomega, r *record.Run, host string) record.State {
	conn, name, err := endOf(host, r)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	s, known := r.StateAt(conn, name, r.Duration)
	if !known {
		g.Expect(host).To(haveBeenAsked)
	}
	return s
}

// AfterDelivery is how a host's end of a connection stood right behind the
// delivery of a segment. The record holds a reading only where something had
// changed.
func AfterDelivery(g types.Gomega, r *record.Run, host string, segment *record.Segment) record.State {
	conn, name, err := endOf(host, r)
	g.Expect(err).NotTo(gomega.HaveOccurred())
	if len(segment.Departures) == 0 {
		g.Expect(segment.Name()).To(haveBeenDelivered)
		return record.State{}
	}
	var found record.State
	known := false
	for _, s := range r.States {
		if s.Conn != conn || s.Host != name {
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
	if !known {
		g.Expect(host).To(haveBeenAsked)
	}
	return found
}

// Call is the nth system call of that name on a host, from 1; the expectation
// fails where there are fewer.
func Call(g types.Gomega, r *record.Run, host, name string, n int) record.Call {
	found := 0
	for _, c := range r.Calls {
		if c.Host == host && c.Name == name {
			if found++; found == n {
				return c
			}
		}
	}
	g.Expect(name).To(lack(fmt.Sprintf("to have been called %d times on %s, where it was %d times", n, host, found)))
	return record.Call{}
}

// Meant is how long a host's kernel meant to wait after it had sent a segment
// of connection 1: what its timer said then. It does not depend on when the
// timer was looked at.
func Meant(g types.Gomega, r *record.Run, host, segment string) time.Duration {
	sent := Find(g, r, segment)
	for _, s := range r.States {
		if s.Conn == 1 && s.Host == host && s.T >= sent.T && s.Timer != "" {
			return s.T + s.Expires - sent.T
		}
	}
	g.Expect(segment).To(haveStartedATimer)
	return 0
}

// SetTo succeeds where the timer of a reading, a record.State, had been set to d
// no sooner than at a time of the run, and not after the reading. It holds
// however late the kernel was asked: what counts is when the timer runs out. A
// hundredth is allowed for, because the ticks of a busy machine come late.
func SetTo(d, since time.Duration) types.GomegaMatcher { return &setMatcher{d, since} }

type setMatcher struct{ d, since time.Duration }

// Match implements GomegaMatcher.
func (m *setMatcher) Match(actual any) (bool, error) {
	s, ok := actual.(record.State)
	if !ok {
		return false, fmt.Errorf("want a record.State, got %T", actual)
	}
	about := m.d/100 + Jiffy
	return s.Timer != "" && s.T >= m.since && s.Expires <= m.d+about && s.T+s.Latest >= m.since+m.d-about, nil
}

// FailureMessage implements GomegaMatcher.
func (m *setMatcher) FailureMessage(actual any) string { return m.message("Expected", actual) }

// NegatedFailureMessage implements GomegaMatcher.
func (m *setMatcher) NegatedFailureMessage(actual any) string {
	return m.message("Expected not", actual)
}

func (m *setMatcher) message(lead string, actual any) string {
	s, _ := actual.(record.State)
	return fmt.Sprintf("%s\n    a timer set to %v at %s ms or later\nthere was\n    at %s ms in %s: the timer %q, with %v to %v left",
		lead, m.d, ms(m.since), ms(s.T), s.State, s.Timer, s.Expires, s.Latest)
}

// What a record lacks. Each is a matcher that never matches: it is reached only
// where the lack was found already.
const (
	haveBeenAsked     lack = "to have an end of that connection that was asked for its state"
	haveBeenDelivered lack = "to have been delivered"
	haveStartedATimer lack = "to have started a timer that was seen"
)

type lack string

// Match implements GomegaMatcher.
func (lack) Match(any) (bool, error) { return false, nil }

// FailureMessage implements GomegaMatcher.
func (l lack) FailureMessage(actual any) string {
	return "Expected\n    " + record.Printable(actual.(string)) + "\n" + string(l)
}

// NegatedFailureMessage implements GomegaMatcher.
func (l lack) NegatedFailureMessage(actual any) string { return l.FailureMessage(actual) }
