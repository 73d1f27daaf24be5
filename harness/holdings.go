package harness

// Holdings are what the programs of a host hold, with all that they started.
type Holdings struct {
	// Processes and Descriptors are counted over all of them.
	Processes, Descriptors int
	// Sockets are TCP sockets of the host that a descriptor refers to, listeners
	// aside.
	Sockets int
}
