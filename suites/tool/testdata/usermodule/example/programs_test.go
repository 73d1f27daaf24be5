package example

import (
	"os"
	"os/exec"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"example.com/usermodule/stay"
)

// programs is the directory with the module's commands: PROGRAMS where they were built before. Else process 1 builds them, and
// the others are told where.
var programs string

var before, errBefore = stay.Here()

var _ = SynchronizedBeforeSuite(func(ctx SpecContext) []byte {
	if dir := os.Getenv("PROGRAMS"); dir != "" {
		return []byte(dir)
	}
	dir := GinkgoT().TempDir()
	build := exec.CommandContext(ctx, "go", "build", "-o", dir, "../srv", "../my-client")
	out, err := build.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return []byte(dir)
}, func(dir []byte) { programs = string(dir) })

var _ = AfterSuite(func() {
	Expect(errBefore).NotTo(HaveOccurred())
	Expect(stay.Here()).To(Equal(before))
})
