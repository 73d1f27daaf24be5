package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/internal/evidence"
	"github.com/lastack/lastack/harness/internal/probe"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
	"github.com/lastack/lastack/internal/shell"
	"github.com/lastack/lastack/netenv"
)

// Play plays a scenario once on a fresh lab and judges it. A run whose harness
// was late is played again, at most twice, with as many others beside it as there
// are more cores; only the last attempt leaves evidence. The error is for what could
// not be begun: no Linux, no privileges, a setting that this kernel does not
// know; the record is then nil. Everything else is the record's verdict.
func Play(ctx context.Context, sc Scenario, o Options) (*record.Run, error) {
	return play(ctx, &sc, variant{name: cmp.Or(sc.Variant, "default"), play: sc.Play, claim: -1}, o)
}

// variant is what is played of a scenario: itself, or the refutation of a claim.
type variant struct {
	name  string
	play  func(*Stage)
	edit  func(*record.Run)
	claim int // the claim that must fail; -1 for the scenario as it stands
}

// refutes begins the name of a variant that breaks a claim.
const refutes = "refute: "

// worked tells whether the run came out as this variant should; if not its
// evidence is kept.
func (v *variant) worked(r *record.Run, o *Options) bool {
	switch {
	case v.claim < 0 && o.Expected != nil:
		return o.Expected(r)
	case v.claim < 0:
		return r.Verdict == record.Pass
	}
	for _, c := range r.Claims {
		if v.name == refutes+c.Sentence {
			return c.Verdict == record.Fail && (r.Verdict == record.Fail || r.Verdict == record.Pass)
		}
	}
	return false
}

// Refute plays the change that must break claim i of a scenario. The claim is
// refuted when its verdict in the record is FAIL and the run's is not
// INCONCLUSIVE, SKIP or ERROR.
func Refute(ctx context.Context, sc Scenario, i int, o Options) (*record.Run, error) {
	claim := sc.Claims[i]
	v := variant{name: refutes + claim.Says, play: sc.Play, claim: i}
	switch change := claim.Refute; {
	case change.Play != nil:
		v.play = change.Play
	case len(change.Sysctls) > 0:
		o.Sysctls = append(slices.Clone(change.Sysctls), o.Sysctls...)
	case change.Edit != nil:
		v.edit = change.Edit
	default:
		return nil, fmt.Errorf("refute claim %q of %s: it has no refutation", claim.Says, sc.Name)
	}
	return play(ctx, &sc, v, o)
}

// attempts is how often a run is played whose harness was late.
const attempts = 3

func play(ctx context.Context, sc *Scenario, v variant, o Options) (*record.Run, error) {
	if sc.Name == "" || v.play == nil {
		return nil, errors.New("play scenario: it needs a name and a play")
	}
	if o.IP == 0 {
		o.IP = 4
	}
	if o.IP != 4 && o.IP != 6 {
		return nil, fmt.Errorf("play %s: there is no IP version %d", sc.Name, o.IP)
	}
	if o.Pool == nil {
		pool, err := NewPool(ctx, 1)
		if err != nil {
			return nil, err
		}
		defer pool.Close()
		o.Pool = pool
	}
	if o.turns == nil {
		o.turns = map[turn]int64{}
	}
	var earlier []string
	for {
		r, again, err := once(ctx, sc, v, o, earlier)
		if errors.Is(err, errUnmeasured) {
			if err = measure(ctx, sc, v, o); err == nil {
				r, again, err = once(ctx, sc, v, o, earlier)
			}
		}
		if err != nil || !again {
			return r, err
		}
		earlier = append(earlier, r.Why)
	}
}

