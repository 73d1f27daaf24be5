package harness

import (
	"time"

	"github.com/lastack/lastack/harness/internal/peer"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
)

// set sets an option that is a number; a kernel that refuses ends the play.
func (c *Socket) set(option peer.Option, value int) {
	c.owner.must(peer.Setsockopt(c.fd, option, value))
}

func (c *Socket) flag(option peer.Option, on bool) {
	value := 0
	if on {
		value = 1
	}
	c.set(option, value)
}

// Linger sets SO_LINGER {1, seconds}: close() waits so long until all is
// acknowledged, and with 0 it resets the connection.
func (c *Socket) Linger(seconds int) {
	c.owner.must(peer.SetLinger(c.fd, peer.Linger{On: true, Seconds: seconds}))
}

// Linger2 sets TCP_LINGER2: how long, in seconds, an orphan stays in
// FIN_WAIT_2; below 0 it is never there.
func (c *Socket) Linger2(seconds int) { c.set(peer.TCPLinger2, seconds) }

// ReuseAddr sets SO_REUSEADDR.
func (c *Socket) ReuseAddr() { c.set(peer.SOReuseAddr, 1) }

// KeepAlive sets SO_KEEPALIVE: after idle the kernel asks whether the other end
// still lives, again at each interval, and gives up after count questions
// without an answer. Times are whole seconds; what is 0 stays as the host's
// sysctls have it.
func (c *Socket) KeepAlive(idle, interval time.Duration, count int) {
	for _, o := range []struct {
		option peer.Option
		value  int
	}{
		{peer.TCPKeepIdle, c.seconds(idle)},
		{peer.TCPKeepIntvl, c.seconds(interval)},
		{peer.TCPKeepCnt, count},
	} {
		if o.value != 0 {
			c.set(o.option, o.value)
		}
	}
	c.set(peer.SOKeepalive, 1)
}

// seconds ends the play where a time cannot be told to the kernel.
func (c *Socket) seconds(d time.Duration) int {
	if d%time.Second != 0 {
		c.owner.host.stage.stop(record.Error, "set keep-alive on %s: %v is not whole seconds", c.owner, d)
	}
	return int(d / time.Second)
}

// UserTimeout sets TCP_USER_TIMEOUT: how long sent bytes may stay
// unacknowledged before the kernel ends the connection, in whole milliseconds.
func (c *Socket) UserTimeout(d time.Duration) {
	c.set(peer.TCPUserTimeout, int(d.Milliseconds()))
}

// NoDelay sets or clears TCP_NODELAY, which a peer's socket has from its birth.
func (c *Socket) NoDelay(on bool) { c.flag(peer.TCPNoDelay, on) }

// Cork makes the kernel keep back what is less than a full segment (TCP_CORK).
func (c *Socket) Cork() { c.set(peer.TCPCork, 1) }

// Uncork sends what Cork kept back.
func (c *Socket) Uncork() { c.set(peer.TCPCork, 0) }

// QuickACK sets TCP_QUICKACK, which the kernel may take back by itself.
func (c *Socket) QuickACK(on bool) { c.flag(peer.TCPQuickACK, on) }

// ReceiveBuffer sets SO_RCVBUF, in bytes; the kernel doubles it. The window of a
// connection follows what was set before it.
func (c *Socket) ReceiveBuffer(bytes int) { c.set(peer.SORcvBuf, bytes) }

// SendBuffer sets SO_SNDBUF, in bytes; the kernel doubles it.
func (c *Socket) SendBuffer(bytes int) { c.set(peer.SOSndBuf, bytes) }

// Nonblock sets or clears O_NONBLOCK.
func (c *Socket) Nonblock(on bool) { c.owner.must(peer.Nonblock(c.fd, on)) }

// SocketError reads SO_ERROR, which clears it: the error's name, or "".
func (c *Socket) SocketError() string {
	return string(c.owner.do(peer.Getsockopt(c.fd, peer.SOError)).OptionErrno)
}

// Queued is how many bytes wait to be read (SIOCINQ), -1 where the kernel does
// not say.
func (c *Socket) Queued() int { return queue(c.owner.do(peer.InQueue(c.fd))) }

// Unacked is how many bytes that were written are not acknowledged yet
// (SIOCOUTQ), -1 where the kernel does not say.
func (c *Socket) Unacked() int { return queue(c.owner.do(peer.OutQueue(c.fd))) }

func queue(r peer.Result) int {
	if r.Failed() {
		return -1
	}
	return r.Value
}

// Info is the part of tcp_info that plays look at.
type Info struct {
	// State is CLOSED of a descriptor whose connection is reset, and of one
	// whose connection is in TIME_WAIT.
	State tcp.State
	// Retransmits and Backoff count timeouts in a row, Probes those of the
	// window and of keep-alive.
	Retransmits, Backoff, Probes int
	RTO                          time.Duration
	// Unacked, Lost and TotalRetrans are segments.
	Unacked, Lost, TotalRetrans int
	// SndMSS and PMTU are bytes.
	SndMSS, PMTU int
	// BytesAcked counts what the other end acknowledged, BytesReceived what came
	// in order.
	BytesAcked, BytesReceived uint64
	// SndWnd and RcvWnd are the windows in bytes, 0 from kernels that do not
	// tell.
	SndWnd, RcvWnd int
}

// Info reads TCP_INFO; its zero value where the kernel refuses.
func (c *Socket) Info() Info {
	k := c.owner.do(peer.Getsockopt(c.fd, peer.TCPInfoOption)).Info
	if k == nil {
		return Info{}
	}
	return Info{
		State:       tcp.Kernel(k.State),
		Retransmits: int(k.Retransmits), Backoff: int(k.Backoff), Probes: int(k.Probes), RTO: k.RTO,
		Unacked: int(k.Unacked), Lost: int(k.Lost), TotalRetrans: int(k.TotalRetrans),
		SndMSS: int(k.SndMSS), PMTU: int(k.PMTU),
		BytesAcked: k.BytesAcked, BytesReceived: k.BytesRecv,
		SndWnd: int(k.SndWnd), RcvWnd: int(k.RcvWnd),
	}
}
