package check

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
)

// crowd is how many connections are faulted to see whether each leaves something
// behind, and by how much a server must have grown more than without a fault.
const crowd = 5

// crowdHosts are the hosts of the clients of a crowd.
func crowdHosts() []string { return []string{Client, "client2", "client3", "client4", "client5"} }

// census is what a server's processes hold.
type census struct{ descriptors, children, sockets int }

func (c census) minus(o census) census {
	return census{c.descriptors - o.descriptors, c.children - o.children, c.sockets - o.sockets}
}

// beyond tells what has grown by crowd more than it did without a fault; empty
// where nothing has.
func (c census) beyond(free census) string {
	more := c.minus(free)
	for _, x := range []struct {
		n    int
		what string
	}{{more.children, "processes"}, {more.sockets, "sockets"}, {more.descriptors, "descriptors"}} {
		if x.n >= crowd {
			return fmt.Sprintf("%d more %s", x.n, x.what)
		}
	}
	return ""
}

// taken counts what the server's processes hold now.
func taken(s *harness.Stage) (census, error) {
	h, err := s.Server.Holdings()
	return census{h.Descriptors, h.Processes, h.Sockets}, err
}

// pause is how often the server's holdings are counted while they may still shrink.
const pause = 50 * time.Millisecond

// grown is by how much the server's holdings have grown since, once that is no
// finding any more or the patience has passed.
func (p *play) grown(s *harness.Stage, since, free census, patience time.Duration) (census, error) {
	end := time.Now().Add(harness.Timescale(patience))
	for {
		now, err := taken(s)
		grown := now.minus(since)
		if err != nil || grown.beyond(free) == "" || time.Now().After(end) {
			return grown, err
		}
		s.AwaitFirst(2*pause, s.Wire.After(pause))
	}
}

// crowded plays five clients at once, each struck by the cell's fault, or by none
// where c is nil, and says by how much the server has grown. The error is why that is
// not known.
func (p *play) crowded(s *harness.Stage, c *Cell, free census) (grown census, err error) {
	p.reset()
	if !p.serve(s) {
		return census{}, errors.New(p.failed)
	}
	before, err := taken(s)
	if err != nil {
		return census{}, err
	}
	var rules []*harness.Rule
	var clients []*harness.Program
	for _, host := range crowdHosts() {
		if c != nil {
			rules = append(rules, s.Wire.Rule(c.of(host).rule()))
		}
		clients = append(clients, p.client(s, s.Host(host)))
	}
	patience := p.sweep.patience
	for i, client := range clients {
		if c == nil {
			s.AwaitFirst(whole, client.Exited())
			continue
		}
		if s.AwaitFirst(patience, rules[i].Fired()) < 0 {
			return census{}, fmt.Errorf("the fault struck %d of %d clients that ran side by side", i, len(clients))
		}
		if c.Fault.Host {
			p.act(s, c.of(crowdHosts()[i]))
		}
	}
	if c == nil {
		return p.grown(s, before, census{1 - crowd, 1 - crowd, 1 - crowd}, settle)
	}
	// A client that waits for what will not come is gone when its machine is.
	for i, host := range crowdHosts() {
		if !p.killed[host] {
			s.AwaitFirst(settle/4, clients[i].Exited())
			s.Host(host).Kill()
		}
	}
	return p.grown(s, before, free, patience)
}

var clientWord = regexp.MustCompile(`\bclient\b`)

// of is the cell as it strikes the connections of another client's host.
func (c *Cell) of(host string) *Cell {
	o := *c
	rename := func(text string) string { return clientWord.ReplaceAllString(text, host) }
	match := o.Point.Match
	if pattern, err := flow.ParsePattern(match); err == nil {
		pattern.Conn = 1
		match = pattern.String()
	}
	o.Point.Match = fmt.Sprintf("%s>%s:%s", host, Server, rename(match))
	o.Side, o.Strikes = rename(o.Side), rename(o.Strikes)
	return &o
}

// crowd plays five clients at once, each struck by a cell's fault, or by none. It
// returns by how much the server has grown, or why that is not known, and the run.
func (w *sweep) crowd(ctx context.Context, name string, c *Cell, o harness.Options) (grown census, uncounted string, r *record.Run, err error) {
	p := w.newPlay()
	failed := errors.New("it was not played to its end")
	r, err = w.once(ctx, name, hostSpecs(crowdHosts()[1:]...), func(s *harness.Stage) {
		grown, failed = p.crowded(s, c, w.grew)
	}, o)
	switch {
	case err != nil:
		return census{}, "", r, err
	case r.Verdict == record.Error:
		return census{}, r.Why, r, nil
	case failed != nil:
		return census{}, failed.Error(), r, nil
	}
	return grown, "", r, nil
}

// leaks plays a cell against five connections, and says what the server has kept, or
// why that is not known.
func (w *sweep) leaks(ctx context.Context, c *Cell, o harness.Options) (leaked, uncounted string, r *record.Run, err error) {
	if w.uncounted != "" {
		return "", w.uncounted, nil, nil
	}
	grown, uncounted, r, err := w.crowd(ctx, c.Name()+"/five-clients", c, o)
	if err != nil || uncounted != "" {
		return "", uncounted, r, err
	}
	return grown.beyond(w.grew), "", r, nil
}

func hostSpecs(names ...string) []harness.HostSpec {
	var list []harness.HostSpec
	for _, name := range names {
		list = append(list, harness.HostSpec{Name: name})
	}
	return list
}

// leaky tells where leaks are looked for: under faults that TCP does not heal, when
// a conversation begins and in the middle of the longest turn.
func (w *sweep) leaky(c *Cell) bool {
	if w.config.UnderTest == Client || c.Fault.Repairable || c.Strikes == Server {
		return false
	}
	if len(w.config.Cells) > 0 {
		return true
	}
	return c.Point.Kind == flow.DATA && (c.Point.Byte == 0 && c.Point.Turn == 1 || c.Point.Name == w.longest)
}
