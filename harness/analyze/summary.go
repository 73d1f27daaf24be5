package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Group is how many connections ended in the same way.
type Group struct {
	Ended       Ended     `json:"ended"`
	ClosedFirst Who       `json:"closed_first"`
	By          Who       `json:"by"`
	Why         Why       `json:"why"`
	InState     StateName `json:"in_state"`
	Connections int       `json:"connections"`
	// IdleLeast and IdleMost bound how long nothing was said before the end;
	// nil where no connection of the group has that.
	IdleLeast *int64 `json:"idle_least_ms"`
	IdleMost  *int64 `json:"idle_most_ms"`
	// Reading is what that usually means.
	Reading string `json:"reading"`
}

// Summary counts connections by how they ended. The zero value is ready.
type Summary struct {
	groups map[groupKey]*Group
}

type groupKey struct {
	ended     Ended
	first, by Who
	why       Why
	state     StateName
}

// Add counts a connection, and returns how many its group has now.
func (s *Summary) Add(c *Connection) int {
	key := groupKey{ended: c.Ended, first: c.ClosedFirst}
	if c.Reset != nil {
		key.by, key.why, key.state = c.Reset.By, c.Reset.Why, c.Reset.InState
	}
	if s.groups == nil {
		s.groups = map[groupKey]*Group{}
	}
	g := s.groups[key]
	if g == nil {
		g = &Group{Ended: c.Ended, ClosedFirst: key.first, By: key.by, Why: key.why, InState: key.state}
		s.groups[key] = g
	}
	g.Connections++
	if c.Idle != nil {
		ms := *c.Idle
		if g.IdleLeast == nil {
			least, most := ms, ms
			g.IdleLeast, g.IdleMost = &least, &most
		}
		*g.IdleLeast, *g.IdleMost = min(*g.IdleLeast, ms), max(*g.IdleMost, ms)
	}
	return g.Connections
}

// Groups are the kinds of ends that were met, the worst first, and among those
// the most frequent.
func (s *Summary) Groups() []Group {
	list := make([]Group, 0, len(s.groups))
	for _, g := range s.groups {
		g.Reading = g.reading()
		list = append(list, *g)
	}
	order := Endings()
	slices.SortFunc(list, func(a, b Group) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.Ended), slices.Index(order, b.Ended)),
			cmp.Compare(b.Connections, a.Connections),
			cmp.Compare(a.Why, b.Why), cmp.Compare(a.By, b.By), cmp.Compare(a.InState, b.InState), cmp.Compare(a.ClosedFirst, b.ClosedFirst),
		)
	})
	return list
}

// Count is how many connections ended so.
func (s *Summary) Count(e Ended) int {
	n := 0
	for _, g := range s.groups {
		if g.Ended == e {
			n += g.Connections
		}
	}
	return n
}

// what is the group in a few words, behind how it ended.
func (g *Group) what() string {
	text := ""
	switch {
	case g.By != "" && g.InState != "":
		text = fmt.Sprintf("by the %s in %s, %s", g.By, g.InState, g.Why)
	case g.By == Middlebox:
		text = "by something between the ends"
	case g.By != "":
		text = fmt.Sprintf("in the name of the %s, %s", g.By, g.Why)
	}
	if g.ClosedFirst == "" || g.ClosedFirst == Both {
		return text
	}
	if text != "" {
		text += "; "
	}
	return text + fmt.Sprintf("the %s closed first", g.ClosedFirst)
}

func other(w Who) Who {
	if w == Client {
		return Server
	}
	return Client
}

// reading is what such an end usually means.
func (g *Group) reading() string {
	text := g.usual()
	if g.Connections > 1 && g.IdleLeast != nil && *g.IdleLeast >= 1000 && *g.IdleMost-*g.IdleLeast <= max(*g.IdleLeast/50, 1000) {
		text += fmt.Sprintf(" All of them after %s without a word: a timer ended them.", short(*g.IdleLeast*int64(time.Millisecond)))
	}
	return text
}

func (g *Group) usual() string {
	switch g.Ended {
	case Abandoned:
		return "One end repeated and had no answer: its peer or the path was gone. Programs notice after tcp_retries2 (15 min by default), TCP_USER_TIMEOUT or a deadline of their own."
	case KeepaliveTimeout:
		return "Keep-alive found that the peer or the path was gone. A firewall or NAT that forgets idle connections looks so too."
	case Reset:
		return g.usualReset()
	case Refused:
		return "Nothing listened there, or a firewall said no: a service that was down or not up yet, a wrong port."
	case Unanswered:
		return "The SYN was lost, dropped by a firewall, or went to a host that is not there; a full accept queue drops SYNs in silence too."
	case HalfClosed:
		return fmt.Sprintf("The %s closed and the %s has not: its program has not called close(). CLOSE_WAIT there that stays and grows is a leak of that program.", g.ClosedFirst, other(g.ClosedFirst))
	case Unknown:
		return "The file does not show enough of these."
	case Open:
		return "Nothing ended while the capture ran."
	case Simultaneous:
		return "Both ends closed before they heard of each other: both are in TIME_WAIT for 60 s."
	case FourWay, ThreeWay:
		return fmt.Sprintf("A clean close. TIME_WAIT is at the %s, for 60 s.", g.ClosedFirst)
	}
	return ""
}

func (g *Group) usualReset() string {
	switch g.Why {
	case ClosedPort:
		return "Nothing listens there."
	case UnreadData:
		return fmt.Sprintf("The program at the %s closed before it had read all that came: what it answered may be lost for its peer.", g.By)
	case Abort:
		return fmt.Sprintf("The %s threw the connection away: SO_LINGER 0, a listener that closed with connections in its queue, or a socket that was destroyed.", g.By)
	case DataAfterClose:
		return fmt.Sprintf("The %s had closed when more data came: an idle timeout that meets the next request, or a peer that writes to the end of a connection that it has not read to its end.", g.By)
	case UnknownConnection:
		return fmt.Sprintf("The %s, or something that answers in its name, no longer knew the connection: a host that booted, a container that was replaced, a load balancer or NAT that forgot it.", g.By)
	case Timeout:
		return fmt.Sprintf("The %s asked and was not answered.", g.By)
	case Backlog:
		return fmt.Sprintf("The accept queue of the %s was full: its program accepts too slowly.", g.By)
	case ByMiddlebox:
		return "Neither end sent it: a firewall, an intrusion detector or a load balancer did, or somebody who forges."
	}
	return "What is in the packets fits more than one cause."
}
