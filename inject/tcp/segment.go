package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// What Parse says of a frame that is no whole TCP segment.
var (
	// ErrNotTCP: the frame carries another protocol (ARP, ND, UDP …).
	ErrNotTCP = errors.New("not TCP")
	// ErrTruncated: a header says more than the frame holds.
	ErrTruncated = errors.New("truncated")
	// ErrMalformed: a header contradicts itself.
	ErrMalformed = errors.New("malformed")
	// ErrFragment: a later IP fragment, in which there is no TCP header.
	ErrFragment = errors.New("later fragment")
)

// Segment is one TCP segment, or an ICMP error that quotes one, parsed from an
// Ethernet frame. The frame's bytes are the truth: the fields are a reading of
// them, and forwarding sends Frame. The zero value is ready for Parse, and may
// be parsed into again and again.
type Segment struct {
	// Frame is the Ethernet frame, owned by whoever called Parse.
	Frame []byte
	// Src and Dst are the ends that the IP and TCP headers name. In an ICMP
	// error they are those of the quoted segment.
	Src, Dst netip.AddrPort
	// Seq and Ack are absolute. Ack means nothing without the flag ACK.
	Seq, Ack Seq
	Flags    Flags
	// Window is the field as it travels, before any scaling.
	Window uint16
	// Len is the number of payload bytes by the IP header, which may be more
	// than a capture with a snap length kept.
	Len int
	// Options are the TCP options that the life of a connection depends on.
	Options Options
	// ICMP is set when the frame is an ICMP error; Seq is then the quoted
	// number, and the other TCP fields are zero.
	ICMP *ICMP

	ip, transport, payload int // offsets into Frame; the options of TCP end at payload
	end                    int // where the IP packet ends: what follows is padding
}

// ICMP is what an ICMP or ICMPv6 error says of the segment that it quotes
// (RFC 792, RFC 4443).
type ICMP struct {
	Type, Code uint8
	// From is the router or host that sent the error.
	From netip.Addr
	// MTU is the next hop's, of "fragmentation needed" and "packet too big".
	MTU uint32
}

// Options are the TCP options of one segment.
type Options struct {
	MSS           uint16 // 0: absent
	WindowScale   int8   // -1: absent
	SACKPermitted bool
	Timestamps    bool
	TSVal, TSEcr  uint32
	// SACK holds the blocks, up to four; SACKs is their number.
	SACK  [4][2]Seq
	SACKs int
	// Broken is set where the list is cut short or an option lies about its
	// length; what was read before it stands.
	Broken bool
}

const (
	etherHeader = 14
	protoTCP    = 6
	protoICMP   = 1
	protoICMPv6 = 58
)

// Parse reads an Ethernet frame, with VLAN tags or without. The frame is kept,
// not copied. The error is one of ErrNotTCP, ErrTruncated, ErrMalformed and
// ErrFragment (errors.Is).
func (s *Segment) Parse(frame []byte) error {
	if len(frame) < etherHeader {
		*s = Segment{Frame: frame}
		return fmt.Errorf("parse frame of %d bytes: Ethernet header: %w", len(frame), ErrTruncated)
	}
	at := etherHeader
	proto := binary.BigEndian.Uint16(frame[12:])
	for proto == 0x8100 || proto == 0x88a8 {
		if len(frame) < at+4 {
			*s = Segment{Frame: frame}
			return fmt.Errorf("parse VLAN tag: %w", ErrTruncated)
		}
		proto = binary.BigEndian.Uint16(frame[at+2:])
		at += 4
	}
	switch proto {
	case 0x0800, 0x86dd:
		return s.ParseIP(frame, at)
	}
	*s = Segment{Frame: frame}
	return ErrNotTCP
}

// ParseIP reads an IP packet that begins at offset at of frame, for captures
// whose link layer is not Ethernet. Errors are those of Parse.
func (s *Segment) ParseIP(frame []byte, at int) error {
	*s = Segment{Frame: frame, ip: at}
	s.Options.WindowScale = -1
	src, dst, proto, transport, end, err := parseIP(frame, at)
	if err != nil {
		return err
	}
	s.transport, s.end = transport, end
	switch proto {
	case protoTCP:
		return s.parseTCP(src, dst)
	case protoICMP, protoICMPv6:
		return s.parseICMP(src, proto)
	}
	return ErrNotTCP
}

