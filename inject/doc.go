// Package inject decides what becomes of each segment on the wire, and does it.
//
// A Rule is a Match and an Action. The Engine is a pure function of what
// arrived, the rules and the time: no goroutine, no socket, no clock of its
// own. The Wire is the engine between real ports: AF_PACKET sockets that it is
// handed open. It knows no namespace.
package inject