// once plays one attempt, in calm where earlier ones did not count. again tells that
// this one does not either, because the harness missed a deadline: it says nothing,
// and leaves no evidence.
func once(ctx context.Context, sc *Scenario, v variant, o Options, earlier []string) (r *record.Run, again bool, err error) {
	leave, err := take(ctx, o.Pool.stand)
	if err != nil {
		return nil, false, err
	}
	defer leave()
	enter := o.Pool.calm.first
	if len(earlier) > 0 {
		enter = o.Pool.calm.again
	}
	defer enter()()
	l, err := newLab(ctx, sc, o)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if e := l.close(); e != nil && err == nil {
			err = fmt.Errorf("play %s: %w", sc.Name, e)
		}
	}()
	if why := lacking(ctx, sc.Needs, l.stage.Client.env); why != "" {
		r, _ = l.record() // nothing was played that could have moved a counter
		r.Scenario, r.Summary, r.Play = sc.Name, sc.Summary, v.name
		r.Verdict, r.Why, r.Repro = record.Skip, why, repro(sc, o)
		return r, false, nil
	}
	r = l.run(sc, v)
	if l.stage.measuring {
		return nil, false, l.measured(o.turns)
	}
	r.Attempts = earlier
	r.Repro = repro(sc, o)
	if l.stage.unmeasured {
		return nil, false, fmt.Errorf("play %s: %s: %w", sc.Name, r.Why, errUnmeasured)
	}
	late := !o.Flow && l.late(r)
	rebase(r)
	if v.edit != nil {
		v.edit(r)
	}
	Judge(sc, r)
	if ctx.Err() != nil {
		return r, false, nil // interrupted: neither a verdict nor evidence of one
	}
	if late && len(earlier) < attempts-1 {
		return r, true, nil
	}
	// The evidence is on disk before anything is torn down.
	dir := o.Out
	if dir == "" && !v.worked(r, &o) {
		if dir, err = os.MkdirTemp("", "lastack-"); err != nil {
			return r, false, fmt.Errorf("keep evidence of %s: %w", sc.Name, err)
		}
	}
	if dir != "" {
		r.Evidence = filepath.Join(dir, evidenceName(r))
		if err := evidence.Write(r.Evidence, r); err != nil {
			return r, false, fmt.Errorf("keep evidence of %s: %w", sc.Name, err)
		}
	}
	return r, false, nil
}

// evidenceName is the folder of a run below the directory of evidence.
func evidenceName(r *record.Run) string {
	name := strings.NewReplacer("/", "-", "{", "-", "}", "", "=", "-", " ", "-").Replace(r.Scenario)
	switch {
	case strings.HasPrefix(r.Play, refutes):
		name += "-refuted"
	case r.Play != "default":
		name += "-" + r.Play
	}
	return fmt.Sprintf("%s-ip%d", name, r.IP)
}

func repro(sc *Scenario, o Options) string {
	if o.Repro != "" {
		return o.Repro
	}
	words := []string{"lastack", "run", sc.Name, "--ip", strconv.Itoa(o.IP), "-v"}
	if o.Stock {
		words = append(words, "--stock")
	}
	for _, s := range o.Sysctls {
		words = append(words, "--set", s.String())
	}
	return shell.Join(words)
}

// lab is a stage with all that it stands on.
type lab struct {
	stage *Stage
	env   *netenv.Lab
	wire  *inject.Wire
	hosts []*Host
	start time.Time
	// patience is how late a segment may leave.
	patience time.Duration
}

func newLab(ctx context.Context, sc *Scenario, o Options) (*lab, error) {
	spec, err := labSpec(sc.Hosts)
	if err != nil {
		return nil, err
	}
	spec.IP = o.IP
	for i := range spec.Hosts {
		spec.Hosts[i].Offloads = o.Wire == Super
	}
	done, err := take(ctx, o.Pool.build)
	if err != nil {
		return nil, err
	}
	defer done()
	env, err := o.Pool.keeper.NewLab(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("build lab: %w", err)
	}
	l := &lab{env: env, patience: cmp.Or(sc.Patience, tolerance)}
	bound := o.Bound
	if bound == 0 {
		bound = 30 * time.Second
	}
	bound = Timescale(bound)
	s := &Stage{IP: o.IP, name: sc.Name, ctx: ctx, base: bound, bound: bound, stock: o.Stock, pinned: map[string]bool{}}
	l.stage = s
	if s.turns, s.measuring = o.turns, o.measuring; s.measuring {
		s.bound = min(bound, Timescale(measureBound))
	}
	config := inject.WireConfig{Step: !o.Flow, Log: true}
	names := map[string]*Host{}
	for _, e := range env.Hosts() {
		h := &Host{stage: s, name: e.Name, env: e, begun: map[string]int{}}
		if h.diag, err = probe.NewDiag(e.Diag); err != nil {
			l.close()
			return nil, fmt.Errorf("build lab: %s: %w", e.Name, err)
		}
		h.counters = probe.NewCounters(e.SNMP, e.Netstat)
		l.hosts = append(l.hosts, h)
		if h.socket, err = inject.TakeSocket(e.Port); err != nil {
			l.close()
			return nil, fmt.Errorf("build lab: %s: %w", e.Name, err)
		}
		names[e.Name] = h
		config.Ports = append(config.Ports, inject.WirePort{
			Port:   inject.Port{Host: e.Name, Addrs: []netip.Addr{e.IPv4, e.IPv6}, MAC: e.MAC},
			Socket: h.socket, Super: o.Wire == Super,
		})
	}
	s.hosts, s.Client, s.Server = names, names[netenv.ClientName], names[netenv.ServerName]
	if err := l.configure(ctx, o); err != nil {
		l.close()
		return nil, err
	}
	for _, h := range l.hosts {
		if h.before, err = h.counters.Read(); err != nil {
			l.close()
			return nil, fmt.Errorf("build lab: %s: %w", h.name, err)
		}
	}
	l.start = time.Now()
	s.monotonic = origin(l.start)
	s.clock = func() time.Duration { return time.Since(l.start) }
	config.Clock, config.Prober = s.clock, prober{names}
	if l.wire, err = inject.NewWire(config); err != nil {
		l.close()
		return nil, fmt.Errorf("build lab: %w", err)
	}
	s.Wire = &Wire{stage: s, wire: l.wire}
	return l, nil
}

