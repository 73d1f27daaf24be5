package file

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/internal/nearest"
)

// Default is the variant that is the scenario as it stands.
const Default = "default"

// Scenario is one document of a file.
type Scenario struct {
	// Name, Summary and Sources are as the file has them.
	Name    string
	Summary string
	Sources []string
	// Text is the document as it is written, with its comments.
	Text string
	// Variants are the ways to play it: Default, and the others in their order.
	Variants []string
	// Verdicts are what the file says that variants give, in its order; without
	// any the scenario is what it is.
	Verdicts []Expected
	plays    map[string][]*plan
}

// Expected is a variant and the verdict that it must give.
type Expected struct {
	Variant string
	Verdict record.Verdict
}

// Play is one run of a scenario: a variant with one value of each variable.
type Play struct {
	// Scenario is what harness plays. Its name is the file's, and the values
	// behind it: early-fin-truncation{keep=0}.
	Scenario harness.Scenario
	// Variant is which one this is.
	Variant string
	// Values are the variables', as keep=0; empty where there is no for.
	Values string
	// IP is the family that the scenario is about; 0 where it is about none.
	IP int
}

// plan is a variant with its values, ready to be played.
type plan struct {
	doc    *document
	values string
	rules  []inject.Rule
}

// Read reads a scenario file. The error is an *Error.
func Read(path string) ([]*Scenario, error) {
	data, err := load(path)
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, &Error{File: path, What: err.Error()}
	}
	return Parse(path, data)
}

// Parse reads the text of a scenario file; name is what errors call it. Where it is
// empty the text was never a file: neither errors nor verdicts say where in it, or
// which of its keys would help. The error is an *Error.
func Parse(name string, data []byte) (scenarios []*Scenario, err error) {
	if len(data) > maxSize {
		return nil, &Error{File: name, What: tooLarge().Error()}
	}
	src := &source{name: name, text: string(data)}
	docs, err := read(src)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			wrong, ok := p.(*Error)
			if !ok {
				panic(p)
			}
			scenarios, err = nil, wrong
		}
	}()
	if len(docs) == 0 {
		panic(src.fail(1, 1, "the file holds no scenario: it begins with lastack: 1"))
	}
	names := map[string]int{}
	for i, d := range docs {
		s := newScenario(d)
		at := d.get("name")
		if line, twice := names[s.Name]; twice {
			panic(at.fail("line %d has a scenario of that name already", line))
		}
		names[s.Name] = at.line
		first, last := 0, len(src.text) // what stands before the first scenario is its own
		if i > 0 {
			first = src.offset(d.line)
		}
		if i+1 < len(docs) {
			last = src.offset(docs[i+1].line)
		}
		s.Text = documentText(src.text[first:last], i+1 < len(docs))
		scenarios = append(scenarios, s)
	}
	return scenarios, nil
}

// offset is where a line begins.
func (s *source) offset(line int) int {
	at := 0
	for range line - 1 {
		next := strings.IndexByte(s.text[at:], '\n')
		if next < 0 {
			return len(s.text)
		}
		at += next + 1
	}
	return at
}

// documentText takes the mark between documents away.
func documentText(text string, more bool) string {
	if i := strings.LastIndex("\n"+text, "\n---"); more && i >= 0 {
		text = text[:i]
	}
	return strings.TrimSpace(strings.TrimPrefix(text, "---")) + "\n"
}

// maxPlays bounds what for and variants multiply.
const maxPlays = 1000

