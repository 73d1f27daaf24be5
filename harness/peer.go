package harness

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/tcp"
)

// Peer is a controlled program on a host: it makes the system calls that the
// play asks for, one after another, and records what the kernel said. Its acts
// never judge: a read that fails is a fact of the record.
type Peer struct {
	host *Host
	conn *peer.Conn

	listener peer.FD
	fd       peer.FD
	open     bool
	// local and remote are the ends of the current connection.
	local, remote netip.AddrPort
}

// do makes one system call and waits for it; it ends the play where the call
// does not return in time.
func (p *Peer) do(c peer.Call) peer.Result {
	return p.run(peer.Seq(c))[0]
}

// run makes calls one after another on the peer, without a way back to the
// play between them.
func (p *Peer) run(seq peer.Sequence) []peer.Result {
	s := p.host.stage
	ctx, cancel := context.WithTimeout(s.ctx, s.bound)
	defer cancel()
	pending := p.conn.StartSequence(seq)
	results, err := pending.WaitAll(ctx)
	for _, r := range results {
		s.note(p.host.name, r)
	}
	switch {
	case err == nil:
		return results
	case s.ctx.Err() != nil:
		s.stop(record.Error, "interrupted in %s on %s", seq.Calls[0].Op, p.host.name)
	case errors.Is(err, context.DeadlineExceeded):
		call := seq.Calls[min(len(results), len(seq.Calls)-1)]
		s.unreturned(p.host.name, call)
		s.stop(record.Fail, "%s on %s had not returned after %v", call.Op, p.host.name, s.bound)
	}
	s.stop(record.Error, "%s on %s: %v", seq.Calls[0].Op, p.host.name, err)
	return nil
}

// must ends the play where a call that only prepares it failed.
func (p *Peer) must(c peer.Call) peer.Result {
	r := p.do(c)
	if r.Errno != "" {
		p.host.stage.stop(record.Error, "%s on %s: %s", r.Text, p.host.name, r.Errno)
	}
	return r
}

// note writes a system call into the record and tells the engine.
func (s *Stage) note(host string, r peer.Result) {
	c := &record.Call{
		T: r.Begin - s.monotonic, End: r.End - s.monotonic, Host: host,
		Name: r.Name, Call: r.Text, Result: r.N, Errno: string(r.Errno), Signal: r.Signal, Data: r.Data,
	}
	s.mu.Lock()
	s.calls = append(s.calls, c)
	s.mu.Unlock()
	s.Wire.wire.Do(func(e *inject.Engine, now time.Duration) { e.NoteReturn(now, host, r.Name) })
}

// unreturned writes down a call that was under way when the play ended.
func (s *Stage) unreturned(host string, c peer.Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, &record.Call{T: s.clock(), End: -1, Host: host, Name: string(c.Op), Call: string(c.Op), Result: -1})
}

// Listen makes a socket that listens on a port of the host, for the family of
// the play.
func (p *Peer) Listen(port uint16, backlog int) {
	p.listener = peer.FD(p.must(peer.Socket(peer.Family(p.host.stage.IP))).N)
	p.must(peer.Setsockopt(p.listener, peer.SOReuseAddr, 1))
	p.must(peer.Bind(p.listener, netip.AddrPortFrom(p.host.Addr(), port)))
	p.must(peer.Listen(p.listener, backlog))
}

// Accept takes the next connection of the listener as the peer's current one.
func (p *Peer) Accept() {
	r := p.must(peer.Accept(p.listener))
	p.fd, p.open, p.remote = peer.FD(r.N), true, r.Addr
	p.local = p.must(peer.Getsockname(p.fd)).Addr
}

// Connect makes a socket and connects it to a port of a host. It returns
// whether it was connected; why not is in the record.
func (p *Peer) Connect(to *Host, port uint16) bool {
	p.fd, p.open = peer.FD(p.must(peer.Socket(peer.Family(p.host.stage.IP))).N), true
	p.remote = netip.AddrPortFrom(to.Addr(), port)
	if r := p.do(peer.Connect(p.fd, p.remote)); r.Errno != "" {
		return false
	}
	p.local = p.must(peer.Getsockname(p.fd)).Addr
	return true
}

// Read reads once, up to n bytes: 0 is the end of file. It waits until there
// is something to read.
func (p *Peer) Read(n int) int { return int(p.do(peer.Read(p.fd, n)).N) }

// Write writes text once.
func (p *Peer) Write(text string) int { return int(p.do(peer.Write(p.fd, []byte(text))).N) }

// Cork makes the kernel keep back what is less than a full segment (TCP_CORK).
func (p *Peer) Cork() { p.must(peer.Setsockopt(p.fd, peer.TCPCork, 1)) }

// Shutdown closes the sending direction: the kernel sends FIN behind what is
// queued.
func (p *Peer) Shutdown() { p.do(peer.Shut(p.fd, peer.ShutWrite)) }

// Close closes the descriptor of the current connection.
func (p *Peer) Close() {
	p.do(peer.Close(p.fd))
	p.open = false
}

// CloseAtEOF begins to read until the end of file and closes in the same
// breath: the peer does both without a way back to the play between them. It
// returns once the read is under way; await Returned("close").
func (p *Peer) CloseAtEOF() {
	s := p.host.stage
	pending := p.conn.StartSequence(peer.Seq(peer.Read(p.fd, 1), peer.Close(p.fd)))
	p.open = false
	select {
	case <-pending.Begun():
	case <-s.ctx.Done():
		s.stop(record.Error, "interrupted in read on %s", p.host.name)
	}
	s.underway.Add(1)
	go func() {
		defer s.underway.Done()
		results, _ := pending.WaitAll(context.Background()) // the end of the peer ends it too
		for _, r := range results {
			s.note(p.host.name, r)
		}
	}()
}

// Returned is met once a system call of that name has returned on this peer.
func (p *Peer) Returned(call string) inject.Condition {
	return inject.Condition{Kind: inject.Returned, Host: p.host.name, Call: call}
}

// In is met once this peer's end of connection 1 was seen in a state.
func (p *Peer) In(state tcp.State) inject.Condition {
	return inject.Condition{Kind: inject.InState, Host: p.host.name, Conn: 1, State: state}
}

// Gone is met once the kernel of the peer's host has no socket of connection 1
// any more.
func (p *Peer) Gone() inject.Condition { return p.In(tcp.Closed) }
