package probe_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lastack/lastack/harness/internal/probe"
	"github.com/lastack/lastack/inject/tcp"
)

// world is a namespace of the test's own, or, without the privilege to make one,
// the namespace that the test runs in. All sockets are opened on its thread, and
// used from any.
type world struct {
	own      bool
	diag     *probe.Diag
	events   *probe.Events
	counters *probe.Counters
	do       func(func())
}

func newWorld(t testing.TB) *world {
	t.Helper()
	jobs := make(chan func())
	t.Cleanup(func() { close(jobs) })
	w := &world{do: func(job func()) {
		done := make(chan struct{})
		jobs <- func() { defer close(done); job() }
		<-done
	}}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for job := range jobs {
			job()
		}
	}()
	var err error
	w.do(func() {
		if unix.Unshare(unix.CLONE_NEWNET) == nil {
			w.own = true
			if err = loopbackUp(); err != nil {
				return
			}
		}
		err = w.open()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.diag.Close()
		w.events.Close()
		w.counters.Close()
	})
	return w
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}

func (w *world) open() error {
	diag, err := netlink(0)
	if err != nil {
		return err
	}
	if w.diag, err = probe.NewDiag(diag); err != nil {
		return err
	}
	events, err := netlink(1<<0 | 1<<2)
	if err != nil {
		return err
	}
	if w.events, err = probe.NewEvents(events); err != nil {
		return err
	}
	snmp, err := os.Open("/proc/thread-self/net/snmp")
	if err != nil {
		return err
	}
	netstat, err := os.Open("/proc/thread-self/net/netstat")
	if err != nil {
		return err
	}
	w.counters = probe.NewCounters(snmp, netstat)
	return nil
}

func netlink(groups uint32) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "sock_diag"), nil
}

// connection is both ends of a connection over loopback, and its listener.
type connection struct {
	listener, client, server *socket
	listening, caddr, saddr  netip.AddrPort
}

var loopbacks = map[string]netip.Addr{
	"IPv4": netip.MustParseAddr("127.0.0.1"),
	"IPv6": netip.MustParseAddr("::1"),
}

func eachFamily(t *testing.T, test func(t *testing.T, w *world, addr netip.Addr)) {
	for name, addr := range loopbacks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t), addr)
		})
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// socket is a descriptor that is closed once: by the test, or at its end.
type socket struct {
	fd   int
	once sync.Once
	err  error
}

func newSocket(t testing.TB, fd int, err error) *socket {
	t.Helper()
	ok(t, err)
	s := &socket{fd: fd}
	t.Cleanup(func() { s.close() })
	return s
}

func (s *socket) close() error {
	s.once.Do(func() { s.err = unix.Close(s.fd) })
	return s.err
}

func (w *world) socket(t testing.TB, addr netip.Addr) *socket {
	t.Helper()
	domain := unix.AF_INET
	if addr.Is6() {
		domain = unix.AF_INET6
	}
	fd, err := -1, error(nil)
	w.do(func() { fd, err = unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP) })
	return newSocket(t, fd, err)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func name(t testing.TB, s *socket) netip.AddrPort {
	t.Helper()
	sa, err := unix.Getsockname(s.fd)
	ok(t, err)
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	t.Fatal("not an address of IP")
	return netip.AddrPort{}
}

func (w *world) listen(t testing.TB, addr netip.Addr) (s *socket, at netip.AddrPort) {
	t.Helper()
	s = w.socket(t, addr)
	ok(t, unix.Bind(s.fd, sockaddr(netip.AddrPortFrom(addr, 0))))
	ok(t, unix.Listen(s.fd, 4))
	return s, name(t, s)
}

// connect makes a connection; accept says whether the server's end is accepted.
func (w *world) connect(t testing.TB, addr netip.Addr, accept bool) *connection {
	t.Helper()
	c := &connection{}
	c.listener, c.listening = w.listen(t, addr)
	c.client = w.socket(t, addr)
	ok(t, unix.Connect(c.client.fd, sockaddr(c.listening)))
	c.caddr, c.saddr = name(t, c.client), c.listening
	if accept {
		fd, _, err := unix.Accept4(c.listener.fd, unix.SOCK_CLOEXEC)
		c.server = newSocket(t, fd, err)
	}
	return c
}

