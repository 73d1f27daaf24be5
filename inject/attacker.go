package inject

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"os"

	"golang.org/x/net/ipv4"

	"github.com/lastack/lastack/inject/tcp"
)

// Attacker sends from off the path: it sees no packet of the others, and has
// nothing but raw IP sockets of its own host. Over IPv4 these are
// golang.org/x/net/ipv4's RawConn; over IPv6, which has no such thing, an
// IPPROTO_RAW socket on which it writes the header too. It is not safe for
// concurrent use; whoever made it closes it.
type Attacker struct {
	v4 *ipv4.RawConn
	v6 net.PacketConn
}

// NewAttacker takes over two open raw sockets: one of "ip4:tcp" and one of
// IPPROTO_RAW over IPv6.
func NewAttacker(v4, v6 *os.File) (*Attacker, error) {
	defer v4.Close()
	defer v6.Close()
	four, err := net.FilePacketConn(v4)
	if err != nil {
		return nil, fmt.Errorf("make attacker: %w", err)
	}
	raw, err := ipv4.NewRawConn(four)
	if err != nil {
		four.Close()
		return nil, fmt.Errorf("make attacker: %w", err)
	}
	six, err := net.FilePacketConn(v6)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("make attacker: %w", err)
	}
	return &Attacker{v4: raw, v6: six}, nil
}

// Close closes both sockets.
func (a *Attacker) Close() error { return errors.Join(a.v4.Close(), a.v6.Close()) }

// Send sends one segment with whatever source it claims. Ethernet addresses
// are the host's own: the kernel's routes decide.
func (a *Attacker) Send(h tcp.Header) error {
	_, err := a.Sweep(h, func(yield func(tcp.Seq) bool) { yield(h.Seq) })
	return err
}

// batch is how many packets one system call sends.
const batch = 64

// Sweep sends the segment once for each sequence number, many with one system
// call, and returns how many were sent.
func (a *Attacker) Sweep(h tcp.Header, numbers iter.Seq[tcp.Seq]) (sent int, err error) {
	dst := &net.IPAddr{IP: h.Dst.Addr().AsSlice()}
	var packets [][]byte
	for n := range numbers {
		h.Seq = n
		frame, err := h.Packet()
		if err != nil {
			return sent, fmt.Errorf("attack: %w", err)
		}
		packets = append(packets, frame)
		if len(packets) < batch {
			continue
		}
		n, err := a.write(packets, dst)
		if sent += n; err != nil {
			return sent, err
		}
		packets = packets[:0]
	}
	n, err := a.write(packets, dst)
	return sent + n, err
}

func (a *Attacker) write(packets [][]byte, dst *net.IPAddr) (sent int, err error) {
	if dst.IP.To4() == nil {
		for _, p := range packets {
			if _, err := a.v6.WriteTo(p, dst); err != nil {
				return sent, fmt.Errorf("attack: %w", err)
			}
			sent++
		}
		return sent, nil
	}
	messages := make([]ipv4.Message, len(packets))
	for i, p := range packets {
		messages[i] = ipv4.Message{Buffers: [][]byte{p}, Addr: dst}
	}
	for sent < len(messages) { // the kernel may take fewer at once
		n, err := a.v4.WriteBatch(messages[sent:], 0)
		if err != nil {
			return sent, fmt.Errorf("attack: %w", err)
		}
		sent += n
	}
	return sent, nil
}
