package example

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
)

func TestProgram(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "My client")
}

var _ = Describe("my client", func() {
	fetch := func(ctx SpecContext, ip int, limit string, fault func(*harness.Wire)) *record.Run {
		run, err := harness.Play(ctx, harness.Scenario{
			Name: "my/lost-body",
			Play: func(s *harness.Stage) {
				s.Server.Start(programs+"/srv", "--port", "8080")
				s.Await(s.Server.Listening(8080))
				fault(s.Wire)
				s.Await(s.Client.Start(programs+"/my-client", "http://server:8080/", limit).Exited())
			},
		}, harness.Options{IP: ip})
		Expect(err).NotTo(HaveOccurred())
		Expect(run.Verdict).To(Equal(record.Pass), run.Why+"\n"+run.Ladder())
		return run
	}

	It("gets the body where nothing is lost", func(ctx SpecContext) {
		run := fetch(ctx, 4, "20s", func(*harness.Wire) {})
		Expect(run.Client().Programs[0].Exit).To(BeZero(), run.Ladder())
		Expect(string(run.Client().Programs[0].Stdout)).To(Equal("2000 bytes\n"))
	})

	It("does not notice that the answer is lost once", func(ctx SpecContext) {
		run := fetch(ctx, 4, "20s", func(w *harness.Wire) { w.On("server.DATA@1").Drop() })
		Expect(run.Client().Programs[0].Exit).To(BeZero(), run.Ladder())
	})

	It("says so when the answer never comes", func(ctx SpecContext) {
		run := fetch(ctx, 6, "300ms", func(w *harness.Wire) { w.On("server.DATA@1").Always().Drop() })
		Expect(run.Client().Programs[0].Exit).NotTo(BeZero(), run.Ladder())
	})
})
