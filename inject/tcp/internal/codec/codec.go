// Package codec writes headers with gopacket, and is one of the two places
// that know it. Reading is done by package tcp itself: gopacket's decoders
// allocate, and are the reference that its tests compare with.
package codec

import (
	"errors"
	"net"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Segment is what Frame writes.
type Segment struct {
	SrcMAC, DstMAC net.HardwareAddr
	Src, Dst       netip.AddrPort
	Seq, Ack       uint32
	Flags          uint16 // as the header has them, FIN lowest
	Window         uint16
	Options        []byte
	Payload        []byte
	TTL            uint8
}

// maxOptions is what a data offset of 15 words leaves.
const maxOptions = 40

// Frame writes an Ethernet frame with right lengths and checksums.
func Frame(s Segment) ([]byte, error) {
	src, dst := s.Src.Addr().Unmap(), s.Dst.Addr().Unmap()
	if !src.IsValid() || src.Is4() != dst.Is4() {
		return nil, errors.New("source and destination must be of one address family")
	}
	if len(s.Options) > maxOptions {
		return nil, errors.New("more than 40 bytes of options")
	}
	ether := &layers.Ethernet{SrcMAC: s.SrcMAC, DstMAC: s.DstMAC, EthernetType: layers.EthernetTypeIPv4}
	segment := &layers.TCP{
		SrcPort: layers.TCPPort(s.Src.Port()), DstPort: layers.TCPPort(s.Dst.Port()), Seq: s.Seq, Ack: s.Ack, Window: s.Window,
		FIN: s.Flags&1 != 0, SYN: s.Flags&2 != 0, RST: s.Flags&4 != 0, PSH: s.Flags&8 != 0, ACK: s.Flags&16 != 0,
		URG: s.Flags&32 != 0, ECE: s.Flags&64 != 0, CWR: s.Flags&128 != 0, NS: s.Flags&256 != 0,
	}
	var network gopacket.NetworkLayer
	var ip gopacket.SerializableLayer
	if src.Is4() {
		v4 := &layers.IPv4{Version: 4, IHL: 5, TTL: s.TTL, Protocol: layers.IPProtocolTCP, Flags: layers.IPv4DontFragment, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		network, ip = v4, v4
	} else {
		v6 := &layers.IPv6{Version: 6, HopLimit: s.TTL, NextHeader: layers.IPProtocolTCP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		network, ip = v6, v6
		ether.EthernetType = layers.EthernetTypeIPv6
	}
	if err := segment.SetNetworkLayerForChecksum(network); err != nil {
		return nil, err
	}
	options := append([]byte(nil), s.Options...)
	for len(options)%4 != 0 {
		options = append(options, 0)
	}
	body := append(options, s.Payload...)
	buf := gopacket.NewSerializeBuffer()
	write := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, write, ether, ip, segment, gopacket.Payload(body)); err != nil {
		return nil, err
	}
	frame := append([]byte(nil), buf.Bytes()...)
	if len(options) > 0 {
		raiseOffset(frame, src.Is4(), len(options))
	}
	return frame, nil
}

// raiseOffset moves the border between header and payload behind the options,
// which were written as payload: gopacket would decode and re-encode them, and
// options that are broken on purpose must stay so. The checksum covers the
// offset field and is adjusted by RFC 1624.
func raiseOffset(frame []byte, v4 bool, options int) {
	tcp := frame[14+20:]
	if !v4 {
		tcp = frame[14+40:]
	}
	before := uint32(tcp[12])<<8 | uint32(tcp[13])
	tcp[12] += byte(options/4) << 4
	after := uint32(tcp[12])<<8 | uint32(tcp[13])
	sum := uint32(tcp[16])<<8 | uint32(tcp[17])
	sum = ^sum&0xffff + ^before&0xffff + after
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	sum = ^sum
	tcp[16], tcp[17] = byte(sum>>8), byte(sum)
}
