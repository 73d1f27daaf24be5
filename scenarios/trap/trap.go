// Package trap holds the scenarios that surprised somebody: questions about
// Linux whose answers are not what the textbook leads one to expect.
package trap

import (
	"slices"

	"github.com/lastack/lastack/harness"
)

// Scenarios is the family, in the order in which it reads best.
func Scenarios() []harness.Scenario {
	return slices.Concat(
		FINTimeout, OrphanRetries,
		[]harness.Scenario{ZeroWindowOrphan, OldSYNEndsTimeWait, TimeWaitDescriptor},
		LingerZero, NotECONNRESET, PAWS,
		[]harness.Scenario{NoTWBuckets, OrphanKeepAlive, SYNCookieQueueFull, SYNCookieRST, SYNCookieTooOld},
		WhichWasLost,
		[]harness.Scenario{KeepAliveTellsThePeer, RetransmissionTimeoutIsSilent, DataToOrphan},
	)
}
