package builtin

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// listen listens on all addresses of the host.
func (p *process) listen(port int) (net.Listener, error) {
	config := net.ListenConfig{KeepAlive: -1}
	config.SetMultipathTCP(false)
	l, err := config.Listen(p, "tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, reason(err)
	}
	if p.listens != nil {
		p.listens(l.Addr())
	}
	return l, nil
}

// portFlag is where a server listens.
func portFlag(f *flag.FlagSet) *int { return f.Int("port", 8080, "listen on TCP `port`") }

// serve accepts until the listener is closed, and handles each connection on its
// own; the connections end with the process.
func (p *process) serve(l net.Listener, handle func(*net.TCPConn)) error {
	stop := context.AfterFunc(p, func() { l.Close() })
	defer stop()
	var handlers sync.WaitGroup
	defer handlers.Wait()
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			// One connection that failed is no reason to take no other.
			p.complain("accept: %v", reason(err))
			p.pause(time.Millisecond)
			continue
		}
		handlers.Go(func() { p.handle(c.(*net.TCPConn), handle) })
	}
}

func (p *process) handle(c *net.TCPConn, handle func(*net.TCPConn)) {
	stop := context.AfterFunc(p, func() { c.Close() })
	defer stop()
	handle(c)
}

// dialFlags say how a client connects, and what its kernel does when the other end
// is silent.
type dialFlags struct {
	timeout, keepalive, userTimeout time.Duration
	sourcePort                      int
	rcvbuf                          *size
}

func (d *dialFlags) define(f *flag.FlagSet) {
	f.DurationVar(&d.timeout, "connect-timeout", 0, "give up connecting after so `long`; 0 leaves it to the kernel")
	f.DurationVar(&d.keepalive, "keepalive", 0, "let the kernel ask an idle peer after so `long`, at the same interval, three times; whole seconds, 0 never")
	f.DurationVar(&d.userTimeout, "user-timeout", 0, "let the kernel give up after so `long` without an ACK (TCP_USER_TIMEOUT); 0 leaves it to tcp_retries2")
	f.IntVar(&d.sourcePort, "source-port", 0, "connect from this `port`; 0 lets the kernel choose")
	d.rcvbuf = sizeFlag(f, "rcvbuf", "receive buffer, which the kernel doubles; 0 leaves the kernel's", 0)
}

func (d *dialFlags) check() error {
	if d.keepalive%time.Second != 0 || d.keepalive < 0 {
		return usageError("--keepalive: want whole seconds")
	}
	return nil
}

// connect connects to HOST:PORT.
func (d *dialFlags) connect(p *process, address string) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: d.timeout, KeepAlive: -1, Control: d.control, FallbackDelay: -1}
	dialer.SetMultipathTCP(false)
	if d.keepalive > 0 {
		dialer.KeepAlive = 0
		dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: d.keepalive, Interval: d.keepalive, Count: 3}
	}
	if d.sourcePort > 0 {
		dialer.LocalAddr = &net.TCPAddr{Port: d.sourcePort}
	}
	c, err := dialer.DialContext(p, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", reason(err))
	}
	context.AfterFunc(p, func() { c.Close() })
	return c.(*net.TCPConn), nil
}

// control sets options before the SYN.
func (d *dialFlags) control(_, _ string, raw syscall.RawConn) error {
	var err error
	controlErr := raw.Control(func(fd uintptr) {
		if d.userTimeout > 0 {
			err = setUserTimeout(fd, d.userTimeout)
		}
		if err == nil && *d.rcvbuf > 0 {
			err = setReceiveBuffer(fd, int(*d.rcvbuf))
		}
	})
	return errors.Join(controlErr, err)
}

// bufferedConn is a connection with what was read ahead on it.
type bufferedConn struct {
	*net.TCPConn
	r *bufio.Reader
}

func buffered(c *net.TCPConn) *bufferedConn { return &bufferedConn{c, bufio.NewReader(c)} }

// impatient gives up reading when nothing comes for so long; 0 is for ever. It has no
// method of the connection but Read: io.Copy would read by WriteTo, which knows no limit.
type impatient struct {
	c     *net.TCPConn
	limit time.Duration
}

func (i *impatient) Read(b []byte) (int, error) {
	if i.limit > 0 {
		if err := i.c.SetReadDeadline(time.Now().Add(i.limit)); err != nil {
			return 0, err
		}
	}
	return i.c.Read(b)
}

// hostPort refuses what is no HOST:PORT.
func hostPort(args []string) (string, error) {
	if len(args) != 1 {
		return "", usageError("want one HOST:PORT")
	}
	if _, _, err := net.SplitHostPort(args[0]); err != nil {
		return "", usageError(fmt.Sprintf("%q: want HOST:PORT", args[0]))
	}
	return args[0], nil
}

// reason is an error of the network without the addresses, which differ from run
// to run: "read: connection reset by peer".
func reason(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTimeout
	case errors.As(err, &op):
		var call *os.SyscallError
		if errors.As(op.Err, &call) {
			return fmt.Errorf("%s: %w", op.Op, call.Err)
		}
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}

var errTimeout = errors.New("timed out")

// drainLimit bounds how long a lingering close reads what nobody wants.
const drainLimit = 5 * time.Second

// lingeringClose closes so that the other end gets all that was written: it says
// that nothing more will come, and reads away what the other end has still to say.
// A close with bytes unread would be a reset.
func lingeringClose(c *net.TCPConn) {
	defer c.Close()
	if c.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(drainLimit)) != nil {
		return
	}
	buffer := make([]byte, 16<<10)
	for {
		if _, err := c.Read(buffer); err != nil {
			return
		}
	}
}

// pooledState is what a look at an idle connection found.
type pooledState string

const (
	alive   pooledState = "alive"
	ended   pooledState = "ended"   // end of file, or an error
	spoken  pooledState = "spoken"  // bytes that nobody asked for
	unknown pooledState = "unknown" // the system does not tell
)

// peek looks at an idle connection without waiting.
func peek(c *net.TCPConn) pooledState {
	raw, err := c.SyscallConn()
	if err != nil {
		return ended
	}
	found := unknown
	err = raw.Control(func(fd uintptr) { found = peekDescriptor(fd) })
	if err != nil {
		return ended
	}
	return found
}

// waiting tells whether a connection waits to be accepted.
func waiting(l net.Listener) bool {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return false
	}
	found := false
	err = raw.Control(func(fd uintptr) { found = readable(fd) })
	return err == nil && found
}

// splitURL takes http://HOST:PORT/PATH apart.
func splitURL(url string) (address, path string, err error) {
	rest, is := strings.CutPrefix(url, "http://")
	host, path, _ := strings.Cut(rest, "/")
	if !is || host == "" {
		return "", "", usageError(fmt.Sprintf("%q: want a URL as http://server:8080/file", url))
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "80")
	}
	return host, "/" + path, nil
}
