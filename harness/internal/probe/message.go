package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// The parts of include/uapi/linux/netlink.h, sock_diag.h and inet_diag.h that a
// query needs. They are written out because parsing is tested everywhere, and
// the address families because other systems number IPv6 otherwise.
const (
	familyIPv4 = 2
	familyIPv6 = 10
	protoTCP   = 6

	messageError  = 2
	messageDone   = 3
	messageFamily = 20 // SOCK_DIAG_BY_FAMILY

	flagRequest     = 0x1
	flagInterrupted = 0x10
	flagDump        = 0x300

	headerLen  = 16
	sockIDLen  = 48
	requestLen = headerLen + 8 + sockIDLen
	diagLen    = 4 + sockIDLen + 20

	attrInfo      = 2
	attrMemory    = 7
	attrShutdown  = 8
	attrV6Only    = 11
	attrTypeMask  = 0x3fff
	memoryInfoLen = 9 * 4

	// askAll asks for tcp_info and the memory; the shutdown mask comes unasked
	// since Linux 3.7 and is asked for all the same.
	askAll = 1<<(attrInfo-1) | 1<<(attrMemory-1) | 1<<(attrShutdown-1)

	// allStates has the bits of the states 1 to 12, request sockets included.
	// Newer kernels have one more for sockets that are bound and neither listen
	// nor connect: those have no TCP state and are left out.
	allStates   = 0x1ffe
	stateListen = 1 << uint(tcp.Listen)
)

// errShort says that an answer ends within a message.
var errShort = errors.New("answer is cut short")

// message is one netlink message of a datagram.
type message struct {
	kind  uint16
	flags uint16
	seq   uint32
	body  []byte
}

// nextMessage takes the first message off a datagram.
func nextMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < headerLen {
		return m, nil, errShort
	}
	n := uint64(binary.NativeEndian.Uint32(b))
	if n < headerLen || n > uint64(len(b)) {
		return m, nil, errShort
	}
	m = message{
		kind:  binary.NativeEndian.Uint16(b[4:]),
		flags: binary.NativeEndian.Uint16(b[6:]),
		seq:   binary.NativeEndian.Uint32(b[8:]),
		body:  b[headerLen:n],
	}
	return m, b[min(align4(n), uint64(len(b))):], nil
}

func align4(n uint64) uint64 { return (n + 3) &^ 3 }

// errno is the error that an error message or the end of a dump carries, as a
// positive number; 0 is none.
func (m message) errno() uint32 {
	if len(m.body) < 4 {
		return 0
	}
	return -binary.NativeEndian.Uint32(m.body)
}

// parse fills s from an inet_diag_msg and the attributes behind it.
func (s *Socket) parse(b []byte) error {
	if len(b) < diagLen {
		return errShort
	}
	*s = Socket{State: tcp.Kernel(b[1]), Timer: Timer(b[2]), Retrans: int(b[3])}
	family := b[0]
	id := b[4 : 4+sockIDLen]
	var err error
	if s.Local, err = endpoint(family, id[0:], id[4:]); err != nil {
		return err
	}
	if s.Remote, err = endpoint(family, id[2:], id[20:]); err != nil {
		return err
	}
	s.Cookie = uint64(binary.NativeEndian.Uint32(id[40:])) | uint64(binary.NativeEndian.Uint32(id[44:]))<<32
	tail := b[4+sockIDLen:]
	s.Expires = time.Duration(binary.NativeEndian.Uint32(tail)) * time.Millisecond
	s.RQueue = binary.NativeEndian.Uint32(tail[4:])
	s.WQueue = binary.NativeEndian.Uint32(tail[8:])
	s.UID = binary.NativeEndian.Uint32(tail[12:])
	s.Inode = binary.NativeEndian.Uint32(tail[16:])
	return s.attributes(b[diagLen:])
}

// attributes reads what stands behind the inet_diag_msg. Only full sockets have
// a shutdown mask, asked for or not: that tells them from mini-sockets.
func (s *Socket) attributes(b []byte) error {
	full := false
	for len(b) >= 4 {
		n := uint64(binary.NativeEndian.Uint16(b))
		if n < 4 || n > uint64(len(b)) {
			return errShort
		}
		value := b[4:n]
		switch binary.NativeEndian.Uint16(b[2:]) & attrTypeMask {
		case attrShutdown:
			if len(value) > 0 {
				full = true
				s.Shutdown = Shutdown(value[0])
			}
		case attrInfo:
			// A message that promises tcp_info and has none comes of mini-sockets.
			if len(value) > 0 {
				full = true
				s.Info = new(TCPInfo)
				s.Info.parse(value)
			}
		case attrV6Only:
			s.V6Only = len(value) > 0 && value[0] != 0
		case attrMemory:
			if len(value) >= memoryInfoLen {
				s.Memory = parseMemory(value)
			}
		}
		b = b[min(align4(n), uint64(len(b))):]
	}
	switch {
	case full:
		s.Kind = Full
	case s.Timer == TimerTimeWait:
		s.Kind = TimeWait
	case s.State == tcp.SynRecv:
		s.Kind = Request
	}
	return nil
}

func parseMemory(b []byte) *Memory {
	c := cursor(b)
	return &Memory{
		ReceiveAlloc: c.u32(), ReceiveBuffer: c.u32(),
		SendAlloc: c.u32(), SendBuffer: c.u32(),
		ForwardAlloc: c.u32(), SendQueued: c.u32(),
		Options: c.u32(), Backlog: c.u32(), Drops: c.u32(),
	}
}

// endpoint reads a port and an address, both in network order.
func endpoint(family uint8, port, addr []byte) (netip.AddrPort, error) {
	number := binary.BigEndian.Uint16(port)
	switch family {
	case familyIPv4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(addr)), number), nil
	case familyIPv6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(addr)).Unmap(), number), nil
	}
	return netip.AddrPort{}, fmt.Errorf("address family %d is neither IPv4 nor IPv6", family)
}

// parseSockets reads all sockets of a datagram, and whether it ends a dump. It
// is how destroy events and fuzzed bytes are read.
func parseSockets(b []byte) (sockets []Socket, done bool, err error) {
	for len(b) > 0 {
		var m message
		if m, b, err = nextMessage(b); err != nil {
			return sockets, false, err
		}
		switch m.kind {
		case messageDone:
			return sockets, true, nil
		case messageFamily:
			var s Socket
			if err := s.parse(m.body); err != nil {
				return sockets, false, err
			}
			sockets = append(sockets, s)
		}
	}
	return sockets, false, nil
}
