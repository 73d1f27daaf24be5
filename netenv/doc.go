// Package netenv makes the hosts of a lab: network namespaces with real kernels'
// TCP, a cable each, programs, sysctls, and the faults that a real host has (power
// off, boot, unplug). It knows no packet: what happens on the wire between the
// hosts is done by whoever reads and writes their ports.
//
// Nothing of the calling process ever enters a namespace. A keeper, the same binary
// in another role, lives there and hands back open descriptors; see package keeper.
// Importing this package is enough: no line in main or in TestMain is needed, but
// a package whose init has side effects sees them once more in each such process.
//
//	k, err := netenv.Start(ctx)
//	lab, err := k.NewLab(ctx, netenv.LabSpec{})       // client and server
//	client := lab.Host("client")
//	… read and write client.Port …
//	err = lab.Close()
//	err = k.Close()
//
// A keeper dies with its caller, SIGKILL included, and takes all labs with it in
// order: cables first, so that no dying socket says a word on a wire.
//
// Outside Linux everything compiles and Start returns ErrNotSupported.
package netenv
