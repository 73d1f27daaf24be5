package netenv

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// The names of the hosts that have a fixed number in the address plan.
const (
	// ClientName is the host with number 1: 192.0.2.1, 2001:db8::1.
	ClientName = "client"
	// ServerName is the host with number 2: 192.0.2.2, 2001:db8::2.
	ServerName = "server"
	// AttackerName is the host with number 66: 192.0.2.66, 2001:db8::66.
	AttackerName = "attacker"
)

// LabSpec says what a lab is made of. The zero value is a client and a server.
type LabSpec struct {
	// Hosts are made in this order; nil is client and server. Client, server and
	// attacker have fixed addresses, further hosts get theirs from .3 on. At most
	// forty.
	Hosts []HostSpec
	// IP is 4 or 6 where /etc/hosts shall know only the addresses of that family, so
	// that programs that go by names use it; 0 is both.
	IP int
}

// HostSpec says what one host is. Only Name is needed.
type HostSpec struct {
	// Name is what /etc/hosts of the lab calls it: a host name in lower case.
	Name string
	// IPv4, IPv6 and MAC replace the address plan's where they are set: two hosts may
	// claim one address. They must lie in 192.0.2.0/24 and 2001:db8::/64.
	IPv4, IPv6 netip.Addr
	MAC        net.HardwareAddr
	// Sysctls are set in order before the first frame, and again after each boot.
	Sysctls []Sysctl
	// MTU is the host's, in bytes, at least 1280; 0 is 1500. The wire's end of the
	// cable has the same, but never less than 1500.
	MTU int
	// RTOMin is the least retransmission timeout of the on-link routes, in whole
	// milliseconds; 0 leaves the kernel's 200 ms.
	RTOMin time.Duration
	// ResolveNeighbours leaves the other hosts' hardware addresses to ARP and
	// neighbour discovery over the wire, which can fail. By default they are entered
	// for good, as if a router that lives stood between.
	ResolveNeighbours bool
	// Offloads leaves checksums and segmentation to "hardware", so that a frame may
	// be a superframe without its checksum. The port then has PACKET_VNET_HDR set:
	// each frame read and written is preceded by a virtio_net_hdr of ten bytes.
	// By default each frame is one segment with a right checksum.
	Offloads bool
}

// Sysctl is a key of the kernel, as "net.ipv4.tcp_fin_timeout", and its value.
type Sysctl struct {
	Key   string
	Value string
}

// SysctlChange is a sysctl that differs from what the host had when it was made.
type SysctlChange struct {
	Key   string
	Value string
	Stock string
}

// ProcessSpec says what is to run on a host.
type ProcessSpec struct {
	// Path is the program's file. A name without a slash is looked for in the PATH
	// of Env. Empty is this very binary, which by Argv[0] knows its role.
	Path string
	// Argv is the whole argument vector, Argv[0] included. Empty is {Path}.
	Argv []string
	// Env is the environment; nil is that of this process.
	Env []string
	// Dir is the working directory; empty is that of this process. A relative Path
	// with a slash is relative to it.
	Dir string
	// Files are the program's descriptors from 0 on. A nil one, and what is missing
	// of 0, 1 and 2, is /dev/null. They stay the caller's, who may close them when
	// StartProcess has returned. They must be *os.File of open descriptors.
	Files []*os.File
	// Isolated is for programs that are not ours. The host then has a pid namespace
	// of its own, in which what a program leaves behind dies with the host, and a mount
	// namespace in which /etc/hosts knows the lab and /tmp and /dev/shm are the host's
	// own (see ProgramDir): of the caller's files there a program sees its working
	// directory and its own file. Where the working directory is /tmp itself, what lies
	// in it at the time is seen; where that is more than 1024 files and directories,
	// those that changed last. The program has no privileges that the caller does not
	// have. Otherwise only the network is the host's, and the program has all privileges
	// over it.
	Isolated bool
}

// ExitStatus is how a process ended.
type ExitStatus struct {
	// Code is the exit status, −1 where a signal ended the process.
	Code int
	// Signal is the signal that ended it, else 0.
	Signal syscall.Signal
	// At is when the end was noticed, on CLOCK_MONOTONIC.
	At time.Duration
}

// Success reports whether the process ended by itself with status 0.
func (s ExitStatus) Success() bool { return s.Code == 0 && s.Signal == 0 }