// newScenario reads a document in all its variants and with all values, so that
// what is wrong in any of them is found before anything is played.
func newScenario(top *node) *Scenario {
	var head document
	plain := *top
	plain.pairs = slices.Clone(top.pairs)
	if top.kind != mapping {
		decode(top, valueOf(&head)) // which says what is wrong
	}
	// What multiplies the document is read by itself; the rest only with values.
	for _, key := range []string{"for", "variants", "verdicts"} {
		for _, p := range top.pairs {
			if p.key.word != key {
				continue
			}
			if p.value.kind == null {
				panic(p.key.fail("%s has no value", key))
			}
			switch key {
			case "for":
				head.For.read(p.value)
			case "variants":
				head.Variants.read(p.value)
			case "verdicts":
				head.Verdicts.read(p.value)
			}
		}
		plain.pairs = slices.DeleteFunc(plain.pairs, func(p pair) bool { return p.key.word == key })
	}
	s := &Scenario{plays: map[string][]*plan{}, Variants: []string{Default}}
	for _, v := range head.Variants {
		if !written(v.key) || v.key == Default {
			panic(v.at.fail("want a variant's name in lower case with hyphens, and not %s, not %q", Default, shorten(v.key)))
		}
		s.Variants = append(s.Variants, v.key)
	}
	s.expected(head.Verdicts)
	sets := combinations(head.For)
	if len(sets)*len(s.Variants) > maxPlays {
		panic(head.For[0].at.fail("for and variants make %d plays: the most is %d", len(sets)*len(s.Variants), maxPlays))
	}
	used := map[string]bool{}
	for _, name := range s.Variants {
		tree := &plain
		if v, ok := head.Variants.get(name); ok {
			tree = merge(&plain, v.at)
		}
		for _, set := range sets {
			s.plays[name] = append(s.plays[name], newPlan(substitute(tree, set.nodes, used), set.text))
		}
	}
	for _, v := range head.For {
		if !used[v.key] {
			panic(v.at.fail("nothing uses ${%s}", v.key))
		}
	}
	first := s.plays[Default][0].doc
	s.Name, s.Summary, s.Sources = first.Name.text, first.Summary.text, texts(first.Sources)
	return s
}

// expected are the verdicts that must come.
func (s *Scenario) expected(verdicts table[verdict]) {
	for _, v := range verdicts {
		if !slices.Contains(s.Variants, v.key) {
			panic(v.at.fail("there is no variant %q; the nearest is %q", shorten(v.key), nearest.Of(v.key, s.Variants)))
		}
		s.Verdicts = append(s.Verdicts, Expected{v.key, record.Verdict(v.value.word)})
	}
}

// set is a value for each variable.
type set struct {
	nodes map[string]*node
	text  string
}

// combinations are all values of all variables, the last of which changes first.
func combinations(variables table[[]plain]) []set {
	sets := []set{{nodes: map[string]*node{}}}
	for _, v := range variables {
		if v.key == "" || strings.ContainsAny(v.key, "${},= ") {
			panic(v.at.fail("want a variable's name as a word, not %q", shorten(v.key)))
		}
		if len(v.value) == 0 {
			panic(v.at.fail("%s has no values", v.key))
		}
		var more []set
		for _, s := range sets {
			for _, value := range v.value {
				nodes := map[string]*node{v.key: value.at}
				for key, n := range s.nodes {
					nodes[key] = n
				}
				text := v.key + "=" + value.at.word
				if s.text != "" {
					text = s.text + "," + text
				}
				more = append(more, set{nodes, text})
			}
		}
		if sets = more; len(sets) > maxPlays {
			panic(v.at.fail("for makes more than %d plays", maxPlays))
		}
	}
	return sets
}

// newPlan reads a document without variables, and checks all that its parts say of
// one another.
func newPlan(n *node, values string) *plan {
	p := &plan{doc: &document{}, values: values}
	decode(n, valueOf(p.doc))
	names := p.hosts()
	p.checkHosts(names)
	rules := map[string]bool{}
	for i := range p.doc.Rules {
		r := &p.doc.Rules[i]
		out := r.rule()
		if err := out.Check(names); err != nil {
			panic(r.wrong(names, err))
		}
		key := out.Name
		if key == "" {
			key = out.String()
		}
		if rules[key] {
			panic(r.Node.fail("there is a rule %q already: give this one a name of its own", shorten(key)))
		}
		rules[key] = true
		p.rules = append(p.rules, out)
	}
	check := func(c condition) {
		if c.at == nil {
			return
		}
		if err := c.when.Check(names); err != nil {
			panic(syntaxError(c.at, err))
		}
		if c.when.Kind == inject.Fired && !rules[c.when.Rule] {
			panic(c.at.fail("there is no rule %q; the nearest is %q", shorten(c.when.Rule), nearest.Of(c.when.Rule, slices.Sorted(maps.Keys(rules)))))
		}
	}
	for i := range p.doc.Rules {
		check(p.doc.Rules[i].Hold.Until)
	}
	for i := range p.doc.At {
		a := &p.doc.At[i]
		check(a.When)
		p.checkAct(a, names)
	}
	p.checkExpect(names)
	p.checkSysctls(names)
	for _, f := range p.doc.Files {
		p.mustRun(f.at, names)
	}
	return p
}

