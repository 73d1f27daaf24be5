// Package hollow is a suite that must not pass: each of its scenarios has a defect that specs have to find. It is run by the
// tests of suites/tool alone.
package hollow

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/suites/specs"
)

func established(s *harness.Stage) { s.Established() }

func holds(Gomega, *record.Run) {}

var _ = specs.Register(specs.Options{IP: []int{4}},
	harness.Scenario{
		Name: "hollow/cannot-fail",
		Play: established,
		Claims: []harness.Claim{
			{Says: "nothing is asked", Judge: holds, Refute: harness.Variant{Play: established}},
			{Says: "it has no refutation", Judge: holds},
			{
				Says: "its refutation is not conclusive", Judge: holds,
				Refute: harness.Variant{Play: func(s *harness.Stage) {
					s.Wire.On("client.RST").Drop()
					s.Established()
				}},
			},
		},
	},
	harness.Scenario{
		Name: "hollow/never-fires",
		Play: func(s *harness.Stage) {
			s.Wire.On("client.RST").Drop()
			s.Established()
		},
		Claims: []harness.Claim{{
			Says: "it holds, but nothing was tested", Judge: holds, Refute: harness.Variant{Play: established},
		}},
	},
	harness.Scenario{
		Name: "hollow/panics",
		Play: established,
		Claims: []harness.Claim{{
			Says: "its judge panics", Judge: func(Gomega, *record.Run) { panic("on purpose") },
			Refute: harness.Variant{Play: established},
		}},
	},
)

var _ = SynchronizedBeforeSuite(
	func(ctx SpecContext) []byte { return specs.Play(ctx) },
	func(data []byte) { specs.Load(data) },
)

func TestHollow(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Hollow")
}
