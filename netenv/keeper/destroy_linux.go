package keeper

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inetDiagID and inetDiagRequest are the kernel's inet_diag_sockid and
// inet_diag_req_v2. Ports and addresses are in the order of the network.
type inetDiagID struct {
	sport, dport [2]byte
	src, dst     [16]byte
	device       uint32
	cookie       [2]uint32
}

type inetDiagRequest struct {
	family, protocol uint8
	extensions, pad  uint8
	states           uint32
	id               inetDiagID
}

// inetDiagReply is the beginning of inet_diag_msg.
type inetDiagReply struct {
	family, state, timer, retrans uint8
	id                            inetDiagID
}

const (
	sockDiagByFamily = 20
	sockDestroy      = 21
	anyCookie        = 0xffffffff
	everyState       = 0xffffffff
	sizeofDiagHeader = unix.SizeofNlMsghdr + int(unsafe.Sizeof(inetDiagRequest{}))
)

// families are where a connection can hide.
var families = [...]uint8{unix.AF_INET, unix.AF_INET6}

// diag asks and destroys sockets in the namespace in which fd was opened. One
// thread at a time may use it.
type diag struct {
	fd     int
	seq    uint32
	buffer []byte
}

// send sends one request.
func (d *diag) send(kind, flags uint16, request *inetDiagRequest) error {
	d.seq++
	packet := make([]byte, sizeofDiagHeader)
	native := binary.NativeEndian
	native.PutUint32(packet[0:], uint32(sizeofDiagHeader))
	native.PutUint16(packet[4:], kind)
	native.PutUint16(packet[6:], unix.NLM_F_REQUEST|flags)
	native.PutUint32(packet[8:], d.seq)
	*(*inetDiagRequest)(unsafe.Pointer(&packet[unix.SizeofNlMsghdr])) = *request
	return unix.Sendto(d.fd, packet, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// answers tells each answer to the last request, until the end or the errno.
func (d *diag) answers(tell func(*inetDiagReply)) error {
	if d.buffer == nil {
		d.buffer = make([]byte, 64<<10)
	}
	for {
		n, err := unix.Read(d.fd, d.buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		for rest := d.buffer[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			native := binary.NativeEndian
			length := int(native.Uint32(rest[0:]))
			if length < unix.SizeofNlMsghdr || length > len(rest) {
				return unix.EBADMSG
			}
			body := rest[unix.SizeofNlMsghdr:length]
			kind, seq := native.Uint16(rest[4:]), native.Uint32(rest[8:])
			rest = rest[min((length+3)&^3, len(rest)):]
			switch {
			case seq != d.seq:
			case kind == unix.NLMSG_DONE:
				return nil
			case kind == unix.NLMSG_ERROR && len(body) >= 4:
				if errno := -int32(native.Uint32(body)); errno != 0 {
					return unix.Errno(errno)
				}
				return nil
			case kind == sockDiagByFamily && len(body) >= int(unsafe.Sizeof(inetDiagReply{})):
				tell((*inetDiagReply)(unsafe.Pointer(&body[0])))
			}
		}
	}
}

// sockets lists what the namespace holds in one family.
func (d *diag) sockets(family, protocol uint8) ([]inetDiagReply, error) {
	request := inetDiagRequest{family: family, protocol: protocol, states: everyState}
	if err := d.send(sockDiagByFamily, unix.NLM_F_DUMP, &request); err != nil {
		return nil, err
	}
	var found []inetDiagReply
	err := d.answers(func(r *inetDiagReply) { found = append(found, *r) })
	return found, err
}

// destroy destroys one socket.
func (d *diag) destroy(family, protocol uint8, id inetDiagID) error {
	request := inetDiagRequest{family: family, protocol: protocol, states: everyState, id: id}
	if err := d.send(sockDestroy, unix.NLM_F_ACK, &request); err != nil {
		return err
	}
	return d.answers(func(*inetDiagReply) {})
}

// destroyAll destroys every TCP socket that is left: an orphan with a FIN on its
// way would keep its namespace until its retries end. Sockets that vanish by
// themselves meanwhile are fine.
func (d *diag) destroyAll() error {
	var errs []error
	for _, family := range families {
		found, err := d.sockets(family, unix.IPPROTO_TCP)
		if err != nil {
			errs = append(errs, at(StepDiag, fmt.Errorf("list sockets: %w", err)))
			continue
		}
		for i := range found {
			err := d.destroy(found[i].family, unix.IPPROTO_TCP, found[i].id)
			if errors.Is(err, unix.EOPNOTSUPP) {
				return nil // such a kernel lets closed labs linger, which doctor says
			}
			if err != nil && !errors.Is(err, unix.ENOENT) {
				errs = append(errs, at(StepDestroy, fmt.Errorf("destroy socket: %w", err)))
			}
		}
	}
	return errors.Join(errs...)
}

// destroyTuple destroys the socket with these ends.
func (d *diag) destroyTuple(t Tuple) error {
	local, remote := t.Local.Addr().Unmap(), t.Remote.Addr().Unmap()
	if !local.IsValid() || !remote.IsValid() || local.Is4() != remote.Is4() {
		return fmt.Errorf("destroy socket %v > %v: the ends must be of one family", t.Local, t.Remote)
	}
	family := uint8(unix.AF_INET)
	if local.Is6() {
		family = unix.AF_INET6
	}
	id := socketID(netip.AddrPortFrom(local, t.Local.Port()), netip.AddrPortFrom(remote, t.Remote.Port()))
	err := d.destroy(family, unix.IPPROTO_TCP, id)
	if errors.Is(err, unix.ENOENT) && family == unix.AF_INET {
		// An IPv6 socket that carries IPv4 is found under its mapped addresses.
		mapped := socketID(netip.AddrPortFrom(netip.AddrFrom16(local.As16()), t.Local.Port()),
			netip.AddrPortFrom(netip.AddrFrom16(remote.As16()), t.Remote.Port()))
		err = d.destroy(unix.AF_INET6, unix.IPPROTO_TCP, mapped)
	}
	if err != nil {
		return at(StepDestroy, fmt.Errorf("destroy socket %v > %v: %w", t.Local, t.Remote, err))
	}
	return nil
}

func socketID(local, remote netip.AddrPort) inetDiagID {
	id := inetDiagID{cookie: [2]uint32{anyCookie, anyCookie}}
	binary.BigEndian.PutUint16(id.sport[:], local.Port())
	binary.BigEndian.PutUint16(id.dport[:], remote.Port())
	copy(id.src[:], local.Addr().AsSlice())
	copy(id.dst[:], remote.Addr().AsSlice())
	return id
}
