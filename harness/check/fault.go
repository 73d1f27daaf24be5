package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/inject/flow"
)

// Fault is what can strike at a point.
type Fault struct {
	// Name is the fault without its side.
	Name string
	// Says is what it does, in a sentence that begins with its subject.
	Says string
	// Repairable: TCP heals it, so that the programs must not notice.
	Repairable bool
	// Sides are what may stand behind it; empty where it has none.
	Sides []string
	// Host: it strikes a whole host, not the wire. Without a side it is the one
	// that is not under test.
	Host bool
	// Waits: where it strikes, mostly a timer must run out before anything goes on.
	Waits bool
}

// Times of the faults. They are long for a kernel on a wire without delay, and
// shorter than any patience.
const (
	// stopped is how long stop keeps a host's programs from running.
	stopped = time.Second
	// late is how long after the segment the copy of dup-late comes.
	late = 100 * time.Millisecond
)

var ends = []string{"client", "server", "both"}

// Faults are all of them, in the order of reports.
func Faults() []Fault {
	return []Fault{
		{Name: "drop", Says: "the segment is lost once", Repairable: true},
		{Name: "drop-always", Says: "the segment and all its repeats are lost", Waits: true},
		{Name: "hold-next", Says: "the segment is overtaken by the next one of its sender", Repairable: true},
		{Name: "hold-rto", Says: "the segment is overtaken by its own repeat", Repairable: true},
		{Name: "dup", Says: "the segment comes twice", Repairable: true},
		{Name: "dup-late", Says: fmt.Sprintf("the segment comes again %v later", late), Repairable: true},
		{Name: "rst-before", Says: "a RST comes right before the segment", Sides: ends},
		{Name: "rst-after", Says: "a RST comes right behind the segment", Sides: ends},
		{Name: "rst-instead", Says: "a RST comes in place of the segment", Sides: ends},
		{Name: "fin-before", Says: "a FIN in the sender's name comes right before the segment"},
		{Name: "fin-instead", Says: "a FIN in the sender's name comes in place of the segment"},
		{Name: "cut", Says: "the stream ends before this byte, with a FIN"},
		{Name: "silence", Says: "from the segment on nothing is heard", Sides: []string{"to-client", "to-server", "both"}, Waits: true},
		{Name: "kill", Says: "the program at the other end is killed", Host: true},
		{Name: "poweroff", Says: "the other host loses its power", Host: true, Waits: true},
		{Name: "reboot", Says: "the other host boots anew, and its program does not", Host: true},
		{Name: "stop", Says: fmt.Sprintf("the program at the other end stands still for %v", stopped), Repairable: true, Host: true, Waits: true},
		{Name: "unreachable", Says: "a router answers the segment and its repeats with host unreachable", Waits: true},
	}
}

func faultNamed(name string) (Fault, bool) {
	all := Faults()
	i := slices.IndexFunc(all, func(f Fault) bool { return f.Name == name })
	if i < 0 {
		return Fault{}, false
	}
	return all[i], true
}

// Side under test.
const (
	Client = "client"
	Server = "server"
	Both   = "both"
)

// Cell is one fault at one point.
type Cell struct {
	Point Point
	Fault Fault
	// Side is client, server or both, or as silence has it; empty where the fault
	// has none.
	Side string
	// Strikes is the host that a fault of a host strikes.
	Strikes string
}

// Name is POINT/FAULT[/SIDE].
func (c *Cell) Name() string { return c.Point.Name + "/" + c.column() }

// column is FAULT[/SIDE].
func (c *Cell) column() string {
	if c.Side == "" {
		return c.Fault.Name
	}
	return c.Fault.Name + "/" + c.Side
}

