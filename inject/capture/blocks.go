package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Block types that are read but never written.
const (
	blockObsoletePacket = 2
	blockSimplePacket   = 3
)

const (
	ifTSOffset = 14
	pbFlags    = 2
)

// maxSources bounds what the interfaces of a hostile file may take.
const maxSources = 1 << 16

// maxComments bounds the comments of one packet.
const maxComments = 64

// onWire is the length of a packet, of which a careless writer may say less
// than it kept.
func onWire(kept, length uint32) int { return int(min(max(kept, length), math.MaxInt32)) }

// nextBlock reads blocks of a pcapng file up to and with the next packet.
func (c *Reader) nextBlock() error {
	for {
		c.at = c.in.offset()
		head, err := c.in.peek(8)
		if err != nil {
			return between(head, err)
		}
		if binary.BigEndian.Uint32(head) == blockSection {
			if err := c.section(); err != nil {
				return err
			}
			continue
		}
		kind, length := c.order.Uint32(head), c.order.Uint32(head[4:])
		if length < 12 || length%4 != 0 {
			return fmt.Errorf("a block of %d bytes: the length must be a multiple of 4, and 12 or more", length)
		}
		switch kind {
		case blockInterface, blockPacket, blockSimplePacket, blockObsoletePacket:
		default:
			if err := c.skipBlock(length); err != nil {
				return err
			}
			continue
		}
		body, err := c.block(length)
		if err != nil {
			return err
		}
		switch kind {
		case blockInterface:
			err = c.declare(body)
		case blockPacket:
			return c.enhanced(body)
		case blockSimplePacket:
			return c.simple(body)
		case blockObsoletePacket:
			return c.obsolete(body)
		}
		if err != nil {
			return err
		}
	}
}

// block takes a block and gives what stands between its lengths.
func (c *Reader) block(length uint32) ([]byte, error) {
	if length > maxBlock {
		return nil, fmt.Errorf("a block of %d bytes: no capture holds one of more than %d, the file is damaged", length, maxBlock)
	}
	block, err := c.in.take(int(length))
	if err != nil {
		return nil, cut(err)
	}
	return block[8 : length-4], c.closing(block[length-4:], length)
}

// closing compares the length at the end of a block with that at its beginning.
func (c *Reader) closing(end []byte, length uint32) error {
	if again := c.order.Uint32(end); again != length {
		return fmt.Errorf("a block is %d bytes long by its beginning and %d by its end", length, again)
	}
	return nil
}

// skipBlock passes over a block of whatever length: names, statistics, keys.
func (c *Reader) skipBlock(length uint32) error {
	if err := c.in.skip(int64(length) - 4); err != nil {
		return cut(err)
	}
	end, err := c.in.take(4)
	if err != nil {
		return cut(err)
	}
	return c.closing(end, length)
}

// section begins a section: its byte order is its own, and its interfaces are
// numbered anew.
func (c *Reader) section() error {
	head, err := c.in.peek(12)
	if err != nil {
		return between(head, err)
	}
	switch {
	case binary.LittleEndian.Uint32(head[8:]) == byteOrder:
		c.order = binary.LittleEndian
	case binary.BigEndian.Uint32(head[8:]) == byteOrder:
		c.order = binary.BigEndian
	default:
		return fmt.Errorf("a section whose byte-order magic is %x", head[8:12])
	}
	length := c.order.Uint32(head[4:])
	if length < 28 || length%4 != 0 {
		return fmt.Errorf("a section header of %d bytes: the length must be a multiple of 4, and 28 or more", length)
	}
	body, err := c.block(length)
	if err != nil {
		return err
	}
	if major := c.order.Uint16(body[4:]); major != 1 {
		return fmt.Errorf("pcapng version %d.%d, want 1.0", major, c.order.Uint16(body[6:]))
	}
	c.first = len(c.sources)
	c.comment = ""
	return c.options(body[16:], func(code uint16, value []byte) error {
		if code == optComment && c.comment == "" {
			c.comment = string(value)
		}
		return nil
	})
}