// until asks again and again until the kernel's answer is as wanted: a state
// changes without an event.
func until(t testing.TB, what string, wanted func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !wanted(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("never saw %s", what)
		}
	}
}

func (w *world) in(t testing.TB, local, remote netip.AddrPort, state tcp.State) probe.Socket {
	t.Helper()
	return w.find(t, local, remote, func(s probe.Socket) bool { return s.State == state })
}

// mini is in, for a mini-socket. An orphan that enters FIN_WAIT_2 is a full socket
// for a moment more.
func (w *world) mini(t testing.TB, local, remote netip.AddrPort, state tcp.State) probe.Socket {
	t.Helper()
	return w.find(t, local, remote, func(s probe.Socket) bool { return s.State == state && s.Mini() })
}

func (w *world) find(t testing.TB, local, remote netip.AddrPort, wanted func(probe.Socket) bool) probe.Socket {
	t.Helper()
	var s probe.Socket
	until(t, "the socket", func() bool {
		var err error
		s, err = w.diag.Query(local, remote)
		if err != nil && !errors.Is(err, probe.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil && wanted(s)
	})
	return s
}

// volatile is what differs from run to run and is looked at by hand.
var volatile = cmp.Options{
	cmpopts.IgnoreFields(probe.Socket{}, "Cookie", "Inode", "Info", "Memory", "UID"),
	cmpopts.EquateComparable(netip.AddrPort{}),
}

func TestEstablished(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		s := w.in(t, c.caddr, c.saddr, tcp.Established)
		if d := cmp.Diff(probe.Socket{Local: c.caddr, Remote: c.saddr, State: tcp.Established}, s, volatile); d != "" {
			t.Error(d)
		}
		if s.Inode == 0 || s.Cookie == 0 || s.Info == nil || s.Memory == nil || s.Mini() || s.Orphan() || s.Unaccepted() {
			t.Fatalf("%+v", s)
		}
		if s.UID != uint32(os.Getuid()) || s.Info.State != tcp.Established || s.Info.RTO < 100*time.Millisecond ||
			s.Info.SndMSS == 0 || s.Info.SndWScale == 0 || s.Memory.SendBuffer == 0 || s.Info.SegsOut == 0 {
			t.Errorf("uid %d, %+v, %+v", s.UID, s.Info, s.Memory)
		}
		quick, err := w.diag.QueryState(c.caddr, c.saddr)
		ok(t, err)
		if quick.Info != nil || quick.Mini() || quick.State != tcp.Established || quick.Cookie != s.Cookie || quick.Inode != s.Inode {
			t.Errorf("%+v", quick)
		}
	})
}

func TestUnaccepted(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, false)
		s := w.in(t, c.saddr, c.caddr, tcp.Established)
		if s.Inode != 0 || s.Orphan() || !s.Unaccepted() || s.Mini() {
			t.Errorf("%+v", s)
		}
	})
}

func TestVanishedConnectionIsNotItsListener(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		ok(t, unix.SetsockoptLinger(c.client.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		ok(t, c.client.close())
		for _, query := range []func(_, _ netip.AddrPort) (probe.Socket, error){w.diag.Query, w.diag.QueryState} {
			until(t, "the end", func() bool {
				s, err := query(c.saddr, c.caddr)
				if err != nil && !errors.Is(err, probe.ErrNotFound) {
					t.Fatal(err)
				}
				return err != nil && cmp.Equal(probe.Socket{}, s, volatile)
			})
			if _, err := query(c.caddr, c.saddr); !errors.Is(err, probe.ErrNotFound) {
				t.Error(err)
			}
		}
	})
}

func TestFinInTheReceiveQueueCounts(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		ok(t, unix.Shutdown(c.client.fd, unix.SHUT_WR))
		s := w.in(t, c.saddr, c.caddr, tcp.CloseWait)
		if s.RQueue != 1 || s.Shutdown != probe.ShutdownReceive {
			t.Errorf("%+v", s)
		}
		// The descriptor is open, so FIN_WAIT_2 is a full socket without a timer.
		s = w.in(t, c.caddr, c.saddr, tcp.FinWait2)
		if s.Mini() || s.Orphan() || s.Timer != probe.TimerNone || s.Shutdown != probe.ShutdownSend {
			t.Errorf("%+v", s)
		}
	})
}

