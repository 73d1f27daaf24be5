package file

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
)

// play makes what harness plays of a plan.
func (p *plan) play(variant string, replaced map[string][]string) Play {
	d := p.doc
	name := d.Name.text
	if p.values != "" {
		name += "{" + p.values + "}"
	}
	sc := harness.Scenario{
		Name: name, Variant: variant, Summary: d.Summary.text, Refs: texts(d.Sources), Claims: p.claims(),
	}
	for _, h := range d.Hosts {
		v := h.value
		spec := harness.HostSpec{
			Name: h.key, As: v.As.text, MTU: int(v.MTU.n), RTOMin: v.RTOMin.d, ResolveNeighbours: v.Resolve.on,
		}
		if !slices.Contains(bearable, h.key) || spec != (harness.HostSpec{Name: h.key}) {
			sc.Hosts = append(sc.Hosts, spec)
		}
	}
	sc.Play = func(s *harness.Stage) {
		run := &running{plan: p, stage: s, replaced: replaced, hosts: map[string]*runner{}}
		run.play()
	}
	return Play{Scenario: sc, Variant: variant, Values: p.values, IP: d.IP.ip}
}

// position is where something stands in the file; empty for nothing, and for a text
// that never was a file.
func position(n *node) string {
	if n == nil || n.line == 0 || n.src.name == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d:%d", n.src.name, n.line, n.column)
}

// advice is what to write into the file; nothing where there is none.
func (p *plan) advice(format string, args ...any) string {
	if p.doc.Node.src.name == "" {
		return ""
	}
	return "; " + fmt.Sprintf(format, args...)
}

// running is one play under way.
type running struct {
	plan     *plan
	stage    *harness.Stage
	replaced map[string][]string
	hosts    map[string]*runner
	began    time.Time
	done     []bool // by act
}

// runner is a host's program under way.
type runner struct {
	name    string
	spec    *host
	at      *node // the host's key
	program *harness.Program
	began   time.Time
	ready   bool
	lookAt  time.Time // when to look whether it listens where nobody can reach it
	left    bool      // its end is not waited for any more
	wants   inject.Condition
}

// play is the whole play: rules first, then programs in their order, then acts as
// their conditions come, until nothing is waited for any more.
func (r *running) play() {
	d := r.plan.doc
	for _, set := range d.Sysctls {
		r.stand(set.at)
		host, key, one := strings.Cut(set.key, ":")
		for _, name := range r.plan.hosts() {
			switch {
			case !one:
				r.stage.Host(name).Sysctl(set.key, set.value.text)
			case name == host:
				r.stage.Host(name).Sysctl(key, set.value.text)
			}
		}
	}
	for i, rule := range r.plan.rules {
		r.stand(d.Rules[i].Node)
		r.stage.Wire.Arm(rule)
	}
	r.began, r.done = time.Now(), make([]bool, len(d.At))
	for i := range d.Hosts {
		h := &d.Hosts[i]
		if h.value.Run.at != nil {
			r.hosts[h.key] = &runner{name: h.key, spec: &h.value, at: h.at}
		}
	}
	for r.step() {
	}
	r.stand(nil)
	// What the programs that live on still do about it is part of the story.
	r.stage.Quiet(settled)
}

// stand says which part of the file is at work, so that what ends the play there names
// it; nil for none.
func (r *running) stand(n *node) { r.stage.At(position(n)) }

// conclude ends the play for what stands there in the file.
func (r *running) conclude(n *node, verdict record.Verdict, format string, args ...any) {
	r.stand(n)
	r.stage.Conclude(verdict, format, args...)
}

// settled bounds the wait for programs that never sleep.
const settled = 2 * time.Second

// wait is something that may come next.
type wait struct {
	when  inject.Condition
	do    func()
	until time.Time // no bound of its own where it is zero
	late  func()    // what is done when it passes
}

// lookAgain is how often a host that is not ready is looked at: one that listens
// where nobody can reach it need not be waited for.
const lookAgain = time.Second

