package kernel

import (
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/suites/kernel/docs"
	"github.com/lastack/lastack/suites/specs"
)

// reaches are the claims that a scenario takes the transitions with which
// docs/coverage.md lists it.
func reaches(sc harness.Scenario) (claims []harness.Claim) {
	for _, t := range slices.Concat(docs.Transitions, docs.Additions) {
		if !slices.Contains(t.Scenarios, sc.Name) {
			continue
		}
		claims = append(claims, harness.Claim{
			Says: "reaches " + t.String(),
			Judge: func(g Gomega, r *record.Run) {
				g.Expect(t.In(r)).To(BeTrue(), "the states seen were:\n%s", visited(r))
			},
		})
	}
	return claims
}

// visited are the states of each end of each connection, a line each.
func visited(r *record.Run) string {
	var lines []string
	for conn := 1; ; conn++ {
		found := false
		for _, h := range r.Hosts {
			var names []string
			for _, s := range r.Visited(conn, h.Name) {
				names = append(names, s.State.String())
			}
			if names != nil {
				found = true
				lines = append(lines, fmt.Sprintf("  %d, %s: %s", conn, h.Name, strings.Join(names, ", ")))
			}
		}
		if !found && !slices.ContainsFunc(r.States, func(s record.State) bool { return s.Conn > conn }) {
			return strings.Join(lines, "\n")
		}
	}
}

var _ = Describe("coverage", Label("coverage"), func() {
	for _, t := range slices.Concat(docs.Transitions, docs.Additions) {
		It("lists a scenario with "+t.String(), func() {
			if len(t.Scenarios) > 0 {
				return
			}
			var by []string
			for _, r := range specs.Runs() {
				if t.In(r) && !slices.Contains(by, r.Scenario) {
					by = append(by, r.Scenario)
				}
			}
			slices.Sort(by)
			Fail(fmt.Sprintf("no scenario stands in the table of suites/kernel/docs; of those just played it was reached by: %s", strings.Join(by, ", ")))
		})
	}
})