func TestOrphanedFinWait2AndTimeWaitAreMiniSockets(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		cookie := w.in(t, c.caddr, c.saddr, tcp.Established).Cookie
		ok(t, c.client.close())
		mini := func(state tcp.State) {
			s := w.mini(t, c.caddr, c.saddr, state)
			want := probe.Socket{Local: c.caddr, Remote: c.saddr, Kind: probe.TimeWait, State: state, Timer: probe.TimerTimeWait, Cookie: cookie}
			if d := cmp.Diff(want, s, cmpopts.IgnoreFields(probe.Socket{}, "Expires"), cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
				t.Error(d)
			}
			if s.Orphan() != (state == tcp.FinWait2) || !s.Mini() {
				t.Errorf("orphan %v, mini %v in %v", s.Orphan(), s.Mini(), state)
			}
			if s.Expires <= 50*time.Second || s.Expires > 61*time.Second {
				t.Errorf("%v expires in %v", state, s.Expires)
			}
		}
		mini(tcp.FinWait2)
		ok(t, c.server.close())
		mini(tcp.TimeWait)
	})
}

func TestOrphanThatIsAFullSocket(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		fill(t, c.client.fd)
		ok(t, c.client.close())
		s := w.in(t, c.caddr, c.saddr, tcp.FinWait1)
		if !s.Orphan() || s.Mini() || s.Info == nil || s.Inode != 0 || s.WQueue == 0 || s.Shutdown != 3 {
			t.Errorf("%+v", s)
		}
	})
}

// fill writes until the window and the buffer are full.
func fill(t testing.TB, fd int) {
	t.Helper()
	ok(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<16))
	piece := make([]byte, 1<<16)
	for {
		err := unix.Sendto(fd, piece, unix.MSG_DONTWAIT, nil)
		if err == unix.EAGAIN {
			return
		}
		ok(t, err)
	}
}

func TestPersistTimer(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		fill(t, c.client.fd)
		until(t, "the persist timer", func() bool {
			s, err := w.diag.Query(c.caddr, c.saddr)
			ok(t, err)
			return s.Timer == probe.TimerPersist && s.Expires > 0
		})
	})
}

func TestKeepaliveTimer(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		ok(t, unix.SetsockoptInt(c.client.fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1))
		s := w.in(t, c.caddr, c.saddr, tcp.Established)
		if s.Timer != probe.TimerKeepalive || s.Expires < 7000*time.Second || s.Expires > 7300*time.Second {
			t.Errorf("%+v", s)
		}
	})
}

// A listener that waits for data leaves the connection a request until then.
func TestRequest(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		listener, at := w.listen(t, addr)
		ok(t, unix.SetsockoptInt(listener.fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 30))
		client := w.socket(t, addr)
		ok(t, unix.Connect(client.fd, sockaddr(at)))
		from := name(t, client)
		check := func(s probe.Socket) {
			t.Helper()
			want := probe.Socket{Local: at, Remote: from, Kind: probe.Request, State: tcp.SynRecv, Timer: probe.TimerRetransmit}
			if d := cmp.Diff(want, s, volatile, cmpopts.IgnoreFields(probe.Socket{}, "Expires", "Retrans")); d != "" {
				t.Error(d)
			}
			if s.Inode != 0 || s.Info != nil || !s.Mini() || s.Orphan() || s.Unaccepted() {
				t.Errorf("%+v", s)
			}
		}
		check(w.in(t, at, from, tcp.SynRecv))
		s, found := find(t, w, at, from)
		if !found {
			t.Fatal("the dump has no request")
		}
		check(s)
	})
}

func find(t testing.TB, w *world, local, remote netip.AddrPort) (probe.Socket, bool) {
	t.Helper()
	all, err := w.diag.Dump(probe.Both)
	ok(t, err)
	for _, s := range all {
		if s.Local == local && s.Remote == remote {
			return s, true
		}
	}
	return probe.Socket{}, false
}

