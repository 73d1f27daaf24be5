package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// The bounds of what must happen without any fault.
const (
	// start is how long a server may take until it serves.
	start = 30 * time.Second
	// daemon is how long what a server left behind may take, and one that listens for
	// its own host only.
	daemon = 5 * time.Second
	// whole is how long the pair may take without a fault.
	whole = 60 * time.Second
	// settle is how long the two kernels may take to end a connection when the
	// client has ended.
	settle = 2 * time.Second
)

// A second client runs on hosts of its own, one while the fault lasts and one after
// it: files that the one leaves are not in the other's way.
const (
	second = "second"
	third  = "third"
)

// play is one play of the pair, and what it found out beside the record.
type play struct {
	sweep *sweep
	// failed is why the play could not be played, in words for the user.
	failed string
	// killed: the play itself ended the programs of the client's or the server's
	// host.
	killed map[string]bool
	// afterClose: when the fault had struck, no descriptor of the client's referred to
	// the connection any more.
	afterClose bool
	// hung: the client did not end in time. waits is then what its kernel waits
	// for, where the record's end is too late to tell.
	hung  bool
	waits string
}

func (w *sweep) newPlay() *play { return &play{sweep: w, killed: map[string]bool{}} }

// reset begins anew: a run whose harness was late is played again.
func (p *play) reset() { *p = *p.sweep.newPlay() }

// serve starts the server and waits until it is ready; false where it never is.
func (p *play) serve(s *harness.Stage) bool {
	// What begins needs a processor, what waits does not.
	p.sweep.starting <- struct{}{}
	defer func() { <-p.sweep.starting }()
	c := p.sweep.config
	server := s.Server.Run(harness.ProgramSpec{Argv: c.Server})
	ready := s.Server.ListeningAny()
	switch {
	case c.Ready != nil:
		ready = server.Logged(c.Ready)
	case c.Port != 0:
		ready = s.Server.Listening(c.Port)
	}
	first := s.AwaitFirst(daemon, ready, server.Exited())
	if first < 0 && (c.Ready != nil || s.Server.Unreachable(c.Port) == nil) { // else it waits in vain
		first = s.AwaitFirst(start-daemon, ready, server.Exited())
	}
	if first == 1 {
		if exit, signal, _ := server.Status(); exit != 0 || signal != "" {
			p.failed = fmt.Sprintf("the server %s before it listened", howEnded(exit, signal))
			return false
		}
		first = s.AwaitFirst(daemon, ready) // it may have left a daemon behind
		if first < 0 {
			p.failed = "the server exited 0, and nothing that it left behind listens"
			return false
		}
	}
	if first < 0 {
		p.failed = p.deaf(s)
	}
	return first >= 0
}

// deaf says why a server that runs cannot be reached.
func (p *play) deaf(s *harness.Stage) string {
	var where []string
	loopback := true
	for _, l := range s.Server.Unreachable(p.sweep.config.Port) {
		where = append(where, l.String())
		loopback = loopback && l.Addr().Unmap().IsLoopback()
	}
	only := "the server listens on " + strings.Join(where, " and ") + " only, "
	switch {
	case where == nil && p.sweep.config.Ready != nil:
		return fmt.Sprintf("the server has not said within %v what --ready asks for", start)
	case where == nil && p.sweep.config.Port != 0:
		for _, l := range s.Server.Listeners() {
			where = append(where, l.String())
		}
		instead := ""
		if where != nil {
			instead = ", but on " + strings.Join(where, " and ")
		}
		return fmt.Sprintf("the server has not listened on port %d within %v%s", p.sweep.config.Port, start, instead)
	case where == nil:
		return fmt.Sprintf("the server has not listened within %v", start)
	case loopback:
		return only + "where no other host can reach it: let it listen on 0.0.0.0 or ::"
	}
	return only + fmt.Sprintf("which cannot be reached over IPv%d: let it listen on 0.0.0.0 or ::, or sweep the other family", s.IP)
}

// howEnded is the end of a program in words.
func howEnded(exit int, signal string) string {
	if signal != "" {
		return "was ended by " + signal
	}
	return fmt.Sprintf("exited %d", exit)
}

func (p *play) client(s *harness.Stage, h *harness.Host) *harness.Program {
	return h.Run(harness.ProgramSpec{Argv: p.sweep.config.Client, Keep: p.sweep.config.Output})
}

// free plays the pair without a fault, to the end of its connections.
func (p *play) free(s *harness.Stage) {
	p.reset()
	if !p.serve(s) {
		return
	}
	client := p.client(s, s.Client)
	if s.AwaitFirst(whole, client.Exited()) < 0 {
		p.failed = fmt.Sprintf("the client had not ended after %v", whole)
		return
	}
	p.ended(s)
	p.count(s)
}

