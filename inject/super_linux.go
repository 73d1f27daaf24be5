package inject

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/inject/tcp"
)

// virtioHeader is the length of struct virtio_net_hdr, which PACKET_VNET_HDR
// puts before each frame.
const virtioHeader = 10

// finish does what the sending kernel left to hardware: it cuts a superframe
// into segments and completes checksums. It says false for a frame that is
// finished already, or is not TCP.
func finish(header, frame []byte) (frames [][]byte, ok bool) {
	if len(header) < virtioHeader {
		return nil, false
	}
	gso := header[1] &^ unix.VIRTIO_NET_HDR_GSO_ECN
	if header[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM == 0 && gso == unix.VIRTIO_NET_HDR_GSO_NONE {
		return nil, false
	}
	var s tcp.Segment
	if s.Parse(frame) != nil || s.ICMP != nil {
		return summed(header, frame)
	}
	size := int(binary.NativeEndian.Uint16(header[4:]))
	if gso == unix.VIRTIO_NET_HDR_GSO_NONE || size == 0 {
		size = max(s.Len, 1)
	}
	frames, err := s.Split(size)
	return frames, err == nil
}

// summed completes the checksum of what is not TCP, where the header says it
// begins and stands; the sum over the pseudo-header is in its place already.
func summed(header, frame []byte) ([][]byte, bool) {
	start := int(binary.NativeEndian.Uint16(header[6:]))
	at := start + int(binary.NativeEndian.Uint16(header[8:]))
	if header[0]&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM == 0 || at+2 > len(frame) {
		return nil, false
	}
	whole := slices.Clone(frame)
	tcp.CompleteChecksum(whole[start:], at-start)
	return [][]byte{whole}, true
}