func TestListeners(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		listeners, err := w.diag.Listeners(probe.Both)
		ok(t, err)
		found := false
		for _, s := range listeners {
			found = found || s.Local == c.listening
			if s.State != tcp.Listen {
				t.Errorf("no listener: %+v", s)
			}
		}
		if !found {
			t.Errorf("%v is not among %+v", c.listening, listeners)
		}
	})
}

func TestDumpHasAllStates(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		c := w.connect(t, addr, true)
		none := netip.AddrPortFrom(map[bool]netip.Addr{true: netip.IPv4Unspecified(), false: netip.IPv6Unspecified()}[addr.Is4()], 0)
		if s, found := find(t, w, c.listening, none); !found || s.State != tcp.Listen || s.WQueue != 4 {
			t.Errorf("listener %v %+v", found, s)
		}
		if s, found := find(t, w, c.caddr, c.saddr); !found || s.State != tcp.Established || s.Info == nil {
			t.Errorf("connection %v %+v", found, s)
		}
		ok(t, c.client.close())
		w.mini(t, c.caddr, c.saddr, tcp.FinWait2)
		if s, found := find(t, w, c.caddr, c.saddr); !found || !s.Orphan() || !s.Mini() {
			t.Errorf("orphan %v %+v", found, s)
		}
		ok(t, c.server.close())
		w.in(t, c.caddr, c.saddr, tcp.TimeWait)
		if s, found := find(t, w, c.caddr, c.saddr); !found || s.State != tcp.TimeWait {
			t.Errorf("TIME_WAIT %v %+v", found, s)
		}
		other := probe.IPv4
		if addr.Is4() {
			other = probe.IPv6
		}
		sockets, err := w.diag.Dump(other)
		ok(t, err)
		for _, s := range sockets {
			if s.Local == c.listening || s.Local == c.caddr { // others' may be mapped into this family
				t.Errorf("a dump of the other family has %v", s.Local)
			}
		}
	})
}

func TestDumpOfManySockets(t *testing.T) {
	w := newWorld(t)
	const pairs = 300
	for range pairs {
		w.connect(t, loopbacks["IPv4"], true)
	}
	sockets, err := w.diag.Dump(probe.IPv4)
	ok(t, err)
	if len(sockets) < 3*pairs {
		t.Errorf("the dump has %d sockets, want at least %d", len(sockets), 3*pairs)
	}
}

// An IPv6 socket that carries an IPv4 connection is asked for by its IPv4
// addresses.
func TestDualStack(t *testing.T) {
	w := newWorld(t)
	listener := w.socket(t, netip.IPv6Unspecified())
	ok(t, unix.Bind(listener.fd, sockaddr(netip.AddrPortFrom(netip.IPv6Unspecified(), 0))))
	ok(t, unix.Listen(listener.fd, 1))
	at := netip.AddrPortFrom(loopbacks["IPv4"], name(t, listener).Port())
	client := w.socket(t, at.Addr())
	ok(t, unix.Connect(client.fd, sockaddr(at)))
	from := name(t, client)
	mapped := netip.AddrPortFrom(netip.AddrFrom16(from.Addr().As16()), from.Port())
	for _, remote := range []netip.AddrPort{from, mapped} {
		s, err := w.diag.Query(at, remote)
		ok(t, err)
		if s.State != tcp.Established || s.Local != at || s.Remote != from {
			t.Errorf("%+v", s)
		}
	}
	stranger := netip.AddrPortFrom(from.Addr(), from.Port()^1)
	if _, err := w.diag.Query(at, stranger); !errors.Is(err, probe.ErrNotFound) {
		t.Error(err)
	}
}

func TestQueryRefusesTwoFamilies(t *testing.T) {
	w := newWorld(t)
	_, err := w.diag.Query(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("[::1]:1"))
	if err == nil || errors.Is(err, probe.ErrNotFound) {
		t.Error(err)
	}
	if _, err := w.diag.Query(netip.AddrPort{}, netip.AddrPort{}); err == nil || errors.Is(err, probe.ErrNotFound) {
		t.Error(err)
	}
}

