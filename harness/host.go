package harness

import (
	"net/netip"
	"os"
	"slices"

	"github.com/lastack/lastack/harness/internal/probe"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/netenv"
)

// Host is one end of the lab: a network namespace with a kernel's TCP of its
// own and real processes.
type Host struct {
	stage    *Stage
	name     string
	env      *netenv.Host
	socket   *os.File // the wire's, on the host's cable
	diag     *probe.Diag
	counters *probe.Counters
	before   map[string]int64 // at the start, or at the last boot
	past     map[string]int64 // how far counters had moved when the power went
	peers    []*Peer          // those that the play has not ended
	spent    []*Peer          // those that it has
	programs []*Program
	begun    map[string]int // calls of peers, by name
	retired  []*os.File     // to be closed at the lab's end

	// The play's own knowledge; off is set and cleared while the wire asks nothing.
	off, unplugged bool
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

// loopback is the address by which the host reaches itself alone.
func (h *Host) loopback() netip.Addr {
	if h.stage.IP == 6 {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// Sysctl sets a key of the host's network namespace, as
// "net.ipv4.tcp_fin_timeout". It does nothing where the user has set the same key.
// Where stock values were asked for it does not shorten a timer of the kernel
// either, unless the scenario's name says key=value; if the stock timer takes more
// than 150 s the run is SKIP. Waits that follow may last as long as what is in force
// makes the kernel take.
func (h *Host) Sysctl(key, value string) {
	s := h.stage
	if s.stock && !s.pinned[h.name+":"+key] && !s.isAbout(key, value) {
		if stock := h.inForce(key); shortens(key, value, stock) {
			if why := tooLong(key, stock); why != "" {
				s.stop(record.Skip, "%s", why)
			}
			s.stretch(key, stock)
			return
		}
	}
	h.SysctlAlways(key, value)
}

// SysctlAlways is Sysctl of a value that the scenario is about, which does not only
// make it shorter: it is set in stock too.
func (h *Host) SysctlAlways(key, value string) {
	s := h.stage
	if s.pinned[h.name+":"+key] {
		s.stretch(key, h.inForce(key))
		return
	}
	s.stretch(key, value)
	if err := h.env.SetSysctl(s.ctx, key, value); err != nil {
		s.stop(record.Error, "set %s on %s: %v", key, h.name, err)
	}
}

// Peer is the controlled program on the host, which is started when it is
// first asked for, and again when the play has ended the one before.
func (h *Host) Peer() *Peer {
	for _, p := range h.peers {
		if p.name == "" {
			return p
		}
	}
	return h.startPeer("")
}

// NewPeer starts a further process on the host, beside that of Peer. Conditions
// and the record call its system calls by its name and theirs, as worker/close.
func (h *Host) NewPeer(name string) *Peer {
	if name == "" || slices.ContainsFunc(h.peers, func(p *Peer) bool { return p.name == name }) {
		h.stage.stop(record.Error, "start peer on %s: the name %q is empty, or that of another", h.name, name)
	}
	return h.startPeer(name)
}

// forget takes a peer that has ended off the list.
func (h *Host) forget(p *Peer) {
	h.peers = slices.DeleteFunc(h.peers, func(o *Peer) bool { return o == p })
	h.spent = append(h.spent, p)
}

// countPast keeps how far the counters have moved before a power failure ends
// them.
func (h *Host) countPast() error {
	now, err := h.counters.Read()
	if err != nil {
		return err
	}
	if h.past == nil {
		h.past = map[string]int64{}
	}
	for _, d := range probe.Deltas(h.before, now) {
		if d.Name != gauge {
			h.past[d.Name] += d.Delta
		}
	}
	h.before = now
	return nil
}

// gauge is a counter that counts what is there, and not what happened: it does
// not outlive the kernel.
const gauge = "Tcp.CurrEstab"

// deltas are by how much the host's counters moved, over all its boots.
func (h *Host) deltas() ([]probe.Delta, error) {
	moved := map[string]int64{}
	for name, n := range h.past {
		moved[name] += n
	}
	if !h.off {
		now, err := h.counters.Read()
		if err != nil {
			return nil, err
		}
		for _, d := range probe.Deltas(h.before, now) {
			moved[d.Name] += d.Delta
		}
	}
	return probe.Deltas(nil, moved), nil
}
