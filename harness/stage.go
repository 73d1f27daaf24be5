package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
)

// Stage is what a play plays on: two hosts and the wire between them. Arm
// rules, act, await: rules stand before the trigger. No method returns an
// error: the first failure ends the play, with the scenario's file and line.
//
// A Stage belongs to the goroutine of its play.
type Stage struct {
	// Client opens connections, Server accepts them.
	Client, Server *Host
	// Wire is what lies between the hosts.
	Wire  *Wire
	hosts map[string]*Host
	// IP is the address family of this play, 4 or 6.
	IP int

	name string // the scenario's
	ctx  context.Context
	// bound is how long one wait may last: base, and what the sysctls in force
	// make the kernel take.
	base, bound time.Duration
	clock       func() time.Duration
	// monotonic is CLOCK_MONOTONIC at the run's T = 0.
	monotonic time.Duration

	// turns and measuring are those of Options; unmeasured tells that the play
	// asked for a length that is not known.
	turns                 map[turn]int64
	measuring, unmeasured bool

	stock    bool
	pinned   map[string]bool // sysctls that the user set: HOST:KEY
	deadline []deadline
	place    *string // of At; nil in a play that is Go

	census census // where the programs of this lab are found

	mu    sync.Mutex // guards calls
	calls []*record.Call
}

// deadline is a duration within which the harness itself must act, lest the
// kernel do something else than what the play is about.
type deadline struct {
	what     string
	from, to func() (time.Duration, bool)
	within   time.Duration
}

// stop is how a play ends early; it never leaves this package.
type stop struct {
	verdict record.Verdict
	why     string
}

func (s *Stage) stop(verdict record.Verdict, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	at := s.place
	if at == nil {
		line := caller()
		at = &line
	}
	if *at != "" {
		why = *at + ": " + why
	}
	panic(stop{verdict, why})
}

// caller is the file and line outside this package from which a method of the
// stage was called.
func caller() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, thisPackage+".") {
			return fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			return ""
		}
	}
}

const thisPackage = "github.com/lastack/lastack/harness"

// Await waits until a condition is met; one that was met before returns at
// once. Where it does not come in time the run is FAIL, or INCONCLUSIVE where
// it is a rule's Fired.
func (s *Stage) Await(c inject.Condition) {
	if c.Kind == "" {
		s.stop(record.Error, "await a condition that was never made")
	}
	if s.measuring && c.Kind == inject.Fired {
		return // no rule stands in a fault-free play
	}
	bound := s.bound
	if c.Kind == inject.After && !s.measuring {
		bound += c.D
	}
	ctx, cancel := context.WithTimeout(s.ctx, bound)
	defer cancel()
	_, err := s.Wire.wire.Await(ctx.Done(), c)
	switch {
	case err == nil:
		return
	case s.ctx.Err() != nil:
		s.stop(record.Error, "interrupted while awaiting %s", c)
	case !errors.Is(err, inject.ErrGivenUp):
		s.stop(record.Error, "await %s: %v", c, err)
	case c.Kind == inject.Fired:
		s.stop(record.Inconclusive, "the rule %q had not fired after %v", c.Rule, bound)
	}
	s.stop(record.Fail, "awaited %s, which had not come after %v", c, bound)
}

// AwaitFirst waits until one of several conditions is met, and returns the index
// of the first one; −1 where none came in time. atMost 0 is the bound of Await;
// another is stretched by LASTACK_TIMESCALE too. It passes no verdict. In a
// fault-free play, where no rule stands, Fired is not waited for; where there is
// nothing else, the last index is returned at once.
func (s *Stage) AwaitFirst(atMost time.Duration, conds ...inject.Condition) int {
	bound := s.bound
	if s.measuring { // for programs, which may take long to start
		bound = s.base
	}
	if atMost > 0 {
		bound = Timescale(atMost)
	}
	ctx, cancel := context.WithTimeout(s.ctx, bound)
	defer cancel()
	type met struct {
		index int
		at    time.Duration
		err   error
	}
	first := met{index: -1}
	enter := func(m met) {
		switch {
		case errors.Is(m.err, inject.ErrGivenUp):
		case m.err != nil:
			s.stop(record.Error, "await %s: %v", conds[m.index], m.err)
		case first.index < 0 || m.at < first.at || m.at == first.at && m.index < first.index:
			first = m
		}
	}
	// Of those that were met before the first in the list counts.
	now := make(chan struct{})
	close(now)
	var waiting []int
	for i, c := range conds {
		switch {
		case c.Kind == "":
			s.stop(record.Error, "await a condition that was never made")
		case s.measuring && c.Kind == inject.Fired:
			continue
		}
		waiting = append(waiting, i)
		_, err := s.Wire.wire.Await(now, c)
		if enter(met{i, 0, err}); first.index >= 0 {
			return first.index
		}
	}
	if waiting == nil {
		return len(conds) - 1
	}
	results := make(chan met, len(waiting))
	for _, i := range waiting {
		go func() {
			at, err := s.Wire.wire.Await(ctx.Done(), conds[i])
			results <- met{i, at, err}
			cancel() // the others need not wait
		}()
	}
	for range waiting {
		enter(<-results)
	}
	if first.index < 0 && s.ctx.Err() != nil {
		s.stop(record.Error, "interrupted while awaiting %s", conds[0])
	}
	return first.index
}

// Promptly says that the harness must do something within a time after
// something else, because otherwise a timer of the kernel does it first. A run
// in which it was late is INCONCLUSIVE and played again, in calm. from is a
// segment that was delivered, to a system call of a host's peer.
func (s *Stage) Promptly(why string, from string, host *Host, call string, within time.Duration) {
	m, err := inject.ParseMatch(from)
	if err != nil {
		s.stop(record.Error, "%v", err)
	}
	s.deadline = append(s.deadline, deadline{
		what:   why,
		within: within,
		from: func() (at time.Duration, ok bool) {
			s.Wire.wire.Do(func(e *inject.Engine, _ time.Duration) {
				for _, p := range e.Log() {
					if len(p.Departures) > 0 && m.Matches(&p.Segment, &p.Sighting) {
						at, ok = p.Departures[0].T, true
						return
					}
				}
			})
			return at, ok
		},
		to: func() (time.Duration, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, c := range s.calls {
				if c.Host == host.name && c.Name == call {
					return c.T, true
				}
			}
			return 0, false
		},
	})
}

// Host is the host of that name; the scenario's Hosts make further ones.
func (s *Stage) Host(name string) *Host {
	h := s.hosts[name]
	if h == nil {
		s.stop(record.Error, "there is no host %q: is it among the scenario's hosts?", name)
	}
	return h
}

// Attacker is the host of the off-path attacker, which the scenario's Hosts
// name.
func (s *Stage) Attacker() *Host { return s.Host(AttackerName) }

// Established opens a connection from the client to the server and returns
// its two ends, once the server's program has accepted it.
func (s *Stage) Established() (client, server *Peer) {
	server = s.Server.Peer()
	client = s.Client.Peer()
	server.Listen(defaultPort, 8)
	client.Connect(s.Server, defaultPort)
	server.Accept()
	return client, server
}

// defaultPort is where Established listens, so that every ladder reads alike.
const defaultPort = 8080
