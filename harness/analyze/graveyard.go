package analyze

import (
	"net/netip"

	"github.com/lastack/lastack/inject/tcp"
)

// graveyard keeps what is left of the connections that were handed out lately.
// They go in the order in which they came, so it is a ring, and a hash table
// over it in which nothing is ever taken out: a chain ends at what has gone.
type graveyard struct {
	ring     []tombstone // by number, modulo its length, which is a power of two
	chains   []uint64    // as many: the number of the latest with such a key
	from, to uint64      // the numbers of those that stand
}

// tombstone is what is left of a connection that was handed out.
type tombstone struct {
	key   uint64 // the hash of the four-tuple
	until int64
	older uint64     // the number of the next one in the chain
	nxt   [2]tcp.Seq // of the lower end, then of the other
	known [2]bool
	taken bool // its four-tuple is in use again
}

func newGraveyard() graveyard {
	return graveyard{ring: make([]tombstone, 16), chains: make([]uint64, 16), from: 1, to: 1}
}

func (g *graveyard) at(number uint64) *tombstone { return &g.ring[number&uint64(len(g.ring)-1)] }

func (g *graveyard) chain(key uint64) *uint64 { return &g.chains[key&uint64(len(g.chains)-1)] }

// find is the latest with that key; nil where there is none, or its four-tuple
// is in use again.
func (g *graveyard) find(key uint64) *tombstone {
	for n := *g.chain(key); n >= g.from; {
		t := g.at(n)
		switch {
		case t.key != key:
			n = t.older
		case t.taken:
			return nil
		default:
			return t
		}
	}
	return nil
}

// add takes one that goes behind all others.
func (g *graveyard) add(t tombstone) {
	if g.to-g.from == uint64(len(g.ring)) {
		old := *g
		g.ring, g.chains = make([]tombstone, 2*len(old.ring)), make([]uint64, 2*len(old.ring))
		g.to = g.from
		for n := old.from; n < old.to; n++ {
			g.enter(*old.at(n))
		}
	}
	g.enter(t)
}

func (g *graveyard) enter(t tombstone) {
	chain := g.chain(t.key)
	t.older, *chain = *chain, g.to
	*g.at(g.to) = t
	g.to++
}

// expire takes away those whose time has come.
func (g *graveyard) expire(now int64) {
	for g.from < g.to && g.at(g.from).until <= now {
		g.from++
	}
}

// lower is the index of an end in a tombstone, where b is the other.
func lower(a, b netip.AddrPort) int {
	if a.Compare(b) <= 0 {
		return 0
	}
	return 1
}

// owns reports whether a segment is one more of the connection that was
// handed out: not a SYN of another number, and near what was sent last.
func (t *tombstone) owns(seg *tcp.Segment) bool {
	x := lower(seg.Src, seg.Dst)
	switch {
	case seg.ICMP != nil:
		return true
	case seg.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN:
		return false
	case !t.known[x]:
		return !seg.Flags.Has(tcp.SYN)
	}
	d := seg.Seq.Diff(t.nxt[x])
	return d > -(1<<24) && d < 1<<24
}
