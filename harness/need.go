package harness

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lastack/lastack/netenv"
)

// Need is something that a kernel must have for a scenario to be played; where
// it lacks one the run is SKIP, with the reason. Exactly one field is set.
type Need struct {
	// Linux is the release since which the kernel behaves so: "6.11", or "6.18.33" for
	// what came with a stable release.
	Linux string
	// Sysctl is a key that a host must have: "net.ipv4.tcp_rto_max_ms".
	Sysctl string
}

// lacking says which need the kernel does not meet; empty where it meets all.
func lacking(ctx context.Context, needs []Need, h *netenv.Host) string {
	for _, n := range needs {
		switch {
		case n.Linux != "" && older(kernel(), n.Linux):
			return fmt.Sprintf("needs Linux ≥ %s, this is %s", n.Linux, kernel())
		case n.Sysctl != "":
			if _, err := h.Sysctl(ctx, n.Sysctl); err != nil {
				return fmt.Sprintf("needs the sysctl %s, which this kernel does not have", n.Sysctl)
			}
		}
	}
	return ""
}

// older compares the numbers of releases.
func older(release, than string) bool {
	a, b := version(release), version(than)
	return slices.Compare(a[:], b[:]) < 0
}

// version reads "Linux 6.18.1-rc2" and "6.18", which is 6.18.0.
func version(text string) (v [3]int) {
	text = strings.TrimPrefix(text, "Linux ")
	for i, part := range strings.SplitN(text, ".", len(v)+1) {
		if i == len(v) {
			break
		}
		digits := len(part) - len(strings.TrimLeft(part, "0123456789"))
		v[i], _ = strconv.Atoi(part[:digits])
	}
	return v
}

// Answer is what a scenario says of a numbered statement that is taught about
// the end of a connection (docs/textbook.md).
type Answer struct {
	// Statement is its number, from 1.
	Statement int
	// Holds is the answer.
	Holds Truth
	// Says is the answer in one or two sentences, with the numbers of Linux.
	Says string
}

// Truth is the answer to a statement.
type Truth string

// The answers.
const (
	Holds      Truth = "holds"
	HoldsWhen  Truth = "holds when"
	NotOnLinux Truth = "not on Linux, instead"
)
