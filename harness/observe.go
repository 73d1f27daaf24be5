package harness

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/lastack/lastack/harness/internal/probe"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// Reading is what the kernel of a host said of one end of a connection.
type Reading struct {
	// State is CLOSED where the kernel has no such socket.
	State tcp.State
	// Kind is "full", or for what is left of a socket "time-wait" (which an
	// orphan's FIN_WAIT_2 is too) and for what is not yet one "request".
	Kind string
	// Timer is the kernel's name, as in record.State, and Expires how far off it is.
	Timer   string
	Expires time.Duration
	// Retrans counts the repeats under way.
	Retrans int
	// RQueue and WQueue are bytes to be read and bytes not acknowledged; a FIN
	// counts as one in both.
	RQueue, WQueue uint32
	// Shutdown is which directions are closed: none, receive, send, both.
	Shutdown string
	// Orphan: no descriptor refers to the socket any more. Unaccepted: none does
	// yet.
	Orphan, Unaccepted bool
}

// State asks the kernel for the state of this end of the connection, now; CLOSED
// where it has no such socket.
func (c *Socket) State() tcp.State { return c.Observe().State }

// Observe asks the kernel for this end of the connection, now. What it says goes
// into the record too.
func (c *Socket) Observe() Reading { return c.owner.host.Observe(c.Conn()) }

// Observe asks the host's kernel for its end of the connection of that number.
// What it says goes into the record too.
func (h *Host) Observe(conn int) Reading {
	local, remote := h.tuple(conn, "observe")
	if h.off {
		h.stage.stop(record.Error, "observe connection %d on %s: %v", conn, h.name, errOff)
	}
	var s probe.Socket
	var err error
	h.stage.Wire.wire.Observe(h.name, conn, func() (inject.Observation, bool) {
		s, err = h.diag.Query(local, remote)
		return observation(&s, err == nil), err == nil || err == probe.ErrNotFound
	})
	switch {
	case err == probe.ErrNotFound:
		return Reading{State: tcp.Closed}
	case err != nil:
		h.stage.stop(record.Error, "observe connection %d on %s: %v", conn, h.name, err)
	}
	r := Reading{
		State: s.State, Kind: s.Kind.String(), Expires: s.Expires, Retrans: s.Retrans,
		RQueue: s.RQueue, WQueue: s.WQueue, Shutdown: s.Shutdown.String(),
		Orphan: orphan(&s), Unaccepted: s.Unaccepted(),
	}
	if s.Timer != probe.TimerNone {
		r.Timer = s.Timer.String()
	}
	return r
}

// tuple is the host's end and the other end of a connection that the wire knows.
func (h *Host) tuple(number int, what string) (local, remote netip.AddrPort) {
	local, remote, ok := h.ends(number)
	if !ok {
		h.stage.stop(record.Error, "%s connection %d on %s: the host has no end of it", what, number, h.name)
	}
	return local, remote
}

// ends is tuple where the host may have no end of the connection.
func (h *Host) ends(number int) (local, remote netip.AddrPort, ok bool) {
	h.stage.Wire.wire.Do(func(e *inject.Engine, _ time.Duration) {
		if conn := e.Flow().Conn(number); conn != nil {
			if end := conn.EndOf(h.name); end != nil {
				local, remote, ok = end.Addr, conn.Other(end).Addr, true
			}
		}
	})
	return local, remote, ok
}

// Destroy destroys the socket as an administrator can (SOCK_DESTROY). Whether the
// kernel had it is in the record: ENOENT where it had not. On a kernel that cannot
// destroy sockets the play is skipped.
func (c *Socket) Destroy() { c.owner.host.Destroy(c.Conn()) }

// Destroy destroys the host's end of the connection of that number.
func (h *Host) Destroy(conn int) {
	local, remote := h.tuple(conn, "destroy")
	text := fmt.Sprintf("destroy(%s > %s)", local, remote)
	errno := ""
	c := h.act(nil, "destroy", text, func(ctx context.Context) error {
		err := h.env.Destroy(ctx, local, remote)
		switch {
		case errors.Is(err, syscall.ENOENT):
			errno, err = "ENOENT", nil
		case errors.Is(err, syscall.EOPNOTSUPP):
			h.stage.stop(record.Skip, "this kernel cannot destroy sockets: it was built without CONFIG_INET_DIAG_DESTROY")
		}
		return err
	})
	if errno != "" {
		h.stage.mu.Lock()
		defer h.stage.mu.Unlock()
		c.Result, c.Errno = -1, errno
	}
}

