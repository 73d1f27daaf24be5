package file

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// claims makes a sentence and a judge of each thing that is given or expected.
func (p *plan) claims() (claims []harness.Claim) {
	e := &p.doc.Expect
	add := func(says string, judge func(g gomega.Gomega, r *record.Run)) {
		claims = append(claims, harness.Claim{Says: says, Judge: judge})
	}
	for i := range p.doc.Given {
		p.doc.Given[i].claims(add)
	}
	for i := range claims {
		claims[i].Given = true
	}
	for i := range e.Wire {
		e.Wire[i].claims(add)
	}
	for _, h := range e.Hosts {
		h.value.claims(h.key, add)
	}
	for _, s := range e.NoSocket {
		add("no socket of "+s.host+" is left"+s.where(), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(left(s, amount{}))
		})
	}
	for _, s := range e.Sockets {
		where := placeOf(s.at)
		add(fmt.Sprintf("of %s %s left%s", where.host, sockets(s.value), where.where()), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(left(where, s.value))
		})
	}
	return claims
}

func sockets(a amount) string {
	if a.least == 1 && a.most == 1 {
		return "1 socket is"
	}
	return a.String() + " sockets are"
}

func (p *place) where() string {
	if p.state == nil {
		return ""
	}
	return " in " + p.state.state.String()
}

type adder func(says string, judge func(g gomega.Gomega, r *record.Run))

func segmentNames(list []segment) (names []string) {
	for _, s := range list {
		names = append(names, s.name)
	}
	return names
}

func (w *wireClaim) claims(add adder) {
	names := strings.Join
	switch {
	case w.Order != nil:
		list := segmentNames(w.Order)
		says := "on the wire come, in this order: " + names(list, ", ")
		if len(list) == 1 {
			says = "on the wire comes " + list[0]
		}
		add(says, func(g gomega.Gomega, r *record.Run) { g.Expect(r).To(expect.Segments(list...)) })
	case w.Delivered != nil:
		list := segmentNames(w.Delivered)
		add("delivered are, in this order: "+names(list, ", "), func(g gomega.Gomega, r *record.Run) { g.Expect(r).To(expect.Delivered(list...)) })
	case w.Dropped != nil:
		list := segmentNames(w.Dropped)
		add("lost are, in this order: "+names(list, ", "), func(g gomega.Gomega, r *record.Run) { g.Expect(r).To(expect.Dropped(list...)) })
	case w.Absent != nil:
		for _, s := range w.Absent {
			add("on the wire comes no "+s.name, func(g gomega.Gomega, r *record.Run) { g.Expect(r).NotTo(expect.Segments(s.name)) })
		}
	case w.Count != nil:
		for _, c := range w.Count {
			add(fmt.Sprintf("on the wire come %s of %s", c.value, c.key), func(g gomega.Gomega, r *record.Run) {
				g.Expect(r).To(expect.HaveCount(c.key, c.value.matcher()))
			})
		}
	case w.Time != nil:
		w.Time.claims(add)
	}
}

func (a amount) matcher() gomegaMatcher {
	if a.least == a.most {
		return gomega.BeNumerically("==", a.least)
	}
	return gomega.And(gomega.BeNumerically(">=", a.least), gomega.BeNumerically("<=", a.most))
}

func (b *bound) String() string {
	if b.of.at != nil {
		return fmt.Sprintf("%v times what the timer of %s said", b.times, b.of.name)
	}
	return b.d.String()
}

// length is the bound as a duration.
func (b *bound) length(g gomega.Gomega, r *record.Run) time.Duration {
	if b.of.at == nil {
		return b.d
	}
	return time.Duration(b.times * float64(expect.Meant(g, r, b.of.pattern.Who, b.of.name)))
}

