// Package specs turns scenarios into Ginkgo specs: a container a scenario, an
// It a claim, and an It for the claim's refutation. It is for lastack's own
// suites and for yours:
//
//	var _ = specs.Register(specs.Options{}, myScenarios...)
//
//	var _ = SynchronizedBeforeSuite(
//		func(ctx SpecContext) []byte { return specs.Play(ctx) },
//		func(data []byte) { specs.Load(data) },
//	)
//
// Everything that the suite's label filter and focus select is played first,
// side by side; the specs then judge the records. Under ginkgo -p the first
// process plays, and the others read what it saw.
//
// A slow scenario has the label "slow", and is played only where the label
// filter names that: --label-filter=slow, or "slow || !slow" for everything.
package specs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
)

// Options say how the registered scenarios are played. The zero value plays
// over IPv4 and IPv6, with every refutation.
type Options struct {
	// IP lists the address families; empty means 4 and 6.
	IP []int
	// NoRefutations leaves the refutations out.
	NoRefutations bool
	// Harness are the options of each play; IP and Pool are set by this package.
	Harness harness.Options
	// Jobs bounds how many labs stand at once; 0 lets the machine decide.
	Jobs int
	// Also are further claims of the suite's own on each scenario's record;
	// nothing refutes them.
	Also func(sc harness.Scenario) []harness.Claim
}

// play is one run that some specs judge.
type play struct {
	scenario harness.Scenario
	claim    int // the claim to refute; -1 for the scenario as it stands
	options  harness.Options
	specs    []spec
	run      *record.Run
	err      string
}

// spec is what is needed to know whether a spec is selected.
type spec struct {
	text   string
	labels []string
}

var (
	plays []*play
	jobs  int
)

// Register makes the specs of scenarios. Call it while Ginkgo builds its tree:
// from a package variable, or inside a container. It returns true, so that it
// can stand behind var _.
func Register(o Options, scenarios ...harness.Scenario) bool {
	if len(o.IP) == 0 {
		o.IP = []int{4, 6}
	}
	jobs = max(jobs, o.Jobs)
	for _, sc := range scenarios {
		for _, ip := range o.IP {
			container(o, sc, ip)
		}
	}
	return true
}

func container(o Options, sc harness.Scenario, ip int) {
	title := fmt.Sprintf("%s over IPv%d", sc.Name, ip)
	family, _, _ := strings.Cut(sc.Name, "/")
	labels := ginkgo.Label(family, fmt.Sprintf("ipv%d", ip))
	if sc.Slow {
		labels = append(labels, slow)
	}
	ho := o.Harness
	ho.IP = ip
	add := func(claim int) *play {
		p := &play{scenario: sc, claim: claim, options: ho}
		plays = append(plays, p)
		return p
	}
	ginkgo.Describe(title, labels, func() {
		p := add(-1)
		it := func(p *play, text string, judge func(*record.Run), more ...string) {
			p.specs = append(p.specs, spec{title + " " + text, append(append([]string{}, labels...), more...)})
			ginkgo.It(text, ginkgo.Label(more...), func() { p.judge(judge) })
		}
		it(p, "is played to its end, and every fault fires", func(r *record.Run) {
			gomega.ExpectWithOffset(2, r.Verdict).NotTo(gomega.BeElementOf(record.Inconclusive, record.Error), r.Why)
		})
		for i, c := range sc.Claims {
			it(p, c.Says, func(r *record.Run) {
				c.Judge(gomega.NewGomega(ginkgo.Fail), r)
			})
			if o.NoRefutations {
				continue
			}
			it(add(i), "can fail: "+c.Says, func(r *record.Run) {
				gomega.ExpectWithOffset(2, r.Verdict).To(gomega.BeElementOf(record.Pass, record.Fail), "the refutation is not conclusive: "+r.Why)
				found := record.Claim{}
				for _, judged := range r.Claims {
					if judged.Sentence == c.Says {
						found = judged
					}
				}
				gomega.ExpectWithOffset(2, found.Verdict).To(gomega.Equal(record.Fail), "the claim holds although its refutation was played")
			}, "refutation")
		}
		if o.Also == nil {
			return
		}
		for _, c := range o.Also(sc) {
			it(p, c.Says, func(r *record.Run) {
				c.Judge(gomega.NewGomega(ginkgo.Fail), r)
			})
		}
	})
}

// slow is the label of scenarios that wait for a long constant of the kernel.
const slow = "slow"

// namesSlow reports whether a label filter speaks of slow scenarios: they are
// long enough to be asked for.
func namesSlow(filter string) bool { return slowWord.MatchString(filter) }