// observe asks the host's kernel for one end of a connection.
//
// It asks twice. A segment is on the wire while the system call that sent it is
// still at work: the timer is not yet armed, the descriptor not yet gone. And
// one that was delivered while a program was inside a system call waits in the
// socket's backlog. The first question asks for tcp_info, for which the kernel
// takes the socket's lock (tcp_get_info), and so waits for both to be over;
// but it has read state and timer before that.
func (h *Host) observe(local, remote netip.AddrPort) (inject.Observation, bool) {
	if h.off {
		return inject.Observation{}, false // there is no kernel to be asked
	}
	s, err := h.diag.Query(local, remote)
	if err == nil && !s.Mini() {
		s, err = h.diag.QueryState(local, remote)
	}
	if err != nil && err != probe.ErrNotFound {
		return inject.Observation{}, false
	}
	return observation(&s, err == nil), true
}

// observation is what the wire keeps of a socket.
func observation(s *probe.Socket, found bool) inject.Observation {
	if !found {
		return inject.Observation{State: tcp.Closed}
	}
	o := inject.Observation{State: s.State, Expires: s.Expires, Orphan: orphan(s)}
	if s.Timer != probe.TimerNone {
		o.Timer = s.Timer.String()
	}
	return o
}

// orphan tells by the state that a socket without an inode was closed by its
// program: one that waits for accept() has none either.
func orphan(s *probe.Socket) bool {
	switch s.State {
	case tcp.FinWait1, tcp.FinWait2, tcp.Closing, tcp.LastAck:
		return s.Inode == 0
	}
	return false
}

// listening looks for a listener among the sockets of the host; port 0 means any
// that other hosts can reach in the play's address family.
func (h *Host) listening(port uint16) bool {
	for _, s := range h.listeners() {
		if port == 0 && h.reachable(&s) || port != 0 && s.Local.Port() == port {
			return true
		}
	}
	return false
}

// reachable tells whether other hosts can connect to a listener of this one.
func (h *Host) reachable(listener *probe.Socket) bool {
	addr := listener.Local.Addr()
	switch {
	case addr == h.Addr(), addr == netip.IPv4Unspecified() && h.stage.IP == 4:
		return true
	case addr == netip.IPv6Unspecified():
		return h.stage.IP == 6 || !listener.V6Only
	}
	return false
}

// sockets are what the host's kernel has now; what changes meanwhile may be missed.
func (h *Host) sockets() ([]probe.Socket, error) { return h.list((*probe.Diag).Dump) }

// listeners are those of the sockets that listen; none where the kernel does not
// say, as who asks for them waits until there are some.
func (h *Host) listeners() []probe.Socket {
	all, _ := h.list((*probe.Diag).Listeners)
	return all
}

func (h *Host) list(of func(*probe.Diag, probe.Family) ([]probe.Socket, error)) ([]probe.Socket, error) {
	if h.off {
		return nil, nil
	}
	var all []probe.Socket
	var errs []error
	for _, family := range []probe.Family{probe.IPv4, probe.IPv6} {
		sockets, err := of(h.diag, family)
		all, errs = append(all, sockets...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// Listens tells whether a program of the host listens on a port now.
func (h *Host) Listens(port uint16) bool { return h.listening(port) }

// Listeners are the addresses on which programs of the host listen now, those on
// loopback too, which no other host can reach.
func (h *Host) Listeners() []netip.AddrPort {
	var all []netip.AddrPort
	for _, s := range h.listeners() {
		if !slices.Contains(all, s.Local) {
			all = append(all, s.Local)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return all
}

// Unreachable are the addresses on which programs of the host listen, on a port or,
// where that is 0, on any, if no other host can connect to one of them in the play's
// address family; nil where one can, or nothing listens.
func (h *Host) Unreachable(port uint16) []netip.AddrPort {
	var all []netip.AddrPort
	for _, s := range h.listeners() {
		switch {
		case port != 0 && s.Local.Port() != port:
		case h.reachable(&s):
			return nil
		case !slices.Contains(all, s.Local):
			all = append(all, s.Local)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return all
}

// prober answers the wire for all hosts of a stage.
type prober struct{ hosts map[string]*Host }

func (p prober) Probe(host string, local, remote netip.AddrPort) (inject.Observation, bool) {
	h := p.hosts[host]
	if h == nil {
		return inject.Observation{}, false
	}
	return h.observe(local, remote)
}

func (p prober) Listening(host string, port uint16) bool {
	h := p.hosts[host]
	if h == nil {
		return false
	}
	return h.listening(port)
}

// Gone is met once the kernel of the host has no socket of the connection of
// that number any more, a listener's request included.
func (h *Host) Gone(conn int) inject.Condition {
	return inject.Condition{Kind: inject.InState, Host: h.name, Conn: conn, State: tcp.Closed}
}

// Listening is met once a program of the host listens on a port, on any of the
// host's addresses.
func (h *Host) Listening(port uint16) inject.Condition {
	return inject.Condition{Kind: inject.Listening, Host: h.name, Port: port}
}

// ListeningAny is met once a program of the host listens on any port on an address
// that other hosts can reach in the play's address family: not on loopback.
func (h *Host) ListeningAny() inject.Condition {
	return inject.Condition{Kind: inject.Listening, Host: h.name}
}
