// Package peer is the controlled program on a host: a process that makes the
// system calls it is told to make, and says what the kernel returned.
//
// It is this same binary in another role. A process whose argv[0] is Role serves
// calls on descriptor 3 from this package's init and never reaches main, so that
// no test binary and no command needs a hook for it. The package imports no other
// of this module. When descriptor 3 ends, the process exits at once, without
// closing its sockets first: what the kernel then sends is what it sends for any
// process that exits.
//
// The other end of the descriptor is a Conn. Control never touches the network.
//
// Each request runs on a thread of its own, so that a call that blocks hinders no
// other; two requests that are under way together run in no order. Descriptors
// block unless told otherwise, and no poller, keep-alive or Multipath TCP of Go's
// is involved. Sockets get the numbers from 8 on, the lowest free one first, so that
// the same play prints the same numbers.
//
// Linux keeps a socket alive as long as a call uses it: a close while another
// request is blocked in read on the same descriptor sends no FIN until that read
// returns. Use shutdown, or let the read end first.
//
// The peer records and never judges: end of file, an error and a signal are
// results, not errors of Do.
package peer
