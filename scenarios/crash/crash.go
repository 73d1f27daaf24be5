// Package crash holds the scenarios of an end that dies: of its process, which
// its kernel survives, and of its host, which nobody survives.
package crash

import (
	"slices"

	"github.com/lastack/lastack/harness"
)

// Scenarios is the family, in the order in which it reads best.
func Scenarios() []harness.Scenario {
	return slices.Concat(
		[]harness.Scenario{ProcessIdle, ProcessUnread, ProcessSending}, ProcessAfterFIN, ProcessClosing,
		[]harness.Scenario{ProcessStopped, HostAfterFIN, HostAfterFINBoots, HostAfterLastACK, HostInClosing, HostInLastACK, HostIdle, HostSending},
		HostBoots, []harness.Scenario{HostBootsTooLate, CableOut}, OneWays, []harness.Scenario{SameAddress, AddressTakenOver},
	)
}
