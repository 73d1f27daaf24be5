//go:build !linux

package probe

import (
	"context"
	"net/netip"
	"os"
)

// Diag needs Linux.
type Diag struct{}

// NewDiag returns ErrNotLinux.
func NewDiag(*os.File) (*Diag, error) { return nil, ErrNotLinux }

// Close returns ErrNotLinux.
func (*Diag) Close() error { return ErrNotLinux }

// Query returns ErrNotLinux.
func (*Diag) Query(_, _ netip.AddrPort) (Socket, error) { return Socket{}, ErrNotLinux }

// QueryState returns ErrNotLinux.
func (*Diag) QueryState(_, _ netip.AddrPort) (Socket, error) { return Socket{}, ErrNotLinux }

// Dump returns ErrNotLinux.
func (*Diag) Dump(Family) ([]Socket, error) { return nil, ErrNotLinux }

// Listeners returns ErrNotLinux.
func (*Diag) Listeners(Family) ([]Socket, error) { return nil, ErrNotLinux }

// Events needs Linux.
type Events struct{}

// NewEvents returns ErrNotLinux.
func NewEvents(*os.File) (*Events, error) { return nil, ErrNotLinux }

// Close returns ErrNotLinux.
func (*Events) Close() error { return ErrNotLinux }

// Next returns ErrNotLinux.
func (*Events) Next(context.Context) (Socket, error) { return Socket{}, ErrNotLinux }