func (t *gap) claims(add adder) {
	one := func(b bound, word, sign string) {
		if b.at == nil {
			return
		}
		says := fmt.Sprintf("%s comes at %s %s after %s", t.To.name, word, b.String(), t.From.name)
		add(says, func(g gomega.Gomega, r *record.Run) {
			from, to := expect.Find(g, r, t.From.name), expect.Find(g, r, t.To.name)
			g.Expect(expect.Gap(from, to)).To(gomega.BeNumerically(sign, b.length(g, r)))
		})
	}
	one(t.AtLeast, "least", ">=")
	one(t.AtMost, "most", "<=")
}

func (h *hostClaims) claims(host string, add adder) {
	of := "the program on " + host
	if h.Exit != nil {
		says, want := fmt.Sprintf("%s exits with %s", of, h.Exit), "to exit with "+h.Exit.String()
		if status, not := strings.CutPrefix(h.Exit.String(), "not "); not {
			says, want = fmt.Sprintf("%s does not exit with %s", of, status), "not to exit with "+status
		}
		add(says, func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(ended(host, want, func(p *record.Program) bool {
				return p.End >= 0 && p.Signal == "" && h.Exit.holds(p.Exit)
			}))
		})
	}
	switch signal := h.Signal.text; {
	case h.Signal.at == nil:
	case signal == "none":
		add("no signal ends "+of, func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(ended(host, "not to be ended by a signal", func(p *record.Program) bool { return p.Signal == "" }))
		})
	default:
		add(fmt.Sprintf("%s ends %s", signal, of), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(ended(host, "to be ended by "+signal, func(p *record.Program) bool { return p.Signal == signal }))
		})
	}
	if h.Runs.at != nil {
		says := of + " still runs in the end"
		want := "to run still"
		if !h.Runs.on {
			says, want = of+" has ended", "to have ended"
		}
		add(says, func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(ended(host, want, func(p *record.Program) bool { return p.End < 0 == h.Runs.on }))
		})
	}
	if h.Within.at != nil {
		add(fmt.Sprintf("%s ends within %v", of, h.Within.d), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(ended(host, fmt.Sprintf("to end within %v", h.Within.d), func(p *record.Program) bool {
				return p.End >= 0 && p.End-p.T <= harness.Timescale(h.Within.d)
			}))
		})
	}
	h.Stdout.claims(host, "stdout", add, func(p *record.Program) ([]byte, int64) { return p.Stdout, p.StdoutSize })
	h.Stderr.claims(host, "stderr", add, func(p *record.Program) ([]byte, int64) { return p.Stderr, p.StderrSize })
	for _, f := range h.Files {
		f.value.claims(host, f.key, add)
	}
	if h.States != nil {
		var states []tcp.State
		var names []string
		for _, s := range h.States {
			states = append(states, s.state)
			names = append(names, s.state.String())
		}
		add(fmt.Sprintf("%s is seen in %s", host, strings.Join(names, ", ")), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(expect.HaveStates(host, states...))
		})
	}
	for _, e := range h.Errno {
		line := e.key + ": " + e.value.text
		add(fmt.Sprintf("on %s %s fails with %s", host, e.key, e.value.text), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(wrote(host, "stdout or stderr", "to hold the line "+quoted(line), func(p *record.Program) ([]byte, int64) {
				return append(slices.Clone(p.Stdout), p.Stderr...), p.StdoutSize + p.StderrSize
			}, func(text []byte, _ bool) bool { return lines(text, line) > 0 }))
		})
	}
	for _, c := range h.Counters {
		add(fmt.Sprintf("%s of %s moves by %s", c.key, host, c.value), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(expect.HaveDelta(host, c.key, c.value.matcher()))
		})
	}
}

// lines counts the lines that read so.
func lines(text []byte, want string) (n int64) {
	for line := range bytes.Lines(text) {
		if string(bytes.TrimRight(line, "\r\n")) == want {
			n++
		}
	}
	return n
}

func quoted(text string) string { return fmt.Sprintf("%q", shorten(text)) }

