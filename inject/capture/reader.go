package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Source is an interface as a capture file describes it. A pcap file has
// exactly one.
type Source struct {
	// Name and Description are empty where the file gives none, as in pcap.
	Name, Description string
	// Link is what the packets begin with.
	Link LinkType
	// SnapLen is how many bytes of a packet were kept at most; 0 where that was
	// not limited.
	SnapLen int
	// Tick is the resolution of the packets' times; 1 ns where the file's is
	// finer.
	Tick time.Duration

	ticks  uint64 // in a second
	offset int64  // seconds to add to a time
}

// Reader reads packets from pcap and pcapng files, compressed by gzip or not.
// It asks its source for no more than the next packet needs, so that a pipe is
// read as it is written. It holds one packet at a time, of at most maxBlock
// bytes. It is not safe for concurrent use, and closes nothing.
type Reader struct {
	in      input
	next    func() error // fills packet
	packet  Packet
	packets int   // that were read whole
	at      int64 // where the record that is being read begins
	sources []Source
	comment string
	order   binary.ByteOrder // of the section, or of the file
	swapped bool             // pcap: that is not little-endian
	first   int              // pcapng: the number of the section's first interface
	err     error
}

// The magic numbers at the beginning of a file, as they read in the order of
// the machine that wrote it.
const (
	magicMicroseconds = 0xa1b2c3d4
	magicNanoseconds  = 0xa1b23c4d
	magicModified     = 0xa1b2cd34 // an old libpcap's, with longer records
	magicGzip         = 0x1f8b
)

// NewReader reads the beginning of a capture. The error says what else it is
// that was found there.
func NewReader(r io.Reader) (*Reader, error) {
	c := &Reader{in: input{r: r}}
	if err := c.begin(); err != nil {
		return nil, fmt.Errorf("read capture: %w", err)
	}
	return c, nil
}

func (c *Reader) begin() error {
	head, err := c.in.peek(4)
	if len(head) >= 2 && binary.BigEndian.Uint16(head) == magicGzip {
		z, err := gzip.NewReader(bufio.NewReaderSize(c.in.rest(), inputSize))
		if err != nil {
			return fmt.Errorf("decompress: %w", err)
		}
		c.in = input{r: z}
		head, err = c.in.peek(4)
		if err != nil {
			return c.short(head, err)
		}
	}
	if err != nil {
		return c.short(head, err)
	}
	if binary.BigEndian.Uint32(head) == blockSection {
		c.next = c.nextBlock
		return c.section()
	}
	c.next = c.nextRecord
	return c.fileHeader(head)
}

// short is the error for a file that is too short to be a capture.
func (c *Reader) short(head []byte, err error) error {
	if errors.Is(err, io.EOF) {
		if len(head) == 0 {
			return errors.New("the file is empty")
		}
		return fmt.Errorf("the file ends after %d bytes: %w", len(head), io.ErrUnexpectedEOF)
	}
	return err
}

// Next reads the next packet. The packet and its bytes are the reader's and
// hold until the next call. The error is io.EOF at the end of a whole file. Any
// other says at which packet and byte it happened, and is returned from then
// on; it is io.ErrUnexpectedEOF (errors.Is) where the file ends within a
// packet.
func (c *Reader) Next() (*Packet, error) {
	if c.err != nil {
		return nil, c.err
	}
	if err := c.next(); err != nil {
		c.err = err
		if err != io.EOF {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("the file is cut: %w", io.ErrUnexpectedEOF)
			}
			plural := "s"
			if c.packets == 1 {
				plural = ""
			}
			c.err = fmt.Errorf("read capture: after %d packet%s, at byte %d: %w", c.packets, plural, c.at, err)
		}
		return nil, c.err
	}
	c.packets++
	return &c.packet, nil
}

// Sources lists the interfaces that were met so far. Packet.Interface is an
// index into it; the interfaces of a later section come after those of the
// ones before.
func (c *Reader) Sources() []Source { return c.sources }

// Comment is the comment of the section that is being read, which Wireshark
// shows among the properties of the file; empty where it has none.
func (c *Reader) Comment() string { return c.comment }

