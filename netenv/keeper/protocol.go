package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// RoleKeeper is the name under which the binary serves requests on
// hostinit.ControlFD until that ends.
const RoleKeeper = "lastack-keeper"

// MaxHosts bounds a lab, so that all descriptors of one fit into one message.
const MaxHosts = 40

// ProgramDir and ProgramHome are where a host's programs keep their files. They
// have the same names in every lab, so that output reads alike.
const (
	ProgramDir  = "/tmp/lastack.dir"
	ProgramHome = "/tmp/lastack.home"
)

// Op is what a message asks for or tells.
type Op string

const (
	// OpHello is the first message of a keeper, when it can serve. Body: Hello.
	OpHello Op = "hello"
	// OpExited tells that a process ended. Body: Exit.
	OpExited Op = "exited"

	// OpNewLab makes a lab. Body: LabPlan; answer: []int, the index of each port's
	// link; descriptors: HostFiles a host.
	OpNewLab Op = "new lab"
	// OpCloseLab ends a lab in order.
	OpCloseLab Op = "close lab"
	// OpCutOff deletes a host's veth.
	OpCutOff Op = "cut off host"
	// OpPowerOff cuts a host off, kills all that runs on it, destroys its sockets.
	OpPowerOff Op = "power off host"
	// OpBoot makes a host anew. Answer: the index of the port's link; descriptors: HostFiles.
	OpBoot Op = "boot host"
	// OpUnplug takes the host's cable out.
	OpUnplug Op = "unplug host"
	// OpPlug puts it in again and waits until both ends are up.
	OpPlug Op = "plug host"
	// OpDestroy destroys one TCP socket. Body: Tuple.
	OpDestroy Op = "destroy socket"
	// OpAskDiag asks sock_diag of a host once.
	OpAskDiag Op = "ask sock_diag"
	// OpGetSysctl reads a sysctl. Body: Sysctl; answer: Sysctl.
	OpGetSysctl Op = "read sysctl"
	// OpSetSysctl writes one. Body: Sysctl; answer: SysctlChange.
	OpSetSysctl Op = "set sysctl"
	// OpListSysctls names the keys of a host. Answer: []string.
	OpListSysctls Op = "list sysctls"
	// OpOpenRaw opens a raw IP socket. Body: RawSocket; one descriptor.
	OpOpenRaw Op = "open raw socket"
	// OpNeighbours makes the neighbour entries permanent or lets them be resolved. Body: Neighbours.
	OpNeighbours Op = "set neighbours"
	// OpStart starts a process. Body: ProcessPlan, its descriptors beside it; answer: Started.
	OpStart Op = "start process"
	// OpSignal signals one process and its group. Body: Signal.
	OpSignal Op = "signal process"
	// OpSignalAll signals all that runs on a host. Body: Signal.
	OpSignalAll Op = "signal host"
	// OpFiles opens files that a host's programs wrote. Body: Search; answer: Found,
	// a descriptor beside it for each name.
	OpFiles Op = "find files"
	// OpCensus says what the keeper holds. Answer: Census.
	OpCensus Op = "take census"
)

// Message is one packet on the control socket.
type Message struct {
	// ID pairs an answer with its request; 0 in what is told unasked.
	ID uint64 `json:"id,omitempty"`
	Op Op     `json:"op,omitempty"`
	// Lab and Process are numbers that the caller chose; Host is a name.
	Lab     uint64          `json:"lab,omitempty"`
	Host    string          `json:"host,omitempty"`
	Process uint64          `json:"process,omitempty"`
	Body    json.RawMessage `json:"body,omitempty"`
	Failure *Failure        `json:"failure,omitempty"`
}

// Failure is an error on its way to the caller.
type Failure struct {
	Text string `json:"text"`
	// Errno is the kernel's number, 0 where no system call was refused.
	Errno syscall.Errno `json:"errno,omitempty"`
	// Step is what was being done, for diagnosis; see the Step constants.
	Step Step `json:"step,omitempty"`
}

// Step is a part of the keeper's work whose failure has a reason of its own.
type Step string

const (
	// StepNamespace is a new network namespace.
	StepNamespace Step = "namespace"
	// StepVeth is a new pair of virtual Ethernet devices.
	StepVeth Step = "veth"
	// StepDiag is a sock_diag socket, or the first question on it.
	StepDiag Step = "inet_diag"
	// StepDestroy is SOCK_DESTROY.
	StepDestroy Step = "inet_diag_destroy"
	// StepPort is an AF_PACKET socket.
	StepPort Step = "packet socket"
	// StepSysctl is a value under /proc/sys.
	StepSysctl Step = "sysctl"
	// StepGone is a signal to a process that has ended.
	StepGone Step = "gone"
	// StepMount is a mount in a namespace of our own.
	StepMount Step = "mount"
)

// Error is the text of the failure.
func (f *Failure) Error() string { return f.Text }

// Unwrap gives the errno, so that errors.Is finds it.
func (f *Failure) Unwrap() error {
	if f.Errno == 0 {
		return nil
	}
	return f.Errno
}