func (o *output) claims(host, stream string, add adder, of func(*record.Program) ([]byte, int64)) {
	if o == nil {
		return
	}
	one := func(says, want string, holds func(text []byte, whole bool) bool) {
		add(fmt.Sprintf("%s of %s %s", stream, host, says), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(wrote(host, stream, want, of, holds))
		})
	}
	for _, l := range o.Lines {
		what := fmt.Sprintf("%s lines %s", l.value, quoted(l.key))
		if l.value.least == 1 && l.value.most == 1 {
			what = "1 line " + quoted(l.key)
		}
		one("has "+what, "to have "+what, func(text []byte, whole bool) bool {
			return l.value.holds(lines(text, l.key)) && (whole || l.value.most == many)
		})
	}
	for _, c := range o.Contains {
		one("holds "+quoted(c.text), "to hold "+quoted(c.text), func(text []byte, _ bool) bool { return bytes.Contains(text, []byte(c.text)) })
	}
	for _, c := range o.Absent {
		one("does not hold "+quoted(c.text), "not to hold "+quoted(c.text), func(text []byte, whole bool) bool {
			return whole && !bytes.Contains(text, []byte(c.text))
		})
	}
	for _, m := range o.Matches {
		one("matches "+quoted(m.re.String()), "to match "+quoted(m.re.String()), func(text []byte, _ bool) bool { return m.re.Match(text) })
	}
	if o.Equals != nil {
		one("is "+quoted(o.Equals.text), "to be "+quoted(o.Equals.text), func(text []byte, whole bool) bool { return whole && same(text, o.Equals.text) })
	}
	if o.Size != nil {
		want := fmt.Sprintf("%d bytes", o.Size.n)
		add(fmt.Sprintf("%s of %s has %s", stream, host, want), func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(program(host, fmt.Sprintf("%s of the program on %s to have %s", stream, host, want), func(p *record.Program) (bool, []string) {
				_, size := of(p)
				return size == o.Size.n, []string{fmt.Sprintf("%d bytes", size)}
			}))
		})
	}
}

// same compares text but for a line break at the end.
func same(text []byte, want string) bool {
	return strings.TrimSuffix(string(text), "\n") == strings.TrimSuffix(want, "\n")
}

func (f *fileClaim) claims(host, name string, add adder) {
	one := func(says, want string, holds func(*record.File) bool) {
		add(says, func(g gomega.Gomega, r *record.Run) {
			g.Expect(r).To(aFile(host, name, want, holds))
		})
	}
	w := &f.what
	switch {
	case w.Node == nil && f.absent:
		one(fmt.Sprintf("%s leaves no file %s", host, name), "not to be there", func(f *record.File) bool { return f == nil })
		return
	case w.Node == nil || w.Size == nil && w.Equals == nil && w.Contains == nil && w.SHA256 == nil:
		one(fmt.Sprintf("%s leaves the file %s", host, name), "to be there", func(f *record.File) bool { return f != nil })
	}
	if w.Size != nil {
		one(fmt.Sprintf("the file %s of %s has %d bytes", name, host, w.Size.n), fmt.Sprintf("to have %d bytes", w.Size.n),
			func(f *record.File) bool { return f != nil && f.Size == w.Size.n })
	}
	if w.Equals != nil {
		one(fmt.Sprintf("the file %s of %s is %s", name, host, quoted(w.Equals.text)), "to be "+quoted(w.Equals.text),
			func(f *record.File) bool {
				return f != nil && f.Size == int64(len(f.Data)) && same(f.Data, w.Equals.text)
			})
	}
	for _, c := range w.Contains {
		one(fmt.Sprintf("the file %s of %s holds %s", name, host, quoted(c.text)), "to hold "+quoted(c.text),
			func(f *record.File) bool { return f != nil && bytes.Contains(f.Data, []byte(c.text)) })
	}
	if w.SHA256 != nil {
		one(fmt.Sprintf("the file %s of %s has the SHA-256 %s…", name, host, w.SHA256.text[:8]), "to have the SHA-256 "+w.SHA256.text,
			func(f *record.File) bool { return f != nil && f.SHA256 == w.SHA256.text })
	}
}
