package ownsuite

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	. "github.com/lastack/lastack/harness/expect"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/suites/specs"

	"example.com/usermodule/stay"
)

var before, errBefore = stay.Here()

var halfClosed = harness.Scenario{
	Name:    "mine/answer-after-fin",
	Summary: "The client says that it has no more to say, and still hears the answer.",
	Play: func(s *harness.Stage) {
		client, server := s.Established()
		client.Write("question")
		client.Shutdown()
		server.Read(64)
		server.Read(1) // end of file
		server.Write("answer")
		client.Read(64)
		server.Close()
		client.Read(1) // end of file
		client.Close()
		s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
	},
	Claims: []harness.Claim{{
		Says: "the answer comes behind the FIN of the question",
		Judge: func(g Gomega, r *record.Run) {
			g.Expect(r).To(Delivered("client.FIN", "server.DATA"))
			g.Expect(r).To(Returned("client", "read", len("answer")))
		},
		Refute: harness.Variant{Play: func(s *harness.Stage) {
			client, server := s.Established()
			client.Write("question")
			server.Read(64)
			server.Write("answer")
			client.Read(64)
			client.Shutdown()
			s.Await(s.Wire.Delivered("client.FIN"))
		}},
	}},
}

var _ = specs.Register(specs.Options{}, halfClosed)

var _ = SynchronizedBeforeSuite(
	func(ctx SpecContext) []byte { return specs.Play(ctx) },
	func(data []byte) { specs.Load(data) },
)

var _ = AfterSuite(func() {
	Expect(errBefore).NotTo(HaveOccurred())
	Expect(stay.Here()).To(Equal(before))
})

func TestMine(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "A suite of my own")
}
