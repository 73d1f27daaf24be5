package peer

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// work is one call with all that can be made ready before it: buffers and text
// cost time that shall not lie between two calls of a program.
type work struct {
	call   Call
	buffer []byte
	result Result
}

func prepare(c Call) *work {
	w := &work{call: c, result: Result{Name: c.Name(), Text: c.Text()}}
	switch c.Op {
	case OpRead:
		w.buffer = make([]byte, c.N)
	case OpWrite:
		if w.buffer = c.Data; len(c.Data) == 0 {
			w.buffer = Pattern(c.Offset, int(c.N))
		}
	case OpBulkRead:
		w.buffer = make([]byte, bulkLen)
	case OpBulkWrite:
		w.buffer = Pattern(0, bulkLen+patternPeriod)
	}
	return w
}

// run makes the call and notes what it returned.
func (w *work) run() {
	w.result.Begin = monotonic()
	n, err := w.enter()
	w.result.End = monotonic()
	w.result.N = n
	if err != nil {
		w.result.N = -1
		w.result.Errno = errnoName(err)
	}
}

// finish notes what takes time to note. It waits until no other call of the
// sequence has to be made.
func (w *work) finish() *Result {
	switch w.call.Op {
	case OpRead:
		w.read()
	case OpWrite:
		w.wrote()
	}
	w.buffer = nil
	return &w.result
}

// errnoName is the name of the error that a system call returned.
func errnoName(err error) Errno {
	errno, ok := err.(unix.Errno)
	if !ok {
		return Errno(err.Error())
	}
	if name := unix.ErrnoName(errno); name != "" {
		return Errno(name)
	}
	return Errno(errno.Error())
}

// enter makes the system call.
func (w *work) enter() (int64, error) {
	c, r, fd := &w.call, &w.result, int(w.call.FD)
	switch c.Op {
	case OpSocket:
		return socket(c.Family, !c.Nagle)
	case OpBind:
		return 0, unix.Bind(fd, sockaddr(c.Addr))
	case OpListen:
		return 0, unix.Listen(fd, int(c.N))
	case OpAccept:
		n, from, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		r.Addr = addrPort(from)
		return int64(n), err
	case OpConnect:
		return 0, unix.Connect(fd, sockaddr(c.Addr))
	case OpRead:
		return w.readOnce()
	case OpWrite:
		return w.writeOnce(w.buffer)
	case OpBulkRead:
		return w.bulkRead()
	case OpBulkWrite:
		return w.bulkWrite()
	case OpShutdown:
		return 0, unix.Shutdown(fd, int(c.How))
	case OpClose:
		return 0, unix.Close(fd)
	case OpPoll:
		return w.poll()
	case OpGetsockopt:
		return 0, w.getsockopt()
	case OpSetsockopt:
		return 0, setsockopt(c)
	case OpGetsockname:
		sa, err := unix.Getsockname(fd)
		r.Addr = addrPort(sa)
		return 0, err
	case OpGetpeername:
		sa, err := unix.Getpeername(fd)
		r.Addr = addrPort(sa)
		return 0, err
	case OpNonblock:
		return 0, unix.SetNonblock(fd, c.On)
	case OpInQueue:
		return w.queue(unix.SIOCINQ)
	case OpOutQueue:
		return w.queue(unix.SIOCOUTQ)
	}
	return -1, unix.ENOSYS
}

// socket makes a plain TCP socket: IPPROTO_TCP, never Multipath TCP.
func socket(family Family, noDelay bool) (int64, error) {
	domain := unix.AF_INET
	if family == IPv6 {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	if noDelay {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if family == IPv6 && err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return int64(fd), nil
}

func (w *work) readOnce() (int64, error) {
	if w.call.Flags == 0 {
		n, err := unix.Read(int(w.call.FD), w.buffer)
		return int64(n), err
	}
	n, _, err := unix.Recvfrom(int(w.call.FD), w.buffer, int(w.call.Flags))
	return int64(n), err
}

// writeOnce collects the signal before the clock is read, so that the thread is
// clean for the next call.
func (w *work) writeOnce(b []byte) (n int64, err error) {
	var written int
	if w.call.Flags == 0 {
		written, err = unix.Write(int(w.call.FD), b)
	} else {
		written, err = unix.SendmsgN(int(w.call.FD), b, nil, nil, int(w.call.Flags))
	}
	if collectSigpipe() {
		w.result.Signal = SIGPIPE
	}
	return int64(written), err
}

// read notes the bytes that came.
func (w *work) read() {
	got := w.buffer[:max(w.result.N, 0)]
	w.result.EOF = w.result.N == 0 && len(w.buffer) > 0
	w.result.Data = got[:min(len(got), DataLimit)]
	w.sum(got)
}

// wrote notes the bytes that the kernel took.
func (w *work) wrote() { w.sum(w.buffer[:max(w.result.N, 0)]) }

func (w *work) sum(b []byte) {
	w.result.Total = int64(len(b))
	if len(b) == 0 || w.call.NoSum {
		return
	}
	sum := sha256.Sum256(b)
	w.result.Sum = hex.EncodeToString(sum[:])
}

// poll waits with a timeout in nanoseconds, which poll itself has not.
func (w *work) poll() (int64, error) {
	fds := make([]unix.PollFd, len(w.call.Poll))
	for i, p := range w.call.Poll {
		fds[i] = unix.PollFd{Fd: int32(p.FD), Events: int16(p.Events)}
	}
	var timeout *unix.Timespec
	if w.call.Timeout >= 0 {
		ts := unix.NsecToTimespec(w.call.Timeout.Nanoseconds())
		timeout = &ts
	}
	n, err := unix.Ppoll(fds, timeout, nil)
	w.result.Poll = make([]PollFD, len(fds))
	for i, p := range w.call.Poll {
		w.result.Poll[i] = PollFD{FD: p.FD, Events: p.Events, Returns: Events(fds[i].Revents)}
	}
	return int64(n), err
}

func (w *work) queue(request uint) (int64, error) {
	var value int32
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.call.FD), uintptr(request), uintptr(unsafe.Pointer(&value)))
	if errno != 0 {
		return -1, errno
	}
	w.result.Value = int(value)
	return 0, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// addrPort is the zero address where sa is none of IP.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func micros(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
func millis(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