// wrong puts what a rule says of a host that is not there at its match, its
// condition, or its action.
func (r *rule) wrong(names []string, err error) *Error {
	m := r.Match.match
	if e := m.Check(names); e != nil {
		return syntaxError(r.Match.at, e)
	}
	if r.Hold.Until.at != nil {
		if e := r.Hold.Until.when.Check(names); e != nil {
			return syntaxError(r.Hold.Until.at, e)
		}
	}
	at := r.Match.at
	switch {
	case r.Silence.at != nil:
		at = r.Silence.at
	case r.Forge.To.at != nil:
		at = r.Forge.To.at
	}
	return at.fail("%s", what(err))
}

// hosts are the names of all hosts of the lab.
func (p *plan) hosts() []string {
	names := []string{"client", "server"}
	for _, h := range p.doc.Hosts {
		if !slices.Contains(names, h.key) {
			names = append(names, h.key)
		}
	}
	return names
}

func noHost(at *node, word string, names []string) *Error {
	return at.fail("there is no host %q: the hosts are %s", shorten(word), strings.Join(names, ", "))
}

// mustRun refuses a host that is not there, or runs nothing.
func (p *plan) mustRun(at *node, names []string) {
	if !slices.Contains(names, at.word) {
		panic(noHost(at, at.word, names))
	}
	if !p.runs(at.word) {
		panic(at.fail("nothing runs on %s: give it a run under hosts", at.word))
	}
}

// runs tells whether a program runs on a host, now or by an act.
func (p *plan) runs(name string) bool {
	h, _ := p.doc.Hosts.get(name)
	return h.Run.at != nil || slices.ContainsFunc(p.doc.At, func(a act) bool { return a.Run.at != nil && a.Host.text == name })
}

// bearable are the hosts whose addresses another can bear.
var bearable = []string{"client", "server"}

// maxHosts is how many further hosts a scenario can have.
const maxHosts = 13

func (p *plan) checkHosts(names []string) {
	programs := 0
	for i, h := range p.doc.Hosts {
		switch {
		case !written(h.key) || len(h.key) > 31:
			panic(h.at.fail("want a host's name in lower case with hyphens, not %q", shorten(h.key)))
		case slices.Contains([]string{"forged", "wire", "both"}, h.key) || slices.Contains(keysOf(&expectKeys{}), h.key):
			panic(h.at.fail("no host can be called %s: the word means something else", h.key))
		case i >= maxHosts+2:
			panic(h.at.fail("a scenario has at most %d hosts", maxHosts+2))
		}
		v := h.value
		if v.Run.at != nil {
			programs++
		}
		if v.As.at != nil && (!slices.Contains(bearable, v.As.text) || v.As.text == h.key) {
			panic(v.As.at.fail("want client or server, another host than this, not %q", shorten(v.As.text)))
		}
		v.MTU.between(1280, 65535)
		if v.RTOMin.at != nil && (v.RTOMin.d < time.Millisecond || v.RTOMin.d%time.Millisecond != 0) {
			panic(v.RTOMin.at.fail("want whole milliseconds, from 1ms, not %v", v.RTOMin.d))
		}
		v.Ready.Listen.between(1, 65535)
		for _, e := range v.Env {
			if e.key == "" || strings.ContainsAny(e.key, "=\x00") || strings.Contains(e.value.text, "\x00") {
				panic(e.at.fail("%q cannot be the name of a variable", shorten(e.key)))
			}
		}
		for _, a := range v.After {
			if a.text == h.key {
				panic(a.at.fail("a host cannot be started after itself"))
			}
			node := *a.at
			node.word = a.text
			p.mustRun(&node, names)
		}
		if v.Run.at == nil {
			switch {
			case v.Ready.Node != nil:
				panic(v.Ready.Node.fail("ready needs a program: give the host a run"))
			case len(v.Env) > 0:
				panic(v.Env[0].at.fail("env needs a program: give the host a run"))
			}
		}
	}
	if programs == 0 {
		panic(p.doc.Node.get("hosts").fail("nothing is played: give a host a run, as in client: { run: [./my-client] }"))
	}
	for _, h := range p.doc.Hosts {
		if round := p.round(h.key, nil); round != nil {
			panic(h.value.After[0].at.fail("each waits for the other: %s", strings.Join(round, " after ")))
		}
	}
}

