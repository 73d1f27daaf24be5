package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
)

// Point is a moment in the life of a connection at which a fault can strike: a
// segment by what it is, never by its number.
type Point struct {
	// Name is what cells call it: server.DATA@1[-1] is the last byte of the
	// server's first turn.
	Name string
	// Match is the name with bytes counted from the turn's beginning, as a rule
	// takes it.
	Match string
	// From is the host that sends the segment, To the other.
	From, To string
	Kind     flow.Kind
	// Turn and Byte say which byte of which turn a DATA point means, Length how
	// long that turn was.
	Turn         int
	Byte, Length int64
	// Same is the point that travels in the very same segment; empty for the
	// first of them. For all faults but cut they are one.
	Same string
	// Finished: its sender had sent its FIN before.
	Finished bool
	// Opening: the connection is not established before it.
	Opening bool
}

// pure tells that the segment carries nothing but an acknowledgement.
func (p *Point) pure() bool { return p.Kind == flow.ACK }

// points lists the points of a connection as fault-free records have it, in the
// order in which they came. deep takes every segment of a turn instead of its
// first byte, its middle and its last. A point counts only where every record has
// it, and as one with another only where it is in every record.
func points(runs []*record.Run, conn int, deep bool) []Point {
	var all []Point
	for i, r := range runs {
		found := pointsOf(r, conn, deep)
		if i == 0 {
			all = found
			continue
		}
		all = slices.DeleteFunc(all, func(p Point) bool {
			at := slices.IndexFunc(found, func(o Point) bool { return o.Name == p.Name })
			return at < 0
		})
		for k := range all {
			o := found[slices.IndexFunc(found, func(o Point) bool { return o.Name == all[k].Name })]
			all[k].Length = min(all[k].Length, o.Length)
			if o.Same != all[k].Same {
				all[k].Same = ""
			}
		}
	}
	return all
}

// turnKey is one turn of one host.
type turnKey struct {
	who string
	n   int
}

func pointsOf(r *record.Run, conn int, deep bool) []Point {
	length := map[turnKey]int64{}
	starts := map[turnKey][]int64{}
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Forged || s.Conn != conn {
			continue
		}
		for _, n := range s.Names.All() {
			if n.Kind != flow.DATA || n.Turn == 0 {
				continue
			}
			k := turnKey{s.From, n.Turn}
			length[k] = max(length[k], n.To)
			if !s.RepeatOnly && !slices.Contains(starts[k], n.From) {
				starts[k] = append(starts[k], n.From)
			}
		}
	}
	prefix := ""
	if conn > 1 {
		prefix = fmt.Sprintf("%d:", conn)
	}
	var list []Point
	carrier := map[int]string{} // the point of a segment
	add := func(at int, p Point) {
		if slices.ContainsFunc(list, func(o Point) bool { return o.Name == p.Name }) {
			return
		}
		if first, taken := carrier[at]; taken {
			p.Same = first
		} else {
			carrier[at] = p.Name
		}
		list = append(list, p)
	}
	finished := map[string]bool{}
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Forged || s.Conn != conn {
			continue
		}
		for _, n := range s.Names.All() {
			p := Point{From: s.From, To: s.To, Kind: n.Kind, Finished: finished[s.From]}
			switch {
			case n.Kind == flow.SYN || n.Kind == flow.SYNACK:
				p.Opening = true
				p.Match = fmt.Sprintf("%s%s.%s", prefix, s.From, n.Kind)
			case n.Kind == flow.FIN:
				p.Match = fmt.Sprintf("%s%s.FIN", prefix, s.From)
			case n.Kind == flow.ACK && !n.OfForged && (n.Of == flow.SYNACK || n.Of == flow.FIN):
				p.Match = fmt.Sprintf("%s%s.ACK(%s.%s)", prefix, s.From, s.To, n.Of)
			case n.Kind == flow.DATA && n.Turn > 0:
				for _, b := range bytesOf(n, length[turnKey{s.From, n.Turn}], starts[turnKey{s.From, n.Turn}], deep) {
					p := p
					p.Turn, p.Byte, p.Length = n.Turn, b.at, length[turnKey{s.From, n.Turn}]
					turn := fmt.Sprintf("%s%s.DATA@%d", prefix, s.From, n.Turn)
					p.Match = fmt.Sprintf("%s[%d]", turn, b.at)
					p.Name = fmt.Sprintf("%s[%d]", turn, b.shown)
					add(i, p)
				}
				continue
			default:
				continue
			}
			p.Name = p.Match
			add(i, p)
		}
		for _, n := range s.Names.All() {
			if n.Kind == flow.FIN {
				finished[s.From] = true
			}
		}
	}
	return list
}

// place is a byte of a turn, and how a point's name shows it.
type place struct{ at, shown int64 }

// bytesOf are the bytes of a turn that are points and lie within this segment.
func bytesOf(n flow.Name, length int64, starts []int64, deep bool) []place {
	all := []place{{0, 0}}
	if deep {
		for _, at := range starts {
			all = append(all, place{at, at})
		}
	} else if length > 2 {
		all = append(all, place{length / 2, length / 2})
	}
	if length > 1 {
		all = append(all, place{length - 1, -1})
	}
	var within []place
	for _, p := range all {
		if p.at >= n.From && p.at < n.To && !slices.ContainsFunc(within, func(o place) bool { return o.at == p.at }) {
			within = append(within, p)
		}
	}
	return within
}

// pointNamed is the point of that name: one of the list, or any byte of a turn
// that the list knows.
func pointNamed(list []Point, name string) (Point, bool) {
	for _, p := range list {
		if p.Name == name || p.Match == name {
			return p, true
		}
	}
	asked, err := flow.ParsePattern(name)
	if err != nil || asked.Kind != flow.DATA || asked.Turn == 0 || asked.Copy != 0 || asked.Bytes && asked.To != asked.From+1 {
		return Point{}, false
	}
	for _, p := range list {
		at := asked.From
		if at < 0 {
			at += p.Length
		}
		turn, _, _ := strings.Cut(p.Match, "[")
		if p.Kind == flow.DATA && p.From == asked.Who && p.Turn == asked.Turn && strings.HasPrefix(name, turn) && at >= 0 && at < p.Length {
			p.Name, p.Byte, p.Same = name, at, ""
			p.Match = fmt.Sprintf("%s[%d]", turn, at)
			return p, true
		}
	}
	return Point{}, false
}
