// Package kernel plays the catalogue against the kernel that runs the tests.
package kernel

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/scenarios"
	"github.com/lastack/lastack/suites/specs"
)

// A pass that plays the catalogue again, with another tool or as another user, need
// not show again that every claim can fail.
var shallow = os.Getenv("LASTACK_SHALLOW") != ""

var _ = specs.Register(specs.Options{Jobs: 40, Also: reaches, NoRefutations: shallow}, scenarios.All()...)

var _ = SynchronizedBeforeSuite(
	func(ctx SpecContext) []byte { return specs.Play(ctx) },
	func(data []byte) { specs.Load(data) },
)

func TestKernel(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "The kernel")
}
