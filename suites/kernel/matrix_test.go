package kernel

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/matrix"
)

// No go:generate: it would write what the machine at hand does, and these two are
// of the kernel that they name.
var update = flag.Bool("update", false, "write what this kernel does to the arrival matrix's table and document")

// The recorded matrix, which a person can read and edit, and the document that is
// made of a play.
var (
	matrixTable    = filepath.Join("testdata", "matrix.txt")
	matrixDocument = filepath.Join("..", "..", "docs", "kernel-matrix.md")
)

// playMatrix plays the matrix on a pool of its own.
func playMatrix(ctx context.Context, ip []int, set ...harness.Sysctl) *matrix.Document {
	pool, err := harness.NewPool(ctx, 40)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(pool.Close()).To(Succeed()) }()
	d := matrix.Play(ctx, pool, matrix.Options{IP: ip, Sysctls: set})
	Expect(d.Partial).To(BeFalse(), "the play was interrupted")
	return d
}

var _ = Describe("the arrival matrix", Ordered, ContinueOnFailure, Label("matrix"), func() {
	var (
		played   *matrix.Document
		recorded *matrix.Table
	)

	BeforeAll(func(ctx SpecContext) {
		played = playMatrix(ctx, []int{4, 6})
		if *update {
			var table, document bytes.Buffer
			Expect(played.WriteTable(&table)).To(Succeed())
			Expect(played.WriteMarkdown(&document)).To(Succeed())
			Expect(os.WriteFile(matrixTable, table.Bytes(), 0o644)).To(Succeed())
			Expect(os.WriteFile(matrixDocument, document.Bytes(), 0o644)).To(Succeed())
		}
		text, err := os.Open(matrixTable)
		Expect(err).NotTo(HaveOccurred())
		defer text.Close()
		recorded, err = matrix.ReadTable(text)
		Expect(err).NotTo(HaveOccurred())
	})

	for _, s := range matrix.States() {
		for _, a := range matrix.Arrivals() {
			It(s.Name+" × "+a.Name, func() {
				cells := slices.DeleteFunc(slices.Clone(played.Cells), func(c matrix.Cell) bool {
					return c.State != s.Name || c.Arrival != a.Name
				})
				Expect(cells).To(HaveLen(2), "a cell for each family")
				for i := range cells {
					c := &cells[i]
					want, ok := recorded.Line(c)
					Expect(ok).To(BeTrue(), "%s has no line for %s over IPv%d", matrixTable, c.Name(), c.IP)
					Expect(c.Line().String()).To(Equal(want.String()),
						"%s over IPv%d; recorded on %s, played on %s. %s", c.Name(), c.IP, recorded.Kernel, played.Kernel, c.Why)
					Expect(c.Departs && c.Because == "").To(BeFalse(), "%s departs from an RFC (%s), and nothing explains it", c.Name(), c.RFC)
				}
			})
		}
	}

	It("is what the table says, and no line more", func() {
		Expect(recorded.Lines).To(HaveLen(len(played.Cells)))
	})

	It("is what docs/kernel-matrix.md says, where that was made on this kernel", func() {
		text, err := os.ReadFile(matrixDocument)
		Expect(err).NotTo(HaveOccurred())
		if !strings.Contains(string(text), played.Kernel+"\n") {
			Skip("the document was made on another kernel than " + played.Kernel)
		}
		var now bytes.Buffer
		Expect(played.WriteMarkdown(&now)).To(Succeed())
		Expect(string(text)).To(Equal(now.String()), "docs/kernel-matrix.md is stale: go test ./suites/kernel -ginkgo.label-filter=matrix -update")
	})

	// What is broken on purpose changes the cells that hang on it, and no other.
	Describe("with the subject broken on purpose", func() {
		// changed plays with a setting and names the cells that came out otherwise,
		// and those that then cannot be measured.
		changed := func(ctx context.Context, set harness.Sysctl) (differ, unmeasured []string) {
			set.Host = "server"
			broken := playMatrix(ctx, []int{4}, set)
			c := matrix.Diff(broken, played)
			for _, d := range c.Differences {
				differ = append(differ, d.A.Name())
			}
			for _, d := range c.Unmeasured {
				unmeasured = append(unmeasured, d.A.Name()+": "+d.A.Why)
			}
			return differ, unmeasured
		}

		It("tcp_rfc1337=1 keeps TIME_WAIT from an exact RST", func(ctx SpecContext) {
			differ, unmeasured := changed(ctx, harness.Sysctl{Key: "net.ipv4.tcp_rfc1337", Value: "1"})
			Expect(differ).To(ConsistOf("TIME_WAIT × rst-exact"))
			Expect(unmeasured).To(BeEmpty())
		})

		It("tcp_timestamps=0 leaves no timestamp to be missed", func(ctx SpecContext) {
			differ, unmeasured := changed(ctx, harness.Sysctl{Key: "net.ipv4.tcp_timestamps", Value: "0"})
			Expect(differ).To(BeEmpty())
			var want []string
			for _, c := range played.Cells {
				if c.IP == 4 && c.Arrival == "no-timestamp" && c.Measured() {
					want = append(want, c.Name()+": the connection has no timestamps")
				}
			}
			Expect(unmeasured).To(ConsistOf(want))
		})

		// tcp_send_challenge_ack draws the number of challenges for a second from
		// limit/2 to limit*3/2-1, rounded up. Until 6.1 that is none of 0; since then
		// the upper end of the range is 0-1, the greatest number that there is.
		It("tcp_challenge_ack_limit=0 ends the challenges, where the kernel counts them right", func(ctx SpecContext) {
			differ, unmeasured := changed(ctx, harness.Sysctl{Key: "net.ipv4.tcp_challenge_ack_limit", Value: "0"})
			Expect(unmeasured).To(BeEmpty())
			if len(differ) == 0 {
				return
			}
			var challenged []string
			for _, state := range []string{"ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_1/orphan", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK"} {
				for _, arrival := range []string{"rst-in-window", "syn-in-window", "syn-above", "syn-ack", "ack-unsent", "ack-old"} {
					challenged = append(challenged, fmt.Sprintf("%s × %s", state, arrival))
				}
			}
			Expect(differ).To(ConsistOf(challenged))
		})
	})
})