// configure sets what the user asked for, before the play sets anything.
func (l *lab) configure(ctx context.Context, o Options) error {
	for _, set := range o.Sysctls {
		found := false
		for _, h := range l.hosts {
			if set.Host != "" && set.Host != h.name {
				continue
			}
			found = true
			if err := h.env.SetSysctl(ctx, set.Key, set.Value); err != nil {
				return fmt.Errorf("set %s on %s: %w", set.Key, h.name, err)
			}
			l.stage.pinned[h.name+":"+set.Key] = true
		}
		if !found {
			return fmt.Errorf("set %s: there is no host %q", set.Key, set.Host)
		}
	}
	return nil
}

// close tears the lab down in the order that keeps the wire silent.
func (l *lab) close() error {
	var first error
	if l.wire != nil {
		first = l.wire.Close()
	}
	for _, h := range l.hosts {
		if h.socket != nil {
			h.socket.Close()
		}
	}
	if err := l.env.Close(); err != nil && first == nil {
		first = err
	}
	for _, h := range l.hosts {
		for _, p := range append(h.peers, h.spent...) {
			p.conn.Close()
			p.underway.Wait()
		}
		h.awaitPrograms()
		for _, f := range h.retired {
			f.Close()
		}
	}
	return first
}

// run plays and writes the record, whose verdict is the play's own.
func (l *lab) run(sc *Scenario, v variant) *record.Run {
	end := l.perform(v.play)
	sockets, unlisted := l.sockets() // before what is held is let go and moves them
	if end.verdict == record.Pass {
		l.drain()
	}
	l.wire.Do(func(e *inject.Engine, now time.Duration) { e.Release(now) })
	r, err := l.record()
	r.Sockets = sockets
	if err = errors.Join(unlisted, err, l.keep(r)); err != nil && end.verdict != record.Error {
		end = stop{record.Error, err.Error()}
	}
	r.Scenario, r.Summary, r.Play = sc.Name, sc.Summary, v.name
	r.Verdict, r.Why = end.verdict, end.why
	if r.Verdict == record.Pass {
		if err := l.fault(); err != nil {
			r.Verdict, r.Why = record.Error, err.Error()
		}
	}
	if r.Verdict == record.Pass {
		if why := l.unfired(); why != "" {
			r.Verdict, r.Why = record.Inconclusive, why
		}
	}
	if r.Lost > 0 && r.Verdict != record.Error {
		r.Verdict = record.Inconclusive
		r.Why = fmt.Sprintf("the wire read too slowly: the kernel dropped %d frames before it saw them", r.Lost)
	}
	return r
}

// fault is a peer that ended without the play's doing.
func (l *lab) fault() error {
	for _, h := range l.hosts {
		for _, p := range h.peers {
			if err := p.fault(); err != nil {
				return err
			}
		}
	}
	return nil
}

// perform runs the play on a goroutine of its own, so that nothing which the
// play does to its goroutine or thread stays.
func (l *lab) perform(act func(*Stage)) (end stop) {
	done := make(chan struct{})
	go func() {
		finished := false
		defer close(done)
		defer func() {
			switch p := recover().(type) {
			case nil:
				if !finished {
					end = stop{record.Error, "the play ended its goroutine"}
				}
			case stop:
				end = p
			default:
				end = stop{record.Error, fmt.Sprintf("the play panicked: %v\n%s", p, debug.Stack())}
			}
		}()
		act(l.stage)
		end = stop{verdict: record.Pass}
		finished = true
	}()
	<-done
	return end
}

// unfired says which armed fault did not do its work.
func (l *lab) unfired() (why string) {
	l.wire.Do(func(e *inject.Engine, _ time.Duration) {
		for _, rule := range e.Rules() {
			switch {
			case rule.Hits == 0 && !rule.Optional:
				why = fmt.Sprintf("the rule %q never fired", rule.Text())
			case rule.Unreleased > 0:
				why = fmt.Sprintf("the rule %q held a segment to the end: its condition never came", rule.Text())
			default:
				continue
			}
			return
		}
	})
	return why
}