// ended waits until both kernels have done with the connection that is struck.
func (p *play) ended(s *harness.Stage) {
	if s.AwaitFirst(time.Nanosecond, s.Wire.Seen(fmt.Sprintf("%d:%s.SYN", p.sweep.config.Conn, Client))) < 0 {
		return // there never was one
	}
	for _, h := range []*harness.Host{s.Client, s.Server} {
		p.over(s, h, settle)
	}
}

// over waits until a host's kernel has done with the connection that is struck.
func (p *play) over(s *harness.Stage, h *harness.Host, within time.Duration, or ...inject.Condition) {
	conn := p.sweep.config.Conn
	if state := h.Observe(conn).State; state == tcp.Closed || state == tcp.TimeWait {
		return
	}
	waits := inject.Condition{Kind: inject.InState, Host: h.Name(), Conn: conn, State: tcp.TimeWait}
	s.AwaitFirst(within, append(or, h.Gone(conn), waits)...)
}

// count asks --effects on the server's host.
func (p *play) count(s *harness.Stage) {
	if len(p.sweep.config.Effects) == 0 {
		return
	}
	program := s.Server.Run(harness.ProgramSpec{Argv: p.sweep.config.Effects})
	if s.AwaitFirst(start, program.Exited()) < 0 {
		p.failed = fmt.Sprintf("--effects had not ended after %v", start)
	}
}

// strike plays one cell.
func (p *play) strike(s *harness.Stage, c *Cell) {
	p.reset()
	w := p.sweep
	if !p.serve(s) {
		return
	}
	server := s.Server.Programs()[0]
	rule := s.Wire.Rule(c.rule())
	client := p.client(s, s.Client)
	fired := s.AwaitFirst(w.patience, rule.Fired(), client.Exited())
	if fired != 0 {
		// What comes when the client has ended, the kernels do by themselves.
		fired = s.AwaitFirst(w.rest, rule.Fired())
	}
	if fired != 0 {
		return
	}
	p.afterClose = client.Ended()
	// The end of a host is felt on other connections too.
	if !p.afterClose && !c.Fault.Repairable && !c.Fault.Host {
		r := s.Client.Observe(w.config.Conn)
		p.afterClose = r.Orphan || r.State == tcp.TimeWait
	}
	p.act(s, c)
	// A server that the fault itself ends cannot be judged.
	judged := w.config.UnderTest != Client && !p.killed[Server]
	if judged && w.ref.concurrent && !c.Fault.Repairable {
		p.second(s, second)
	}
	if s.AwaitFirst(w.patience, client.Exited()) < 0 {
		p.hung = true
	}
	if c.Fault.Name == "dup-late" {
		s.AwaitFirst(2*late, s.Wire.After(late))
	}
	if judged {
		if p.hung {
			r := s.Client.Observe(w.config.Conn)
			p.waits = waits([]record.Socket{{Host: Client, State: r.State, Timer: r.Timer, Expires: r.Expires, Orphan: r.Orphan}})
			p.killed[Client] = true
			s.Client.Kill()
		}
		rule.Disarm()
		exit, signal, _ := client.Status()
		if c.Fault.Repairable && !p.hung && exit == 0 && signal == "" {
			judged = false // the server has just served this one: it is not down
		}
	}
	if judged {
		p.second(s, third)
		if !c.Fault.Repairable {
			p.over(s, s.Server, settle/4, server.Exited())
		}
	}
	if !p.killed[Server] {
		p.count(s)
	}
}

// act does to a host what the fault of one is.
func (p *play) act(s *harness.Stage, c *Cell) {
	if !c.Fault.Host {
		return
	}
	h := s.Host(c.Strikes)
	switch c.Fault.Name {
	case "kill":
		p.killed[h.Name()] = true
		h.Kill()
	case "poweroff":
		p.killed[h.Name()] = true
		h.PowerOff()
	case "reboot":
		p.killed[h.Name()] = true
		h.PowerOff()
		h.Boot()
	case "stop":
		h.Stop()
		s.AwaitFirst(2*stopped, s.Wire.After(stopped))
		h.Continue()
	}
}

// second runs the client once more, on a host of its own.
func (p *play) second(s *harness.Stage, host string) {
	program := p.client(s, s.Host(host))
	s.AwaitFirst(p.sweep.patience, program.Exited())
}