// step starts what can be started and waits for the next thing; false where
// nothing is waited for any more.
func (r *running) step() bool {
	r.start()
	waits := r.waits()
	if len(waits) == 0 {
		return false
	}
	var conds []inject.Condition
	first := -1
	for i, w := range waits {
		conds = append(conds, w.when)
		if !w.until.IsZero() && (first < 0 || w.until.Before(waits[first].until)) {
			first = i
		}
	}
	atMost := time.Duration(0)
	if first >= 0 {
		left := time.Until(waits[first].until)
		if left <= 0 {
			waits[first].late()
			return true
		}
		conds, atMost = append(conds, r.stage.Wire.After(left)), left+time.Second
	}
	r.stand(nil)
	switch i := r.stage.AwaitFirst(atMost, conds...); {
	case i >= 0 && i < len(waits):
		waits[i].do()
	case first >= 0:
		waits[first].late()
	default:
		r.overdue()
	}
	return true
}

// start starts the programs whose hosts have nothing more to wait for.
func (r *running) start() {
	for _, e := range r.plan.doc.Hosts {
		h := r.hosts[e.key]
		if h == nil || h.program != nil {
			continue
		}
		waits := slices.ContainsFunc(h.spec.After, func(a phrase) bool { return !r.hosts[a.text].isReady() })
		if !waits {
			r.run(h)
		}
	}
}

// isReady is true of a host without a program of its own too: an act starts it.
func (h *runner) isReady() bool { return h == nil || h.ready }

func (r *running) run(h *runner) {
	host := r.stage.Host(h.name)
	h.program = r.launch(h.name, h.spec, command{}, h.at)
	h.began = time.Now()
	h.lookAt = h.began.Add(lookAgain)
	switch {
	case !r.plan.isAwaited(h.name):
		h.ready = true
	case h.spec.Ready.Listen.at != nil:
		h.wants = host.Listening(uint16(h.spec.Ready.Listen.n))
	case h.spec.Ready.Log.at != nil:
		h.wants = h.program.Logged(h.spec.Ready.Log.re)
	default:
		h.wants = host.ListeningAny()
	}
}

// launch runs a program on a host: the one that is named, else the host's own, or what
// stands in its place. at is what starts it.
func (r *running) launch(name string, own *host, named command, at *node) *harness.Program {
	argv := r.replaced[name]
	switch {
	case named.at != nil:
		argv, at = texts(named.words), named.words[0].at
	case argv == nil:
		argv, at = texts(own.Run.words), own.Run.words[0].at
	}
	r.stand(at)
	return r.stage.Host(name).Run(harness.ProgramSpec{Argv: argv, Env: environ(own), Keep: r.plan.keep(name)})
}

func environ(h *host) (env []string) {
	for _, e := range h.Env {
		env = append(env, e.key+"="+e.value.text)
	}
	return env
}

// keep are the files of a host that the record keeps: those that are asked for,
// and those that claims are about.
func (p *plan) keep(host string) (globs []string) {
	list, _ := p.doc.Files.get(host)
	globs = texts(list)
	claims, _ := p.doc.Expect.Hosts.get(host)
	for _, f := range claims.Files {
		globs = append(globs, literal(f.key))
	}
	return globs
}

// literal is a glob that means one name alone.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(name)
}

// isAwaited tells whether another host names this one in after.
func (p *plan) isAwaited(name string) bool {
	return slices.ContainsFunc(p.doc.Hosts, func(e entry[host]) bool {
		return slices.ContainsFunc(e.value.After, func(a phrase) bool { return a.text == name })
	})
}

// ends tells whether the play waits for the end of a host's program: that of one
// which others do not need, or about whose end there is a claim.
func (p *plan) ends(name string) bool {
	c, claimed := p.doc.Expect.Hosts.get(name)
	switch {
	case claimed && c.Runs.on:
		return false
	case claimed && (c.Exit != nil || c.Signal.at != nil && c.Signal.text != "none" || c.Within.at != nil || c.Runs.at != nil):
		return true
	}
	return !p.isAwaited(name)
}

