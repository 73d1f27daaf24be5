// Package hostinit is process 1 of a host that runs a user's programs, and how its
// keeper asks it.
//
// Such a process is this same binary under another name, and there are two for each
// lab: what their start costs is what a short play costs. So the package imports
// nothing that net is built on. Of all that is ready, Go initializes the package
// whose path sorts first, and net waits for one below vendor/: this init runs, and
// takes the process over, before net and what stands on it (most dearly
// gopacket/layers, with its tables of 3 MB) have begun.
package hostinit