func TestClosedDiag(t *testing.T) {
	w := newWorld(t)
	ok(t, w.diag.Close())
	c := netip.AddrPortFrom(loopbacks["IPv4"], 1)
	if _, err := w.diag.Query(c, c); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

func TestDiagIsSafeForConcurrentUse(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t, loopbacks["IPv4"], true)
	failed := make(chan error)
	const workers = 4
	for i := range workers {
		go func() {
			for range 200 {
				local, remote := c.caddr, c.saddr
				if i%2 == 0 {
					local, remote = remote, local
				}
				s, err := w.diag.Query(local, remote)
				if err == nil && s.Local != local {
					err = fmt.Errorf("asked for %v, got %v", local, s.Local)
				}
				if err == nil && i == 0 {
					_, err = w.diag.Dump(probe.Both)
				}
				if err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	for range workers {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// The end that is closed with a linger of 0 has lost its four-tuple when it is
// freed: only the cookie tells which it was.
func TestDestroyEvents(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c := w.connect(t, addr, true)
		client, server := w.in(t, c.caddr, c.saddr, tcp.Established), w.in(t, c.saddr, c.caddr, tcp.Established)
		ok(t, unix.SetsockoptLinger(c.client.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		ok(t, c.client.close())
		ok(t, c.server.close())
		for seen := map[uint64]bool{}; !seen[client.Cookie] || !seen[server.Cookie]; {
			s, err := w.events.Next(ctx)
			ok(t, err)
			switch s.Cookie {
			case server.Cookie:
				if s.Local != c.saddr || s.Remote != c.caddr {
					t.Errorf("%+v", s)
				}
			case client.Cookie:
				if s.Remote.Port() != 0 {
					t.Errorf("a disconnected socket kept its four-tuple: %+v", s)
				}
			default:
				continue // another test's, where the namespace is shared
			}
			seen[s.Cookie] = true
			if s.State != tcp.Closed || s.Info == nil || s.Mini() {
				t.Errorf("%+v, %+v", s, s.Info)
			}
		}
	})
}

// A socket that ends in TIME_WAIT is freed while its mini-socket lives on.
func TestDestroyEventIsNotTheEnd(t *testing.T) {
	eachFamily(t, func(t *testing.T, w *world, addr netip.Addr) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c := w.connect(t, addr, true)
		cookie := w.in(t, c.caddr, c.saddr, tcp.Established).Cookie
		ok(t, c.client.close())
		for seen := false; !seen; {
			s, err := w.events.Next(ctx)
			ok(t, err)
			if seen = s.Cookie == cookie; seen && (s.Local != c.caddr || s.Remote != c.saddr || s.Info.SegsIn == 0) {
				t.Errorf("%+v, %+v", s, s.Info)
			}
		}
		if s := w.mini(t, c.caddr, c.saddr, tcp.FinWait2); s.Cookie != cookie || !s.Mini() {
			t.Errorf("%+v", s)
		}
	})
}

func TestEventsEnd(t *testing.T) {
	w := newWorld(t)
	if !w.own {
		t.Skip("needs a namespace of its own: others free sockets here")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	next := func() { _, err := w.events.Next(ctx); ended <- err }
	go next()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	ctx = t.Context()
	go next()
	ok(t, w.events.Close())
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestOverflowIsReported(t *testing.T) {
	w := newWorld(t)
	var f *os.File
	var err error
	w.do(func() { f, err = netlink(1<<0 | 1<<2) })
	ok(t, err)
	small, err := probe.NewEvents(f)
	ok(t, err)
	defer small.Close()
	ok(t, probe.Shrink(small))
	reset := func() {
		c := w.connect(t, loopbacks["IPv4"], true)
		ok(t, unix.SetsockoptLinger(c.client.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
		ok(t, c.client.close())
		ok(t, c.server.close())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	const pairs = 50
	for range pairs {
		reset()
	}
	// The kernel tells of each socket later, and both listeners at once: what the
	// large buffer holds the small one has lost.
	for range 2 * pairs {
		_, err := w.events.Next(ctx)
		ok(t, err)
	}
	if _, err := small.Next(ctx); !errors.Is(err, probe.ErrOverflow) {
		t.Errorf("want an overflow, got %v", err)
	}
	reset()
	if _, err := small.Next(ctx); err != nil {
		t.Errorf("nothing more comes after an overflow: %v", err)
	}
}

func TestCountersStayWithTheirNamespace(t *testing.T) {
	w := newWorld(t)
	if !w.own {
		t.Skip("needs a namespace of its own: others count here")
	}
	before, err := w.counters.Read()
	ok(t, err)
	c := w.connect(t, loopbacks["IPv4"], true)
	ok(t, unix.SetsockoptLinger(c.client.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	ok(t, c.client.close())
	until(t, "the reset", func() bool {
		_, err := w.diag.Query(c.saddr, c.caddr)
		return errors.Is(err, probe.ErrNotFound)
	})
	after, err := w.counters.Read()
	ok(t, err)
	got := map[string]int64{}
	for _, d := range probe.Deltas(before, after) {
		got[d.Name] = d.Delta
	}
	for name, want := range map[string]int64{"Tcp.ActiveOpens": 1, "Tcp.PassiveOpens": 1, "Tcp.OutRsts": 1, "Tcp.EstabResets": 2, "TcpExt.TCPAbortOnData": 1} {
		if got[name] != want {
			t.Errorf("%s changed by %d, want %d", name, got[name], want)
		}
	}
	if _, listed := before["IpExt.InOctets"]; !listed {
		t.Error("netstat was not read")
	}
}

func TestNewDiagNeedsSockDiag(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	ok(t, err)
	f := os.NewFile(uintptr(fd), "route")
	defer f.Close()
	if _, err := probe.NewDiag(f); err == nil {
		t.Error("a socket of another protocol was taken")
	}
}

func TestInfoAgreesWithGetsockopt(t *testing.T) {
	w := newWorld(t)
	c := w.connect(t, loopbacks["IPv4"], true)
	s := w.in(t, c.caddr, c.saddr, tcp.Established)
	raw := make([]byte, 512)
	length := uint32(len(raw))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(c.client.fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&length)), 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	if d := cmp.Diff(*s.Info, probe.ParseTCPInfo(raw[:length]),
		cmpopts.IgnoreFields(probe.TCPInfo{}, "LastDataSent", "LastDataRecv", "LastAckRecv")); d != "" {
		t.Error(d)
	}
	k, err := unix.GetsockoptTCPInfo(c.client.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	ok(t, err)
	i := s.Info
	for name, pair := range map[string][2]uint64{
		"rto": {uint64(k.Rto), uint64(i.RTO / time.Microsecond)}, "snd_mss": {uint64(k.Snd_mss), uint64(i.SndMSS)},
		"pmtu": {uint64(k.Pmtu), uint64(i.PMTU)}, "rtt": {uint64(k.Rtt), uint64(i.RTT / time.Microsecond)},
		"advmss": {uint64(k.Advmss), uint64(i.AdvMSS)}, "segs_out": {uint64(k.Segs_out), uint64(i.SegsOut)},
		"min_rtt": {uint64(k.Min_rtt), uint64(i.MinRTT / time.Microsecond)}, "snd_wnd": {uint64(k.Snd_wnd), uint64(i.SndWnd)},
		"rcv_wnd": {uint64(k.Rcv_wnd), uint64(i.RcvWnd)}, "bytes_acked": {k.Bytes_acked, i.BytesAcked},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %d, want %d", name, pair[1], pair[0])
		}
	}
}

func BenchmarkQuery(b *testing.B)      { benchmark(b, (*probe.Diag).Query) }
func BenchmarkQueryState(b *testing.B) { benchmark(b, (*probe.Diag).QueryState) }

func benchmark(b *testing.B, query func(*probe.Diag, netip.AddrPort, netip.AddrPort) (probe.Socket, error)) {
	w := newWorld(b)
	c := w.connect(b, loopbacks["IPv4"], true)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := query(w.diag, c.caddr, c.saddr); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDump(b *testing.B) {
	w := newWorld(b)
	for b.Loop() {
		if _, err := w.diag.Dump(probe.Both); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCounters(b *testing.B) {
	w := newWorld(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.counters.Read(); err != nil {
			b.Fatal(err)
		}
	}
}