// round is a way from a host over after back to it; nil where there is none.
func (p *plan) round(name string, way []string) []string {
	if i := slices.Index(way, name); i >= 0 {
		return append(slices.Clone(way[i:]), name)
	}
	h, _ := p.doc.Hosts.get(name)
	for _, a := range h.After {
		if found := p.round(a.text, append(slices.Clone(way), name)); found != nil {
			return found
		}
	}
	return nil
}

// checkAct refuses an act without what its deed needs, or with what that does not take.
func (p *plan) checkAct(a *act, names []string) {
	if a.Run.at != nil && a.Do.word != "run" {
		panic(a.Run.at.fail("run belongs to do: run"))
	}
	if a.When.when.Kind == inject.Next {
		panic(a.When.at.fail("next is for hold alone"))
	}
	if a.Do.word == "wait" {
		if a.Host.at != nil {
			panic(a.Host.at.fail("do: wait is for the condition alone, and takes no host"))
		}
		return
	}
	if a.Host.at == nil {
		panic(a.Node.fail("do: %s needs the host to which it is done", a.Do.word))
	}
	if !slices.Contains(names, a.Host.text) {
		panic(noHost(a.Host.at, a.Host.text, names))
	}
	if h, _ := p.doc.Hosts.get(a.Host.text); a.Do.word == "run" && a.Run.at == nil && h.Run.at == nil {
		panic(a.Host.at.fail("the host has no program of its own: say what is run"))
	}
}

func (p *plan) checkExpect(names []string) {
	e := &p.doc.Expect
	known := func(list ...segment) {
		for _, s := range list {
			m := inject.Match{}
			if parsed, err := inject.ParseMatch(s.name); err == nil {
				m = parsed
			}
			if err := m.Check(names); err != nil {
				panic(syntaxError(s.at, err))
			}
		}
	}
	for _, w := range slices.Concat(p.doc.Given, e.Wire) {
		known(w.Order...)
		known(w.Delivered...)
		known(w.Dropped...)
		known(w.Absent...)
		for _, c := range w.Count {
			var s segment
			s.read(c.at.asText())
			known(s)
		}
		for _, l := range [][]segment{w.Order, w.Delivered, w.Dropped} {
			if l != nil && len(l) == 0 {
				panic(w.Node.fail("the list is empty"))
			}
		}
		if w.Time != nil {
			known(w.Time.From, w.Time.To)
			if w.Time.AtLeast.at == nil && w.Time.AtMost.at == nil {
				panic(w.Time.Node.fail("time needs at_least or at_most"))
			}
			for _, b := range []bound{w.Time.AtLeast, w.Time.AtMost} {
				if b.of.at != nil {
					known(b.of)
				}
			}
		}
	}
	for _, s := range e.NoSocket {
		if !slices.Contains(names, s.host) {
			panic(noHost(s.at, s.host, names))
		}
	}
	for _, s := range e.Sockets {
		if where := placeOf(s.at); !slices.Contains(names, where.host) {
			panic(noHost(s.at, where.host, names))
		}
	}
	for _, h := range e.Hosts {
		if !slices.Contains(names, h.key) {
			words := append(keysOf(&expectKeys{}), names...)
			panic(unknown(h.at, "expect", words))
		}
		c := &h.value
		program := c.Exit != nil || c.Signal.at != nil || c.Runs.at != nil || c.Within.at != nil || c.Stdout != nil ||
			c.Stderr != nil || len(c.Files) > 0 || len(c.Errno) > 0
		if program {
			p.mustRun(h.at, names)
		}
		if c.Exit != nil && c.Signal.at != nil && c.Signal.text != "none" {
			panic(c.Signal.at.fail("a program that a signal ends has no exit status"))
		}
		if c.Runs.on && (c.Exit != nil || c.Within.at != nil || c.Signal.at != nil) {
			panic(c.Runs.at.fail("a program that still runs has not ended: leave out exit, signal and within"))
		}
		for _, f := range c.Files {
			if f.key == "" {
				panic(f.at.fail("a file's name is empty"))
			}
		}
		for _, n := range c.Counters {
			if group, name, ok := strings.Cut(n.key, "."); !ok || group == "" || name == "" {
				panic(n.at.fail("want a counter with its group, as in TcpExt.TCPTimeouts, not %q", shorten(n.key)))
			}
		}
	}
}

