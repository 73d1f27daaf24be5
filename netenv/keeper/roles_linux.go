package keeper

import "os"

// init gives the process its other role, before any other package of this module
// has run a line. In a process with any other name it does nothing.
func init() {
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case RoleKeeper:
		os.Exit(runKeeper())
	case RoleHost:
		os.Exit(runHostInit())
	}
}
