package harness

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/onsi/gomega"

	"github.com/lastack/lastack/harness/record"
)

// Judge holds a finished record against a scenario's claims and enters what it
// finds. The run's verdict was PASS, FAIL or INCONCLUSIVE before, by the play
// itself; a failed claim makes a PASS a FAIL, and an inconclusive run stays
// inconclusive whatever the claims say. A Given that does not hold makes a PASS
// INCONCLUSIVE, and then too the other claims say nothing. A judge that panics
// makes it an ERROR: that is a defect of the claim, and refutes nothing.
func Judge(sc *Scenario, r *record.Run) {
	r.Claims = append([]record.Claim(nil), played(r)...)
	for i := range sc.Claims {
		r.Claims = append(r.Claims, judge(&sc.Claims[i], r))
	}
	if r.Verdict != record.Pass {
		return
	}
	for _, c := range r.Claims {
		if c.Given && c.Verdict == record.Fail {
			r.Verdict, r.Why = record.Inconclusive, "not given: "+c.Sentence
			return
		}
	}
	for _, c := range r.Claims {
		switch {
		case c.Verdict == record.Fail && r.Verdict != record.Fail: // the worst that can be found
			r.Verdict, r.Why = record.Fail, "claim does not hold: "+c.Sentence
		case c.Verdict == record.Error && r.Verdict == record.Pass:
			r.Verdict, r.Why = record.Error, "claim could not be judged: "+c.Sentence
		}
	}
}

// played is the claim that a play makes by awaiting: it is there only where
// the play ended early for it, and it stands first.
func played(r *record.Run) []record.Claim {
	if r.Verdict != record.Fail {
		return nil
	}
	return []record.Claim{{Sentence: "the play goes on to its end", Verdict: record.Fail, Why: r.Why}}
}

// failed carries a failed expectation out of a judge.
type failed string

func judge(c *Claim, r *record.Run) (out record.Claim) {
	out = record.Claim{Sentence: c.Says, Given: c.Given, Verdict: record.Pass}
	defer func() {
		switch why := recover().(type) {
		case nil:
		case failed:
			out.Verdict, out.Why = record.Fail, string(why)
		default:
			out.Verdict = record.Error
			out.Why = fmt.Sprintf("the claim's judge panicked: %v\n%s", why, debug.Stack())
		}
	}()
	g := gomega.NewGomega(func(message string, _ ...int) { panic(failed(strings.TrimRight(message, "\n"))) })
	c.Judge(g, r)
	return out
}
