//go:build !linux

package netenv

import "context"

// Start returns ErrNotSupported: a lab is made of Linux's namespaces.
func Start(context.Context) (*Keeper, error) { return nil, ErrNotSupported }

// Doctor reports that this is not Linux, and nothing else.
func Doctor(context.Context) Report {
	return Report{Checks: []Check{{
		Name: "system", Status: Missing, What: "Linux",
		Why: ErrNotSupported.Error(), Do: "run it on Linux, in a virtual machine for example",
	}}}
}

// TakeAudit returns ErrNotSupported.
func TakeAudit() (Audit, error) { return Audit{}, ErrNotSupported }

func explain(err error) error { return err }
