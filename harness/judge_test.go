package harness

import (
	"testing"

	"github.com/onsi/gomega"

	"github.com/lastack/lastack/harness/record"
)

// TestJudge: the verdict of a run is the play's own, and then that of its claims,
// of which those that are given come first.
func TestJudge(t *testing.T) {
	claim := func(says string, given, holds bool) Claim {
		return Claim{Says: says, Given: given, Judge: func(g gomega.Gomega, _ *record.Run) { g.Expect(holds).To(gomega.BeTrue()) }}
	}
	broken := Claim{Says: "broken", Judge: func(gomega.Gomega, *record.Run) { panic("a defect") }}
	brokenGiven := broken
	brokenGiven.Given = true
	for name, c := range map[string]struct {
		played record.Verdict
		why    string
		claims []Claim
		want   record.Verdict
		says   string
	}{
		"nothing is claimed":         {record.Pass, "", nil, record.Pass, ""},
		"all holds":                  {record.Pass, "", []Claim{claim("a", true, true), claim("b", false, true)}, record.Pass, ""},
		"a claim fails":              {record.Pass, "", []Claim{claim("a", true, true), claim("b", false, false)}, record.Fail, "claim does not hold: b"},
		"it is not given":            {record.Pass, "", []Claim{claim("a", true, false), claim("b", false, true)}, record.Inconclusive, "not given: a"},
		"nor does a claim hold":      {record.Pass, "", []Claim{claim("b", false, false), claim("a", true, false)}, record.Inconclusive, "not given: a"},
		"two are not given":          {record.Pass, "", []Claim{claim("a", true, false), claim("c", true, false)}, record.Inconclusive, "not given: a"},
		"a judge panics":             {record.Pass, "", []Claim{broken}, record.Error, "claim could not be judged: broken"},
		"a given's judge panics":     {record.Pass, "", []Claim{brokenGiven}, record.Error, "claim could not be judged: broken"},
		"it panics, and not given":   {record.Pass, "", []Claim{broken, claim("a", true, false)}, record.Inconclusive, "not given: a"},
		"an await failed":            {record.Fail, "awaited x", []Claim{claim("a", true, false)}, record.Fail, "awaited x"},
		"the harness failed":         {record.Error, "no lab", []Claim{claim("a", true, false)}, record.Error, "no lab"},
		"the kernel lacks something": {record.Skip, "needs y", []Claim{claim("a", true, false)}, record.Skip, "needs y"},
		"a fault did not fire":       {record.Inconclusive, "never fired", []Claim{claim("a", true, false)}, record.Inconclusive, "never fired"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record.Run{Verdict: c.played, Why: c.why}
			Judge(&Scenario{Claims: c.claims}, r)
			if r.Verdict != c.want || r.Why != c.says {
				t.Errorf("%s, %q, want %s, %q", r.Verdict, r.Why, c.want, c.says)
			}
			judged := r.Claims[len(r.Claims)-len(c.claims):]
			for i, claim := range c.claims {
				if judged[i].Given != claim.Given {
					t.Errorf("claim %q: given %t, want %t", claim.Says, judged[i].Given, claim.Given)
				}
			}
		})
	}
}
