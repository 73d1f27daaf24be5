package harness

import (
	"math"
	"slices"
	"time"

	"github.com/lastack/lastack/harness/internal/probe"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// Settle waits until nothing is under way between the host's kernel and the
// wire: the kernel has taken in every TCP segment that the wire handed to it
// (Tcp.InSegs), has done with what its sockets kept back while somebody held
// their lock, and the wire has every segment that the kernel sent (Tcp.OutSegs,
// RetransSegs). What the kernel still means to send by a timer, as a delayed
// ACK, is not under way.
//
// Who must be sure that an answer to a forged segment is among what the wire
// has, keeps the play's thread on one CPU from Inject to Settle: a segment that
// a socket without a lock answers, as a listener's, is counted before it is
// answered, but the CPU on which it was handed over does nothing else between.
//
// ICMP errors are not counted. A host that was booted is not counted right.
func (h *Host) Settle() {
	s := h.stage
	give := time.Now().Add(s.bound)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		if h.settled() {
			return
		}
		if s.ctx.Err() != nil || time.Now().After(give) {
			s.stop(record.Error, "settle %s: its kernel and the wire did not agree on what was sent within %v", h.name, s.bound)
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-s.ctx.Done():
			wait.Stop()
		}
	}
}

// How long Settle waits before it looks again.
const (
	firstLook = 50 * time.Microsecond
	lastLook  = 5 * time.Millisecond
)

// settled compares the kernel's counters with the wire's log. The wire is asked
// first for what it handed over and last for what it has, with the kernel
// between: neither can be ahead of the truth.
func (h *Host) settled() bool {
	if h.off {
		h.stage.stop(record.Error, "settle %s: %v", h.name, errOff)
	}
	before := h.count()
	n, err := h.counters.TCP()
	if h.failed(err); n.In < before.handed {
		return false
	}
	sent := h.unlocked(len(before.opened))
	n, err = h.counters.TCP()
	h.failed(err)
	now := h.count()
	for i, out := range sent {
		if now.opened[i] < out {
			return false
		}
	}
	return now.taken >= n.Out+n.Retrans
}

func (h *Host) failed(err error) {
	if err != nil {
		h.stage.stop(record.Error, "settle %s: %v", h.name, err)
	}
}

// unlocked takes the lock of each of the host's sockets that the wire knows, which
// are so many: when it is given, nothing waits in their backlogs any more
// (release_sock). It returns how many segments each has sent, 0 where there is no
// full socket.
func (h *Host) unlocked(conns int) []int64 {
	sent := make([]int64, conns)
	for i := range sent {
		local, remote, ok := h.ends(i + 1)
		if !ok {
			continue
		}
		s, err := h.diag.Query(local, remote)
		if err != probe.ErrNotFound {
			h.failed(err)
		}
		if err == nil && s.Info != nil {
			sent[i] = int64(s.Info.SegsOut)
		}
	}
	return sent
}

// passage is what has passed between a host and the wire.
type passage struct {
	// handed and taken are the TCP segments to the host and from it, as the kernel
	// counts them in its namespace.
	handed, taken int64
	// opened are those from the host by connection, as its socket counts them. Where
	// the host did not open it, a request sent the first, and the number is no bound.
	opened []int64
}

// passed are the counts of the namespace alone.
func (h *Host) passed() (handed, taken int64) {
	p := h.count()
	return p.handed, p.taken
}

func (h *Host) count() (p passage) {
	h.stage.Wire.wire.Do(func(e *inject.Engine, _ time.Duration) {
		port := slices.Index(e.Hosts(), h.name)
		for _, conn := range e.Flow().Conns() {
			n := int64(0)
			if conn.Opener().Host != h.name {
				n = math.MaxInt32
			}
			p.opened = append(p.opened, n)
		}
		for _, s := range e.Log() {
			if s.Other || s.Segment.ICMP != nil {
				continue
			}
			for _, d := range s.Departures {
				if d.Port == port {
					p.handed++
				}
			}
			if s.Port == port {
				p.taken += counted(s)
				if s.Conn > 0 {
					p.opened[s.Conn-1]++
				}
			}
		}
	})
	return p
}

// counted is how often the kernel counts a segment that it sent, in OutSegs and
// RetransSegs: a request's repeated SYN-ACK twice (tcp_make_synack,
// tcp_rtx_synack), and the SYN-ACK of a simultaneous open, the number of whose SYN
// it had sent before, not at all (__tcp_transmit_skb).
func counted(p *inject.Passage) int64 {
	switch opened := p.From == p.Opener; {
	case !p.Segment.Flags.Has(tcp.SYN | tcp.ACK):
		return 1
	case opened && p.Names.Main().Copy == 1:
		return 0
	case !opened && p.RepeatOnly:
		return 2
	}
	return 1
}
