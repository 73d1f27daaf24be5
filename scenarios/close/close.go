// Package close holds the scenarios of a connection that ends by FIN.
package close

import "github.com/lastack/lastack/harness"

// Scenarios is the family, in the order in which it reads best.
func Scenarios() []harness.Scenario {
	return append(single(), LingerZeroIn...)
}

func single() []harness.Scenario {
	return []harness.Scenario{SimultaneousOpen, SimultaneousOpenClose, FourWay, ThreeWay, LastACKLost, FINLost, Simultaneous, HalfClose,
		ShutdownRead, ShutdownBoth, FINWithData, ACKOfFINLost, PassiveFINLost,
		LastACKLostForEver, DuplicateFIN, FINBeforeData, SynSent, UnreadData,
		LingerOff, LingerSuffices, LingerRunsOut, LingerZero, Linger2Negative,
		Corked, ShutdownFullQueue, ZeroWindowAnswered, ZeroWindowUnanswered}
}
