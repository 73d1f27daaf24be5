package capture

import (
	"encoding/binary"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// fragment is one piece of an IP packet of which other pieces exist.
type fragment struct {
	key      trainKey
	ip       int // where the IP packet begins in the frame
	more     int // offset of the two bytes that hold "more fragments" and the piece's place
	header   int // bytes of the packet before the pieces; IPv6 counts what its length field does
	from, to int // of the packet's payload
	last     bool
}

// trainKey is what the pieces of one packet have in common (RFC 791, RFC 8200
// §4.5).
type trainKey struct {
	addrs [32]byte
	id    uint32
	isIP6 bool
}

// train is a packet of which pieces have come.
type train struct {
	key   trainKey
	begun time.Time
	first []byte // the frame of the first piece, to its TCP header and a bit beyond
	ip    int
	more  int
	head  int                         // of fragment
	total int                         // payload of the whole packet; 0 as long as the last piece is missing
	have  [maxPayload / 64 / 8]uint64 // a bit for eight bytes
}

const (
	maxPayload = 1 << 16
	maxTrains  = 32
	// fragmentTime is how long a receiver waits for the missing pieces:
	// net.ipv4.ipfrag_time.
	fragmentTime = 30 * time.Second
	// firstKept is as much of a first piece as headers may take.
	firstKept = 512
)

// fragments puts IP packets together, as far as that takes to know how long
// the TCP segment within is. It holds the latest few packets of which pieces are
// missing.
type fragments struct {
	trains []train
	next   int // that is given up for another one
}

// enter takes a fragment. With the last one missing, whichever that is, it
// reads the segment into seg: from then on a receiver has it.
func (f *fragments) enter(p *Packet, at int, seg *tcp.Segment) Skip {
	var piece fragment
	if skip := piece.parse(p.Data, at); skip != Taken {
		return skip
	}
	if piece.from >= piece.to || piece.to > maxPayload || !piece.last && (piece.to-piece.from)%8 != 0 {
		return Malformed
	}
	t := f.train(piece.key, p.Time)
	if piece.from == 0 {
		t.first = append(t.first[:0], p.Data[:min(len(p.Data), firstKept)]...)
		t.ip, t.more, t.head = piece.ip, piece.more, piece.header
	}
	if piece.last {
		t.total = piece.to
	}
	for unit := piece.from / 8; unit < (piece.to+7)/8; unit++ {
		t.have[unit/64] |= 1 << (unit % 64)
	}
	if !t.whole() {
		return Fragment
	}
	t.key = trainKey{}
	frame := t.first
	binary.BigEndian.PutUint16(frame[t.more:], 0)
	if length := t.head + t.total; length > 0xffff {
		return Malformed
	} else if piece.key.isIP6 {
		binary.BigEndian.PutUint16(frame[t.ip+4:], uint16(length))
	} else {
		binary.BigEndian.PutUint16(frame[t.ip+2:], uint16(length))
	}
	if err := seg.ParseIP(frame, t.ip, len(frame)); err != nil {
		return Malformed
	}
	seg.Fragment = true
	return Taken
}

// train finds the packet that a piece belongs to, or begins it.
func (f *fragments) train(key trainKey, now time.Time) *train {
	for i := range f.trains {
		if t := &f.trains[i]; t.key == key {
			if now.Sub(t.begun) > fragmentTime {
				*t = train{key: key, begun: now, first: t.first[:0]}
			}
			return t
		}
	}
	if len(f.trains) < maxTrains {
		f.trains = append(f.trains, train{key: key, begun: now})
		return &f.trains[len(f.trains)-1]
	}
	t := &f.trains[f.next]
	f.next = (f.next + 1) % maxTrains
	*t = train{key: key, begun: now, first: t.first[:0]}
	return t
}

// whole tells whether every byte has come.
func (t *train) whole() bool {
	if t.total == 0 || len(t.first) == 0 {
		return false
	}
	for unit := range (t.total + 7) / 8 {
		if t.have[unit/64]&(1<<(unit%64)) == 0 {
			return false
		}
	}
	return true
}

// parse reads where a fragment of a TCP segment belongs.
func (f *fragment) parse(data []byte, at int) Skip {
	f.ip = at
	p := data[at:]
	if p[0]>>4 == 6 {
		return f.parseIPv6(p)
	}
	header, total := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	f.more, f.header = at+6, header
	copy(f.key.addrs[:], p[12:20])
	f.key.id = uint32(binary.BigEndian.Uint16(p[4:]))
	place := binary.BigEndian.Uint16(p[6:])
	f.from = int(place&0x1fff) * 8
	f.to = f.from + total - header
	f.last = place&0x2000 == 0
	return ofTCP(p[9])
}

// ofTCP looks at the protocol, which stands in every piece.
func ofTCP(proto byte) Skip {
	if proto != 6 {
		return NotTCP
	}
	return Taken
}

func (f *fragment) parseIPv6(p []byte) Skip {
	f.key.isIP6 = true
	copy(f.key.addrs[:], p[8:40])
	payload := int(binary.BigEndian.Uint16(p[4:]))
	next, off := p[6], 40
	for next == 0 || next == 43 || next == 60 { // hop-by-hop, routing, destination
		if len(p) < off+8 {
			return Malformed
		}
		next, off = p[off], off+(int(p[off+1])+1)*8
	}
	if next != 44 || len(p) < off+8 {
		return Malformed
	}
	place := binary.BigEndian.Uint16(p[off+2:])
	f.more, f.header = f.ip+off+2, off+8-40
	f.key.id = binary.BigEndian.Uint32(p[off+4:])
	f.from = int(place &^ 7)
	f.to = f.from + payload - f.header
	f.last = place&1 == 0
	return ofTCP(p[off])
}
