// Package check plays every point of a connection between two programs against
// every fault, and finds what their author did not think of.
//
// Run records the pair without a fault, makes the cells of points × faults,
// plays each on a lab of its own, judges what the programs made of it, and
// reports findings, each with what happened, its ladder, and how often it
// repeated. docs/check.md says what the faults do and what counts as a finding.
package check
