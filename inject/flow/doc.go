// Package flow is the life of a connection as it is seen on a wire: who opens
// and who closes, which ACK covers which FIN, what is a repeat. It gives every
// segment its name.
//
// It is pure: it has no clock, no goroutine and no socket, and is fed by the
// wire and by a capture file alike. For each direction it keeps two books:
// what was sent (came in) and what was delivered (went out, forgeries
// included). A forgery does not move the claimed sender's own book.
package flow
