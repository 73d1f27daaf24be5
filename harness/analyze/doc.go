// Package analyze says how each connection in a capture really ended: who
// closed first, by which steps, what was repeated, and what a reset was about.
//
// It reads files with the eyes of the wire: inject/flow names every segment,
// and what is kept here for each connection is small. A connection that has
// ended is handed out and forgotten, so that memory is bound by what is open
// and not by the file.
//
// It says what the file shows, never what may have happened elsewhere. A cause
// has its evidence and a confidence; where the bytes fit two causes it is
// unclear, and where the file does not show enough the answer is unknown.
package analyze
