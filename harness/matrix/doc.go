// Package matrix plays every closing state of a kernel against every segment
// that can arrive there, and says what the kernel answered, in which state it
// was then, what its program saw, and what the RFCs ask.
//
// What the states and the arrivals are, what the RFCs ask of each cell, how a
// record is read, and every view of the result are pure; play.go alone plays.
package matrix
