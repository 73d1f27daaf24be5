package capture

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lastack/lastack/inject/tcp"
)

// LinkType says what the packets of an interface begin with: a number of the
// registry of LINKTYPE_ values (draft-ietf-opsawg-pcaplinktype).
type LinkType uint16

// The link types that Decode knows.
const (
	LinkNull      LinkType = 0 // BSD loopback: the address family as the machine has its numbers
	LinkEthernet  LinkType = 1
	LinkRaw       LinkType = 101 // an IP packet of either version
	LinkLoop      LinkType = 108 // OpenBSD's loopback: the family in network order
	LinkLinuxSLL  LinkType = 113 // Linux cooked, as tcpdump -i any wrote it
	LinkIPv4      LinkType = 228
	LinkIPv6      LinkType = 229
	LinkLinuxSLL2 LinkType = 276 // Linux cooked v2, which names the interface

	// What OpenBSD and others have written for LinkRaw.
	linkRawBSD   LinkType = 12
	linkRawOther LinkType = 14
)

var linkNames = map[LinkType]string{
	LinkNull: "BSD loopback", LinkEthernet: "Ethernet", LinkRaw: "raw IP", linkRawBSD: "raw IP", linkRawOther: "raw IP",
	LinkLoop: "OpenBSD loopback", LinkLinuxSLL: "Linux cooked v1", LinkIPv4: "raw IPv4", LinkIPv6: "raw IPv6",
	LinkLinuxSLL2: "Linux cooked v2",
}

// String is the link type in words, or its number.
func (l LinkType) String() string {
	if name, ok := linkNames[l]; ok {
		return name
	}
	return fmt.Sprintf("link type %d", uint16(l))
}

// Skip is the reason why a packet gives no segment.
type Skip uint8

// The reasons.
const (
	// Taken: the packet is a segment, or an ICMP error that quotes one.
	Taken Skip = iota
	// NotIP: ARP, LLDP and the like.
	NotIP
	// NotTCP: UDP, ND, ICMP that quotes no TCP.
	NotTCP
	// Fragment: a piece of an IP packet. The segment comes with the piece that
	// was missing last, as it does for a receiver: all others are skipped.
	Fragment
	// Truncated: the snap length left less than the TCP header.
	Truncated
	// Malformed: the headers contradict themselves or the packet's length.
	Malformed
	// UnknownLink: of a link type that Decode does not know.
	UnknownLink
)

var skipNames = [...]string{
	Taken: "taken", NotIP: "not-ip", NotTCP: "not-tcp", Fragment: "fragment", Truncated: "truncated", Malformed: "malformed",
	UnknownLink: "link-type",
}

// String is the reason in a word.
func (s Skip) String() string {
	if int(s) < len(skipNames) {
		return skipNames[s]
	}
	return fmt.Sprintf("skip-%d", uint8(s))
}

// Decoder finds the TCP segments in packets. The zero value is ready; one
// decoder serves one file, and is not safe for concurrent use.
type Decoder struct {
	// Direction is of the packet that was decoded last, as its record or its
	// cooked header says.
	Direction Direction
	// Device is the number of the interface that a Linux cooked v2 header
	// names; 0 where nothing does.
	Device int

	fragments fragments
}

// EtherTypes.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// Decode reads a packet into seg, which then aliases the packet's bytes. Where
// it is no segment it says why, and seg means nothing. Checksums are not
// looked at: a capture on the sending host has them unfinished.
func (d *Decoder) Decode(link LinkType, p *Packet, seg *tcp.Segment) Skip {
	d.Direction, d.Device = p.Direction, 0
	at, skip := d.network(link, p.Data)
	if skip == Taken {
		skip = d.segment(p, at, seg)
	}
	if skip == Malformed && len(p.Data) < p.Length {
		skip = Truncated
	}
	return skip
}

// network finds where the IP packet begins.
func (d *Decoder) network(link LinkType, data []byte) (int, Skip) {
	var header, proto int // lengths and offsets of the link layer
	switch link {
	case LinkEthernet:
		header, proto = 14, 12
	case LinkRaw, linkRawBSD, linkRawOther, LinkIPv4, LinkIPv6:
		return 0, Taken
	case LinkNull, LinkLoop:
		return loopback(data)
	case LinkLinuxSLL:
		header, proto = 16, 14
	case LinkLinuxSLL2:
		header, proto = 20, 0
	default:
		return 0, UnknownLink
	}
	if len(data) < header {
		return 0, Malformed
	}
	switch link {
	case LinkLinuxSLL:
		d.cooked(binary.BigEndian.Uint16(data))
	case LinkLinuxSLL2:
		d.cooked(uint16(data[10]))
		d.Device = int(binary.BigEndian.Uint32(data[4:]) & 0x7fffffff)
	}
	kind, at, ok := tcp.Untag(data, binary.BigEndian.Uint16(data[proto:]), header)
	switch {
	case !ok:
		return 0, Malformed
	case kind != etherIPv4 && kind != etherIPv6:
		return 0, NotIP
	}
	return at, Taken
}

// cooked takes the direction from the packet type of a cooked header
// (linux/if_packet.h).
func (d *Decoder) cooked(kind uint16) {
	switch kind {
	case 0, 1, 2: // to this host, broadcast, multicast
		d.Direction = Inbound
	case 4:
		d.Direction = Outbound
	}
}

// loopback looks at the address family. That of IPv6 is another number on each
// BSD, and the byte order is the capturing machine's.
func loopback(data []byte) (int, Skip) {
	if len(data) < 4 {
		return 0, Malformed
	}
	family := binary.BigEndian.Uint32(data)
	if family > 0xffff {
		family = binary.LittleEndian.Uint32(data)
	}
	switch family {
	case 2, 10, 24, 28, 30: // IPv4; IPv6 on Linux, NetBSD and OpenBSD, FreeBSD, Darwin
		return 4, Taken
	}
	return 0, NotIP
}

// segment reads the IP packet at offset at.
func (d *Decoder) segment(p *Packet, at int, seg *tcp.Segment) Skip {
	err := seg.ParseIP(p.Data, at, p.Length)
	switch {
	case err == nil && !seg.Fragment:
		return Taken
	case err == nil && seg.ICMP != nil: // what it quotes is in the first piece
		return Taken
	case seg.Fragment || err == tcp.ErrFragment:
		return d.fragments.enter(p, at, seg)
	case errors.Is(err, tcp.ErrNotTCP), errors.Is(err, tcp.ErrFragment): // the latter is quoted by ICMP
		return NotTCP
	}
	return Malformed
}