// tolerance is how late a segment may leave without changing what a kernel
// does: half of the shortest retransmission timeout, TCP_RTO_MIN.
const tolerance = 100 * time.Millisecond

// late enters what the harness did later than it was due, and turns a run that
// depended on it INCONCLUSIVE.
func (l *lab) late(r *record.Run) bool {
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other {
			continue
		}
		for _, d := range s.Departures {
			if d.T-d.Due > l.patience {
				r.Late = append(r.Late, record.Lateness{What: "deliver " + s.Name(), Due: d.Due, T: d.T})
			}
		}
	}
	// What is lost leaves nothing that could be late, but what its sender was asked
	// then: a timer may have run out since.
	for _, s := range r.States {
		if s.Segment < 0 || s.After {
			continue
		}
		if x := &r.Segments[s.Segment]; len(x.Departures) == 0 && s.T-x.T > tolerance {
			r.Late = append(r.Late, record.Lateness{What: "look at " + x.Name(), Due: x.T, T: s.T})
		}
	}
	for _, d := range l.stage.deadline {
		from, ok := d.from()
		if !ok {
			continue
		}
		if to, ok := d.to(); ok && to > from+d.within {
			r.Late = append(r.Late, record.Lateness{What: d.what, Due: from + d.within, T: to})
		}
	}
	if len(r.Late) == 0 || r.Verdict == record.Error {
		return false
	}
	sort.SliceStable(r.Late, func(i, j int) bool {
		return r.Late[i].T-r.Late[i].Due > r.Late[j].T-r.Late[j].Due
	})
	worst := r.Late[0]
	r.Verdict = record.Inconclusive
	r.Why = fmt.Sprintf("the harness was late: %s came %v after it was due", worst.What, (worst.T - worst.Due).Round(time.Millisecond))
	return true
}

// record writes down all that was seen. It is whole but for what the error tells of.
func (l *lab) record() (*record.Run, error) {
	s := l.stage
	r := &record.Run{IP: s.IP, Kernel: kernel(), Started: l.start, Duration: s.clock()}
	notes := l.wire.States() // before the log, which then has every segment that they name
	var place []int          // of each segment of the log in the record
	l.wire.Do(func(e *inject.Engine, _ time.Duration) {
		// What came in while the wire was at work on something else stands in its log
		// behind what that made.
		log := slices.Clone(e.Log())
		slices.SortStableFunc(log, func(a, b *inject.Passage) int { return cmp.Compare(a.T, b.T) })
		place = make([]int, len(log))
		for i, p := range log {
			place[p.Index] = i
			r.Segments = append(r.Segments, segment(p, l.hosts))
		}
		for _, rule := range e.Rules() {
			r.Rules = append(r.Rules, record.Rule{Rule: rule.String(), Hits: rule.Hits, Optional: rule.Optional})
		}
	})
	for _, n := range notes {
		if n.Passage >= 0 {
			n.Passage = place[n.Passage]
		}
		r.States = append(r.States, record.State{
			T: n.T, Conn: n.Conn, Host: n.Host, State: n.State, Timer: n.Timer, Expires: n.Expires, Latest: n.Latest,
			Orphan: n.Orphan, Segment: n.Passage, After: n.After,
		})
	}
	for _, h := range l.hosts {
		for _, p := range h.programs {
			p.drain()
		}
	}
	s.mu.Lock()
	for _, c := range s.calls {
		r.Calls = append(r.Calls, *c)
	}
	for _, h := range l.hosts {
		for _, p := range h.programs {
			out := p.out
			out.Stdout, out.StdoutSize, out.StdoutSHA256 = p.stdout.snapshot()
			out.Stderr, out.StderrSize, _ = p.stderr.snapshot()
			r.Programs = append(r.Programs, out)
		}
	}
	s.mu.Unlock()
	sort.SliceStable(r.Calls, func(i, j int) bool { return r.Calls[i].T < r.Calls[j].T })
	var errs []error
	for _, h := range l.hosts {
		r.Hosts = append(r.Hosts, record.Host{Name: h.name, IPv4: h.env.IPv4.String(), IPv6: h.env.IPv6.String(), MAC: h.env.MAC.String()})
		moved, err := h.deltas()
		if err != nil {
			errs = append(errs, fmt.Errorf("count on %s: %w", h.name, err))
		}
		for _, d := range moved {
			if tcpCounter(d.Name) {
				r.Counters = append(r.Counters, record.Counter{Host: h.name, Name: d.Name, Delta: d.Delta})
			}
		}
		for _, c := range h.env.Changed() {
			r.Sysctls = append(r.Sysctls, record.Sysctl{Host: h.name, Key: c.Key, Value: c.Value, Stock: c.Stock})
		}
	}
	r.Lost = l.wire.Lost()
	return r, errors.Join(errs...)
}

