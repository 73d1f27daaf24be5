// Package scenarios is the catalogue: one file, one behaviour; a family is a
// package below this one.
package scenarios

import (
	"slices"
	"strings"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/scenarios/close"
	"github.com/lastack/lastack/scenarios/crash"
	"github.com/lastack/lastack/scenarios/detect"
	"github.com/lastack/lastack/scenarios/middlebox"
	"github.com/lastack/lastack/scenarios/reset"
	"github.com/lastack/lastack/scenarios/trap"
	"github.com/lastack/lastack/scenarios/wait"
)

// All is every scenario of the catalogue, by name.
func All() []harness.Scenario {
	all := slices.Concat(close.Scenarios(), reset.Scenarios(), crash.Scenarios(), wait.Scenarios(), detect.Scenarios(), middlebox.Scenarios(), trap.Scenarios())
	slices.SortFunc(all, func(a, b harness.Scenario) int { return strings.Compare(a.Name, b.Name) })
	return all
}
