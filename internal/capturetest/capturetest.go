// Package capturetest generates captures to test and to measure with.
package capturetest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"

	"github.com/lastack/lastack/inject/tcp"
)

// Load is a capture of many connections side by side. The same load is the
// same file, to the byte.
type Load struct {
	// Packets is how many there are in all, at least 12 for a connection.
	Packets int
	// Connections is how many there are in all.
	Connections int
	// Open is how many of them are under way at a time; 0 means 500.
	Open int
}

// Issue is the load by which programs are compared: 300 MB.
var Issue = Load{Packets: 1_000_000, Connections: 57_000}

// Write writes the load as a pcap file of Ethernet frames, in microseconds: all
// programs read that. One connection in ten is over IPv6. Of twenty, thirteen
// close in four steps, four in three, one is reset, one is left half-closed and
// one is left open; one segment of data in fifty comes twice.
func (l Load) Write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<20)
	header := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	header = append(header, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0)
	if _, err := b.Write(header); err != nil {
		return fmt.Errorf("write load: %w", err)
	}
	open := l.Open
	if open == 0 {
		open = 500
	}
	g := generator{w: b, random: rand.New(rand.NewPCG(1, 2)), load: l, now: 1_767_323_045_000_000}
	talks := make([]*talk, 0, open)
	for g.begun < l.Connections || len(talks) > 0 {
		for len(talks) < open && g.begun < l.Connections {
			talks = append(talks, g.begin())
		}
		i := g.random.IntN(len(talks))
		g.now += 1 + g.random.Int64N(120)
		if err := g.packet(talks[i]); err != nil {
			return fmt.Errorf("write load: %w", err)
		}
		if talks[i].left == 0 {
			talks[i] = talks[len(talks)-1]
			talks = talks[:len(talks)-1]
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write load: %w", err)
	}
	return nil
}

type generator struct {
	w        *bufio.Writer
	random   *rand.Rand
	load     Load
	begun    int
	promised int   // packets of the connections that have begun
	now      int64 // microseconds
	record   [16]byte
}

// talk is a connection on its way.
type talk struct {
	ends  [2]netip.AddrPort
	next  [2]tcp.Seq
	step  int
	left  int // packets
	end   int // which of the endings
	last  tcp.Header
	stamp uint32
}

// The endings, by how many packets they take.
const (
	fourWay  = 4
	threeWay = 3
	half     = 2
	reset    = 1
	none     = 0
)

func (g *generator) begin() *talk {
	i := g.begun
	g.begun++
	left := g.load.Packets - g.promised
	n := left
	if rest := g.load.Connections - i; rest > 1 {
		n = left / rest
		n += g.random.IntN(9) - 4
		n = max(n, 12)
	}
	g.promised += n
	t := &talk{left: n, next: [2]tcp.Seq{tcp.Seq(g.random.Uint32()), tcp.Seq(g.random.Uint32())}}
	client, server := uint32(i)*2654435761>>8, uint32(i)%7
	port := uint16(1024 + i%60000)
	if i%10 == 0 {
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(server + 1)}
		b := [16]byte{0x20, 0x01, 0x0d, 0xb8, 4: 1}
		binary.BigEndian.PutUint32(b[12:], client)
		t.ends = [2]netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom16(b), port), netip.AddrPortFrom(netip.AddrFrom16(a), 443)}
	} else {
		b := [4]byte{10, byte(client >> 16), byte(client >> 8), byte(client)}
		t.ends = [2]netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4(b), port), netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(server + 1)}), 443)}
	}
	switch k := i % 20; {
	case k < 13:
		t.end = fourWay
	case k < 17:
		t.end = threeWay
	case k < 18:
		t.end = half
	case k < 19:
		t.end = reset
	default:
		t.end = none
	}
	return t
}

// packet writes the next packet of a connection.
func (g *generator) packet(t *talk) error {
	var err error
	switch step := t.step; {
	case step == 0:
		err = g.send(t, 0, tcp.SYN, 0)
	case step == 1:
		err = g.send(t, 1, tcp.SYN|tcp.ACK, 0)
	case step == 2:
		err = g.send(t, 0, tcp.ACK, 0)
	case step == 3:
		err = g.send(t, 0, tcp.PSH|tcp.ACK, 100+g.random.IntN(200))
	case t.left > t.end:
		switch {
		case step%3 == 0:
			err = g.send(t, 0, tcp.ACK, 0)
		case t.last.Payload != nil && g.random.IntN(50) == 0:
			err = g.write(t, t.last)
		default:
			err = g.send(t, 1, tcp.ACK, 80+g.random.IntN(860))
		}
	case t.end == reset:
		err = g.send(t, 1, tcp.RST|tcp.ACK, 0)
	case t.left == 1 && t.end == fourWay, t.left == 1 && t.end == threeWay:
		err = g.send(t, 0, tcp.ACK, 0)
	case t.left == t.end:
		err = g.send(t, 0, tcp.FIN|tcp.ACK, 0)
	case t.left == 3 || t.end == half:
		err = g.send(t, 1, tcp.ACK, 0)
	default:
		err = g.send(t, 1, tcp.FIN|tcp.ACK, 0)
	}
	t.step++
	t.left--
	return err
}

// payload is what all connections carry.
var payload = make([]byte, 1500)

func (g *generator) send(t *talk, from int, flags tcp.Flags, n int) error {
	t.stamp++
	h := tcp.Header{
		Src: t.ends[from], Dst: t.ends[1-from], Seq: t.next[from], Flags: flags, Window: 502,
		Options: []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1},
	}
	binary.BigEndian.PutUint32(h.Options[4:], t.stamp)
	if flags.Has(tcp.SYN) {
		h.Options = append([]byte{2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7}, h.Options[2:]...)
		h.Window = 64240
	}
	if flags.Has(tcp.ACK) {
		h.Ack = t.next[1-from]
	}
	h.Payload = payload[:n]
	t.next[from] = t.next[from].Add(n)
	if flags&(tcp.SYN|tcp.FIN) != 0 {
		t.next[from]++
	}
	if n > 0 && from == 1 {
		t.last = h
	}
	return g.write(t, h)
}

func (g *generator) write(t *talk, h tcp.Header) error {
	frame, err := h.Frame()
	if err != nil {
		return err
	}
	r := g.record[:]
	binary.LittleEndian.PutUint32(r, uint32(g.now/1e6))
	binary.LittleEndian.PutUint32(r[4:], uint32(g.now%1e6))
	binary.LittleEndian.PutUint32(r[8:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(r[12:], uint32(len(frame)))
	if _, err := g.w.Write(r); err != nil {
		return err
	}
	_, err = g.w.Write(frame)
	return err
}
