package tcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Edit changes a segment's bytes. What it does not name stays as it is, to the
// last reserved bit: fixed fields are patched in place, and the checksum by the
// difference (RFC 1624), so that one that was wrong stays wrong. The zero value
// changes nothing.
type Edit struct {
	Seq, Ack         *Seq
	Flags            *Flags
	Window           *uint16
	Urgent           *uint16
	SrcPort, DstPort *uint16
	TTL              *uint8
	// TSVal and TSEcr change the timestamps option, which must be there.
	TSVal, TSEcr *uint32
	// Options replaces all options where it is not nil; it is padded to a
	// multiple of four. An empty one strips them.
	Options []byte
	// Payload replaces the data where it is not nil.
	Payload []byte
	// BadChecksum makes the TCP checksum wrong by one bit, last.
	BadChecksum bool
}

// Apply returns the changed frame; the segment's own bytes are not touched.
func (e *Edit) Apply(s *Segment) ([]byte, error) {
	if s.transport == 0 || s.ICMP != nil || s.end > len(s.Frame) {
		return nil, errors.New("edit segment: it is not a whole TCP segment")
	}
	frame := slices.Clone(s.Frame)
	p := &patch{frame: frame, transport: s.transport, checksum: s.transport + 16}
	e.ports(p)
	put := func(at int, v *Seq) {
		if v != nil {
			p.put32(at, uint32(*v))
		}
	}
	put(4, e.Seq)
	put(8, e.Ack)
	if e.Flags != nil {
		keep := binary.BigEndian.Uint16(frame[s.transport+12:]) &^ 0x1ff
		p.put16(12, keep|uint16(*e.Flags))
	}
	if e.Window != nil {
		p.put16(14, *e.Window)
	}
	if e.Urgent != nil {
		p.put16(18, *e.Urgent)
	}
	if e.TTL != nil {
		e.ttl(s, frame)
	}
	if err := e.timestamps(s, p); err != nil {
		return nil, err
	}
	if e.Options != nil || e.Payload != nil {
		var err error
		if frame, err = e.resize(s, frame); err != nil {
			return nil, err
		}
	}
	if e.BadChecksum {
		frame[s.transport+17] ^= 1
	}
	return frame, nil
}

func (e *Edit) ports(p *patch) {
	if e.SrcPort != nil {
		p.put16(0, *e.SrcPort)
	}
	if e.DstPort != nil {
		p.put16(2, *e.DstPort)
	}
}

// ttl is outside what the TCP checksum covers; IPv4's own header checksum is.
func (e *Edit) ttl(s *Segment, frame []byte) {
	if s.IsIPv6() {
		frame[s.ip+7] = *e.TTL
		return
	}
	ip := &patch{frame: frame, transport: s.ip, checksum: s.ip + 10}
	ip.put16(8, uint16(*e.TTL)<<8|uint16(frame[s.ip+9]))
}

func (e *Edit) timestamps(s *Segment, p *patch) error {
	if e.TSVal == nil && e.TSEcr == nil {
		return nil
	}
	at := optionAt(s.Frame[s.transport+20:s.payload], 8, 10)
	if at < 0 {
		return errors.New("edit segment: it has no timestamps")
	}
	if e.TSVal != nil {
		p.put32(20+at+2, *e.TSVal)
	}
	if e.TSEcr != nil {
		p.put32(20+at+6, *e.TSEcr)
	}
	return nil
}

// optionAt finds an option by its kind and length; -1 where it is not there.
func optionAt(options []byte, kind, length byte) int {
	for i := 0; i < len(options); {
		switch {
		case options[i] == 0:
			return -1
		case options[i] == 1:
			i++
			continue
		case i+1 >= len(options) || options[i+1] < 2 || i+int(options[i+1]) > len(options):
			return -1
		case options[i] == kind && options[i+1] == length:
			return i
		}
		i += int(options[i+1])
	}
	return -1
}

// resize lays options and payload anew, for which lengths and checksums are
// made anew too.
func (e *Edit) resize(s *Segment, frame []byte) ([]byte, error) {
	options := frame[s.transport+20 : s.payload]
	if e.Options != nil {
		options = slices.Clone(e.Options)
		for len(options)%4 != 0 {
			options = append(options, 0)
		}
		if len(options) > 40 {
			return nil, fmt.Errorf("edit segment: %d bytes of options, a header holds 40", len(options))
		}
	}
	payload := frame[s.payload:s.end]
	if e.Payload != nil {
		payload = e.Payload
	}
	out := slices.Concat(frame[:s.transport+20], options, payload)
	out[s.transport+12] = byte(20+len(options))<<2 | out[s.transport+12]&0x0f
	end := len(out)
	for len(out) < 60 { // the shortest Ethernet frame
		out = append(out, 0)
	}
	if s.IsIPv6() {
		binary.BigEndian.PutUint16(out[s.ip+4:], uint16(end-s.ip-40))
	} else {
		binary.BigEndian.PutUint16(out[s.ip+2:], uint16(end-s.ip))
	}
	var again Segment
	if err := again.ParseIP(out, s.ip, len(out)); err != nil {
		return nil, fmt.Errorf("edit segment: %w", err)
	}
	again.FixChecksum()
	return out, nil
}

// patch changes fields at even offsets of a header that a checksum covers.
type patch struct {
	frame     []byte
	transport int
	checksum  int
}

func (p *patch) put16(at int, v uint16) {
	field := p.frame[p.transport+at:]
	p.adjust(binary.BigEndian.Uint16(field), v)
	binary.BigEndian.PutUint16(field, v)
}

// put32 writes a number that may begin at an odd offset, as options may.
func (p *patch) put32(at int, v uint32) {
	for i := range 4 {
		b := byte(v >> (24 - 8*i))
		field := &p.frame[p.transport+at+i]
		if (at+i)%2 == 0 {
			p.adjust(uint16(*field)<<8, uint16(b)<<8)
		} else {
			p.adjust(uint16(*field), uint16(b))
		}
		*field = b
	}
}

// adjust is RFC 1624's equation 3: HC' = ~(~HC + ~m + m').
func (p *patch) adjust(before, after uint16) {
	field := p.frame[p.checksum:]
	total := uint64(^binary.BigEndian.Uint16(field)) + uint64(^before) + uint64(after)
	binary.BigEndian.PutUint16(field, ^fold(total))
}
