package example

import (
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness/check"
	"github.com/lastack/lastack/harness/record"
)

var _ = Describe("the client, whatever becomes of its connection", func() {
	It("neither hangs nor lies", func(ctx SpecContext) {
		report, err := check.Run(ctx, check.Config{
			Server:    []string{filepath.Join(programs, "srv"), "--port", "8080"},
			Client:    []string{filepath.Join(programs, "my-client"), "http://server:8080/", "1600ms"},
			Patience:  2 * time.Second,
			Selection: check.Selection{Points: []string{"server.*"}, Faults: []string{"cut", "rst-*", "fin-*", "drop"}},
			Out:       GinkgoT().TempDir(),
		})
		Expect(err).NotTo(HaveOccurred())
		var text strings.Builder
		Expect(report.Text(&text, check.TextOptions{})).To(Succeed())
		Expect(report.Verdict).To(Equal(record.Pass), text.String())
		Expect(len(report.Cells)).To(BeNumerically(">", 20), text.String())
	})
})
