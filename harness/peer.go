package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/netenv"
)

// Peer is a controlled program on a host: it makes the system calls that the
// play asks for, one after another, and records what the kernel said. Its acts
// never judge: a read that fails is a fact of the record.
//
// A peer may hold any number of sockets. The embedded one is the current one,
// which Connect and Accept replace, so that a play with one connection need
// not speak of sockets at all; keep its value to go on with an earlier one:
//
//	server.Accept()
//	first := server.Socket
//	server.Accept()
//	first.Close()
type Peer struct {
	*Socket

	host     *Host
	name     string // empty for the first of its host
	conn     *peer.Conn
	process  *netenv.Process
	listener *Socket
	sockets  []*Socket
	ended    string // how the play ended the peer; empty while it should run
	stopped  bool
	underway sync.WaitGroup // calls of which a goroutine awaits the result
}

// startPeer starts a peer's process.
func (h *Host) startPeer(name string) *Peer {
	s := h.stage
	fail := func(err error) { s.stop(record.Error, "start peer on %s: %v", h.name, err) }
	if h.off {
		fail(errOff)
	}
	ours, theirs, err := peer.Pair()
	if err != nil {
		fail(err)
	}
	defer theirs.Close()
	process, err := h.env.StartProcess(s.ctx, netenv.ProcessSpec{
		Argv: []string{peer.Role}, Dir: "/", Files: []*os.File{nil, nil, nil, theirs},
	})
	if err != nil {
		ours.Close()
		fail(err)
	}
	p := &Peer{host: h, name: name, conn: peer.NewConn(ours), process: process}
	p.Socket = &Socket{owner: p, fd: closed}
	h.peers = append(h.peers, p)
	return p
}

// Host is where the peer runs.
func (p *Peer) Host() *Host { return p.host }

// String is the host's name, and behind a slash the peer's own where it has one.
func (p *Peer) String() string {
	if p.name == "" {
		return p.host.name
	}
	return p.host.name + "/" + p.name
}

// call is what conditions call a system call of this peer: its name, which the
// name of a further peer precedes.
func (p *Peer) call(name string) string {
	if p.name == "" {
		return name
	}
	return p.name + "/" + name
}

// do makes one system call and waits for it; it ends the play where the call
// does not return in time.
func (p *Peer) do(c peer.Call) peer.Result { return p.run(peer.Seq(c))[0] }

// run makes calls one after another on the peer, without a way back to the
// play between them.
func (p *Peer) run(seq peer.Sequence) []peer.Result {
	begun := p.begin(seq)
	begun.await()
	if len(begun.results) == 0 {
		p.host.stage.stop(record.Error, "%s on %s: %v", seq.Calls[0].Op, p, begun.err)
	}
	return begun.results
}

// must ends the play where a call that only prepares it failed.
func (p *Peer) must(c peer.Call) peer.Result {
	r := p.do(c)
	if r.Errno != "" {
		p.host.stage.stop(record.Error, "%s on %s: %s", r.Text, p, r.Errno)
	}
	return r
}

// Returned is met once a system call of that name has returned on this peer:
// the first of them, or the nth that was begun where the name ends in #n, as in
// read#2. For one call that is begun here and now see Pending.
func (p *Peer) Returned(call string) inject.Condition {
	return inject.Condition{Kind: inject.Returned, Host: p.host.name, Call: p.call(call)}
}

// Exit ends the peer's process as exit() does, with its sockets open: the kernel
// sends what it sends for close(). It waits until the process is gone.
func (p *Peer) Exit(status int) {
	p.do(peer.Exit(status))
	p.gone("exited")
}

// Kill ends the peer's process by SIGKILL and waits until it is gone. The kernel
// closes its descriptors, and so sends FIN, or RST where bytes were unread. Calls
// that are under way never return. The peer can do nothing more: the host's Peer
// starts another.
func (p *Peer) Kill() {
	p.host.act(p, "kill", "kill(SIGKILL)", func(context.Context) error {
		return p.kill()
	})
}

func (p *Peer) kill() error {
	if p.ended != "" {
		return nil
	}
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	p.gone("killed")
	return nil
}

// Stop suspends the peer's process by SIGSTOP: from now on only its kernel
// speaks. Calls that are under way wait.
func (p *Peer) Stop() {
	p.host.act(p, "stop", "kill(SIGSTOP)", func(context.Context) error {
		return p.suspend(signalStop)
	})
}

// Continue lets a stopped peer go on.
func (p *Peer) Continue() {
	p.host.act(p, "continue", "kill(SIGCONT)", func(context.Context) error {
		return p.suspend(signalContinue)
	})
}

// suspend stops the peer or lets it go on.
func (p *Peer) suspend(number syscall.Signal) error {
	p.stopped = number == signalStop
	return p.signal(number)
}

func (p *Peer) signal(number syscall.Signal) error {
	if err := p.process.Signal(number); err != nil && !errors.Is(err, netenv.ErrProcessGone) {
		return err
	}
	return nil
}

// gone waits for the end of a process that the play ended, and until its calls
// that were under way are written down.
func (p *Peer) gone(how string) {
	s := p.host.stage
	p.ended = how
	if _, err := p.process.Wait(s.ctx); err != nil {
		s.stop(record.Error, "end peer on %s: %v", p, err)
	}
	p.conn.Close()
	p.underway.Wait()
	p.host.forget(p)
}

// able ends the play where it asks something of a peer that it has ended or
// stopped.
func (p *Peer) able(what string) {
	switch {
	case p.ended != "":
		p.host.stage.stop(record.Error, "%s on %s: the peer was %s", what, p, p.ended)
	case p.stopped:
		p.host.stage.stop(record.Error, "%s on %s: the peer is stopped", what, p)
	}
}

// fault is why a peer that the play did not end is gone, or nil.
func (p *Peer) fault() error {
	if p.ended != "" {
		return nil
	}
	select {
	case <-p.conn.Gone():
		return fmt.Errorf("the peer on %s ended by itself", p)
	default:
		return nil
	}
}
