// Package detect holds the scenarios of a peer that is gone: what finds out, when,
// and what the program is told.
package detect

import (
	"slices"

	"github.com/lastack/lastack/harness"
)

// Scenarios is the family, in the order in which it reads best.
func Scenarios() []harness.Scenario {
	return slices.Concat(
		[]harness.Scenario{KeepAliveFindsDeadPeer, DeadIdlePeerUnnoticed, UserTimeout, UserTimeoutOverKeepAlive},
		RetransmissionTimeout, SYNRetries,
		[]harness.Scenario{SYNBackoff, ZeroWindowAnswered, ZeroWindowUnanswered},
		ICMPInSYNSent, ICMPInEstablished, ICMPThenTimeout, ICMPInFinWait1, ICMPInStates, ICMPInMiniSocket,
		[]harness.Scenario{
			NeighbourFailed, NeighbourFailedEstablished, Heartbeat, KeepAliveSilentWithDataInFlight, FINNeverAnswered,
			FINNeverAnsweredInClosing, DataNeverAnsweredInCloseWait, SYNACKNeverAcked,
		},
	)
}