// observe reads what was seen of a cell out of the play and its record.
func (p *play) observe(c *Cell, r *record.Run) observation {
	w := p.sweep
	o := observation{struck: w.config.Conn, effects: w.ref.effects}
	switch {
	case p.failed != "":
		o.trouble = p.failed
		return o
	case r.Verdict == record.Error:
		o.trouble = r.Why
		return o
	case len(r.Late) > 0 || r.Lost > 0:
		o.unsure = r.Why
	}
	for _, rule := range r.Rules {
		o.fired = o.fired || rule.Hits > 0
	}
	o.client = w.ending(r, Client)
	o.server = w.ending(r, Server)
	o.client.ours, o.server.ours = p.killed[Client], p.killed[Server]
	if p.hung {
		o.client.ended = false
		o.client.ours = false
		if o.waits = p.waits; o.waits == "" {
			o.waits = waits(r.Sockets)
		}
	}
	o.afterClose = p.afterClose && w.closes && finished(r, w.config.Conn)
	if c.Fault.Name == "stop" && w.config.UnderTest != Both && gaveUp(w.free, r, w.config.Conn, c.Strikes) {
		o.gaveUp = c.Strikes
	}
	o.allRead = !c.Fault.Repairable && heardAll(w.free, r, w.config.Conn)
	o.repeats = repeats(w.free, r)
	o.conns = connections(r, Client) - (w.conns - 1)
	for host, at := range map[string]**ending{second: &o.during, third: &o.after} {
		if len(r.On(host).Programs) > 0 {
			e := w.ending(r, host)
			*at = &e
		}
	}
	if n, err := w.counted(r); err == nil && n >= 0 {
		o.effects = n
	} else if err != nil {
		o.trouble = err.Error()
	}
	return o
}

// ending is how the first program of a host ended.
func (w *sweep) ending(r *record.Run, host string) ending {
	for i := range r.Programs {
		p := &r.Programs[i]
		if p.Host != host {
			continue
		}
		e := ending{ended: p.End >= 0, exit: p.Exit, signal: p.Signal, complaint: complaint(p.Stderr, p.Stdout), words: lastWords(p)}
		if e.ended {
			e.took = p.End - p.T
		}
		if host != Server {
			e.out = outputsOf(p, w.config.Ignore)
		}
		return e
	}
	return ending{}
}

// counted is what --effects printed, -1 where it was not run.
func (w *sweep) counted(r *record.Run) (int64, error) {
	programs := r.On(Server).Programs
	if len(w.config.Effects) == 0 || len(programs) < 2 {
		return -1, nil
	}
	p := programs[len(programs)-1]
	n, err := strconv.ParseInt(strings.TrimSpace(string(p.Stdout)), 10, 64)
	switch {
	case p.Exit != 0 || p.Signal != "":
		return 0, fmt.Errorf("--effects %s: %s", howEnded(p.Exit, p.Signal), lastWords(&p))
	case err != nil:
		return 0, fmt.Errorf("--effects printed %q, and not one number", record.Fit(record.Printable(strings.TrimSpace(string(p.Stdout))), 60))
	}
	return n, nil
}

// waits says what could still end a client that hangs: the timers of its kernel.
func waits(sockets []record.Socket) string {
	var list []string
	for _, s := range sockets {
		if s.Host != Client || s.State == tcp.Listen || s.State == tcp.TimeWait || s.State == tcp.Closed || s.Orphan {
			continue
		}
		text := s.State.String() + " without a timer, so that nothing of its kernel's will end it"
		if s.Timer != "" {
			text = fmt.Sprintf("%s with the %s timer, which runs out in %v", s.State, s.Timer, s.Expires.Round(100*time.Millisecond))
		}
		if !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	if len(list) == 0 {
		return "it has no connection, so that nothing of its kernel's will end it"
	}
	return "its connection is in " + strings.Join(list, "; and in ")
}

// errInterrupted: the caller's context ended the sweep.
var errInterrupted = errors.New("interrupted")

// once plays on a lab of its own.
func (w *sweep) once(ctx context.Context, name string, hosts []harness.HostSpec, act func(*harness.Stage), o harness.Options) (*record.Run, error) {
	o.IP, o.Pool, o.Flow, o.Sysctls = w.config.IP, w.pool, true, w.config.Sysctls
	if o.Expected == nil && o.Out == "" {
		o.Expected = func(*record.Run) bool { return true } // evidence is kept of findings only
	}
	play := func(s *harness.Stage) {
		s.At("") // a line of ours says nothing to the user
		act(s)
	}
	r, err := harness.Play(ctx, harness.Scenario{Name: name, Hosts: hosts, Play: play}, o)
	if ctx.Err() != nil {
		return r, errInterrupted
	}
	return r, err
}
