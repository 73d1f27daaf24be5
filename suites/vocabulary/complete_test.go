package vocabulary

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// aside are the identifiers that have no effect of their own, and why.
var aside = map[string]string{
	"Host.Name":        "tells the play what it wrote itself",
	"Host.Addr":        "tells the play an address",
	"Host.Exec":        "runs a command beside the play",
	"Host.Ended":       "tells the play whether programs run",
	"Host.Programs":    "tells the play what was started",
	"Host.Listens":     "tells the play whether a program listens",
	"Host.Settle":      "waits for the wire, and changes nothing",
	"Program.Ended":    "tells the play whether it runs",
	"Program.Status":   "tells the play how it ended",
	"Host.Unreachable": "tells the play where nobody connects",
	"Stage.At":         "says where a play stands that is not written in Go",
	"Stage.AwaitFirst": "awaits one of several",
	"Stage.Conclude":   "ends a play that is not written in Go",
	"Stage.Quiet":      "awaits that nothing moves any more",
	"Stage.Rehearsal":  "tells a fault-free play",
	"Peer.Host":        "tells the play where the peer runs",
	"Peer.String":      "a name for messages",
	"Stage.Await":      "every play awaits",
	"Stage.Promptly":   "a bound on the harness, not on a kernel",
	"Wire.On":          "a rule in parts instead of in text",
	"Wire.Rule":        "every play arms rules",
	"Wire.Arm":         "a rule as data instead of in text",
}

func TestEveryIdentifierHasItsEntry(t *testing.T) {
	src := readSource(t)
	covered := map[string]bool{}
	for _, e := range entries() {
		for _, name := range e.of {
			covered[name] = true
			if _, ok := src.says[name]; !ok {
				t.Errorf("%s stands for %s, which is not in the code", e.name, name)
			}
		}
	}
	for name := range rules() {
		covered["inject."+strings.ToUpper(name[:1])+name[1:]] = true
	}
	for _, name := range src.order {
		_, left := aside[name]
		if !covered[name] && !left {
			t.Errorf("%s has no entry", name)
		}
		if covered[name] && left {
			t.Errorf("%s has an entry, and is left aside", name)
		}
	}
}

// rules are the actions of the table, by their verbs.
func rules() map[string][]inject.Rule {
	found := map[string][]inject.Rule{}
	for _, e := range entries() {
		if r, err := inject.ParseRule(e.word); err == nil && e.group() == "action" {
			found[string(r.Action.Verb)] = append(found[string(r.Action.Verb)], r)
		}
	}
	return found
}

// Every verb has an entry, every argument that it takes is used in one, and so
// are the words that an argument can be.
func TestEveryArgumentHasItsEntry(t *testing.T) {
	byVerb := rules()
	used := map[string]bool{}
	note := func(what string, v any) {
		rv := reflect.ValueOf(v)
		for i := range rv.NumField() {
			if !rv.Field(i).IsZero() {
				used[what+"."+rv.Type().Field(i).Name] = true
			}
		}
	}
	for _, list := range byVerb {
		for _, r := range list {
			note("Rule", r)
			note("Action", r.Action)
			note("Edit", r.Action.Edit)
			note("Forgery", r.Action.Forgery)
			for _, c := range []*inject.Change{r.Action.Edit.Seq, r.Action.Edit.Ack, r.Action.Edit.TSVal, r.Action.Edit.TSEcr} {
				if c != nil {
					used[fmt.Sprintf("Change.Add=%v", c.Add)] = true
				}
			}
			f := r.Action.Forgery
			used["place "+string(f.Place)] = true
			used["icmp "+string(f.ICMP)] = true
			used["ts="+f.Timestamps] = true
			used["then "+r.Action.Then.String()] = true
			if r.Action.Verb == inject.Silence {
				used["to "+r.Action.To] = true
			}
		}
	}
	want := map[string]bool{
		"Change.Add=true": true, "Change.Add=false": true, "ts=none": true, "ts=old": true,
		"then " + tcp.FIN.String(): true, "then " + tcp.RST.String(): true, "to server": true, "to ": true,
		"place before": true, "place after": true, "place instead": true, "Rule.Times": true, "Rule.Always": true,
	}
	for _, v := range inject.Verbs() {
		if len(byVerb[string(v)]) == 0 {
			t.Errorf("the action %s has no entry", v)
		}
	}
	for _, u := range tcp.Unreachables() {
		want["icmp "+string(u)] = true
	}
	for _, part := range []struct {
		name string
		of   reflect.Type
	}{{"Action", reflect.TypeFor[inject.Action]()}, {"Edit", reflect.TypeFor[inject.Edit]()}, {"Forgery", reflect.TypeFor[inject.Forgery]()}} {
		for i := range part.of.NumField() {
			want[part.name+"."+part.of.Field(i).Name] = true
		}
	}
	for _, w := range slices.Sorted(maps.Keys(want)) {
		if !used[w] {
			t.Errorf("no entry uses %s", w)
		}
	}
}

