package harness

import (
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// Wire is what lies between the hosts of a Stage: rules are armed on it.
type Wire struct {
	stage *Stage
	wire  *inject.Wire
}

// On begins a rule for the segments that a match means: a name such as
// "client.ACK(server.FIN)", or an expression.
func (w *Wire) On(match string) *Rule {
	m, err := inject.ParseMatch(match)
	if err != nil {
		w.stage.stop(record.Error, "%v", err)
	}
	return &Rule{wire: w, rule: inject.Rule{Match: m}}
}

// Rule arms a rule in its text form: `drop client.FIN always`.
func (w *Wire) Rule(text string) *Rule {
	parsed, err := inject.ParseRule(text)
	if err != nil {
		w.stage.stop(record.Error, "%v", err)
	}
	r := &Rule{wire: w, rule: parsed}
	return r.arm(parsed.Action)
}

// Arm arms a rule that is data.
func (w *Wire) Arm(rule inject.Rule) *Rule {
	r := &Rule{wire: w, rule: rule}
	return r.arm(rule.Action)
}

// Seen is met once a segment of that name has arrived at the wire.
func (w *Wire) Seen(match string) inject.Condition { return w.segment(inject.Seen, match) }

// Delivered is met once a segment of that name has left the wire.
func (w *Wire) Delivered(match string) inject.Condition { return w.segment(inject.Delivered, match) }

// After is met when a time has passed since it was asked for.
func (w *Wire) After(d time.Duration) inject.Condition {
	return inject.Condition{Kind: inject.After, D: d}
}

func (w *Wire) segment(kind inject.ConditionKind, match string) inject.Condition {
	m, err := inject.ParseMatch(match)
	if err != nil {
		w.stage.stop(record.Error, "%v", err)
	}
	c := inject.Condition{Kind: kind, Match: m}
	resolved, err := c.Resolve(w.stage.turnLen)
	switch {
	case err == nil:
		return resolved
	case w.stage.measuring:
		return w.After(0) // what is measured here is not known yet
	}
	w.stage.unmeasured = true
	w.stage.stop(record.Error, "%v", err)
	return c
}

// Inject makes a segment, or an ICMP error, on a connection at once; f.To is
// the host that gets it, and f.Place does not count.
func (w *Wire) Inject(conn int, f inject.Forgery) {
	ok := false
	w.wire.Do(func(e *inject.Engine, now time.Duration) { ok = e.Inject(conn, f, now) })
	if !ok {
		w.stage.stop(record.Error, "forge %s on connection %d: the wire has not seen it, or has no host %q", f, conn, f.To)
	}
}

// Rule is one rule of a Wire. First say how often it fires, then what it does:
// the verb arms it.
type Rule struct {
	wire  *Wire
	rule  inject.Rule
	armed *inject.Armed
}

// Always lets the rule fire at every match; without it fires once.
func (r *Rule) Always() *Rule { r.rule.Always = true; return r }

// Times lets the rule fire at the first n matches.
func (r *Rule) Times(n int) *Rule { r.rule.Times = n; return r }

// Optional lets the play end without the rule having fired.
func (r *Rule) Optional() *Rule { r.rule.Optional = true; return r }

// Named gives the rule a name for reports.
func (r *Rule) Named(name string) *Rule { r.rule.Name = name; return r }

// AtMost bounds a Hold.
func (r *Rule) AtMost(d time.Duration) *Rule { r.rule.Action.AtMost = d; return r }

// Drop loses the segment on the wire.
func (r *Rule) Drop() *Rule { return r.arm(inject.Action{Verb: inject.Drop}) }

// Delay lets the segment go on after d.
func (r *Rule) Delay(d time.Duration) *Rule {
	return r.arm(inject.Action{Verb: inject.Delay, For: d})
}

// Hold keeps the segment until a condition is met.
func (r *Rule) Hold(until inject.Condition) *Rule {
	return r.arm(inject.Action{Verb: inject.Hold, Until: until, AtMost: r.rule.Action.AtMost})
}

// HoldReversed is Hold, and what the condition frees leaves in the reverse of
// the order in which it came. It wants Always or Times.
func (r *Rule) HoldReversed(until inject.Condition) *Rule {
	return r.arm(inject.Action{Verb: inject.Hold, Until: until, AtMost: r.rule.Action.AtMost, Reversed: true})
}

// Duplicate lets the segment go on, and n copies of it right behind.
func (r *Rule) Duplicate(n int) *Rule {
	return r.arm(inject.Action{Verb: inject.Duplicate, Copies: n})
}

// DuplicateAfter lets the segment go on, and one copy when d has passed.
func (r *Rule) DuplicateAfter(d time.Duration) *Rule {
	return r.arm(inject.Action{Verb: inject.Duplicate, Copies: 1, For: d})
}

// Rewrite changes the segment on its way.
func (r *Rule) Rewrite(e inject.Edit) *Rule {
	return r.arm(inject.Action{Verb: inject.Rewrite, Edit: e})
}

// Forge makes another segment, or an ICMP error, before, after or instead of
// the one that matches.
func (r *Rule) Forge(f inject.Forgery) *Rule {
	return r.arm(inject.Action{Verb: inject.Forge, Forgery: f})
}

// How a Cut ends.
const (
	ThenFIN = tcp.FIN
	ThenRST = tcp.RST
)

// Cut lets keep bytes of the turn or stream pass and then ends it with FIN or
// RST in its sender's name. From then on nothing passes between the hosts on
// that connection, and the wire speaks for both dead ends: it acknowledges a
// FIN of the end that was told, and answers data from either with RST. The rule
// has fired when the end was sent.
func (r *Rule) Cut(keep int64, then tcp.Flags) *Rule {
	return r.arm(inject.Action{Verb: inject.Cut, Keep: keep, Then: then})
}

// Silence loses everything on the connection from the segment on that travels
// to a host; nil loses both ways. Disarm ends it.
func (r *Rule) Silence(to *Host) *Rule {
	a := inject.Action{Verb: inject.Silence}
	if to != nil {
		a.To = to.name
	}
	return r.arm(a)
}

// Forget makes the wire a middlebox that forgot the connection: from the
// segment on everything is lost, or answered with RST. Disarm ends it.
func (r *Rule) Forget(answer bool) *Rule {
	return r.arm(inject.Action{Verb: inject.Forget, Answer: answer})
}

func (r *Rule) arm(a inject.Action) *Rule {
	r.rule.Action = a
	s := r.wire.stage
	var err error
	if r.rule, err = r.rule.Resolve(s.turnLen); err != nil {
		if !s.measuring {
			s.unmeasured = true
			s.stop(record.Error, "%v", err)
		}
	}
	if s.measuring {
		r.armed = &inject.Armed{Rule: r.rule}
		return r
	}
	r.wire.wire.Do(func(e *inject.Engine, _ time.Duration) { r.armed, err = e.Arm(r.rule) })
	if err != nil {
		r.wire.stage.stop(record.Error, "%v", err)
	}
	return r
}

// Disarm ends the rule: it fires no more, and what it holds goes on.
func (r *Rule) Disarm() {
	if r.wire.stage.measuring {
		return
	}
	r.wire.wire.Do(func(e *inject.Engine, now time.Duration) { e.Disarm(r.armed, now) })
}

// Fired is met once the rule has acted.
func (r *Rule) Fired() inject.Condition {
	return inject.Condition{Kind: inject.Fired, Rule: r.armed.Text()}
}
