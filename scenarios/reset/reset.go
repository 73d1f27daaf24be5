// Package reset holds the scenarios of a connection that ends by RST, or that
// a RST should have ended and did not.
package reset

import (
	"slices"

	"github.com/lastack/lastack/harness"
)

// Scenarios is the family, in the order in which it reads best.
func Scenarios() []harness.Scenario {
	single := []harness.Scenario{
		ClosedPort, HalfOpen, AcceptQueueFull, AcceptQueueAbort, ListenerClosed, DataAfterClose, SockDestroy,
		DataUnread, WriteFirst, AfterFIN, InClosing, BehindData, BeforeData, BeforeFIN, OneSide, BothSides,
		SpoofedExact, SpoofedInWindow, SpoofedOutOfWindow, BlindSweep, BlindSYN, BlindData,
	}
	return slices.Concat(single, BlindWindow, FINNumber, Timestamps, ChallengeLimit)
}
