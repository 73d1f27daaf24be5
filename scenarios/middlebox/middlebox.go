// Package middlebox holds the scenarios of what stands between the hosts and
// keeps state of its own: firewalls, NATs and load balancers.
package middlebox

import (
	"slices"

	"github.com/lastack/lastack/harness"
)

// Scenarios is the family, in the order in which it reads best.
func Scenarios() []harness.Scenario {
	return slices.Concat(
		[]harness.Scenario{ForgetsSilently, ForgetsWithRST, ForgetsAfterFirstFIN},
		NATReusesPort,
		[]harness.Scenario{HeartbeatShorter, HeartbeatLonger},
	)
}
