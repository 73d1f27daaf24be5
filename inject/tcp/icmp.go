package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Unreachable is the reason that an ICMP error gives, under one name for both
// families.
type Unreachable string

// The reasons (RFC 792, RFC 4443).
const (
	PortUnreachable Unreachable = "port-unreachable"
	HostUnreachable Unreachable = "host-unreachable"
	NetUnreachable  Unreachable = "net-unreachable"
	AdminProhibited Unreachable = "admin-prohibited"
	// TooBig is "fragmentation needed" over IPv4 and "packet too big" over
	// IPv6; it names the next hop's MTU.
	TooBig Unreachable = "too-big"
)

// Unreachables lists the reasons.
func Unreachables() []Unreachable {
	return []Unreachable{PortUnreachable, HostUnreachable, NetUnreachable, AdminProhibited, TooBig}
}

// code is the type and code of a reason.
func (u Unreachable) code(v6 bool) (kind, code uint8, err error) {
	v4codes := map[Unreachable]uint8{NetUnreachable: 0, HostUnreachable: 1, PortUnreachable: 3, TooBig: 4, AdminProhibited: 13}
	v6codes := map[Unreachable]uint8{NetUnreachable: 0, AdminProhibited: 1, HostUnreachable: 3, PortUnreachable: 4}
	if v6 && u == TooBig {
		return 2, 0, nil
	}
	codes, kind := v4codes, uint8(3)
	if v6 {
		codes, kind = v6codes, 1
	}
	code, ok := codes[u]
	if !ok {
		return 0, 0, fmt.Errorf("there is no ICMP error %q", string(u))
	}
	return kind, code, nil
}

// quoted is how much of a packet an error quotes: RFC 1812 §4.3.2.3 allows up
// to 576 bytes over IPv4; the headers are enough for every stack.
const quoted = 128

// Unreachable crafts the ICMP error that from would send about this segment to
// its sender. mtu is for TooBig. The Ethernet addresses are the segment's,
// turned round.
func (s *Segment) Unreachable(why Unreachable, from netip.Addr, mtu uint16) ([]byte, error) {
	if s.transport == 0 || s.ICMP != nil {
		return nil, errors.New("craft ICMP error: only a TCP segment can be quoted")
	}
	v6 := s.IsIPv6()
	kind, code, err := why.code(v6)
	if err != nil {
		return nil, fmt.Errorf("craft ICMP error: %w", err)
	}
	if from.Is6() != v6 {
		return nil, errors.New("craft ICMP error: the router's address is of another family than the segment's")
	}
	packet := s.Frame[s.ip:min(s.end, len(s.Frame))]
	body := make([]byte, 8, 8+quoted)
	body[0], body[1] = kind, code
	if why == TooBig {
		if v6 {
			binary.BigEndian.PutUint32(body[4:], uint32(mtu))
		} else {
			binary.BigEndian.PutUint16(body[6:], mtu)
		}
	}
	body = append(body, packet[:min(len(packet), quoted)]...)
	dst := s.Src.Addr()
	frame := make([]byte, 0, etherHeader+40+len(body))
	frame = append(frame, s.Frame[6:12]...)
	frame = append(frame, s.Frame[0:6]...)
	frame = append(frame, s.Frame[12:14]...)
	if v6 {
		head := make([]byte, 40)
		head[0] = 6 << 4
		binary.BigEndian.PutUint16(head[4:], uint16(len(body)))
		head[6], head[7] = protoICMPv6, 64
		copy(head[8:], from.AsSlice())
		copy(head[24:], dst.AsSlice())
		total := sum(uint64(protoICMPv6)+uint64(len(body)), head[8:40])
		binary.BigEndian.PutUint16(body[2:], ^fold(sum(total, body)))
		frame = append(frame, head...)
	} else {
		head := make([]byte, 20)
		head[0] = 4<<4 | 5
		binary.BigEndian.PutUint16(head[2:], uint16(20+len(body)))
		head[8], head[9] = 64, protoICMP
		copy(head[12:], from.AsSlice())
		copy(head[16:], dst.AsSlice())
		binary.BigEndian.PutUint16(head[10:], ^fold(sum(0, head)))
		binary.BigEndian.PutUint16(body[2:], ^fold(sum(0, body)))
		frame = append(frame, head...)
	}
	return append(frame, body...), nil
}
