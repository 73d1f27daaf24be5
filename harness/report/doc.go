// Package report shows runs to people and to CI: on a terminal while they are
// played, and as JUnit XML.
package report
