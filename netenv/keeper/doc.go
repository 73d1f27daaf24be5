// Package keeper is the other side of package netenv: the process that lives in
// the namespaces, so that nothing of the caller ever has to enter one.
//
// A keeper is the caller's own binary, started again under another name. This
// package's init looks at that name, so a program, a test binary and a debugger
// work alike and need no line of their own in main or TestMain. The package
// imports no other of this module but hostinit, so that its init runs before theirs.
//
// Nothing here is meant to be used but by package netenv, which speaks the
// protocol of this package: one JSON message a packet over a SOCK_SEQPACKET pair,
// with descriptors beside it.
package keeper
