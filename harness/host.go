package harness

import (
	"net/netip"
	"os"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/harness/internal/probe"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
	"github.com/lastack/lastack/netenv"
)

// Host is one end of the lab: a network namespace with a kernel's TCP of its
// own and real processes.
type Host struct {
	stage    *Stage
	name     string
	env      *netenv.Host
	diag     *probe.Diag
	counters *probe.Counters
	before   map[string]int64
	peer     *Peer
	process  *netenv.Process
	programs []*Program
}

// Name is what matches and reports call the host.
func (h *Host) Name() string { return h.name }

// Addr is the host's address in the family of the play.
func (h *Host) Addr() netip.Addr {
	if h.stage.IP == 6 {
		return h.env.IPv6
	}
	return h.env.IPv4
}

// Sysctl sets a key of the host's network namespace, as
// "net.ipv4.tcp_fin_timeout". It does nothing where the user asked for stock
// values, or has set the same key.
func (h *Host) Sysctl(key, value string) {
	s := h.stage
	if s.stock || s.pinned[h.name+":"+key] {
		return
	}
	if err := h.env.SetSysctl(s.ctx, key, value); err != nil {
		s.stop(record.Error, "set %s on %s: %v", key, h.name, err)
	}
}

// Peer is the controlled program on the host, which is started when it is
// first asked for.
func (h *Host) Peer() *Peer {
	if h.peer != nil {
		return h.peer
	}
	ours, theirs, err := peer.Pair()
	if err != nil {
		h.stage.stop(record.Error, "start peer on %s: %v", h.name, err)
	}
	defer theirs.Close()
	h.process, err = h.env.StartProcess(h.stage.ctx, netenv.ProcessSpec{
		Argv: []string{peer.Role}, Files: []*os.File{nil, nil, nil, theirs},
	})
	if err != nil {
		ours.Close()
		h.stage.stop(record.Error, "start peer on %s: %v", h.name, err)
	}
	h.peer = &Peer{host: h, conn: peer.NewConn(ours)}
	return h.peer
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
	s, err := h.diag.Query(local, remote)
	if err == nil && !s.Mini() {
		s, err = h.diag.QueryState(local, remote)
	}
	if err == probe.ErrNotFound {
		return inject.Observation{State: tcp.Closed}, true
	}
	if err != nil {
		return inject.Observation{}, false
	}
	o := inject.Observation{State: s.State, Expires: s.Expires, Orphan: orphan(&s)}
	if s.Timer != probe.TimerNone {
		o.Timer = s.Timer.String()
	}
	return o, true
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

// listening looks for a listener among the sockets of the host.
func (h *Host) listening(port uint16) bool {
	for _, family := range []probe.Family{probe.IPv4, probe.IPv6} {
		sockets, err := h.diag.Dump(family)
		if err != nil {
			continue
		}
		for _, s := range sockets {
			if s.State == tcp.Listen && s.Local.Port() == port {
				return true
			}
		}
	}
	return false
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

// Listening is met once a program of the host listens on a port, on any of the
// host's addresses.
func (h *Host) Listening(port uint16) inject.Condition {
	return inject.Condition{Kind: inject.Listening, Host: h.name, Port: port}
}

func (p prober) Listening(host string, port uint16) bool {
	h := p.hosts[host]
	if h == nil {
		return false
	}
	return h.listening(port)
}