// Every word of the grammar of names is one of the table's, and everything
// that a name can say besides.
func TestEveryNameHasItsEntry(t *testing.T) {
	kinds := map[flow.Kind]bool{}
	of := map[flow.Kind]bool{}
	used := map[string]bool{}
	for _, e := range entries() {
		p, err := flow.ParsePattern(e.word)
		if err != nil || e.group() != "name" {
			continue
		}
		kinds[p.Kind] = true
		if p.Of != nil {
			of[p.Of.Kind] = true
			used["forged in brackets"] = used["forged in brackets"] || p.Of.Who == flow.Forged
		}
		rv := reflect.ValueOf(p)
		for i := range rv.NumField() {
			used[rv.Type().Field(i).Name] = used[rv.Type().Field(i).Name] || !rv.Field(i).IsZero()
		}
		used["forged"] = used["forged"] || p.Who == flow.Forged
		used["second connection"] = used["second connection"] || p.Conn > 1
	}
	for _, k := range flow.Kinds() {
		if !kinds[k] {
			t.Errorf("no entry is a %s", k)
		}
	}
	for _, k := range []flow.Kind{flow.SYN, flow.SYNACK, flow.DATA, flow.FIN} {
		if !of[k] {
			t.Errorf("no entry is an ACK of a %s", k)
		}
	}
	for what, is := range used {
		if !is {
			t.Errorf("no name uses %s", what)
		}
	}
}

func TestEveryConditionHasItsEntry(t *testing.T) {
	kinds := map[inject.ConditionKind]bool{}
	for _, e := range entries() {
		if e.group() != "condition" {
			continue
		}
		c, err := inject.ParseCondition(e.word)
		if err != nil {
			t.Error(err)
			continue
		}
		if c.String() != e.word {
			t.Errorf("%q prints %q", e.word, c)
		}
		kinds[c.Kind] = true
	}
	for _, k := range []inject.ConditionKind{inject.Seen, inject.Delivered, inject.InState, inject.Fired, inject.Exited, inject.Returned, inject.Listening, inject.After, inject.Next} {
		if !kinds[k] {
			t.Errorf("no entry is a condition %q", k)
		}
	}
}

// What a Stage hands out is looked through: a new kind of thing needs its
// entries too.
func TestEveryThingOfAStageIsKnown(t *testing.T) {
	known := []reflect.Type{
		reflect.TypeFor[*harness.Host](), reflect.TypeFor[*harness.Peer](), reflect.TypeFor[*harness.Socket](),
		reflect.TypeFor[*harness.Pending](), reflect.TypeFor[*harness.Program](), reflect.TypeFor[*harness.Wire](),
		reflect.TypeFor[*harness.Rule](), // the verbs again, as methods
	}
	check := func(where string, typ reflect.Type) {
		if typ.Kind() == reflect.Pointer && strings.HasSuffix(typ.Elem().PkgPath(), "/harness") && !slices.Contains(known, typ) {
			t.Errorf("%s is a %v, which the vocabulary does not know", where, typ)
		}
	}
	for _, typ := range append([]reflect.Type{reflect.TypeFor[*harness.Stage]()}, known...) {
		for i := range typ.NumMethod() {
			m := typ.Method(i)
			for k := range m.Type.NumOut() {
				check(fmt.Sprintf("what %v.%s returns", typ, m.Name), m.Type.Out(k))
			}
		}
	}
	stage := reflect.TypeFor[harness.Stage]()
	for i := range stage.NumField() {
		if f := stage.Field(i); f.IsExported() {
			check("Stage."+f.Name, f.Type)
		}
	}
}

// The rules of the table print as they are typed, so that the document shows
// what reports show.
func TestWordsPrintAsTheyAreTyped(t *testing.T) {
	names := map[string]bool{}
	for _, e := range entries() {
		if names[e.name] {
			t.Errorf("two entries are called %s", e.name)
		}
		names[e.name] = true
		if e.word == "" {
			continue
		}
		printed := ""
		switch e.group() {
		case "action":
			r, err := inject.ParseRule(e.word)
			if err != nil {
				t.Error(err)
				continue
			}
			printed = r.String()
		case "name":
			m, err := inject.ParseMatch(e.word)
			if err != nil {
				t.Error(err)
				continue
			}
			printed = m.String()
			if p, err := flow.ParsePattern(e.word); err == nil {
				printed = p.String()
			}
		default:
			continue
		}
		if printed != e.word {
			t.Errorf("%s: %q prints %q", e.name, e.word, printed)
		}
	}
}
