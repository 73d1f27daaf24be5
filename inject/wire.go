package inject

import (
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// ErrNotSupported: this system has no AF_PACKET sockets.
var ErrNotSupported = errors.New("the wire needs Linux")

// ErrGivenUp: the caller stopped waiting, or the wire was closed.
var ErrGivenUp = errors.New("given up")

// WireConfig is what a wire is made of.
type WireConfig struct {
	Ports []WirePort
	// Prober reads the kernels' states, for conditions that ask for one.
	Prober Prober
	// Step makes the wire walk in steps: at each arrival the sender's state is
	// read, after each departure both ends', and only then the next frame is
	// looked at. Without it no frame ever waits for a kernel to answer.
	Step bool
	// Log keeps every passage, with its bytes, for a record.
	Log bool
	// Clock is the run's clock; nil begins one now. It must be derived from
	// CLOCK_MONOTONIC.
	Clock func() time.Duration
}

// WirePort is a port and its socket.
type WirePort struct {
	Port
	// Socket is an AF_PACKET SOCK_RAW socket, not blocking, bound to the
	// wire's end of the cable to the host. The caller closes it, after the
	// wire.
	Socket *os.File
	// Super tells that the socket has PACKET_VNET_HDR set and the host's
	// offloads are on: a frame may then be a superframe without its checksum.
	// It passes unread where no rule and no record asks for single segments,
	// and is cut into these where one does. All ports are alike.
	Super bool
}

// Prober reads the state of one end of a connection in its kernel.
type Prober interface {
	// Probe is called with the wire's lock held and must not call the wire.
	// It says false where the kernel could not be asked.
	Probe(host string, local, remote netip.AddrPort) (Observation, bool)
	// Listening tells whether a program of the host listens on the port.
	Listening(host string, port uint16) bool
}

// Observation is what a kernel said of one end of a connection.
type Observation struct {
	// State is tcp.Closed where the kernel has no such socket.
	State tcp.State
	// Timer is the kernel's name of the timer that runs, or "".
	Timer string
	// Expires is what was left of it when the answer was there, at least; Latest
	// is what may have been left, for the question takes time.
	Expires, Latest time.Duration
	// Orphan: no descriptor refers to the socket.
	Orphan bool
}

// StateNote is an observation with its place in the run. It is kept where it
// differs from the one before of the same end, or its timer was started again.
type StateNote struct {
	T    time.Duration
	Conn int
	Host string
	Observation
	// Passage is the index of the passage at which it was read, or -1; After
	// tells that it was read once that had been delivered.
	Passage int
	After   bool
}
