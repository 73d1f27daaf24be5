package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// ErrNotFound says that the kernel has no socket with the four-tuple asked for:
// the connection is CLOSED. A listener that answered in its place is not it.
var ErrNotFound = errors.New("find socket: the kernel has none with this four-tuple")

// ErrOverflow says that the kernel dropped destroy events because they were not
// read in time. Which ones is not known; ask for the sockets by four-tuple.
var ErrOverflow = errors.New("read destroy events: the kernel dropped some, the queue was full")

// ErrNotLinux is what everything that needs a kernel returns elsewhere.
var ErrNotLinux = errors.New("probe a kernel: needs Linux")

// Kind tells what the kernel keeps of a connection.
type Kind uint8

const (
	// Full is a socket with all its parts.
	Full Kind = iota
	// TimeWait is the mini-socket of TIME_WAIT and of an orphan's FIN_WAIT_2. It
	// has a four-tuple, a state and a timer, and nothing else.
	TimeWait
	// Request is a connection that a listener has answered with SYN-ACK and
	// whose last ACK has not come. Its state is SYN_RECV.
	Request
)

var kindNames = [...]string{Full: "full", TimeWait: "time-wait", Request: "request"}

// String is "full", "time-wait" or "request".
func (k Kind) String() string { return nameOf(kindNames[:], uint8(k), "KIND") }

// MarshalText writes what String returns.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Kind) UnmarshalText(text []byte) error {
	return parseName(kindNames[:], "kind", text, (*uint8)(k))
}

// Timer is the timer that runs on a socket, under the kernel's number.
type Timer uint8

const (
	// TimerNone says that no timer runs.
	TimerNone Timer = iota
	// TimerRetransmit is the retransmission timer, and the tail-loss probe's and
	// the reordering timer, which the kernel does not tell apart here.
	TimerRetransmit
	// TimerKeepalive is the keep-alive timer, and that of a full socket in
	// FIN_WAIT_2 whose owner has closed it.
	TimerKeepalive
	// TimerTimeWait is the timer of a mini-socket.
	TimerTimeWait
	// TimerPersist is the zero-window probe timer.
	TimerPersist
)

var timerNames = [...]string{
	TimerNone:       "none",
	TimerRetransmit: "retransmit",
	TimerKeepalive:  "keepalive",
	TimerTimeWait:   "timewait",
	TimerPersist:    "persist",
}

// String is the timer's name: none, retransmit, keepalive, timewait, persist.
func (t Timer) String() string { return nameOf(timerNames[:], uint8(t), "TIMER") }

// MarshalText writes what String returns.
func (t Timer) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (t *Timer) UnmarshalText(text []byte) error {
	return parseName(timerNames[:], "timer", text, (*uint8)(t))
}

// Shutdown is the kernel's mask of the directions that are closed.
type Shutdown uint8

const (
	// ShutdownReceive is set by the peer's FIN and by shutdown(SHUT_RD).
	ShutdownReceive Shutdown = 1 << iota
	// ShutdownSend is set by shutdown(SHUT_WR) and by close().
	ShutdownSend
)

// shutdownBoth is what close() and a reset leave.
const shutdownBoth = ShutdownReceive | ShutdownSend

var shutdownNames = [...]string{0: "none", ShutdownReceive: "receive", ShutdownSend: "send", shutdownBoth: "both"}

// String is none, receive, send or both.
func (s Shutdown) String() string { return nameOf(shutdownNames[:], uint8(s), "SHUTDOWN") }

// MarshalText writes what String returns.
func (s Shutdown) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Shutdown) UnmarshalText(text []byte) error {
	return parseName(shutdownNames[:], "shutdown mask", text, (*uint8)(s))
}

// Socket is what the kernel said of one socket at one moment.
type Socket struct {
	// Local and Remote are the four-tuple, IPv4 addresses always as IPv4, even
	// where an IPv6 socket carries them. A listener's Remote has port 0.
	Local, Remote netip.AddrPort
	Kind          Kind
	State         tcp.State
	// Timer is the timer that runs and Expires how far off it is, in the
	// kernel's milliseconds. A timer that is due reads 0.
	Timer   Timer
	Expires time.Duration
	// Retrans counts the retransmissions under way, the probes sent where the
	// timer is keepalive or persist, the repeats of the SYN-ACK in a Request.
	Retrans int
	// RQueue is the number of bytes to be read, WQueue of those not acknowledged.
	// A FIN counts as one byte in both. A listener's RQueue is the length of the
	// accept queue and WQueue its bound.
	RQueue, WQueue uint32
	// UID is the owner, 0 in mini-sockets.
	UID uint32
	// Inode is that of the descriptor; 0 where no program holds one: an orphan, a
	// connection not yet accepted, a mini-socket.
	Inode    uint32
	Shutdown Shutdown
	// V6Only is set of an IPv6 listener that takes no IPv4 connections.
	V6Only bool
	// Cookie names this socket for its whole life, over its change to a
	// mini-socket; a new incarnation of the four-tuple has another.
	Cookie uint64
	// Info is tcp_info; nil in mini-sockets, and where it was not asked for.
	Info *TCPInfo
	// Memory is what the socket holds; nil where Info is nil.
	Memory *Memory
}

// Mini reports whether the kernel keeps only a mini-socket: TIME_WAIT, an
// orphan's FIN_WAIT_2, or a connection request.
func (s *Socket) Mini() bool { return s.Kind != Full }

// Orphan reports whether the program has closed the socket and the kernel goes
// on with the connection alone. A connection that waits for accept() has no
// inode either, and is no orphan. Of TIME_WAIT the kernel does not say whether a
// descriptor is left; it is no orphan here.
func (s *Socket) Orphan() bool {
	if s.Kind == TimeWait {
		return s.State == tcp.FinWait2
	}
	return s.Kind == Full && s.Inode == 0 && s.Shutdown == shutdownBoth
}

// Unaccepted reports whether the connection waits for accept().
func (s *Socket) Unaccepted() bool {
	return s.Kind == Full && s.Inode == 0 && s.Shutdown != shutdownBoth
}

// Memory is SK_MEMINFO: the socket's buffers in bytes, with the kernel's
// overhead, and what it dropped.
type Memory struct {
	ReceiveAlloc, ReceiveBuffer uint32
	SendAlloc, SendBuffer       uint32
	ForwardAlloc, SendQueued    uint32
	Options, Backlog            uint32
	Drops                       uint32
}

func nameOf(names []string, value uint8, unknown string) string {
	if int(value) >= len(names) {
		return fmt.Sprintf("%s_%d", unknown, value)
	}
	return names[value]
}

func parseName(names []string, what string, text []byte, value *uint8) error {
	for i, name := range names {
		if name == string(text) {
			*value = uint8(i)
			return nil
		}
	}
	return fmt.Errorf("parse %s %q: want one of %q", what, text, names)
}