// keep enters the files that programs left behind. The programs are those of the
// record, in its order.
func (l *lab) keep(r *record.Run) error {
	i := 0
	for _, h := range l.hosts {
		for _, p := range h.programs {
			var err error
			if r.Programs[i].Files, r.Programs[i].FilesLeft, err = p.files(l.stage.ctx); err != nil && l.stage.ctx.Err() == nil {
				return fmt.Errorf("keep files of %s: %w", h.name, err)
			}
			i++
		}
	}
	return nil
}

// sockets are those that the hosts' kernels have now.
func (l *lab) sockets() ([]record.Socket, error) {
	var all []record.Socket
	var errs []error
	for _, h := range l.hosts {
		sockets, err := h.sockets()
		if err != nil {
			errs = append(errs, fmt.Errorf("list sockets of %s: %w", h.name, err))
		}
		for _, s := range sockets {
			x := record.Socket{
				Host: h.name, Local: s.Local.String(), Remote: s.Remote.String(), State: s.State, Expires: s.Expires,
				Orphan: s.Orphan(), Unaccepted: s.Unaccepted() && s.State != tcp.Listen, RecvQueue: int64(s.RQueue), SendQueue: int64(s.WQueue),
			}
			if s.Timer != probe.TimerNone {
				x.Timer = s.Timer.String()
			}
			all = append(all, x)
		}
	}
	return all, errors.Join(errs...)
}

// rebase puts T = 0 at the first thing that the play did or that came to the
// wire: before it peers were started, which is no part of the story.
func rebase(r *record.Run) {
	zero := r.Duration
	for _, c := range r.Calls {
		zero = min(zero, c.T)
	}
	for _, p := range r.Programs {
		zero = min(zero, p.T)
	}
	for _, s := range r.Segments {
		if !s.Other {
			zero = min(zero, s.T)
		}
	}
	r.Started = r.Started.Add(zero)
	r.Duration -= zero
	for i := range r.Segments {
		s := &r.Segments[i]
		s.T -= zero
		for k := range s.Departures {
			s.Departures[k].T -= zero
			s.Departures[k].Due -= zero
		}
	}
	for i := range r.States {
		r.States[i].T -= zero
	}
	for i := range r.Late {
		r.Late[i].T -= zero
		r.Late[i].Due -= zero
	}
	end := func(t *time.Duration) {
		if *t >= 0 {
			*t -= zero
		}
	}
	for i := range r.Calls {
		r.Calls[i].T -= zero
		end(&r.Calls[i].End)
	}
	for i := range r.Programs {
		r.Programs[i].T -= zero
		end(&r.Programs[i].End)
	}
}

// tcpCounter tells the counters that speak of TCP from those of IP and others.
func tcpCounter(name string) bool {
	return strings.HasPrefix(name, "Tcp.") || strings.HasPrefix(name, "TcpExt.")
}

func segment(p *inject.Passage, hosts []*Host) record.Segment {
	s := record.Segment{
		T: p.T, Sighting: p.Sighting, Flags: p.Segment.Flags, Len: p.Segment.Len, Window: p.Segment.Window,
		Fate: record.Fate(p.Fate), Frame: p.Segment.Frame, Other: p.Other,
	}
	s.Rewritten = p.Rewritten
	s.Sighting.Detach()
	if p.Other && p.Port >= 0 {
		s.SentBy = hosts[p.Port].name
	}
	if p.Rule != nil {
		s.Rule = p.Rule.String()
	}
	for _, d := range p.Departures {
		s.Departures = append(s.Departures, record.Departure{Due: d.Due, T: d.T, To: hosts[d.Port].name})
	}
	if s.Fate == record.Delivered && len(s.Departures) == 0 {
		s.Fate = record.Dropped // no port took it: the host is off, or unplugged
	}
	return s
}

// origin is CLOCK_MONOTONIC at a time. The two clocks are read one after the
// other, and the scheduler may come between: the tightest of several pairs is
// taken.
func origin(start time.Time) (at time.Duration) {
	tightest := time.Duration(-1)
	for range 8 {
		before := time.Since(start)
		now := monotonic()
		if width := time.Since(start) - before; tightest < 0 || width < tightest {
			tightest, at = width, now-before-width/2
		}
	}
	return at
}