// parseIP finds the transport header of the IP packet at offset at. end is
// where the packet ends by its own length field, which may lie beyond the
// frame where a capture was cut.
func parseIP(frame []byte, at int) (src, dst netip.Addr, proto uint8, transport, end int, err error) {
	fail := func(what string, why error) (netip.Addr, netip.Addr, uint8, int, int, error) {
		return src, dst, 0, 0, 0, fmt.Errorf("parse %s: %w", what, why)
	}
	if len(frame) <= at {
		return fail("IP header", ErrTruncated)
	}
	p := frame[at:]
	switch p[0] >> 4 {
	case 4:
		if len(p) < 20 {
			return fail("IPv4 header", ErrTruncated)
		}
		header := int(p[0]&15) * 4
		total := int(binary.BigEndian.Uint16(p[2:]))
		if total == 0 { // a superframe that the sender's kernel has not cut yet
			total = len(p)
		}
		if header < 20 || total < header {
			return fail("IPv4 header", ErrMalformed)
		}
		if len(p) < header {
			return fail("IPv4 options", ErrTruncated)
		}
		src, _ = netip.AddrFromSlice(p[12:16])
		dst, _ = netip.AddrFromSlice(p[16:20])
		if binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
			return src, dst, 0, 0, 0, ErrFragment
		}
		return src, dst, p[9], at + header, at + total, nil
	case 6:
		return parseIPv6(frame, at)
	}
	return fail("IP version", ErrNotTCP)
}

func parseIPv6(frame []byte, at int) (src, dst netip.Addr, proto uint8, transport, end int, err error) {
	p := frame[at:]
	if len(p) < 40 {
		return src, dst, 0, 0, 0, fmt.Errorf("parse IPv6 header: %w", ErrTruncated)
	}
	src, _ = netip.AddrFromSlice(p[8:24])
	dst, _ = netip.AddrFromSlice(p[24:40])
	length := int(binary.BigEndian.Uint16(p[4:]))
	if length == 0 { // a superframe of more than 64 KiB
		length = len(p) - 40
	}
	next, off := p[6], 40
	for {
		switch next {
		case 0, 43, 60, 51, 44: // hop-by-hop, routing, destination, authentication, fragment
			if len(p) < off+8 {
				return src, dst, 0, 0, 0, fmt.Errorf("parse IPv6 extension header: %w", ErrTruncated)
			}
			size := (int(p[off+1]) + 1) * 8
			switch next {
			case 44:
				if binary.BigEndian.Uint16(p[off+2:])&0xfff8 != 0 {
					return src, dst, 0, 0, 0, ErrFragment
				}
				size = 8
			case 51:
				size = (int(p[off+1]) + 2) * 4
			}
			next = p[off]
			off += size
			if off > 40+length {
				return src, dst, 0, 0, 0, fmt.Errorf("parse IPv6 extension header: %w", ErrMalformed)
			}
		default:
			return src, dst, next, at + off, at + 40 + length, nil
		}
	}
}

func (s *Segment) parseTCP(src, dst netip.Addr) error {
	if len(s.Frame) < s.transport+20 || s.end < s.transport+20 {
		return fmt.Errorf("parse TCP header: %w", ErrTruncated)
	}
	p := s.Frame[s.transport:]
	s.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(p))
	s.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(p[2:]))
	s.Seq = Seq(binary.BigEndian.Uint32(p[4:]))
	s.Ack = Seq(binary.BigEndian.Uint32(p[8:]))
	s.Flags = Flags(binary.BigEndian.Uint16(p[12:]) & 0x1ff)
	s.Window = binary.BigEndian.Uint16(p[14:])
	header := int(p[12]>>4) * 4
	if header < 20 || s.transport+header > s.end {
		return fmt.Errorf("parse TCP data offset %d: %w", header, ErrMalformed)
	}
	s.payload = s.transport + header
	s.Len = s.end - s.payload
	if len(s.Frame) < s.payload {
		s.payload = len(s.Frame)
		s.Options.Broken = true
	}
	s.Options.parse(s.Frame[s.transport+20 : s.payload])
	return nil
}

