package peer

import (
	"fmt"
	"net/netip"
	"time"
)

// Role is the argv[0] that makes a process a peer.
const Role = "lastack-peer"

// Op names what a Call does.
type Op string

// The calls.
const (
	OpSocket      Op = "socket"
	OpBind        Op = "bind"
	OpListen      Op = "listen"
	OpAccept      Op = "accept"
	OpConnect     Op = "connect"
	OpRead        Op = "read"
	OpWrite       Op = "write"
	OpBulkRead    Op = "bulk-read"
	OpBulkWrite   Op = "bulk-write"
	OpShutdown    Op = "shutdown"
	OpClose       Op = "close"
	OpPoll        Op = "poll"
	OpGetsockopt  Op = "getsockopt"
	OpSetsockopt  Op = "setsockopt"
	OpGetsockname Op = "getsockname"
	OpGetpeername Op = "getpeername"
	OpNonblock    Op = "nonblock"
	OpInQueue     Op = "in-queue"
	OpOutQueue    Op = "out-queue"
	OpExit        Op = "exit"
)

// FD is a descriptor of the peer, as a Result's N gave it, or a Ref.
type FD int

// refBase lies below every number that somebody passes on purpose to see EBADF.
const refBase FD = -1 << 20

// Ref stands for what call i of the same sequence, counted from 0, returned. If
// that call failed it is -1, and the kernel answers EBADF.
func Ref(i int) FD { return refBase - FD(i) }

// ref is the call that f stands for.
func (f FD) ref() (i int, ok bool) { return int(refBase - f), f <= refBase }

// Family is an IP version.
type Family uint8

// The families of a socket.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf is the family of an address; one of IPv4 within IPv6 is IPv6.
func FamilyOf(addr netip.Addr) Family {
	if addr.Is4() {
		return IPv4
	}
	return IPv6
}

// How is the direction of a shutdown, under the kernel's number.
type How int

// The directions of a shutdown.
const (
	ShutRead  How = 0
	ShutWrite How = 1
	ShutBoth  How = 2
)

var hows = [...]string{ShutRead: "SHUT_RD", ShutWrite: "SHUT_WR", ShutBoth: "SHUT_RDWR"}

// String is SHUT_RD, SHUT_WR or SHUT_RDWR.
func (h How) String() string {
	if h < 0 || int(h) >= len(hows) {
		return fmt.Sprint(int(h))
	}
	return hows[h]
}

// Linger is the value of SO_LINGER.
type Linger struct {
	On bool
	// Seconds is how long close waits. 0 resets the connection.
	Seconds int
}

// String is the C structure, {1, 0}.
func (l Linger) String() string {
	on := 0
	if l.On {
		on = 1
	}
	return fmt.Sprintf("{%d, %d}", on, l.Seconds)
}

// Option is a socket option under its C name.
type Option string

// The options that Setsockopt and Getsockopt know. SO_LINGER is set by
// SetLinger; TCP_INFO and SO_ERROR can only be read, and reading SO_ERROR clears
// it.
const (
	SOLinger       Option = "SO_LINGER"
	SOReuseAddr    Option = "SO_REUSEADDR"
	SOReusePort    Option = "SO_REUSEPORT"
	SOKeepalive    Option = "SO_KEEPALIVE"
	SORcvBuf       Option = "SO_RCVBUF"
	SOSndBuf       Option = "SO_SNDBUF"
	SOError        Option = "SO_ERROR"
	SOOOBInline    Option = "SO_OOBINLINE"
	TCPLinger2     Option = "TCP_LINGER2"
	TCPKeepIdle    Option = "TCP_KEEPIDLE"
	TCPKeepIntvl   Option = "TCP_KEEPINTVL"
	TCPKeepCnt     Option = "TCP_KEEPCNT"
	TCPUserTimeout Option = "TCP_USER_TIMEOUT" // milliseconds
	TCPNoDelay     Option = "TCP_NODELAY"
	TCPCork        Option = "TCP_CORK"
	TCPQuickACK    Option = "TCP_QUICKACK"
	TCPMaxSeg      Option = "TCP_MAXSEG"
	TCPSynCnt      Option = "TCP_SYNCNT"
	TCPWindowClamp Option = "TCP_WINDOW_CLAMP"
	TCPInfoOption  Option = "TCP_INFO"
)

// Forever makes Poll wait without bound.
const Forever time.Duration = -1

// All makes BulkRead read to the end of file.
const All int64 = -1

// Call is one system call, or one loop of them, that a peer makes. Make it with
// the function of its name; it is plain data and may be kept and sent again.
type Call struct {
	Op Op `json:"op"`
	FD FD `json:"fd,omitempty"`
	// Family is for socket.
	Family Family `json:"family,omitempty"`
	// Nagle leaves TCP_NODELAY off at socket, which the peer otherwise sets on
	// every socket that it makes (an accepted one has it from its listener).
	Nagle bool `json:"nagle,omitempty"`
	// Addr is for bind and connect.
	Addr netip.AddrPort `json:"addr,omitzero"`
	// N is a number of bytes, the backlog of listen, or the status of exit.
	N int64 `json:"n,omitempty"`
	// Data is what write sends. Where it is empty, write sends N bytes of Pattern
	// from Offset on.
	Data   []byte `json:"data,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	// Flags are for read and write, which with flags are recv and send.
	Flags Flags `json:"flags,omitempty"`
	// NoSum spares the SHA-256 of bytes, for measurements.
	NoSum  bool   `json:"no_sum,omitempty"`
	How    How    `json:"how,omitempty"`
	Option Option `json:"option,omitempty"`
	Value  int    `json:"value,omitempty"`
	Linger Linger `json:"linger,omitzero"`
	// Poll are the descriptors to poll, Timeout how long (Forever, or a duration).
	Poll    []PollFD      `json:"poll,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
	// On is for nonblock.
	On bool `json:"on,omitempty"`
}

