package tcp

import "encoding/binary"

// ChecksumOK reports whether the TCP checksum over the pseudo-header is right
// (RFC 9293 §3.1). A frame that a capture cut short, or an ICMP error, is not
// judged and counts as right.
func (s *Segment) ChecksumOK() bool {
	if s.ICMP != nil || s.transport == 0 || s.end > len(s.Frame) {
		return true
	}
	return s.checksum() == 0
}

// FixChecksum writes the TCP checksum that the segment's bytes ask for, and
// the IPv4 header's.
func (s *Segment) FixChecksum() {
	if s.transport == 0 || s.ICMP != nil || s.end > len(s.Frame) {
		return
	}
	if !s.IsIPv6() {
		header := s.Frame[s.ip:s.transport]
		header[10], header[11] = 0, 0
		binary.BigEndian.PutUint16(header[10:], ^fold(sum(0, header)))
	}
	field := s.Frame[s.transport+16:]
	field[0], field[1] = 0, 0
	binary.BigEndian.PutUint16(field, s.checksum())
}

// CompleteChecksum finishes an Internet checksum at offset at of body that was
// left at the sum over its pseudo-header (RFC 1071).
func CompleteChecksum(body []byte, at int) {
	total := ^fold(sum(0, body))
	if total == 0 {
		total = 0xffff // UDP's 0 means that there is none
	}
	binary.BigEndian.PutUint16(body[at:], total)
}

func (s *Segment) checksum() uint16 {
	body := s.Frame[s.transport:s.end]
	src, dst := s.Src.Addr().AsSlice(), s.Dst.Addr().AsSlice()
	total := sum(uint64(protoTCP)+uint64(len(body)), src)
	total = sum(total, dst)
	return ^fold(sum(total, body))
}

// sum adds p as 16-bit words, big-endian; an odd last byte is padded with zero.
func sum(total uint64, p []byte) uint64 {
	for len(p) >= 2 {
		total += uint64(binary.BigEndian.Uint16(p))
		p = p[2:]
	}
	if len(p) == 1 {
		total += uint64(p[0]) << 8
	}
	return total
}

func fold(total uint64) uint16 {
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	return uint16(total)
}
