// Package wait holds the scenarios of the states in which a closed connection
// waits: FIN_WAIT_2, CLOSE_WAIT and TIME_WAIT.
package wait

import (
	"slices"

	"github.com/lastack/lastack/harness"
)

// Scenarios is the family, in the order in which it reads best.
func Scenarios() []harness.Scenario {
	return slices.Concat(
		[]harness.Scenario{FinWait2Orphan, FinWait2HalfClosed, FinWait2Linger2, FinWait2KeepAlive},
		FinWait2Timeouts, FinWait2TimeoutsWaited,
		[]harness.Scenario{CloseWaitLeak, TimeWait, TimeWaitOver, TimeWaitRestarted},
		Binds, Connects, OwnHost,
		[]harness.Scenario{PortsExhausted, Reconnect, ReconnectBelow}, SYNs,
		[]harness.Scenario{OldDataIntoTimeWait}, OldDataIntoNext, Assassinations,
		Buckets, []harness.Scenario{BucketsFinWait2},
	)
}