// cells are all of points × faults × sides, without those that have no meaning;
// these are counted by the reason.
func cells(list []Point, underTest string) (out []Cell, excluded map[string]int) {
	excluded = map[string]int{}
	for _, p := range list {
		for _, f := range Faults() {
			for _, c := range sided(p, f, underTest) {
				if why := c.meaningless(); why != "" {
					excluded[why]++
					continue
				}
				out = append(out, c)
			}
		}
	}
	return out, excluded
}

// sided are the cells of one fault at one point.
func sided(p Point, f Fault, underTest string) []Cell {
	switch {
	case f.Host && underTest == Both:
		return []Cell{{p, f, Client, Client}, {p, f, Server, Server}}
	case f.Host && underTest == Server:
		return []Cell{{p, f, "", Client}}
	case f.Host:
		return []Cell{{p, f, "", Server}}
	case len(f.Sides) == 0:
		return []Cell{{Point: p, Fault: f}}
	}
	var out []Cell
	for _, side := range f.Sides {
		out = append(out, Cell{Point: p, Fault: f, Side: side})
	}
	return out
}

// meaningless is why a cell cannot show anything; empty where it can.
func (c *Cell) meaningless() string {
	p, f := &c.Point, c.Fault.Name
	fin := strings.HasPrefix(f, "fin-")
	switch {
	case f == "cut" && p.Kind != flow.DATA:
		return "cut: the segment carries no byte of a stream"
	case f == "cut" && p.Byte == 0:
		return "cut at a turn's first byte: it is fin-instead"
	case p.Same != "" && f != "cut":
		return "the segment is that of an earlier point"
	case fin && p.Opening:
		return "fin: nothing is established that could end"
	case fin && p.Kind == flow.FIN:
		return "fin: the segment is a FIN itself"
	case fin && p.Finished:
		return "fin: its sender has sent one before"
	case f == "hold-rto" && p.pure():
		return "hold-rto: an acknowledgement has no timer and is not repeated; see hold-next"
	case p.Kind == flow.SYN && (f == "rst-before" || f == "rst-instead") && c.Side != p.From:
		return "rst: this end has not heard of the connection yet"
	}
	return ""
}

// rule is the text of the rule that brings the fault about, or for a fault of a
// host the rule that holds the segment meanwhile.
func (c *Cell) rule() string {
	p := &c.Point
	turn, _, _ := strings.Cut(p.Match, "[")
	switch c.Fault.Name {
	case "drop":
		return "drop " + p.Match
	case "drop-always":
		return "drop " + p.Match + " always"
	case "hold-next":
		return "hold " + p.Match + "#1 until next"
	case "hold-rto":
		return fmt.Sprintf("hold %s#1 until delivered %s#2", p.Match, p.Match)
	case "dup":
		return "duplicate " + p.Match
	case "dup-late":
		return fmt.Sprintf("duplicate(1, %v) %s", late, p.Match)
	case "rst-before", "rst-after", "rst-instead":
		tail := ", ends"
		if c.Side == Both {
			tail = ""
		}
		return fmt.Sprintf("forge(%s, R., to=%s, ack=SND.NXT%s) %s", strings.TrimPrefix(c.Fault.Name, "rst-"), c.Side, tail, p.Match)
	case "fin-before", "fin-instead":
		return fmt.Sprintf("forge(%s, F., ends) %s", strings.TrimPrefix(c.Fault.Name, "fin-"), p.Match)
	case "cut":
		return fmt.Sprintf("cut(%d, fin) %s", p.Byte, turn)
	case "silence":
		return fmt.Sprintf("silence(%s) %s", c.Side, p.Match)
	case "unreachable":
		return fmt.Sprintf("forge(instead, icmp host-unreachable) %s always", p.Match)
	}
	return fmt.Sprintf("hold %s until returned %s %s", p.Match, c.Strikes, c.act())
}

// act is the last thing that a fault of a host does before the segment goes on.
func (c *Cell) act() string {
	switch c.Fault.Name {
	case "poweroff":
		return "power-off"
	case "reboot":
		return "boot"
	}
	return c.Fault.Name
}
