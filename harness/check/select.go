package check

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/lastack/lastack/internal/nearest"
)

// Selection says which cells are played. Its zero value is all of them.
type Selection struct {
	// Points and Faults are globs; a cell is taken whose point matches one of the
	// former and whose fault, with its side or without, one of the latter. A star
	// also matches a slash. Where there are none all match.
	Points, Faults []string
	// Exclude are globs over whole cells.
	Exclude []string
	// Cells are names of single cells; only these are played.
	Cells []string
	// Shallow takes so many cells by chance, each fault in turn; 0 takes all. Seed
	// makes the choice.
	Shallow int
	Seed    uint64
	// Shard and Shards take the part of that number, from 1; 0 takes all.
	Shard, Shards int
}

// glob matches with * and ? alone: brackets belong to names.
func glob(pattern, text string) bool {
	star, mark := -1, 0
	i, k := 0, 0
	for k < len(text) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, k
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == text[k]):
			i++
			k++
		case star >= 0:
			mark++
			i, k = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

func anyGlob(patterns []string, texts ...string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return glob(p, t) })
	})
}

// checkFaults refuses what names no fault, before anything is played.
func (s *Selection) checkFaults() error {
	var names []string
	for _, f := range Faults() {
		names = append(names, f.Name)
		for _, side := range f.Sides {
			names = append(names, f.Name+"/"+side)
		}
		if f.Host {
			names = append(names, f.Name+"/"+Client, f.Name+"/"+Server)
		}
	}
	for _, g := range s.Faults {
		if !anyGlob([]string{g}, names...) {
			return fmt.Errorf("there is no fault %q; the nearest is %q", g, nearest.Of(g, names))
		}
	}
	for _, cell := range s.Cells {
		point, fault := splitCell(cell)
		if fault == "" {
			return fmt.Errorf("%q is no cell: it is written POINT/FAULT[/SIDE], as server.FIN/rst-instead/client", cell)
		}
		if !slices.Contains(names, fault) {
			return fmt.Errorf("cell %q: there is no fault %q; the nearest is %q", cell, fault, nearest.Of(fault, names))
		}
		if point == "" {
			return fmt.Errorf("%q is no cell: it has no point; it is written POINT/FAULT[/SIDE], as server.FIN/rst-instead/client", cell)
		}
	}
	if s.Shards > 0 && (s.Shard < 1 || s.Shard > s.Shards) {
		return fmt.Errorf("there is no shard %d of %d: they count from 1", s.Shard, s.Shards)
	}
	return nil
}

// splitCell takes a cell's name apart: no point has a slash.
func splitCell(name string) (point, fault string) {
	point, fault, _ = strings.Cut(name, "/")
	return point, fault
}

// pick takes what is selected of the points and their faults, and counts by the reason
// what has no meaning.
func (s *Selection) pick(list []Point, underTest string) (out []Cell, excluded map[string]int, err error) {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	for _, g := range s.Points {
		if !anyGlob([]string{g}, names...) {
			return nil, nil, fmt.Errorf("there is no point %q; the nearest is %q, and check --list prints all", g, nearest.Of(g, names))
		}
	}
	if len(s.Cells) > 0 {
		out, err = s.named(list, names, underTest)
		return out, map[string]int{}, err
	}
	wanted := slices.Clone(list)
	if len(s.Points) > 0 {
		wanted = slices.DeleteFunc(wanted, func(p Point) bool { return !anyGlob(s.Points, p.Name) })
		for i := range wanted {
			wanted[i].Same = again(wanted, wanted[i])
		}
	}
	all, excluded := cells(wanted, underTest)
	for _, c := range all {
		if len(s.Faults) > 0 && !anyGlob(s.Faults, c.column(), c.Fault.Name) || anyGlob(s.Exclude, c.Name(), c.column(), c.Fault.Name, c.Point.Name) {
			continue
		}
		out = append(out, c)
	}
	out = s.shallow(out)
	if s.Shards > 1 {
		out = slices.DeleteFunc(out, func(c Cell) bool { return shardOf(c.Name(), s.Shards) != s.Shard })
	}
	return out, excluded, nil
}

// again is the earlier point in the same segment, if it is among those wanted.
func again(wanted []Point, p Point) string {
	if p.Same == "" {
		return ""
	}
	for _, o := range wanted {
		if o.Name == p.Name {
			return ""
		}
		if o.Name == p.Same || o.Same == p.Same {
			return o.Name
		}
	}
	return ""
}

// named are single cells. One that has no meaning is refused with the reason.
func (s *Selection) named(list []Point, names []string, underTest string) ([]Cell, error) {
	var out []Cell
	for i, name := range s.Cells {
		if slices.Contains(s.Cells[:i], name) {
			continue // it is played once
		}
		point, column := splitCell(name)
		p, ok := pointNamed(list, point)
		if !ok {
			return nil, fmt.Errorf("cell %q: there is no point %q; the nearest is %q, and check --list prints all", name, point, nearest.Of(point, names))
		}
		p.Same = "" // it is asked for by its own name
		fault, _, _ := strings.Cut(column, "/")
		f, _ := faultNamed(fault)
		var columns []string
		found := false
		for _, c := range sided(p, f, underTest) {
			columns = append(columns, c.column())
			if c.column() != column {
				continue
			}
			if why := c.meaningless(); why != "" {
				return nil, fmt.Errorf("cell %q has no meaning: %s", name, why)
			}
			out, found = append(out, c), true
		}
		if !found {
			return nil, fmt.Errorf("cell %q: with --under-test %s the fault is %s", name, underTest, strings.Join(columns, " or "))
		}
	}
	return out, nil
}

// shallow takes cells by chance, one of each fault before the second of any.
func (s *Selection) shallow(list []Cell) []Cell {
	if s.Shallow == 0 || s.Shallow >= len(list) {
		return list
	}
	chance := rand.New(rand.NewPCG(s.Seed, 0x6c61737461636b))
	order := chance.Perm(len(list))
	taken := map[int]bool{}
	for len(taken) < s.Shallow {
		had := map[string]bool{}
		for _, i := range order {
			if c := list[i].column(); !taken[i] && !had[c] && len(taken) < s.Shallow {
				taken[i], had[c] = true, true
			}
		}
	}
	var out []Cell
	for i, c := range list {
		if taken[i] {
			out = append(out, c)
		}
	}
	return out
}

// shardOf is the part, from 1, to which a cell belongs: by its name, so that it
// is the same on every machine.
func shardOf(name string, shards int) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32()%uint32(shards)) + 1
}

// ParseShard reads i/n.
func ParseShard(text string) (shard, shards int, err error) {
	i, n, ok := strings.Cut(text, "/")
	shard, err1 := strconv.Atoi(i)
	shards, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil || shards < 1 || shard < 1 || shard > shards || shards > 10_000 {
		return 0, 0, fmt.Errorf("want the part and their number, as 1/4, not %q", text)
	}
	return shard, shards, nil
}