// waits are all things that may come next, and that the play waits for.
func (r *running) waits() (list []wait) {
	d := r.plan.doc
	going := false
	for _, e := range d.Hosts {
		h := r.hosts[e.key]
		if h == nil {
			continue
		}
		if h.program == nil {
			going = true // it waits for another, which is among the list
			continue
		}
		if !h.ready {
			going = true
			list = append(list,
				wait{when: h.wants, do: func() { r.isUp(h) }, until: h.patience(), late: func() { r.look(h) }},
				wait{when: h.program.Exited(), do: func() { r.endedEarly(h) }})
			continue
		}
		if !r.plan.ends(h.name) || h.left {
			continue
		}
		if h.program.Ended() {
			continue
		}
		going = true
		until := time.Time{}
		if c, _ := d.Expect.Hosts.get(h.name); c.Within.at != nil {
			until = h.began.Add(harness.Timescale(c.Within.d))
		}
		list = append(list, wait{when: h.program.Exited(), do: func() {}, until: until, late: func() { h.left = true }})
	}
	for i := range d.At {
		a := &d.At[i]
		if r.done[i] {
			continue
		}
		if a.Required.at == nil || a.Required.on {
			going = true
		}
		list = append(list, wait{when: r.condition(a.When), do: func() { r.done[i] = true; r.act(a) }})
	}
	if !going {
		return nil
	}
	return list
}

// condition is what the wire can wait for: bytes that count from a turn's end are
// known to the stage alone.
func (r *running) condition(c condition) inject.Condition {
	r.stand(c.at)
	switch c.when.Kind {
	case inject.Seen:
		return r.stage.Wire.Seen(c.when.Match.String())
	case inject.Delivered:
		return r.stage.Wire.Delivered(c.when.Match.String())
	case inject.After: // of the play, however often it is asked
		return r.stage.Wire.After(max(time.Until(r.began.Add(c.when.D)), 0))
	}
	return c.when
}

func (r *running) act(a *act) {
	if a.Do.word == "wait" {
		return
	}
	r.stand(a.Node)
	host := r.stage.Host(a.Host.text)
	switch a.Do.word {
	case "kill":
		host.Kill()
	case "stop":
		host.Stop()
	case "continue":
		host.Continue()
	case "power-off":
		host.PowerOff()
	case "boot":
		host.Boot()
	case "unplug":
		host.Unplug()
	case "plug":
		host.Plug()
	case "run":
		own, _ := r.plan.doc.Hosts.get(a.Host.text)
		r.launch(a.Host.text, &own, a.Run, a.Node)
	}
}

// isUp makes sure that a host which listens can be reached.
func (r *running) isUp(h *runner) {
	h.ready = true
	if h.spec.Ready.Listen.at == nil {
		return
	}
	if why := r.unreachable(h); why != "" {
		// A program may open several sockets, one after the other.
		r.stage.Quiet(settled)
		if why = r.unreachable(h); why != "" {
			r.conclude(h.spec.Ready.Listen.at, record.Error, "%s", why)
		}
	}
}

// readyWithin is how long a host may take to be ready where the file does not say.
const readyWithin = 30 * time.Second

// deadline is when a host must be ready.
func (h *runner) deadline() time.Time {
	within := readyWithin
	if atMost := h.spec.Ready.AtMost; atMost.at != nil {
		within = atMost.d
	}
	return h.began.Add(harness.Timescale(within))
}

// patience is when a host that is not ready is looked at.
func (h *runner) patience() time.Time {
	if end := h.deadline(); end.Before(h.lookAt) {
		return end
	}
	return h.lookAt
}

// look ends the play where a host that is not ready never will be.
func (r *running) look(h *runner) {
	if !time.Now().Before(h.deadline()) {
		r.notReady(h)
	}
	if h.spec.Ready.Log.at == nil && r.unreachable(h) != "" && r.stage.Quiet(settled) && r.unreachable(h) != "" {
		r.notReady(h)
	}
	h.lookAt = time.Now().Add(lookAgain)
}

