package tcp

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/lastack/lastack/inject/tcp/internal/codec"
)

// Header is what a segment is crafted from. The zero value of each field but
// the addresses works: a frame of TTL 64 with right lengths and checksums.
type Header struct {
	SrcMAC, DstMAC net.HardwareAddr
	Src, Dst       netip.AddrPort
	Seq, Ack       Seq
	Flags          Flags
	Window         uint16
	// Options are raw TCP options; they are padded to a multiple of four.
	Options []byte
	Payload []byte
	// TTL is IPv4's time to live or IPv6's hop limit; 0 means 64.
	TTL uint8
}

// Frame crafts the Ethernet frame. The error names what cannot be written:
// addresses of two families, or more options than a header holds (40 bytes).
func (h *Header) Frame() ([]byte, error) {
	ttl := h.TTL
	if ttl == 0 {
		ttl = 64
	}
	frame, err := codec.Frame(codec.Segment{
		SrcMAC: orZero(h.SrcMAC), DstMAC: orZero(h.DstMAC),
		Src: h.Src, Dst: h.Dst, Seq: uint32(h.Seq), Ack: uint32(h.Ack), Flags: uint16(h.Flags), Window: h.Window,
		Options: h.Options, Payload: h.Payload, TTL: ttl,
	})
	if err != nil {
		return nil, fmt.Errorf("craft segment: %w", err)
	}
	return frame, nil
}

// orZero is an Ethernet address for a frame of which only the packet counts.
func orZero(mac net.HardwareAddr) net.HardwareAddr {
	if mac == nil {
		return make(net.HardwareAddr, 6)
	}
	return mac
}

// Packet crafts the IP packet without Ethernet's header and padding, as raw
// sockets want it. Errors are those of Frame.
func (h *Header) Packet() ([]byte, error) {
	frame, err := h.Frame()
	if err != nil {
		return nil, err
	}
	var s Segment
	if err := s.Parse(frame); err != nil {
		return nil, fmt.Errorf("craft segment: %w", err)
	}
	return frame[s.ip:s.end], nil
}
