package flow

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
)

// pairs finds a connection by its two ends, in either direction. It is a hash
// table of what is kept anyway, as there is a search for every segment: the
// connections themselves are the chains. The hash is seeded, so that no capture
// can be made to have all its connections in one chain.
type pairs struct {
	seed   [3]uint64
	chains []*Conn // a power of two
	n      int
}

func newPairs() pairs {
	return pairs{seed: [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()}, chains: make([]*Conn, 16)}
}

// hash is the same for both directions.
func (p *pairs) hash(a, b netip.AddrPort) uint64 {
	if a.Addr().Is4() && b.Addr().Is4() {
		return p.end4(a) + p.end4(b)
	}
	return p.end(a) + p.end(b)
}

func (p *pairs) end4(a netip.AddrPort) uint64 {
	addr := a.Addr().As4()
	high, low := bits.Mul64(uint64(binary.LittleEndian.Uint32(addr[:]))<<16^uint64(a.Port())^p.seed[0], p.seed[2])
	return high ^ low
}

func (p *pairs) end(a netip.AddrPort) uint64 {
	addr := a.Addr().As16()
	high, low := bits.Mul64(binary.LittleEndian.Uint64(addr[:])^p.seed[0], binary.LittleEndian.Uint64(addr[8:])^p.seed[1])
	high, low = bits.Mul64(high^low^uint64(a.Port()), p.seed[2])
	return high ^ low
}

func (p *pairs) chain(hash uint64) **Conn { return &p.chains[hash&uint64(len(p.chains)-1)] }

// find gives the connection between two ends, and the index of a's; nil where
// there is none.
func (p *pairs) find(a, b netip.AddrPort) (*Conn, int) {
	hash := p.hash(a, b)
	for c := *p.chain(hash); c != nil; c = c.next {
		if c.hash != hash {
			continue
		}
		switch {
		case c.ends[0].Addr == a && c.ends[1].Addr == b:
			return c, 0
		case c.ends[1].Addr == a && c.ends[0].Addr == b:
			return c, 1
		}
	}
	return nil, 0
}

// Hash is that of the connection's two ends: the same for each incarnation,
// whoever opened it, and another in each tracker, so that no capture can be made
// to have many that are alike.
func (c *Conn) Hash() uint64 { return c.hash }

// add enters a connection between whose ends there is none.
func (p *pairs) add(c *Conn) {
	if p.n == len(p.chains) {
		old := p.chains
		p.chains = make([]*Conn, 2*len(old))
		for _, c := range old {
			for c != nil {
				next := c.next
				p.link(c)
				c = next
			}
		}
	}
	c.hash = p.hash(c.ends[0].Addr, c.ends[1].Addr)
	p.link(c)
	p.n++
}

func (p *pairs) link(c *Conn) {
	chain := p.chain(c.hash)
	c.next, *chain = *chain, c
}

// remove takes a connection out that is in.
func (p *pairs) remove(c *Conn) {
	at := p.chain(c.hash)
	for *at != c {
		at = &(*at).next
	}
	*at, c.next = c.next, nil
	p.n--
}
