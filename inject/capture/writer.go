package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"
	"unicode/utf8"
)

// Direction says which way a packet went, as seen by the interface that its
// record stands on.
type Direction uint8

// The directions, with the numbers of epb_flags.
const (
	// Unknown leaves the direction out of the file.
	Unknown Direction = iota
	// Inbound: the interface received the packet.
	Inbound
	// Outbound: the interface sent it.
	Outbound
)

// String is the direction in a word.
func (d Direction) String() string {
	switch d {
	case Inbound:
		return "inbound"
	case Outbound:
		return "outbound"
	}
	return "unknown"
}

// Options describe the whole file. The zero value is valid; every field is
// optional.
type Options struct {
	// Hardware, OS and Application say what captured: shb_hardware, shb_os
	// and shb_userappl.
	Hardware    string
	OS          string
	Application string
	// Comment is shown by Wireshark among the properties of the file.
	Comment string
}

// Interface is a place at which packets were seen. Its link type is Ethernet
// and its timestamps count nanoseconds.
type Interface struct {
	// Name is the interface's name, as in Wireshark's frame.interface_name.
	Name string
	// Description says more about it. Optional.
	Description string
}

// Packet is one packet as it is written or was read.
type Packet struct {
	// Interface is a number that AddInterface gave, or an index into a reader's
	// Sources.
	Interface int
	// Time is when it was seen; the file keeps nanoseconds and UTC. It is zero
	// where a file that is read has none.
	Time time.Time
	// Data is the frame. A writer does not keep it; a reader's holds until the
	// next packet is read.
	Data []byte
	// Length is how long the packet was on the wire. A writer takes 0 for a
	// whole one; a reader always gives it.
	Length int
	// Direction is optional.
	Direction Direction
	// Comments are shown with the packet; empty ones are not written, one of
	// more than 65,535 bytes is cut, and no more than 64 are read.
	Comments []string
}

// Statistics are the counts of one interface at the end of a capture.
type Statistics struct {
	// Start and End are the first and the last moment of the capture; left
	// out where they are zero.
	Start, End time.Time
	// Received counts the packets that the interface saw, Dropped those that
	// it saw but could not keep.
	Received, Dropped uint64
}

// Writer writes one section of pcapng, little-endian on every machine, so
// that equal captures are equal files. It is not safe for concurrent use. It
// keeps no descriptor and needs no Close: whoever opened the file closes it.
type Writer struct {
	w          io.Writer
	buf        []byte // one block, reused
	interfaces int
	err        error // the first failed write: what follows a torn block is unreadable
}

// Block types and option codes of the format.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockStatistics = 5
	blockPacket     = 6

	optEnd     = 0
	optComment = 1

	shbHardware = 2
	shbOS       = 3
	shbUserAppl = 4

	ifName        = 2
	ifDescription = 3
	ifTSResol     = 9

	epbFlags = 2

	isbStart  = 2
	isbEnd    = 3
	isbIfRecv = 4
	isbIfDrop = 5

	byteOrder   = 0x1a2b3c4d
	nanoseconds = 9 // 10^-9 s
	maxOption   = math.MaxUint16
	maxBlock    = 1 << 24 // readers take larger blocks for damage

	// noTime is what a time that was not given is until it is written.
	noTime uint64 = math.MaxUint64
)

// NewWriter begins a file on w with its section header. Each later call makes
// exactly one Write on w.
func NewWriter(w io.Writer, o Options) (*Writer, error) {
	c := &Writer{w: w}
	c.begin(blockSection)
	c.u32(byteOrder)
	c.u16(1) // version 1.0
	c.u16(0)
	c.u64(math.MaxUint64) // the section's length is not known yet
	c.text(optComment, o.Comment)
	c.text(shbHardware, o.Hardware)
	c.text(shbOS, o.OS)
	c.text(shbUserAppl, o.Application)
	c.endOptions()
	if err := c.end(); err != nil {
		return nil, fmt.Errorf("write section header: %w", err)
	}
	return c, nil
}

// AddInterface declares an interface and returns its number, from 0. It may be
// called between packets.
func (c *Writer) AddInterface(i Interface) (int, error) {
	c.begin(blockInterface)
	c.u16(uint16(LinkEthernet))
	c.u16(0)
	c.u32(0) // no limit on the length of a packet
	c.text(ifName, i.Name)
	c.text(ifDescription, i.Description)
	c.option(ifTSResol, []byte{nanoseconds})
	c.endOptions()
	if err := c.end(); err != nil {
		return 0, fmt.Errorf("write interface %s: %w", i.Name, err)
	}
	c.interfaces++
	return c.interfaces - 1, nil
}

// WritePacket appends a packet. An error of the writer beneath is final: every
// later call returns it too. A packet that cannot be written (an interface
// that was not added, a time before 1970) is refused, and the file stays whole.
func (c *Writer) WritePacket(p Packet) error {
	if err := c.writePacket(p); err != nil {
		return fmt.Errorf("write packet: %w", err)
	}
	return nil
}

