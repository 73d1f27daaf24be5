package harness

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/lastack/lastack/harness/internal/probe"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
)

// errOff says that a host has no power.
var errOff = errors.New("the host is off")

// act does something to the host, or to one peer on it, writes it down, and tells
// the engine: a rule may hold a segment until then. An act that fails ends the
// play.
func (h *Host) act(p *Peer, name, text string, do func(context.Context) error) *record.Call {
	s := h.stage
	ctx, cancel := context.WithTimeout(s.ctx, s.bound)
	defer cancel()
	c := &record.Call{T: s.clock(), End: -1, Host: h.name, Name: name, Call: text}
	key := name
	if p != nil {
		c.Peer, key = p.name, p.call(name)
	}
	nth := h.number(key)
	s.mu.Lock()
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	if err := do(ctx); err != nil {
		s.stop(record.Error, "%s %s: %v", name, h.name, err)
	}
	s.mu.Lock()
	c.End = s.clock()
	s.mu.Unlock()
	s.Wire.wire.Do(func(e *inject.Engine, now time.Duration) {
		e.NoteReturn(now, h.name, key)
		e.NoteReturn(now, h.name, nth)
	})
	return c
}

// Returned is met once an act of the play on this host was done: kill, stop,
// continue, power-off, boot, unplug, plug, neighbours or destroy; the nth of a name
// as power-off#2. So a rule can hold a segment until then, and the act falls
// between its arrival and its delivery.
func (h *Host) Returned(act string) inject.Condition {
	return inject.Condition{Kind: inject.Returned, Host: h.name, Call: act}
}

// Kill ends all peers and programs of the host by SIGKILL, what programs left
// behind included, and waits until they are gone. The kernel lives on: it closes
// their descriptors, and so sends FIN, or RST where bytes were unread. Peer starts
// another peer.
func (h *Host) Kill() {
	h.act(nil, "kill", "kill(SIGKILL)", func(ctx context.Context) error {
		if err := h.signalPrograms(ctx, syscall.SIGKILL); err != nil {
			return err
		}
		for _, p := range slices.Clone(h.peers) {
			if err := p.kill(); err != nil {
				return err
			}
		}
		h.awaitPrograms()
		return nil
	})
}

// Stop suspends all peers and programs of the host by SIGSTOP: only its kernel
// speaks until Continue.
func (h *Host) Stop() {
	h.act(nil, "stop", "kill(SIGSTOP)", func(ctx context.Context) error { return h.signal(ctx, signalStop) })
}

// Continue lets them go on.
func (h *Host) Continue() {
	h.act(nil, "continue", "kill(SIGCONT)", func(ctx context.Context) error { return h.signal(ctx, signalContinue) })
}

func (h *Host) signal(ctx context.Context, number syscall.Signal) error {
	if err := h.signalPrograms(ctx, number); err != nil {
		return err
	}
	for _, p := range h.peers {
		if err := p.suspend(number); err != nil {
			return err
		}
	}
	return nil
}

// signalPrograms signals what runs on the host, daemons too, if it ever ran a
// program.
func (h *Host) signalPrograms(ctx context.Context, number syscall.Signal) error {
	if len(h.programs) == 0 || h.off {
		return nil
	}
	return h.env.SignalAll(ctx, number)
}

func (h *Host) awaitPrograms() {
	for _, p := range h.programs {
		<-p.ended // not bounded: the process was killed
	}
}

// PowerOff ends the host as a power failure does: nothing more is heard of it.
// First the wire takes nothing more from it and hands nothing to it; only then its
// processes are killed, for the kernel would send their FINs. What the wire still
// holds for the host is delivered if it has booted by then.
func (h *Host) PowerOff() {
	h.act(nil, "power-off", "power off", func(ctx context.Context) error {
		if h.off {
			return nil
		}
		s := h.stage
		s.Wire.wire.Silence(h.name)
		if err := h.countPast(); err != nil {
			return err
		}
		s.Wire.wire.Do(func(*inject.Engine, time.Duration) { h.off = true })
		h.diag.Close()
		h.socket.Close()
		for _, p := range h.peers {
			p.ended = "lost with the power"
		}
		if err := h.env.PowerOff(ctx); err != nil {
			return err
		}
		for _, p := range slices.Clone(h.peers) {
			p.gone(p.ended)
		}
		h.awaitPrograms()
		return nil
	})
}

// Boot gives power to a host that is off: a kernel that knows no connection, at
// the same addresses and with the same sysctls, on which no program runs.
func (h *Host) Boot() {
	h.act(nil, "boot", "boot", func(ctx context.Context) error {
		if !h.off {
			return errors.New("the host is on")
		}
		if err := h.env.Boot(ctx); err != nil {
			return err
		}
		diag, err := probe.NewDiag(h.env.Diag)
		if err != nil {
			return err
		}
		counters := probe.NewCounters(h.env.SNMP, h.env.Netstat)
		if h.before, err = counters.Read(); err != nil {
			return err
		}
		// The wire asks with its lock held.
		h.stage.Wire.wire.Do(func(*inject.Engine, time.Duration) { h.diag, h.counters, h.off = diag, counters, false })
		h.unplugged = false
		if h.socket, err = inject.TakeSocket(h.env.Port); err != nil {
			return err
		}
		return h.stage.Wire.wire.Attach(h.name, h.socket)
	})
}

// Unplug takes the host's cable out: nothing passes to it and from it, and it sees
// that its link has no carrier. What the wire holds of the host is lost.
func (h *Host) Unplug() {
	h.act(nil, "unplug", "unplug", func(ctx context.Context) error {
		if h.off {
			return errOff
		}
		if h.unplugged {
			return nil
		}
		// Otherwise the books would call delivered what the cable loses.
		h.stage.Wire.wire.Silence(h.name)
		h.unplugged = true
		return h.env.Unplug(ctx)
	})
}

// Plug puts the cable in again. It returns when the link carries frames.
func (h *Host) Plug() {
	h.act(nil, "plug", "plug", func(ctx context.Context) error {
		if h.off {
			return errOff
		}
		if !h.unplugged {
			return nil
		}
		if err := h.env.Plug(ctx); err != nil {
			return err
		}
		h.unplugged = false
		return h.stage.Wire.wire.Attach(h.name, h.socket)
	})
}

// ResolveNeighbours makes the host forget the hardware addresses of the others and
// ask for them over the wire (true), as on a LAN where a host can be missed; or
// know them for good (false, the default), as behind a router that lives and is
// silent.
func (h *Host) ResolveNeighbours(resolve bool) {
	text := "know neighbours"
	if resolve {
		text = "resolve neighbours"
	}
	h.act(nil, "neighbours", text, func(ctx context.Context) error {
		if h.off {
			return errOff
		}
		return h.env.ResolveNeighbours(ctx, resolve)
	})
}

// OpenRaw opens a raw IP socket on the host, for what sends packets of its own
// making. The network is as in net.ListenPacket, "ip4:tcp"; "ip6:raw" takes the
// IPv6 header from its writer too. The lab closes it at its end.
func (h *Host) OpenRaw(network string) *os.File {
	f, err := h.env.OpenRaw(h.stage.ctx, network)
	if err != nil {
		h.stage.stop(record.Error, "open raw socket on %s: %v", h.name, err)
	}
	h.retired = append(h.retired, f)
	return f
}
