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
	// Fragment tells that the IP packet travelled in fragments. From Parse it is
	// the first of them, and Len only what that one carries; from a capture's
	// Decoder it is the whole.
	Fragment bool
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
	proto, at, ok := Untag(frame, binary.BigEndian.Uint16(frame[12:]), etherHeader)
	if !ok {
		*s = Segment{Frame: frame}
		return fmt.Errorf("parse VLAN tag: %w", ErrTruncated)
	}
	switch proto {
	case 0x0800, 0x86dd:
		return s.ParseIP(frame, at, len(frame))
	}
	*s = Segment{Frame: frame}
	return ErrNotTCP
}

// Untag passes over the VLAN tags at offset at of frame (IEEE 802.1Q, and
// 802.1ad around it). proto is the EtherType before them; returned are the one
// behind them and its offset, and false where the frame ends within a tag.
func Untag(frame []byte, proto uint16, at int) (uint16, int, bool) {
	for proto == 0x8100 || proto == 0x88a8 || proto == 0x9100 {
		if len(frame) < at+4 {
			return proto, at, false
		}
		proto = binary.BigEndian.Uint16(frame[at+2:])
		at += 4
	}
	return proto, at, true
}

// ParseIP reads an IP packet that begins at offset at of frame, for captures,
// whose link layer may not be Ethernet. length is how long the frame was on
// the wire, which is more than len(frame) where a snap length cut it. Errors
// are those of Parse.
func (s *Segment) ParseIP(frame []byte, at, length int) error {
	*s = Segment{Frame: frame, ip: at}
	s.Options.WindowScale = -1
	var p packet
	err := p.parse(frame, at, length)
	s.Fragment = p.more
	if err != nil {
		return err
	}
	s.transport, s.end = p.transport, p.end
	switch p.proto {
	case protoTCP:
		return s.parseTCP(p.src, p.dst)
	case protoICMP, protoICMPv6:
		return s.parseICMP(p.src, p.proto)
	}
	return ErrNotTCP
}

// Errors that a capture may give for every packet are made once.
var (
	errNoIP       = fmt.Errorf("parse IP header: %w", ErrTruncated)
	errVersion    = fmt.Errorf("parse IP version: %w", ErrNotTCP)
	errShortIPv4  = fmt.Errorf("parse IPv4 header: %w", ErrTruncated)
	errBadIPv4    = fmt.Errorf("parse IPv4 header: %w", ErrMalformed)
	errOptions    = fmt.Errorf("parse IPv4 options: %w", ErrTruncated)
	errShortIPv6  = fmt.Errorf("parse IPv6 header: %w", ErrTruncated)
	errShortExtra = fmt.Errorf("parse IPv6 extension header: %w", ErrTruncated)
	errBadExtra   = fmt.Errorf("parse IPv6 extension header: %w", ErrMalformed)
	errShortTCP   = fmt.Errorf("parse TCP header: %w", ErrTruncated)
)

// packet is what an IP header says.
type packet struct {
	src, dst  netip.Addr
	proto     uint8
	transport int  // where the transport header begins
	end       int  // where the packet ends by its own length field, which may lie beyond the frame
	more      bool // fragments follow
}

// parse reads the IP packet at offset at of a frame that was length bytes long.
func (ip *packet) parse(frame []byte, at, length int) error {
	if len(frame) <= at {
		return errNoIP
	}
	p := frame[at:]
	switch p[0] >> 4 {
	case 4:
		if len(p) < 20 {
			return errShortIPv4
		}
		header := int(p[0]&15) * 4
		total := int(binary.BigEndian.Uint16(p[2:]))
		if total == 0 { // a superframe that the sender's kernel has not cut yet
			total = length - at
		}
		if header < 20 || total < header {
			return errBadIPv4
		}
		if len(p) < header {
			return errOptions
		}
		ip.src = netip.AddrFrom4([4]byte(p[12:16]))
		ip.dst = netip.AddrFrom4([4]byte(p[16:20]))
		fragment := binary.BigEndian.Uint16(p[6:])
		if fragment&0x1fff != 0 {
			return ErrFragment
		}
		ip.proto, ip.transport, ip.end, ip.more = p[9], at+header, at+total, fragment&0x2000 != 0
		return nil
	case 6:
		return ip.parseIPv6(p, at, length)
	}
	return errVersion
}

func (ip *packet) parseIPv6(p []byte, at, length int) error {
	if len(p) < 40 {
		return errShortIPv6
	}
	ip.src = netip.AddrFrom16([16]byte(p[8:24]))
	ip.dst = netip.AddrFrom16([16]byte(p[24:40]))
	payload := int(binary.BigEndian.Uint16(p[4:]))
	if payload == 0 { // a superframe of more than 64 KiB
		payload = length - at - 40
	}
	next, off := p[6], 40
	for {
		switch next {
		case 0, 43, 60, 51, 44: // hop-by-hop, routing, destination, authentication, fragment
			if len(p) < off+8 {
				return errShortExtra
			}
			size := (int(p[off+1]) + 1) * 8
			switch next {
			case 44:
				fragment := binary.BigEndian.Uint16(p[off+2:])
				if fragment&0xfff8 != 0 {
					return ErrFragment
				}
				ip.more = fragment&1 != 0
				size = 8
			case 51:
				size = (int(p[off+1]) + 2) * 4
			}
			next = p[off]
			off += size
			if off > 40+payload {
				return errBadExtra
			}
		default:
			ip.proto, ip.transport, ip.end = next, at+off, at+40+payload
			return nil
		}
	}
}

func (s *Segment) parseTCP(src, dst netip.Addr) error {
	if len(s.Frame) < s.transport+20 || s.end < s.transport+20 {
		return errShortTCP
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
	var inner packet
	if err := inner.parse(s.Frame, s.transport+8, len(s.Frame)); err != nil {
		return fmt.Errorf("parse packet quoted by ICMP: %w", err)
	}
	if inner.proto != protoTCP {
		return ErrNotTCP
	}
	if len(s.Frame) < inner.transport+8 { // RFC 792 promises eight bytes of the transport header
		return fmt.Errorf("parse segment quoted by ICMP: %w", ErrTruncated)
	}
	q := s.Frame[inner.transport:]
	s.Src = netip.AddrPortFrom(inner.src, binary.BigEndian.Uint16(q))
	s.Dst = netip.AddrPortFrom(inner.dst, binary.BigEndian.Uint16(q[2:]))
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

// TTL is IPv4's time to live or IPv6's hop limit; of an ICMP error its own. It
// is 0 before anything was parsed.
func (s *Segment) TTL() uint8 {
	switch {
	case s.transport == 0:
		return 0
	case s.Frame[s.ip]>>4 == 6:
		return s.Frame[s.ip+7]
	}
	return s.Frame[s.ip+8]
}

// ID is IPv4's identification field; IPv6 has none, for which it says false.
func (s *Segment) ID() (uint16, bool) {
	if s.transport == 0 || s.Frame[s.ip]>>4 == 6 {
		return 0, false
	}
	return binary.BigEndian.Uint16(s.Frame[s.ip+4:]), true
}

// Pure reports whether the segment carries an acknowledgement and nothing else.
func (s *Segment) Pure() bool {
	return s.ICMP == nil && s.Len == 0 && s.Flags&(SYN|FIN|RST|ACK) == ACK
}