// declare reads an interface description.
func (c *Reader) declare(body []byte) error {
	if len(body) < 8 {
		return errors.New("an interface description without its fixed fields")
	}
	if len(c.sources) == maxSources {
		return fmt.Errorf("more than %d interfaces", maxSources)
	}
	s := Source{
		Link: LinkType(c.order.Uint16(body)), SnapLen: snapLen(c.order.Uint32(body[4:])),
		ticks: 1e6,
	}
	err := c.options(body[8:], func(code uint16, value []byte) error {
		switch {
		case code == ifName:
			s.Name = string(value)
		case code == ifDescription:
			s.Description = string(value)
		case code == ifTSResol && len(value) == 1:
			s.ticks = perSecond(value[0])
			if s.ticks == 0 {
				return fmt.Errorf("interface %d has a time resolution (if_tsresol %#02x) that no clock has", len(c.sources)-c.first, value[0])
			}
		case code == ifTSOffset && len(value) == 8:
			s.offset = int64(c.order.Uint64(value))
		case code == ifTSResol || code == ifTSOffset:
			return fmt.Errorf("option %d of interface %d has %d bytes", code, len(c.sources)-c.first, len(value))
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Tick = max(1, time.Duration(uint64(time.Second)/s.ticks))
	c.sources = append(c.sources, s)
	return nil
}

// perSecond is how many ticks of an if_tsresol a second has: a power of ten, or
// with the highest bit set one of two. It is 0 where they do not fit 64 bits.
func perSecond(resolution byte) uint64 {
	n := int(resolution & 0x7f)
	if resolution&0x80 != 0 {
		if n > 63 {
			return 0
		}
		return 1 << n
	}
	if n > 19 {
		return 0
	}
	ticks := uint64(1)
	for range n {
		ticks *= 10
	}
	return ticks
}

// at is a time of this source.
func (s *Source) at(ticks uint64) time.Time {
	var nanoseconds uint64
	seconds, rest := ticks/s.ticks, ticks%s.ticks
	if high, low := bits.Mul64(rest, uint64(time.Second)); high == 0 {
		nanoseconds = low / s.ticks
	} else {
		nanoseconds, _ = bits.Div64(high, low, s.ticks) // rest < ticks, so it fits
	}
	return time.Unix(int64(seconds)+s.offset, int64(nanoseconds)).UTC()
}

// source finds the interface of a packet by its number in the section.
func (c *Reader) source(number uint32) (*Source, error) {
	if n := len(c.sources) - c.first; int64(number) >= int64(n) {
		return nil, fmt.Errorf("a packet of interface %d, the section has described %d", number, n)
	}
	c.packet.Interface = c.first + int(number)
	return &c.sources[c.packet.Interface], nil
}

// enhanced reads an enhanced packet block.
func (c *Reader) enhanced(body []byte) error {
	if len(body) < 20 {
		return errors.New("a packet block without its fixed fields")
	}
	s, err := c.source(c.order.Uint32(body))
	if err != nil {
		return err
	}
	return c.stamped(s, body[4:], epbFlags)
}

// obsolete reads a packet block as the first drafts had it.
func (c *Reader) obsolete(body []byte) error {
	if len(body) < 20 {
		return errors.New("a packet block without its fixed fields")
	}
	s, err := c.source(uint32(c.order.Uint16(body)))
	if err != nil {
		return err
	}
	return c.stamped(s, body[4:], pbFlags)
}

// stamped reads what both blocks have behind their interface: time, lengths,
// data and options.
func (c *Reader) stamped(s *Source, body []byte, flags uint16) error {
	p := &c.packet
	p.Time = s.at(uint64(c.order.Uint32(body))<<32 | uint64(c.order.Uint32(body[4:])))
	kept, length := c.order.Uint32(body[8:]), c.order.Uint32(body[12:])
	rest := body[16:]
	if int64(kept) > int64(len(rest)) {
		return fmt.Errorf("a packet of %d bytes in a block that has room for %d", kept, len(rest))
	}
	p.Data, rest = rest[:kept], rest[kept:]
	p.Length = onWire(kept, length)
	p.Direction, p.Comments = Unknown, p.Comments[:0]
	padding := int(-kept & 3)
	if len(rest) <= padding {
		return nil
	}
	return c.options(rest[padding:], func(code uint16, value []byte) error {
		switch {
		case code == optComment && len(p.Comments) < maxComments:
			p.Comments = append(p.Comments, string(value))
		case code == flags && len(value) == 4:
			if d := Direction(c.order.Uint32(value) & 3); d <= Outbound {
				p.Direction = d
			}
		}
		return nil
	})
}

// simple reads a packet that has neither time nor options; its interface is
// the section's first.
func (c *Reader) simple(body []byte) error {
	if len(body) < 4 {
		return errors.New("a packet block without its fixed fields")
	}
	s, err := c.source(0)
	if err != nil {
		return err
	}
	length := c.order.Uint32(body)
	kept := int64(length)
	if s.SnapLen > 0 {
		kept = min(kept, int64(s.SnapLen))
	}
	if room := int64(len(body) - 4); kept > room {
		return fmt.Errorf("a packet of %d bytes in a block that has room for %d", kept, room)
	}
	c.packet = Packet{
		Interface: c.packet.Interface, Data: body[4 : 4+kept], Length: onWire(uint32(kept), length), Comments: c.packet.Comments[:0],
	}
	return nil
}

// options calls use for each option of a list.
func (c *Reader) options(list []byte, use func(code uint16, value []byte) error) error {
	for len(list) >= 4 {
		code, length := c.order.Uint16(list), int(c.order.Uint16(list[2:]))
		if code == optEnd {
			return nil
		}
		if list = list[4:]; length > len(list) {
			return fmt.Errorf("option %d of a block has %d bytes, of which %d are there", code, length, len(list))
		}
		if err := use(code, list[:length]); err != nil {
			return err
		}
		list = list[min((length+3)&^3, len(list)):]
	}
	if len(list) > 0 {
		return fmt.Errorf("%d bytes behind the options of a block", len(list))
	}
	return nil
}
