package tcp

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Split cuts a superframe, as a kernel hands it to a network card that
// segments by itself, into the frames that the card would send: size bytes of
// data each, with their own numbers, lengths and right checksums. PSH and FIN
// stay on the last, CWR on the first (RFC 3168 §6.1.2). A segment of no more
// than size bytes gives one frame.
func (s *Segment) Split(size int) ([][]byte, error) {
	if s.transport == 0 || s.ICMP != nil || s.end > len(s.Frame) || size <= 0 {
		return nil, errors.New("split superframe: it is not a whole TCP segment")
	}
	payload := s.Payload()
	var frames [][]byte
	for from := 0; from == 0 || from < len(payload); from += size {
		to := min(from+size, len(payload))
		frame := slices.Concat(s.Frame[:s.payload], payload[from:to])
		tcp := frame[s.transport:]
		binary.BigEndian.PutUint32(tcp[4:], uint32(s.Seq.Add(from)))
		flags := s.Flags
		if to < len(payload) {
			flags &^= FIN | PSH
		}
		if from > 0 {
			flags &^= CWR
		}
		binary.BigEndian.PutUint16(tcp[12:], binary.BigEndian.Uint16(tcp[12:])&^0x1ff|uint16(flags))
		if s.IsIPv6() {
			binary.BigEndian.PutUint16(frame[s.ip+4:], uint16(len(frame)-s.ip-40))
		} else {
			binary.BigEndian.PutUint16(frame[s.ip+2:], uint16(len(frame)-s.ip))
			id := binary.BigEndian.Uint16(frame[s.ip+4:])
			binary.BigEndian.PutUint16(frame[s.ip+4:], id+uint16(from/size))
		}
		for len(frame) < 60 { // the shortest Ethernet frame
			frame = append(frame, 0)
		}
		var piece Segment
		if err := piece.ParseIP(frame, s.ip, len(frame)); err != nil {
			return nil, err
		}
		piece.FixChecksum()
		frames = append(frames, frame)
	}
	return frames, nil
}