// fileHeader reads the header of a pcap file
// (draft-ietf-opsawg-pcap).
func (c *Reader) fileHeader(head []byte) error {
	tick := time.Microsecond
	switch little, big := binary.LittleEndian.Uint32(head), binary.BigEndian.Uint32(head); {
	case little == magicMicroseconds:
		c.order = binary.LittleEndian
	case big == magicMicroseconds:
		c.order = binary.BigEndian
	case little == magicNanoseconds:
		c.order, tick = binary.LittleEndian, time.Nanosecond
	case big == magicNanoseconds:
		c.order, tick = binary.BigEndian, time.Nanosecond
	case little == magicModified || big == magicModified:
		return errors.New("it is in the modified pcap format of an old libpcap: convert it with editcap -F pcapng")
	default:
		return fmt.Errorf("it begins with the bytes %x: neither pcap nor pcapng", head)
	}
	c.swapped = c.order == binary.BigEndian
	head, err := c.in.take(24)
	if err != nil {
		return c.short(head, err)
	}
	if major := c.order.Uint16(head[4:]); major != 2 {
		return fmt.Errorf("pcap version %d.%d, want 2.4", major, c.order.Uint16(head[6:]))
	}
	c.sources = []Source{{
		// What stands above the link type says how long a frame check sequence
		// is, which lies behind the IP packet as padding does.
		Link:    LinkType(c.order.Uint32(head[20:])),
		SnapLen: snapLen(c.order.Uint32(head[16:])),
		Tick:    tick, ticks: uint64(time.Second / tick),
	}}
	return nil
}

// snapLen is a limit as it stands in a file; what does not limit is 0.
func snapLen(n uint32) int {
	if n > maxBlock {
		return 0
	}
	return int(n)
}

// nextRecord reads a record of a pcap file.
func (c *Reader) nextRecord() error {
	c.at = c.in.offset()
	head, err := c.in.peek(16)
	if err != nil {
		return between(head, err)
	}
	kept, length := c.word(head[8:]), c.word(head[12:])
	if kept > maxBlock-16 {
		return fmt.Errorf("a packet of %d bytes: no capture holds more than %d, the file is damaged", kept, maxBlock)
	}
	record, err := c.in.take(16 + int(kept))
	if err != nil {
		return cut(err)
	}
	p := &c.packet
	seconds, fraction := int64(c.word(record)), int64(c.word(record[4:]))
	p.Time = time.Unix(seconds, fraction*int64(c.sources[0].Tick)).UTC()
	p.Data = record[16:]
	p.Length = onWire(kept, length)
	return nil
}

// word is a number of a record, without the call through an interface that order
// costs.
func (c *Reader) word(p []byte) uint32 {
	if c.swapped {
		return binary.BigEndian.Uint32(p)
	}
	return binary.LittleEndian.Uint32(p)
}

// cut makes of the end of the file the error that it is within a record.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// between is the error of reading the first bytes of a record: the end of the
// file is no error where nothing was begun.
func between(head []byte, err error) error {
	if len(head) == 0 {
		return err
	}
	return cut(err)
}

// inputSize is how much is asked for at once: what fits the processor's cache.
const inputSize = 1 << 18

// input is a buffer that gives out pieces of itself.
type input struct {
	r    io.Reader
	buf  []byte
	from int   // what was given out ends here
	to   int   // what was read ends here
	base int64 // offset of buf[0] in the file
}

// offset is where in the file the next byte stands.
func (in *input) offset() int64 { return in.base + int64(in.from) }

// peek gives n bytes without taking them, or as many as there are and the
// error, which is io.EOF at the end of the file. Memory grows with what really
// comes, never with what a file promises.
func (in *input) peek(n int) ([]byte, error) {
	for in.to-in.from < n {
		if err := in.fill(n); err != nil {
			return in.buf[in.from:in.to], err
		}
	}
	return in.buf[in.from : in.from+n], nil
}

// take is peek, and takes the bytes where all n are there.
func (in *input) take(n int) ([]byte, error) {
	p, err := in.peek(n)
	if err == nil {
		in.from += n
	}
	return p, err
}

// skip passes over n bytes, which need not fit the buffer.
func (in *input) skip(n int64) error {
	for n > 0 {
		if in.from == in.to {
			if err := in.fill(1); err != nil {
				return err
			}
		}
		step := int(min(n, int64(in.to-in.from)))
		in.from += step
		n -= int64(step)
	}
	return nil
}

// fill reads once, having made room where there is none for n bytes.
func (in *input) fill(n int) error {
	if len(in.buf)-in.from < n || in.to == len(in.buf) {
		buf := in.buf
		if in.to-in.from == len(buf) {
			buf = make([]byte, max(inputSize, 2*len(buf)))
		}
		copy(buf, in.buf[in.from:in.to])
		in.base += int64(in.from)
		in.buf, in.from, in.to = buf, 0, in.to-in.from
	}
	for range 100 {
		got, err := in.r.Read(in.buf[in.to:])
		in.to += got
		if got > 0 {
			return nil // an error that came along comes again
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// rest reads what was not taken yet.
func (in *input) rest() io.Reader {
	return io.MultiReader(bytes.NewReader(in.buf[in.from:in.to]), in.r)
}