// Socket makes a TCP socket; Result.N is its descriptor. It has TCP_NODELAY set
// (see Call.Nagle), and over IPv6 also IPV6_V6ONLY.
func Socket(family Family) Call { return Call{Op: OpSocket, Family: family} }

// Bind gives a socket its local address.
func Bind(fd FD, addr netip.AddrPort) Call { return Call{Op: OpBind, FD: fd, Addr: addr} }

// Listen makes a socket a listener. The accept queue holds one more than backlog.
func Listen(fd FD, backlog int) Call { return Call{Op: OpListen, FD: fd, N: int64(backlog)} }

// Accept takes a connection; Result.N is its descriptor and Result.Addr the
// other end.
func Accept(fd FD) Call { return Call{Op: OpAccept, FD: fd} }

// Connect connects a socket.
func Connect(fd FD, addr netip.AddrPort) Call { return Call{Op: OpConnect, FD: fd, Addr: addr} }

// Read reads once, up to n bytes. At end of file Result.N is 0.
func Read(fd FD, n int) Call { return Call{Op: OpRead, FD: fd, N: int64(n)} }

// Recv is Read with flags.
func Recv(fd FD, n int, flags Flags) Call {
	return Call{Op: OpRead, FD: fd, N: int64(n), Flags: flags}
}

// Write writes data once; Result.N may be less than its length.
func Write(fd FD, data []byte) Call { return Call{Op: OpWrite, FD: fd, Data: data} }

// WritePattern writes once n bytes of Pattern, beginning at the stream's offset.
func WritePattern(fd FD, offset int64, n int) Call {
	return Call{Op: OpWrite, FD: fd, N: int64(n), Offset: offset}
}

// Send is Write with flags.
func Send(fd FD, data []byte, flags Flags) Call {
	return Call{Op: OpWrite, FD: fd, Data: data, Flags: flags}
}

// BulkRead reads until n bytes came (All: no bound), the end of file, or an
// error. Result.Total counts the bytes and Result.N is what the last read
// returned.
func BulkRead(fd FD, n int64) Call { return Call{Op: OpBulkRead, FD: fd, N: n} }

// BulkWrite writes n bytes of Pattern from its start, or until an error.
// Result.Total counts the bytes and Result.N is what the last write returned.
func BulkWrite(fd FD, n int64) Call { return Call{Op: OpBulkWrite, FD: fd, N: n} }

// Shut shuts one or both directions down.
func Shut(fd FD, how How) Call { return Call{Op: OpShutdown, FD: fd, How: how} }

// Close closes a descriptor.
func Close(fd FD) Call { return Call{Op: OpClose, FD: fd} }

// Poll waits for events; Result.N counts the descriptors that have some and
// Result.Poll holds them.
func Poll(timeout time.Duration, fds ...PollFD) Call {
	return Call{Op: OpPoll, Poll: fds, Timeout: timeout}
}

// Getsockopt reads an option into Result.Value, Result.Linger or Result.Info.
func Getsockopt(fd FD, option Option) Call { return Call{Op: OpGetsockopt, FD: fd, Option: option} }

// Setsockopt sets an option that is a number.
func Setsockopt(fd FD, option Option, value int) Call {
	return Call{Op: OpSetsockopt, FD: fd, Option: option, Value: value}
}

// SetLinger sets SO_LINGER.
func SetLinger(fd FD, linger Linger) Call {
	return Call{Op: OpSetsockopt, FD: fd, Option: SOLinger, Linger: linger}
}

// Getsockname reads the local address into Result.Addr.
func Getsockname(fd FD) Call { return Call{Op: OpGetsockname, FD: fd} }

// Getpeername reads the other end's address into Result.Addr.
func Getpeername(fd FD) Call { return Call{Op: OpGetpeername, FD: fd} }

// Nonblock makes a descriptor non-blocking, or blocking again.
func Nonblock(fd FD, on bool) Call { return Call{Op: OpNonblock, FD: fd, On: on} }

// InQueue reads into Result.Value how many bytes wait to be read (SIOCINQ).
func InQueue(fd FD) Call { return Call{Op: OpInQueue, FD: fd} }

// OutQueue reads into Result.Value how many bytes are not yet acknowledged
// (SIOCOUTQ).
func OutQueue(fd FD) Call { return Call{Op: OpOutQueue, FD: fd} }

// Exit ends the process without closing anything first. Its result comes before
// the process ends.
func Exit(status int) Call { return Call{Op: OpExit, N: int64(status)} }

// Sequence is calls that the peer makes one after another on one thread, with
// nothing between them that waits for the caller.
type Sequence struct {
	Calls []Call `json:"calls"`
	// UntilError ends the sequence after the first call that fails; else all are
	// made, whatever they return.
	UntilError bool `json:"until_error,omitempty"`
	// Announce sends the beginning and the result of each call as it happens, at
	// the price of some microseconds between calls. Without it only the beginning
	// of the first call is sent, and all results after the last call.
	Announce bool `json:"announce,omitempty"`
}

// Seq is a Sequence that makes all calls and announces only the first.
func Seq(calls ...Call) Sequence { return Sequence{Calls: calls} }