func (c *Writer) writePacket(p Packet) error {
	if err := c.known(p.Interface); err != nil {
		return err
	}
	at, err := stamp(p.Time)
	if err != nil {
		return err
	}
	if p.Direction > Outbound {
		return fmt.Errorf("direction %d is none", p.Direction)
	}
	if p.Length < 0 || int64(p.Length) > math.MaxUint32 || len(p.Data) > maxBlock {
		return fmt.Errorf("length %d, of which %d bytes are at hand, does not fit", p.Length, len(p.Data))
	}
	c.begin(blockPacket)
	c.u32(uint32(p.Interface))
	c.time(at)
	c.u32(uint32(len(p.Data)))
	c.u32(uint32(max(p.Length, len(p.Data))))
	c.buf = append(c.buf, p.Data...)
	c.pad()
	options := len(c.buf)
	for _, comment := range p.Comments {
		c.text(optComment, comment)
	}
	if p.Direction != Unknown {
		c.option(epbFlags, binary.LittleEndian.AppendUint32(nil, uint32(p.Direction)))
	}
	if len(c.buf) > options {
		c.endOptions()
	}
	if len(c.buf) > maxBlock-4 {
		return fmt.Errorf("%d bytes of data and %d comments are more than a block may have, %d bytes", len(p.Data), len(p.Comments), maxBlock)
	}
	return c.end()
}

// WriteStatistics appends the counts of an interface, as a capture does at its
// end. Errors are as with WritePacket.
func (c *Writer) WriteStatistics(number int, s Statistics) error {
	if err := c.writeStatistics(number, s); err != nil {
		return fmt.Errorf("write interface statistics: %w", err)
	}
	return nil
}

func (c *Writer) writeStatistics(number int, s Statistics) error {
	if err := c.known(number); err != nil {
		return err
	}
	start, end := noTime, noTime
	var err error
	if !s.Start.IsZero() {
		if start, err = stamp(s.Start); err != nil {
			return err
		}
	}
	if !s.End.IsZero() {
		if end, err = stamp(s.End); err != nil {
			return err
		}
	}
	c.begin(blockStatistics)
	c.u32(uint32(number))
	switch {
	case end != noTime:
		c.time(end)
	case start != noTime:
		c.time(start)
	default:
		c.time(0)
	}
	for _, moment := range []struct {
		code uint16
		at   uint64
	}{{isbStart, start}, {isbEnd, end}} {
		if moment.at != noTime {
			c.u16(moment.code)
			c.u16(8)
			c.time(moment.at)
		}
	}
	c.option(isbIfRecv, binary.LittleEndian.AppendUint64(nil, s.Received))
	c.option(isbIfDrop, binary.LittleEndian.AppendUint64(nil, s.Dropped))
	c.endOptions()
	return c.end()
}

func (c *Writer) known(number int) error {
	if number < 0 || number >= c.interfaces {
		return fmt.Errorf("interface %d was not added, the file has %d", number, c.interfaces)
	}
	return nil
}

// stamp is a time in the file's unit.
func stamp(t time.Time) (uint64, error) {
	if s := t.Unix(); s < 0 || s >= math.MaxInt64/int64(time.Second) {
		return 0, fmt.Errorf("time %s does not fit nanoseconds since 1970", t.Format(time.RFC3339))
	}
	return uint64(t.UnixNano()), nil
}

// begin starts a block; its length is filled in by end.
func (c *Writer) begin(kind uint32) {
	c.buf = c.buf[:0]
	c.u32(kind)
	c.u32(0)
}

// end closes the block with its length, which stands at both ends so that
// files can be read backwards, and writes it out.
func (c *Writer) end() error {
	if c.err != nil {
		return c.err
	}
	length := uint32(len(c.buf) + 4)
	binary.LittleEndian.PutUint32(c.buf[4:], length)
	c.u32(length)
	n, err := c.w.Write(c.buf)
	if err == nil && n < len(c.buf) {
		err = io.ErrShortWrite
	}
	c.err = err
	return err
}

func (c *Writer) u16(v uint16) { c.buf = binary.LittleEndian.AppendUint16(c.buf, v) }
func (c *Writer) u32(v uint32) { c.buf = binary.LittleEndian.AppendUint32(c.buf, v) }
func (c *Writer) u64(v uint64) { c.buf = binary.LittleEndian.AppendUint64(c.buf, v) }

// time writes a timestamp the way the format wants it: its upper half first,
// whatever the byte order.
func (c *Writer) time(ns uint64) {
	c.u32(uint32(ns >> 32))
	c.u32(uint32(ns))
}

// pad fills up to 32 bits.
func (c *Writer) pad() {
	for len(c.buf)%4 != 0 {
		c.buf = append(c.buf, 0)
	}
}

func (c *Writer) option(code uint16, value []byte) {
	c.u16(code)
	c.u16(uint16(len(value)))
	c.buf = append(c.buf, value...)
	c.pad()
}

// text writes an option of UTF-8, or nothing where it is empty.
func (c *Writer) text(code uint16, value string) {
	if value == "" {
		return
	}
	if len(value) > maxOption {
		cut := maxOption
		for cut > 0 && !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut]
	}
	c.option(code, []byte(value))
}

func (c *Writer) endOptions() { c.u32(optEnd) }
