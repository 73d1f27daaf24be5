package harness

import (
	"net/netip"
	"time"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Socket is one socket of a Peer. Its methods are the system calls; what they
// return stands in the record, -1 and the error's name where they failed.
type Socket struct {
	owner *Peer
	fd    peer.FD
	// fresh: it was opened, and neither connected nor listening.
	fresh bool
	// local and remote are the ends of its connection, as far as they are known.
	local, remote netip.AddrPort
	number        int // of its connection; 0 while that is not known
}

// closed is the descriptor of no socket: the kernel answers EBADF.
const closed peer.FD = -1

// Open makes a socket of the family of the play, and makes it the peer's current
// one. Connect and Listen use it; without Open they make their own. It has
// TCP_NODELAY set, as all sockets of a peer.
func (p *Peer) Open() *Socket {
	c := &Socket{owner: p, fresh: true}
	c.fd = p.must(peer.Socket(peer.Family(p.host.stage.IP))).FD()
	p.adopt(c)
	return c
}

// adopt makes a socket the current one.
func (p *Peer) adopt(c *Socket) {
	p.sockets = append(p.sockets, c)
	p.Socket = c
}

// unused is the current socket where Open has just made it, or else a new one.
func (p *Peer) unused() *Socket {
	if !p.Socket.fresh {
		p.Open()
	}
	return p.Socket
}

// Listen makes a socket that listens on a port of the host, for the family of
// the play, with SO_REUSEADDR. Accept takes connections from the one that was
// made last.
func (p *Peer) Listen(port uint16, backlog int) { p.listen(p.host.Addr(), port, backlog) }

// ListenLoopback is Listen on the host's loopback address, 127.0.0.1 or ::1, which
// nothing but the host itself reaches.
func (p *Peer) ListenLoopback(port uint16, backlog int) {
	p.listen(p.host.loopback(), port, backlog)
}

func (p *Peer) listen(on netip.Addr, port uint16, backlog int) {
	c := p.unused()
	p.must(peer.Setsockopt(c.fd, peer.SOReuseAddr, 1))
	p.must(peer.Bind(c.fd, netip.AddrPortFrom(on, port)))
	p.must(peer.Listen(c.fd, backlog))
	c.fresh = false
	p.listener = c
}

// Listener is the socket that Listen made last; nil where there is none.
func (p *Peer) Listener() *Socket { return p.listener }

// Accept takes the next connection of the listener as the peer's current one.
func (p *Peer) Accept() *Socket {
	if p.listener == nil {
		p.host.stage.stop(record.Error, "accept on %s: nothing listens", p)
	}
	return p.listener.Accept()
}

// Connect connects to a port of a host, with a socket of its own or with that of
// Open. It returns whether it was connected; why not is in the record.
func (p *Peer) Connect(to *Host, port uint16) bool { return p.unused().Connect(to, port) }

// ConnectLoopback connects to a port of the peer's own host by its loopback address,
// 127.0.0.1 or ::1: nothing of it comes to the wire. It returns whether it was
// connected; why not is in the record.
func (p *Peer) ConnectLoopback(port uint16) bool {
	return p.unused().connect(netip.AddrPortFrom(p.host.loopback(), port))
}

// Bind gives the socket a port of the host; 0 lets the kernel choose. It returns
// whether the kernel allowed it.
func (c *Socket) Bind(port uint16) bool {
	return c.owner.do(peer.Bind(c.fd, netip.AddrPortFrom(c.owner.host.Addr(), port))).Errno == ""
}

// Listen makes a socket that was bound a listener. The accept queue holds one
// more than backlog.
func (c *Socket) Listen(backlog int) bool {
	c.fresh = false
	return c.owner.do(peer.Listen(c.fd, backlog)).Errno == ""
}

// Accept takes the next connection of a listener as the peer's current one.
func (c *Socket) Accept() *Socket {
	c.owner.accepted(c.owner.must(peer.Accept(c.fd)))
	return c.owner.Socket
}

// accepted makes a socket of what accept() returned.
func (p *Peer) accepted(r peer.Result) {
	c := &Socket{owner: p, fd: r.FD(), remote: r.Addr}
	c.local = p.must(peer.Getsockname(c.fd)).Addr
	c.Conn()
	p.adopt(c)
}

// Connect connects the socket to a port of a host. It returns whether it was
// connected.
func (c *Socket) Connect(to *Host, port uint16) bool {
	return c.connect(netip.AddrPortFrom(to.Addr(), port))
}

func (c *Socket) connect(to netip.AddrPort) bool {
	c.fresh = false
	c.remote = to
	if r := c.owner.do(peer.Connect(c.fd, c.remote)); r.Errno != "" {
		return false
	}
	c.local = c.owner.must(peer.Getsockname(c.fd)).Addr
	c.Conn()
	return true
}

// Read reads once, up to n bytes: 0 is the end of file. It waits until there
// is something to read.
func (c *Socket) Read(n int) int { return int(c.owner.do(peer.Read(c.fd, n)).N) }

// ReadNow reads what is there, up to n bytes, and does not wait (MSG_DONTWAIT):
// the record calls it recv.
func (c *Socket) ReadNow(n int) int { return int(c.owner.do(peer.Recv(c.fd, n, peer.DontWait)).N) }

// Peek reads and leaves the bytes in the queue (MSG_PEEK): the record calls it
// recv.
func (c *Socket) Peek(n int) int { return int(c.owner.do(peer.Recv(c.fd, n, peer.Peek)).N) }

// ReadBulk reads until n bytes came, the end of file, or an error, and returns
// how many came.
func (c *Socket) ReadBulk(n int64) int64 { return c.owner.do(peer.BulkRead(c.fd, n)).Total }

// ReadAll is ReadBulk without a bound.
func (c *Socket) ReadAll() int64 { return c.owner.do(peer.BulkRead(c.fd, peer.All)).Total }

// Write writes text once.
func (c *Socket) Write(text string) int { return int(c.owner.do(peer.Write(c.fd, []byte(text))).N) }

// WriteBulk writes n bytes, or until an error, and returns how many the kernel
// took.
func (c *Socket) WriteBulk(n int64) int64 { return c.owner.do(peer.BulkWrite(c.fd, n)).Total }

// Shutdown closes the sending direction (SHUT_WR): the kernel sends FIN behind
// what is queued.
func (c *Socket) Shutdown() { c.owner.do(peer.Shut(c.fd, peer.ShutWrite)) }

// ShutdownRead closes the receiving direction (SHUT_RD): nothing is sent.
func (c *Socket) ShutdownRead() { c.owner.do(peer.Shut(c.fd, peer.ShutRead)) }

// ShutdownBoth closes both directions (SHUT_RDWR) and keeps the descriptor.
func (c *Socket) ShutdownBoth() { c.owner.do(peer.Shut(c.fd, peer.ShutBoth)) }

// Close closes the descriptor. It returns whether the kernel says that it went
// well.
func (c *Socket) Close() bool {
	r := c.owner.do(peer.Close(c.fd))
	c.fd = closed // the kernel gives the number to the next socket
	return r.Errno == ""
}

// Poll waits for events, by their names without POLL, as "IN|RDHUP", and
// returns those that are there, always with ERR, HUP and NVAL; "" where none
// came within the time. A time below 0 is no bound.
func (c *Socket) Poll(events string, within time.Duration) string {
	return polled(c.owner.do(c.poll(events, within)))
}

func (c *Socket) poll(events string, within time.Duration) peer.Call {
	wanted, err := peer.ParseEvents(events)
	if err != nil {
		c.owner.host.stage.stop(record.Error, "poll on %s: %v", c.owner, err)
	}
	return peer.Poll(within, peer.PollFD{FD: c.fd, Events: wanted})
}

func polled(r peer.Result) string {
	if len(r.Poll) == 0 || r.Poll[0].Returns == 0 {
		return ""
	}
	return r.Poll[0].Returns.String()
}

// Local is the socket's own end; not valid while it has none.
func (c *Socket) Local() netip.AddrPort { return c.local }

// Remote is the end that it is connected to; not valid while there is none.
func (c *Socket) Remote() netip.AddrPort { return c.remote }

// Conn is the number of its connection on the wire, as names have it before the
// colon: 2:client.FIN. Of a socket that is not connected yet it is the number
// that the next connection will have.
func (c *Socket) Conn() int {
	if c.number > 0 {
		return c.number
	}
	next := 1
	c.owner.host.stage.Wire.wire.Do(func(e *inject.Engine, _ time.Duration) {
		c.number = c.find(e.Flow())
		next = len(e.Flow().Conns()) + 1
	})
	if c.number > 0 {
		return c.number
	}
	return next
}

// find looks for the socket's connection on the wire; 0 where it has sent
// nothing yet.
func (c *Socket) find(t *flow.Tracker) int {
	if !c.remote.IsValid() {
		return 0
	}
	if c.local.IsValid() {
		if conn := t.Latest(c.local, c.remote); conn != nil {
			return conn.Number
		}
		return 0
	}
	// connect() is under way, and only the kernel knows the port yet: it is the
	// latest connection to there that is not known to be another socket's.
	all := t.Conns()
	for i := len(all) - 1; i >= 0; i-- {
		conn := all[i]
		if conn.Opener().Host == c.owner.host.name && conn.Accepter().Addr == c.remote && !c.owner.host.claimed(conn.Number) {
			return conn.Number
		}
	}
	return 0
}

// claimed tells whether a connection is known to be that of a socket.
func (h *Host) claimed(number int) bool {
	for _, p := range h.peers {
		for _, c := range p.sockets {
			if c.number == number {
				return true
			}
		}
	}
	return false
}

// In is met once this end of the connection was seen in a state.
func (c *Socket) In(state tcp.State) inject.Condition {
	return inject.Condition{Kind: inject.InState, Host: c.owner.host.name, Conn: c.Conn(), State: state}
}

// Gone is met once the kernel of the peer's host has no socket of the connection
// any more.
func (c *Socket) Gone() inject.Condition { return c.In(tcp.Closed) }
