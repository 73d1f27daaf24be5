package file

import (
	"fmt"
	"strings"

	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

func (d *duplicate) read(n *node) {
	d.at = n
	if n.kind == mapping {
		var c copies
		decode(n, valueOf(&c))
		d.copies, d.after = c.Copies, c.After
	} else {
		d.copies.read(n)
	}
	d.copies.between(1, 1000)
}

// rule makes the wire's rule of what is written.
func (r *rule) rule() inject.Rule {
	out := inject.Rule{
		Name: r.Name.text, Match: r.Match.match, Always: r.Times.always, Times: int(r.Times.n),
		Optional: r.Required.at != nil && !r.Required.on,
	}
	switch {
	case r.Drop.at != nil:
		out.Action.Verb = inject.Drop
	case r.Delay.at != nil:
		out.Action = inject.Action{Verb: inject.Delay, For: r.Delay.d}
	case r.Hold.Node != nil:
		out.Action = inject.Action{
			Verb: inject.Hold, Until: r.Hold.Until.when, AtMost: r.Hold.AtMost.d, Reversed: r.Hold.Reversed.on,
		}
	case r.Duplicate.at != nil:
		out.Action = inject.Action{Verb: inject.Duplicate, Copies: int(r.Duplicate.copies.n), For: r.Duplicate.after.d}
	case r.Rewrite.Node != nil:
		out.Action = r.Rewrite.action()
	case r.Forge.Node != nil:
		out.Action = r.Forge.action()
	case r.Cut.Node != nil:
		r.Cut.Keep.between(-1, 1<<40)
		out.Action = inject.Action{Verb: inject.Cut, Keep: r.Cut.Keep.n, Then: tcp.FIN}
		if r.Cut.Then.word == "rst" {
			out.Action.Then = tcp.RST
		}
	case r.Silence.at != nil:
		out.Action = inject.Action{Verb: inject.Silence}
		if r.Silence.text != "both" {
			out.Action.To = r.Silence.text
		}
	case r.Forget.word != "":
		out.Action = inject.Action{Verb: inject.Forget, Answer: r.Forget.word == "rst"}
	}
	return out
}

// argument is one key of an action, and how it is written in a rule's brackets.
type argument struct {
	phrase
	text string
}

// parse reads arguments as the text of a rule has them: so there is one grammar.
// An argument that is wrong is found by itself, so that the error is at its place.
func parse(n *node, verb inject.Verb, first []string, list []argument) inject.Action {
	words := append([]string(nil), first...)
	for _, a := range list {
		if strings.ContainsAny(a.text, ",()") {
			panic(a.at.fail("a comma and brackets cannot stand here"))
		}
		one := append(append([]string(nil), first...), a.text)
		if _, err := inject.ParseRule(fmt.Sprintf("%s(%s) client.ACK", verb, strings.Join(one, ", "))); err != nil {
			panic(a.at.fail("%s", what(err)))
		}
		words = append(words, a.text)
	}
	r, err := inject.ParseRule(fmt.Sprintf("%s(%s) client.ACK", verb, strings.Join(words, ", ")))
	if err != nil {
		panic(n.fail("%s", what(err)))
	}
	return r.Action
}

func (r *rewrite) action() inject.Action {
	var list []argument
	add := func(key string, p phrase) {
		if p.at == nil {
			return
		}
		text := key + "=" + p.text
		for _, sign := range []string{"+=", "-="} {
			if by, ok := strings.CutPrefix(p.text, sign); ok {
				text = key + sign + strings.TrimSpace(by)
			}
		}
		list = append(list, argument{p, text})
	}
	add("seq", r.Seq)
	add("ack", r.Ack)
	add("tsval", r.TSVal)
	add("tsecr", r.TSEcr)
	add("flags", r.Flags)
	add("win", r.Win)
	add("ttl", r.TTL)
	add("options", r.Options)
	add("keep", r.Keep)
	add("checksum", r.Checksum)
	if list == nil && r.Payload.at == nil {
		panic(r.Node.fail("rewrite changes nothing: want one of %s", strings.Join(keysOf(r), ", ")))
	}
	a := inject.Action{Verb: inject.Rewrite}
	if list != nil {
		a = parse(r.Node, inject.Rewrite, nil, list)
	}
	if r.Payload.at != nil {
		a.Edit.Payload = &r.Payload.text
	}
	return a
}

func (f *forge) action() inject.Action {
	if f.Flags.at != nil && f.ICMP.at != nil {
		panic(f.ICMP.at.fail("a forgery is a segment with flags or an ICMP error, not both"))
	}
	choice(f.Place.at, "where it is made", string(inject.Before), string(inject.Behind), string(inject.Instead))
	what := argument{f.Flags, f.Flags.text}
	switch {
	case f.ICMP.at != nil:
		what = argument{f.ICMP, "icmp " + f.ICMP.text}
	case f.Flags.at == nil:
		panic(f.Node.fail("forge needs flags, or icmp with the reason"))
	}
	parse(f.Node, inject.Forge, []string{f.Place.text}, []argument{what})
	var list []argument
	for _, a := range []struct {
		key string
		phrase
	}{{"to", f.To}, {"seq", f.Seq}, {"ack", f.Ack}, {"win", f.Win}, {"len", f.Len}, {"ts", f.TS}, {"mtu", f.MTU}} {
		if a.at != nil {
			list = append(list, argument{a.phrase, a.key + "=" + a.text})
		}
	}
	if f.Ends.on {
		list = append(list, argument{phrase{at: f.Ends.at}, "ends"})
	}
	return parse(f.Node, inject.Forge, []string{f.Place.text, what.text}, list)
}
