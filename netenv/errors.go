package netenv

import (
	"errors"
	"os"
)

var (
	// ErrNotSupported is what Start and Doctor answer outside Linux.
	ErrNotSupported = errors.New("make a lab: needs Linux")
	// ErrNoPrivileges is in the error of Start where this process may not make
	// namespaces; the error's text names the reason and the knob.
	ErrNoPrivileges = errors.New("make a lab: no privileges to make namespaces")
	// ErrClosed says that the keeper, or the lab, was closed before.
	ErrClosed = errors.New("closed")
	// ErrProcessGone is returned by a signal to a process that has ended. It is
	// os.ErrProcessDone.
	ErrProcessGone = os.ErrProcessDone
)