// unreachable says why others cannot connect to a host though it listens; empty
// where they can, or where it does not.
func (r *running) unreachable(h *runner) string {
	var found []string
	loopback := true
	for _, l := range r.stage.Host(h.name).Unreachable(uint16(h.spec.Ready.Listen.n)) {
		found = append(found, l.String())
		loopback = loopback && l.Addr().Unmap().IsLoopback()
	}
	where := strings.Join(found, " and ")
	switch {
	case found == nil:
		return ""
	case loopback:
		return fmt.Sprintf("the program on %s listens on %s only, where no other host can reach it: let it listen on all addresses, as 0.0.0.0", h.name, where)
	}
	return fmt.Sprintf("the program on %s listens on %s only, which cannot be reached over IPv%d: let it listen on all addresses, or play over the other family", h.name, where, r.stage.IP)
}

// notReady ends a play whose server never came up.
func (r *running) notReady(h *runner) {
	at := h.at
	if h.spec.Ready.Node != nil {
		at = h.spec.Ready.Node
	}
	waited := time.Since(h.began).Round(100 * time.Millisecond)
	if h.spec.Ready.Log.at == nil {
		if why := r.unreachable(h); why != "" {
			r.conclude(at, record.Error, "%s", why)
		}
	}
	switch {
	case h.spec.Ready.Log.at != nil:
		r.conclude(at, record.Error, "the program on %s wrote no line that matches %q in %v", h.name, h.spec.Ready.Log.re, waited)
	case h.spec.Ready.Listen.at != nil:
		var other []string
		for _, l := range r.stage.Host(h.name).Listeners() {
			other = append(other, l.String())
		}
		instead := ""
		if other != nil {
			instead = ", but on " + strings.Join(other, " and ")
		}
		r.conclude(at, record.Error, "the program on %s did not listen on port %d in %v%s", h.name, h.spec.Ready.Listen.n, waited, instead)
	}
	r.conclude(at, record.Error, "the program on %s listened on no port in %v%s", h.name, waited,
		r.plan.advice("say when it is ready, as in ready: { log: \"started\" }"))
}

// endedEarly ends a play whose server has ended before it was ready.
func (r *running) endedEarly(h *runner) {
	code, signal, _ := h.program.Status()
	how := fmt.Sprintf("exit status %d", code)
	if signal != "" {
		how = signal
	}
	r.conclude(h.at, record.Error, "the program on %s ended with %s before it was ready", h.name, how)
}

// overdue ends a play in which what it waits for did not come within the bound.
func (r *running) overdue() {
	for _, e := range r.plan.doc.Hosts {
		if h := r.hosts[e.key]; h != nil && h.program != nil && !h.ready {
			r.notReady(h)
		}
	}
	for _, e := range r.plan.doc.Hosts {
		h := r.hosts[e.key]
		if h == nil || h.program == nil || !r.plan.ends(h.name) || h.left || h.program.Ended() {
			continue
		}
		h.left = true
		if c, ok := r.plan.doc.Expect.Hosts.get(h.name); !ok || c.Exit == nil && c.Signal.at == nil && c.Runs.at == nil && c.Within.at == nil {
			r.conclude(h.at, record.Fail, "the program on %s had not ended when %v had passed without anything that is waited for%s",
				h.name, time.Since(h.began).Round(time.Second), r.plan.advice("say how long it may take, as in expect: { %s: { within: 5s } }", h.name))
		}
	}
	for i := range r.plan.doc.At {
		a := &r.plan.doc.At[i]
		if r.done[i] || a.Required.at != nil && !a.Required.on {
			continue
		}
		r.done[i] = true
		if a.Do.word == "wait" {
			r.conclude(a.When.at, record.Fail, "waited for %s, which did not come", a.When.when)
		}
		r.conclude(a.When.at, record.Inconclusive, "%s of %s was not done: %s did not come", a.Do.word, a.Host.text, a.When.when)
	}
}
