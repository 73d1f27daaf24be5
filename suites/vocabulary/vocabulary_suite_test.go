// Package vocabulary shows what every word of lastack does: each action,
// condition, name, host fault and peer call is played between two real kernels,
// over IPv4 and IPv6, and judged by what kernels and programs did. The table of
// words is data: docs/vocabulary.md is made of it.
package vocabulary

import (
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/suites/specs"
)

// entry is one word of the vocabulary, and the test that shows its effect.
type entry struct {
	// name is the test's: what stands before the slash is the group.
	name string
	// word is what is typed: a rule, a condition or a match. Acts have none.
	word string
	// of are the identifiers that the word stands for, as Host.Kill: their
	// comments say what it is.
	of []string
	// says is for names, about which no comment speaks.
	says string
	// shows is what the test sees.
	shows string
	hosts []harness.HostSpec
	play  func(s *stage)
	judge func(g Gomega, r *record.Run)
}

// entries are all words, group by group.
func entries() []entry {
	return slices.Concat(actions, rewrites, forgeries, conditions, names, hostActs, peerCalls)
}

func (e *entry) group() string {
	group, _, _ := strings.Cut(e.name, "/")
	return group
}

// stage is what an entry plays on.
type stage struct {
	*harness.Stage
	word string
}

// arm arms the entry's word, which is a rule.
func (s *stage) arm() *harness.Rule { return s.Wire.Rule(s.word) }

// scenario is the entry with its only claim.
func (e entry) scenario() harness.Scenario {
	return harness.Scenario{
		Name: e.name, Summary: e.shows, Hosts: e.hosts,
		Play: func(s *harness.Stage) { e.play(&stage{s, e.word}) },
		Claims: []harness.Claim{{Says: e.shows, Judge: func(g Gomega, r *record.Run) {
			if p, err := flow.ParsePattern(e.word); err == nil && e.group() == "name" && !p.FromEnd() {
				g.Expect(r).To(Segments(e.word))
			}
			if e.judge != nil {
				e.judge(g, r)
			}
		}}},
	}
}

// bound is longer than any timer that a play waits for.
const bound = 15 * time.Second

var _ = specs.Register(specs.Options{NoRefutations: true, Harness: harness.Options{Bound: bound}}, scenarios()...)

func scenarios() []harness.Scenario {
	var list []harness.Scenario
	for _, e := range entries() {
		list = append(list, e.scenario())
	}
	return list
}

var _ = SynchronizedBeforeSuite(
	func(ctx SpecContext) []byte { return specs.Play(ctx) },
	func(data []byte) { specs.Load(data) },
)

func TestVocabulary(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "The vocabulary")
}

// one sends one byte from the client to the server, under the entry's rule.
func one(s *stage) {
	client, server := s.Established()
	s.arm()
	client.Write("x")
	server.Read(1)
}

// calls are the system calls of that name, or acts, on a host, in their order.
func calls(r *record.Run, host, name string) []record.Call {
	var found []record.Call
	for _, c := range r.On(host).Calls {
		if c.Name == name {
			found = append(found, c)
		}
	}
	return found
}

// call is the nth of them, from 1; the expectation fails where there are fewer.
func call(g Gomega, r *record.Run, host, name string, n int) record.Call {
	found := calls(r, host, name)
	g.Expect(len(found)).To(BeNumerically(">=", n), "there are fewer calls of %s on %s", name, host)
	return found[n-1]
}

// results are what these calls returned.
func results(r *record.Run, host, name string) []int64 {
	var found []int64
	for _, c := range calls(r, host, name) {
		found = append(found, c.Result)
	}
	return found
}

// left is when a segment first left the wire.
func left(g Gomega, s *record.Segment) time.Duration {
	g.Expect(s.Departures).NotTo(BeEmpty(), "%s was never delivered", s.Name())
	return s.Departures[0].T
}

// moved is at least one.
var moved = BeNumerically(">=", 1)

// sentAgain: the host's kernel repeated something.
func sentAgain(g Gomega, r *record.Run, host string) {
	g.Expect(r).To(HaveDelta(host, "Tcp.RetransSegs", moved))
}

// sentOnce: it repeated nothing.
func sentOnce(g Gomega, r *record.Run, host string) {
	g.Expect(r).To(HaveDelta(host, "Tcp.RetransSegs", 0))
}

// armed arms a rule that is not the entry's word but a part of its play.
func armed(s *stage, text string) *harness.Rule { return s.Wire.Rule(text) }

// unprobed: no tail loss probe repeats what the other kernel acknowledges some
// milliseconds late, so that what came to the wire can be counted.
func unprobed(s *stage) {
	s.Client.Sysctl("net.ipv4.tcp_early_retrans", "0")
	s.Server.Sysctl("net.ipv4.tcp_early_retrans", "0")
}

// seen awaits that a segment of that name was delivered.
func seen(s *stage, name string) { s.Await(s.Wire.Delivered(name)) }
