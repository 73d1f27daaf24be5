package harness

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
)

// Pending is a system call that was begun and may still wait in the kernel. The
// play goes on meanwhile.
type Pending struct {
	peer  *Peer
	calls []peer.Call
	keys  []string // what conditions call the calls: read#2
	done  chan struct{}

	// Set before done is closed. There are fewer results than calls where the
	// peer ended, and then err is why.
	results []peer.Result
	err     error
}

// begin sends calls to the peer, and returns once the first of them is about to
// be entered.
func (p *Peer) begin(seq peer.Sequence) *Pending {
	s := p.host.stage
	first := seq.Calls[0]
	p.able(string(first.Op))
	b := &Pending{peer: p, calls: seq.Calls, done: make(chan struct{})}
	for _, c := range seq.Calls {
		b.keys = append(b.keys, p.host.number(p.call(c.Name())))
	}
	pending := p.conn.StartSequence(seq)
	ctx, cancel := context.WithTimeout(s.ctx, s.bound)
	defer cancel()
	select {
	case <-pending.Begun():
	case <-ctx.Done():
		s.stop(record.Error, "%s on %s was not begun after %v: %v", first.Op, p, s.bound, ctx.Err())
	}
	open := s.enter(p, first)
	p.underway.Add(1)
	go func() {
		defer p.underway.Done()
		defer close(b.done)
		b.results, b.err = pending.WaitAll(context.Background()) // the end of the peer ends it too
		for i, r := range b.results {
			if i > 0 {
				open = s.enter(p, b.calls[i])
			}
			s.leave(p, open, b.keys[i], r)
		}
	}()
	return b
}

// number counts the calls and acts of a name that were begun on the host, over all
// its boots: so each has a name of its own, read#2.
func (h *Host) number(call string) string {
	h.begun[call]++
	return fmt.Sprintf("%s#%d", call, h.begun[call])
}

// await waits for the last result, and ends the play where it does not come in
// time.
func (b *Pending) await() {
	s := b.peer.host.stage
	ctx, cancel := context.WithTimeout(s.ctx, s.bound)
	defer cancel()
	select {
	case <-b.done:
	case <-ctx.Done():
		if s.ctx.Err() != nil {
			s.stop(record.Error, "interrupted in %s on %s", b.calls[0].Op, b.peer)
		}
		s.stop(record.Fail, "%s on %s had not returned after %v", b.calls[0].Op, b.peer, s.bound)
	}
	if b.err != nil && b.peer.ended == "" {
		s.stop(record.Error, "%s on %s: %v", b.calls[0].Op, b.peer, b.err)
	}
}

// last is the result of the last call; its N is -1 where the play ended the peer
// before.
func (b *Pending) last() peer.Result {
	b.await()
	if b.err != nil {
		return peer.Result{N: -1}
	}
	return b.results[len(b.results)-1]
}

// Returned is met once this very call has returned.
func (b *Pending) Returned() inject.Condition {
	return inject.Condition{Kind: inject.Returned, Host: b.peer.host.name, Call: b.keys[len(b.keys)-1]}
}

// Wait waits for the call and gives what it returned: a number of bytes, 0, a
// descriptor; -1 where it failed, and where it never returned because the play
// killed the peer.
func (b *Pending) Wait() int { return int(b.last().N) }

// Accepted waits for an accept() and makes what it took the peer's current
// socket.
func (b *Pending) Accepted() *Socket {
	r := b.last()
	if b.calls[len(b.calls)-1].Op != peer.OpAccept || r.N < 0 {
		b.peer.host.stage.stop(record.Error, "accept on %s: it took no connection", b.peer)
	}
	b.peer.accepted(r)
	return b.peer.Socket
}

func (c *Socket) begin(calls ...peer.Call) *Pending { return c.owner.begin(peer.Seq(calls...)) }

// BeginAccept begins to accept from the peer's listener; see Pending.Accepted.
func (p *Peer) BeginAccept() *Pending {
	if p.listener == nil {
		p.host.stage.stop(record.Error, "accept on %s: nothing listens", p)
	}
	return p.listener.BeginAccept()
}

// BeginAccept begins to accept from this listener; see Pending.Accepted.
func (c *Socket) BeginAccept() *Pending { return c.begin(peer.Accept(c.fd)) }

// BeginConnect begins to connect, as Connect does.
func (p *Peer) BeginConnect(to *Host, port uint16) *Pending {
	return p.unused().BeginConnect(to, port)
}

// BeginConnect begins to connect the socket.
func (c *Socket) BeginConnect(to *Host, port uint16) *Pending {
	c.fresh = false
	c.remote = netip.AddrPortFrom(to.Addr(), port)
	return c.begin(peer.Connect(c.fd, c.remote))
}

// BeginRead begins to read up to n bytes.
func (c *Socket) BeginRead(n int) *Pending { return c.begin(peer.Read(c.fd, n)) }

// BeginReadAll begins to read until the end of file.
func (c *Socket) BeginReadAll() *Pending { return c.begin(peer.BulkRead(c.fd, peer.All)) }

// BeginWrite begins to write text.
func (c *Socket) BeginWrite(text string) *Pending { return c.begin(peer.Write(c.fd, []byte(text))) }

// BeginWriteBulk begins to write n bytes.
func (c *Socket) BeginWriteBulk(n int64) *Pending { return c.begin(peer.BulkWrite(c.fd, n)) }

// BeginPoll begins to wait for events; see Socket.Poll.
func (c *Socket) BeginPoll(events string, within time.Duration) *Pending {
	return c.begin(c.poll(events, within))
}

// BeginClose begins to close, which may take time with Linger.
func (c *Socket) BeginClose() *Pending {
	b := c.begin(peer.Close(c.fd))
	c.fd = closed
	return b
}

// CloseAtEOF begins to read until the end of file and closes in the same
// breath: the peer does both without a way back to the play between them. It
// returns once the read is under way; await Returned("close").
func (c *Socket) CloseAtEOF() *Pending {
	b := c.begin(peer.Read(c.fd, 1), peer.Close(c.fd))
	c.fd = closed
	return b
}