func (o *Options) parse(p []byte) {
	for len(p) > 0 {
		switch p[0] {
		case 0:
			return
		case 1:
			p = p[1:]
			continue
		}
		if len(p) < 2 || p[1] < 2 || int(p[1]) > len(p) {
			o.Broken = true
			return
		}
		body := p[2:p[1]]
		switch {
		case p[0] == 2 && len(body) == 2:
			o.MSS = binary.BigEndian.Uint16(body)
		case p[0] == 3 && len(body) == 1:
			o.WindowScale = int8(min(body[0], 14)) // RFC 7323 §2.3: more than 14 counts as 14
		case p[0] == 4 && len(body) == 0:
			o.SACKPermitted = true
		case p[0] == 5 && len(body)%8 == 0 && len(body) <= 32:
			o.SACKs = len(body) / 8
			for i := range o.SACKs {
				o.SACK[i] = [2]Seq{
					Seq(binary.BigEndian.Uint32(body[8*i:])),
					Seq(binary.BigEndian.Uint32(body[8*i+4:])),
				}
			}
		case p[0] == 8 && len(body) == 8:
			o.Timestamps = true
			o.TSVal = binary.BigEndian.Uint32(body)
			o.TSEcr = binary.BigEndian.Uint32(body[4:])
		case p[0] >= 2 && p[0] <= 8 && p[0] != 6 && p[0] != 7:
			o.Broken = true
		}
		p = p[p[1]:]
	}
}

// parseICMP reads an error message and the beginning of what it quotes.
// Anything else that ICMP carries is ErrNotTCP.
func (s *Segment) parseICMP(from netip.Addr, proto uint8) error {
	if len(s.Frame) < s.transport+8 {
		return fmt.Errorf("parse ICMP header: %w", ErrTruncated)
	}
	p := s.Frame[s.transport:]
	kind, code := p[0], p[1]
	mtu := uint32(0)
	if proto == protoICMP {
		if kind != 3 && kind != 4 && kind != 5 && kind != 11 && kind != 12 {
			return ErrNotTCP
		}
		if kind == 3 && code == 4 {
			mtu = uint32(binary.BigEndian.Uint16(p[6:]))
		}
	} else {
		if kind >= 128 {
			return ErrNotTCP
		}
		if kind == 2 {
			mtu = binary.BigEndian.Uint32(p[4:])
		}
	}
	src, dst, inner, transport, _, err := parseIP(s.Frame, s.transport+8)
	if err != nil {
		return fmt.Errorf("parse packet quoted by ICMP: %w", err)
	}
	if inner != protoTCP {
		return ErrNotTCP
	}
	if len(s.Frame) < transport+8 { // RFC 792 promises eight bytes of the transport header
		return fmt.Errorf("parse segment quoted by ICMP: %w", ErrTruncated)
	}
	q := s.Frame[transport:]
	s.Src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(q))
	s.Dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(q[2:]))
	s.Seq = Seq(binary.BigEndian.Uint32(q[4:]))
	s.payload = min(s.end, len(s.Frame))
	s.ICMP = &ICMP{Type: kind, Code: code, From: from, MTU: mtu}
	return nil
}

// Payload is the data that the frame holds, without Ethernet's padding. It
// aliases Frame, and is shorter than Len where a capture was cut.
func (s *Segment) Payload() []byte {
	if s.payload == 0 || s.payload >= len(s.Frame) || s.payload >= s.end {
		return nil
	}
	return s.Frame[s.payload:min(s.end, len(s.Frame))]
}

// SeqLen is how much sequence space the segment occupies: its data, SYN and FIN.
func (s *Segment) SeqLen() int {
	n := s.Len
	if s.Flags.Has(SYN) {
		n++
	}
	if s.Flags.Has(FIN) {
		n++
	}
	return n
}

// IsIPv6 tells the address family.
func (s *Segment) IsIPv6() bool { return s.Src.Addr().Is6() }

// Pure reports whether the segment carries an acknowledgement and nothing else.
func (s *Segment) Pure() bool {
	return s.ICMP == nil && s.Len == 0 && s.Flags&(SYN|FIN|RST|ACK) == ACK
}
