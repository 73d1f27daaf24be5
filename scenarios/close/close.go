// Package close holds the scenarios of a connection that ends by FIN.
package close

import "github.com/lastack/lastack/harness"

// Scenarios is the family, in the order in which it reads best.
func Scenarios() []harness.Scenario {
	return []harness.Scenario{FourWay, ThreeWay, LastACKLost, FINLost}
}
