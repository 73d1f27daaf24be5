package probe

import (
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// answerLen is more than the kernel puts in one datagram of a dump (32 KiB).
const answerLen = 64 << 10

// dumpTries is how often an interrupted dump is asked for again.
const dumpTries = 16

// Diag asks a kernel's sock_diag about the sockets of one namespace. It is safe
// for concurrent use; queries wait for each other.
type Diag struct {
	mu     sync.Mutex
	file   *os.File
	fd     int
	seq    uint32
	ask    request
	answer []byte
}

// NewDiag takes over f, a NETLINK_SOCK_DIAG socket, and closes it in Close. It
// asks once, so that a kernel without inet_diag is an error here and is not
// taken for one without sockets.
func NewDiag(f *os.File) (*Diag, error) {
	d := &Diag{file: f, answer: make([]byte, answerLen)}
	fd, err := rawDescriptor(f)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	d.fd = fd
	// The answer is in the queue when the request was sent: waiting would hide an
	// error for ever.
	if err := unix.SetNonblock(d.fd, true); err != nil {
		return nil, fmt.Errorf("open sock_diag: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.dump(familyIPv4, 0, stateListen, nil); err != nil {
		return nil, fmt.Errorf("open sock_diag (are inet_diag and tcp_diag in this kernel?): %w", err)
	}
	return d, nil
}

// rawDescriptor is the number behind f. The caller keeps f alive and open.
func rawDescriptor(f *os.File) (int, error) {
	number := -1
	raw, err := f.SyscallConn()
	if err != nil {
		return number, err
	}
	err = raw.Control(func(fd uintptr) { number = int(fd) })
	return number, err
}

// Close closes the descriptor. Queries fail from then on.
func (d *Diag) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fd = -1
	return d.file.Close()
}

// Query asks for the socket of local that talks to remote. Where there is none
// the error is ErrNotFound: the connection is CLOSED. Any incarnation of the
// four-tuple answers; Cookie tells them apart.
func (d *Diag) Query(local, remote netip.AddrPort) (Socket, error) {
	return d.query(local, remote, askAll)
}

// QueryState is Query without tcp_info and memory: cheaper for the kernel, which
// need not lock the socket, and free of allocations.
func (d *Diag) QueryState(local, remote netip.AddrPort) (Socket, error) {
	return d.query(local, remote, 0)
}

func (d *Diag) query(local, remote netip.AddrPort, ask uint8) (Socket, error) {
	local, remote = plain(local), plain(remote)
	if !local.IsValid() || local.Addr().Is4() != remote.Addr().Is4() {
		return Socket{}, fmt.Errorf("query socket %v to %v: want two addresses of one family", local, remote)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	d.ask.exact(d.seq, ask, local, remote)
	s, err := d.one()
	switch {
	case err == ErrNotFound:
		return Socket{}, err
	case err != nil:
		return Socket{}, fmt.Errorf("query socket %v to %v: %w", local, remote, err)
	case s.Remote != remote || s.Local != local:
		return Socket{}, ErrNotFound // the listener answered
	}
	return s, nil
}

// plain is the four-tuple as answers spell it: no zone, no IPv4 within IPv6.
func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// one sends the request and reads its one answer.
func (d *Diag) one() (s Socket, err error) {
	if err := d.send(); err != nil {
		return s, err
	}
	for {
		m, _, err := d.next(nil)
		if err != nil {
			return s, err
		}
		if m.seq != d.seq {
			continue // the rest of an answer that nobody read to its end
		}
		switch m.kind {
		case messageFamily:
			err = s.parse(m.body)
			return s, err
		case messageError:
			if unix.Errno(m.errno()) == unix.ENOENT {
				return s, ErrNotFound
			}
			return s, unix.Errno(m.errno())
		default:
			return s, fmt.Errorf("answer has type %d", m.kind)
		}
	}
}

func (d *Diag) send() error {
	for {
		_, err := unix.Write(d.fd, d.ask[:])
		if err != unix.EINTR {
			return err
		}
	}
}

// next is the next message of rest, or of the next datagram where rest is empty.
func (d *Diag) next(rest []byte) (message, []byte, error) {
	for len(rest) == 0 {
		n, err := unix.Read(d.fd, d.answer)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return message{}, nil, err
		}
		if n == 0 {
			return message{}, nil, errShort
		}
		rest = d.answer[:n]
	}
	return nextMessage(rest)
}

// Dump lists the sockets of the namespace in any state: listeners, requests,
// orphans and mini-sockets too. The kernel does not stop meanwhile: what changes
// during the dump may be missed, or be shown as it was just before. A socket that
// is bound and neither listens nor connects has no TCP state and is left out.
func (d *Diag) Dump(family Family) ([]Socket, error) { return d.dumpStates(family, allStates) }

// Listeners lists the sockets of the namespace that listen. It is far cheaper than
// Dump: where nothing else is asked for, the kernel leaves out its table of
// connections (tcp_diag_dump), whose buckets all namespaces share.
func (d *Diag) Listeners(family Family) ([]Socket, error) { return d.dumpStates(family, stateListen) }

func (d *Diag) dumpStates(family Family, states uint32) ([]Socket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Socket
	for _, number := range family.numbers() {
		sockets, err := d.dumpWhole(number, states)
		if err != nil {
			return nil, fmt.Errorf("dump sockets: %w", err)
		}
		all = append(all, sockets...)
	}
	return all, nil
}

// dumpWhole asks again where the kernel says that the dump was interrupted.
func (d *Diag) dumpWhole(family uint8, states uint32) ([]Socket, error) {
	for range dumpTries {
		var sockets []Socket
		interrupted, err := d.dump(family, askAll, states, &sockets)
		if err != nil {
			return nil, err
		}
		if !interrupted {
			return once(sockets), nil
		}
	}
	return nil, fmt.Errorf("interrupted %d times: %w", dumpTries, unix.EAGAIN)
}

// dump appends the answers to sockets, which may be nil.
func (d *Diag) dump(family, ask uint8, states uint32, sockets *[]Socket) (interrupted bool, err error) {
	d.seq++
	d.ask.dump(d.seq, family, ask, states)
	if err := d.send(); err != nil {
		return false, err
	}
	var m message
	var rest []byte
	for {
		if m, rest, err = d.next(rest); err != nil {
			return false, err
		}
		if m.seq != d.seq {
			continue
		}
		interrupted = interrupted || m.flags&flagInterrupted != 0
		switch m.kind {
		case messageDone, messageError:
			if errno := unix.Errno(m.errno()); errno != 0 {
				return false, errno
			}
			return interrupted, nil
		case messageFamily:
			var s Socket
			if err := s.parse(m.body); err != nil {
				return false, err
			}
			if sockets != nil {
				*sockets = append(*sockets, s)
			}
		}
	}
}