func (p *plan) checkSysctls(names []string) {
	for _, s := range p.doc.Sysctls {
		key := s.key
		if host, rest, ok := strings.Cut(s.key, ":"); ok {
			if !slices.Contains(names, host) {
				panic(noHost(s.at, host, names))
			}
			key = rest
		}
		if !strings.HasPrefix(key, "net.") || strings.Contains(key, "..") || strings.ContainsAny(key, "/ ") || strings.HasSuffix(key, ".") {
			panic(s.at.fail("want a setting of a host as net.ipv4.tcp_fin_timeout, or of one host as client:net.ipv4.tcp_fin_timeout, not %q", shorten(s.key)))
		}
		if strings.TrimSpace(s.value.text) == "" {
			panic(s.value.at.fail("%s has no value", key))
		}
	}
}

// Check looks for the programs of the variants that are named, which must be
// there: the error is an *Error at the program's name. replaced are hosts whose
// program is another.
func (s *Scenario) Check(variants []string, replaced map[string][]string) error {
	for _, v := range variants {
		for _, p := range s.plays[v] {
			for _, h := range p.doc.Hosts {
				if _, ok := replaced[h.key]; ok || h.value.Run.at == nil {
					continue
				}
				if err := h.value.Run.check(); err != nil {
					return err
				}
			}
			for _, a := range p.doc.At {
				if a.Run.at == nil {
					continue
				}
				if err := a.Run.check(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Hosts are the hosts of a variant on which programs run.
func (s *Scenario) Hosts(variant string) (names []string) {
	for _, p := range s.plays[variant] {
		for _, h := range p.doc.Hosts {
			if h.value.Run.at != nil && !slices.Contains(names, h.key) {
				names = append(names, h.key)
			}
		}
	}
	return names
}

// Plays are the runs of a variant, one for each value of its variables. Programs
// of hosts can be replaced by others.
func (s *Scenario) Plays(variant string, replaced map[string][]string) ([]Play, error) {
	plans, ok := s.plays[variant]
	if !ok {
		return nil, fmt.Errorf("play %s: there is no variant %q; the nearest is %q", s.Name, variant, nearest.Of(variant, s.Variants))
	}
	for host := range replaced {
		if names := s.Hosts(variant); !slices.Contains(names, host) {
			return nil, fmt.Errorf("play %s: no program runs on a host %q; programs run on %s", s.Name, host, strings.Join(names, ", "))
		}
	}
	var plays []Play
	for _, p := range plans {
		plays = append(plays, p.play(variant, replaced))
	}
	return plays, nil
}