var slowWord = regexp.MustCompile(`(?i)\b` + slow + `\b`)

// judge holds one spec against the record of its play.
func (p *play) judge(f func(*record.Run)) {
	ginkgo.GinkgoHelper()
	if p.err != "" {
		ginkgo.Fail(p.err)
	}
	if p.run == nil && p.scenario.Slow {
		ginkgo.Skip("slow: played with --label-filter=" + slow)
	}
	if p.run == nil {
		ginkgo.Fail("this scenario was not played: call specs.Play and specs.Load in the suite's SynchronizedBeforeSuite")
	}
	ginkgo.AddReportEntry("wire", p.run.Ladder(), ginkgo.ReportEntryVisibilityFailureOrVerbose)
	switch p.run.Verdict {
	case record.Skip:
		ginkgo.Skip(p.run.Why)
	case record.Inconclusive:
		ginkgo.Fail("nothing was tested: " + p.run.Why)
	}
	f(p.run)
}

// result is what travels from the process that plays to the others.
type result struct {
	Run *record.Run `json:"run,omitempty"`
	Err string      `json:"err,omitempty"`
}

// Play plays what the suite's filters select and returns the records, for
// Load. Call it in the first function of SynchronizedBeforeSuite.
func Play(ctx context.Context) []byte {
	ginkgo.GinkgoHelper()
	selected, err := selection(ginkgo.GinkgoConfiguration())
	if err != nil {
		ginkgo.Fail(err.Error())
	}
	results := make([]result, len(plays))
	if err := playAll(ctx, selected, results); err != nil {
		ginkgo.Fail(err.Error())
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	err = json.NewEncoder(w).Encode(results)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		ginkgo.Fail(fmt.Sprintf("hand records to the other processes: %v", err))
	}
	return packed.Bytes()
}

func playAll(ctx context.Context, selected []int, results []result) error {
	if len(selected) == 0 {
		return nil
	}
	pool, err := harness.NewPool(ctx, jobs)
	if err != nil {
		return err
	}
	var list []harness.Job
	for _, i := range selected {
		list = append(list, harness.Job{Scenario: plays[i].scenario, Options: plays[i].options, Refute: plays[i].claim + 1})
	}
	whole := harness.PlayAll(ctx, pool, list, func(i int, r *record.Run, err error) {
		results[selected[i]].Run = r
		if err != nil {
			results[selected[i]].Err = err.Error()
		}
	})
	if err := pool.Close(); err != nil {
		return err
	}
	if !whole {
		return fmt.Errorf("play scenarios: interrupted: %w", context.Cause(ctx))
	}
	return nil
}

// Load takes the records that Play returned. Call it in the second function of
// SynchronizedBeforeSuite.
func Load(data []byte) {
	ginkgo.GinkgoHelper()
	var results []result
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err == nil {
		err = json.NewDecoder(r).Decode(&results)
	}
	if err != nil || len(results) != len(plays) {
		ginkgo.Fail(fmt.Sprintf("read records: %d of %d: %v", len(results), len(plays), err))
	}
	for i, p := range plays {
		p.run, p.err = results[i].Run, results[i].Err
	}
}

// Runs are the records of the scenarios that were played, each as it stands,
// for specs that look at the whole suite.
func Runs() []*record.Run {
	var runs []*record.Run
	for _, p := range plays {
		if p.claim < 0 && p.run != nil {
			runs = append(runs, p.run)
		}
	}
	return runs
}

// selection lists the plays of which some spec will run.
func selection(suite types.SuiteConfig, _ types.ReporterConfig) ([]int, error) {
	label, err := types.ParseLabelFilter(suite.LabelFilter)
	if err != nil {
		return nil, fmt.Errorf("select scenarios: label filter: %w", err)
	}
	focus, err := patterns(suite.FocusStrings)
	if err != nil {
		return nil, err
	}
	skip, err := patterns(suite.SkipStrings)
	if err != nil {
		return nil, err
	}
	var selected []int
	for i, p := range plays {
		if p.scenario.Slow && !namesSlow(suite.LabelFilter) {
			continue
		}
		for _, s := range p.specs {
			if label(s.labels) && (focus == nil || focus.MatchString(s.text)) && (skip == nil || !skip.MatchString(s.text)) {
				selected = append(selected, i)
				break
			}
		}
	}
	return selected, nil
}

func patterns(list []string) (*regexp.Regexp, error) {
	if len(list) == 0 {
		return nil, nil
	}
	re, err := regexp.Compile(strings.Join(list, "|"))
	if err != nil {
		return nil, fmt.Errorf("select scenarios: %w", err)
	}
	return re, nil
}
