// Package harness plays scenarios: it builds a lab, runs the play on it, keeps
// everything that was seen as a record, and judges the scenario's claims.
//
// A Scenario is data and a function. The function is given a Stage: it arms
// rules, acts through peers and programs, and awaits what must come of it. The
// claims judge the finished record, never the play.
package harness