// stepError says at which step an error happened.
type stepError struct {
	step Step
	err  error
}

func (e *stepError) Error() string { return e.err.Error() }
func (e *stepError) Unwrap() error { return e.err }

// at marks err with the step.
func at(step Step, err error) error {
	if err == nil {
		return nil
	}
	return &stepError{step, err}
}

// FailureOf makes an error ready to travel; nil stays nil.
func FailureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	f := &Failure{Text: err.Error()}
	errors.As(err, &f.Errno)
	var s *stepError
	if errors.As(err, &s) {
		f.Step = s.step
	}
	return f
}

// Hello is what a keeper says of itself when it is ready.
type Hello struct {
	// Proc is why a /proc of its own could not be mounted; empty where it could.
	Proc string `json:"proc,omitempty"`
	// SysReadOnly says that sysctls cannot be written.
	SysReadOnly bool `json:"sys_read_only,omitempty"`
}

// HostFiles is how many descriptors each host of a new lab comes with, in the
// order port, diag, destroy events, snmp, netstat.
const HostFiles = 5

// LabPlan is a lab with nothing left to choose.
type LabPlan struct {
	Hosts []HostPlan `json:"hosts"`
	// IP is the family whose addresses /etc/hosts knows; 0 is both.
	IP int `json:"ip,omitempty"`
}

// HostPlan is a host with nothing left to choose.
type HostPlan struct {
	Name string       `json:"name"`
	IPv4 netip.Prefix `json:"ipv4"`
	IPv6 netip.Prefix `json:"ipv6"`
	MAC  MAC          `json:"mac"`
	MTU  int          `json:"mtu"`
	// RTOMin is put on the on-link routes; 0 leaves the kernel's.
	RTOMin time.Duration `json:"rto_min,omitempty"`
	// Resolve leaves neighbours to ARP and neighbour discovery.
	Resolve  bool `json:"resolve,omitempty"`
	Offloads bool `json:"offloads,omitempty"`
}

// MAC is a hardware address that prints as one in JSON too.
type MAC net.HardwareAddr

// MarshalText writes the usual form with colons.
func (m MAC) MarshalText() ([]byte, error) { return []byte(net.HardwareAddr(m).String()), nil }

// UnmarshalText reads it.
func (m *MAC) UnmarshalText(text []byte) error {
	mac, err := net.ParseMAC(string(text))
	if err != nil {
		return fmt.Errorf("parse hardware address: %w", err)
	}
	*m = MAC(mac)
	return nil
}

// Sysctl is a key with dots and its value.
type Sysctl struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

// SysctlChange is what a write did.
type SysctlChange struct {
	Key string `json:"key"`
	// Before and Value are what the kernel showed before and after.
	Before string `json:"before"`
	Value  string `json:"value"`
}

// Tuple names a socket by both of its ends.
type Tuple struct {
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
}

// RawSocket is a raw IP socket to be opened. Network is as in net.ListenPacket:
// "ip4:tcp", "ip4:icmp" or "ip6:raw".
type RawSocket struct {
	Network string `json:"network"`
}

// Neighbours says whether a host resolves its neighbours.
type Neighbours struct {
	Resolve bool `json:"resolve"`
}

// ProcessPlan is a program to be started.
type ProcessPlan struct {
	// Path is the file; empty for the keeper's own binary.
	Path string   `json:"path,omitempty"`
	Argv []string `json:"argv"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
	// Files says for each descriptor from 0 whether one came with the message; the
	// others are /dev/null.
	Files    []bool `json:"files"`
	Isolated bool   `json:"isolated,omitempty"`
}

// Started is the answer to OpStart.
type Started struct {
	// PID is the number in the keeper's pid namespace.
	PID int `json:"pid"`
	// At is when the program was started, on CLOCK_MONOTONIC.
	At time.Duration `json:"at"`
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit status, −1 where a signal ended the process.
	Code   int            `json:"code"`
	Signal syscall.Signal `json:"signal,omitempty"`
	// At is when the keeper learned of it, on CLOCK_MONOTONIC.
	At time.Duration `json:"at"`
}

// Signal is a signal to be sent.
type Signal struct {
	Number syscall.Signal `json:"number"`
}

// Search asks for the regular files of a host that match one of the globs of
// path.Match, each an absolute path.
type Search struct {
	Globs []string `json:"globs"`
}

// Found are the files' names; More counts those beyond what is opened at once.
type Found struct {
	Names []string `json:"names"`
	More  int      `json:"more,omitempty"`
}

// Census counts what a keeper holds: zero labs hold nothing.
type Census struct {
	Labs        int `json:"labs"`
	Hosts       int `json:"hosts"`
	Processes   int `json:"processes"`
	Threads     int `json:"threads"`
	Strays      int `json:"strays"` // threads outside the keeper's namespace that are no host's
	Descriptors int `json:"descriptors"`
	Links       int `json:"links"` // ends in the wire's namespace
}
