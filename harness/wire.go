package harness

import (
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
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
	return inject.Condition{Kind: kind, Match: m}
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

func (r *Rule) arm(a inject.Action) *Rule {
	r.rule.Action = a
	var err error
	r.wire.wire.Do(func(e *inject.Engine, _ time.Duration) { r.armed, err = e.Arm(r.rule) })
	if err != nil {
		r.wire.stage.stop(record.Error, "%v", err)
	}
	return r
}

// Disarm ends the rule: it fires no more, and what it holds goes on.
func (r *Rule) Disarm() {
	r.wire.wire.Do(func(e *inject.Engine, now time.Duration) { e.Disarm(r.armed, now) })
}

// Fired is met once the rule has acted.
func (r *Rule) Fired() inject.Condition {
	return inject.Condition{Kind: inject.Fired, Rule: r.armed.Text()}
}
