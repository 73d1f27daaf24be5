package analyze

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Ladder draws what was kept of the connection's segments, with the states
// that both ends are in as far as the capture tells.
func (c *Connection) Ladder(width int, color bool) string {
	var b strings.Builder
	for from := 0; from < len(c.steps); {
		to := from + 1
		for to < len(c.steps) && c.steps[to].number == c.steps[to-1].number+1 {
			to++
		}
		text := c.piece(c.steps[from:to]).DrawLadder(record.LadderOptions{Width: width, Color: color, Names: true})
		lines := strings.SplitAfterN(text, "\n", 3) // the title, the heading, the rest
		if from == 0 {
			b.WriteString(lines[1])
		} else {
			missing := int(c.steps[from].number - c.steps[from-1].number - 1)
			fmt.Fprintf(&b, "%10s %s\n", "…", record.Count(missing, "segment"))
		}
		b.WriteString(lines[2])
		from = to
	}
	return b.String()
}

// piece is a run of nothing but these steps.
func (c *Connection) piece(list []step) *record.Run {
	r := &record.Run{Hosts: []record.Host{{Name: string(Client)}, {Name: string(Server)}}}
	for i := range c.steps {
		r.Duration = max(r.Duration, time.Duration(c.steps[i].at))
	}
	for i := range list {
		s := &list[i]
		from, to := who(int(s.from)), who(1-int(s.from))
		seg := record.Segment{
			T: time.Duration(s.at), Flags: s.flags, Len: int(s.length), Window: s.window, Fate: record.Delivered,
			Sighting: flow.Sighting{
				Conn: 1, Opener: string(Client), Accepter: string(Server), From: string(from), To: string(to), SentBy: string(from),
				Seq: s.seq, Ack: s.ack, Names: names(s.name()),
			},
		}
		switch s.fate {
		case dropped, pending:
			seg.Fate = record.Dropped
		case forged:
			seg.Fate, seg.Forged, seg.SentBy = record.Injected, true, "wire"
		}
		if seg.Fate != record.Dropped {
			seg.Departures = []record.Departure{{Due: seg.T, T: seg.T, To: string(to)}}
		}
		r.Segments = append(r.Segments, seg)
		for side, state := range s.states {
			if state != 0 {
				r.States = append(r.States, record.State{
					T: seg.T, Conn: 1, Host: string(who(side)), State: state, Segment: i, After: side != int(s.from),
				})
			}
		}
	}
	return r
}

// names are those of a segment that has this one.
func names(n flow.Name) (out flow.Names) {
	text, err := json.Marshal([]flow.Name{n})
	if err == nil {
		err = out.UnmarshalJSON(text)
	}
	if err != nil {
		panic(err) // a name that was made by the flow reads back
	}
	return out
}

// Explanation says of every segment that was kept what it does for the
// connection, and by which flags, numbers and states that is known.
func (c *Connection) Explanation(width int) string {
	var b strings.Builder
	for i := range c.steps {
		s := &c.steps[i]
		if i > 0 && s.number != c.steps[i-1].number+1 {
			fmt.Fprintf(&b, "%14s %s\n", "…", record.Count(int(s.number-c.steps[i-1].number-1), "segment"))
		}
		arrow := string(who(int(s.from))) + " ► " + string(who(1-int(s.from)))
		fmt.Fprintf(&b, "%11.3f ms  %s  %s\n", float64(s.at)/1e6, arrow, c.text(s))
		for _, row := range record.Wrap(c.meaning(s, i), width-16) {
			fmt.Fprintf(&b, "%16s%s\n", "", row)
		}
	}
	return b.String()
}

// text is the segment as tcpdump writes one, with its name.
func (c *Connection) text(s *step) string {
	sighting := flow.Sighting{Conn: 1, From: string(who(int(s.from))), To: string(who(1 - int(s.from))), Forged: s.fate == forged}
	if s.kind == flow.ICMP {
		return sighting.Text(s.name())
	}
	text := fmt.Sprintf("%s  %s seq %d", sighting.Text(s.name()), s.flags, s.seq)
	if s.length > 0 {
		text += fmt.Sprintf(":%d", s.seq+int64(s.length))
	}
	if s.flags.Has(tcp.ACK) {
		text += fmt.Sprintf(" ack %d", s.ack)
	}
	return text
}

// meaning is the step in words, with its evidence.
func (c *Connection) meaning(s *step, i int) string {
	me, you := string(who(int(s.from))), string(who(1-int(s.from)))
	text := ""
	switch s.role {
	case roleOpens:
		text = fmt.Sprintf("opens the connection: a SYN without ACK, so the %s is the client's end", me)
	case roleAccepts:
		text = "the SYN-ACK: it acknowledges the SYN (number 0) with 1"
	case roleFirstFIN:
		text = fmt.Sprintf("the first FIN of the connection: the %s closes first. It has number %d", me, s.seq+int64(s.length))
	case roleSecondFIN:
		text = fmt.Sprintf("the second FIN: the %s closes too. It has number %d", me, s.seq+int64(s.length))
		if s.also == roleAckOfFirst {
			text += fmt.Sprintf(", and its acknowledgement, %d, is the first that covers the first FIN: a close in three ways", s.ack)
		}
	case roleCrossedFIN:
		text = fmt.Sprintf("the second FIN: its acknowledgement, %d, does not cover the first one, so both closed at the same time", s.ack)
	case roleAckOfFirst:
		text = fmt.Sprintf("the first acknowledgement of the first FIN: %d covers it, and it comes without a FIN of the %s", s.ack, me)
	case roleLastAck:
		text = fmt.Sprintf("the last ACK: %d covers the FIN of the %s, and both FINs are acknowledged", s.ack, you)
	case roleRST, roleRefused:
		text = "a RST that its receiver has to obey"
		if c.Reset != nil {
			text += ": " + c.Reset.Evidence
		}
	case roleRSTMissed:
		text = fmt.Sprintf("a RST that the %s need not obey: number %d is not the one that it expects", you, s.seq)
	case roleRSTLate:
		text = fmt.Sprintf("a RST that comes too late: for the %s the connection is over", you)
	case roleRepeat:
		text = fmt.Sprintf("sent again: all of it had been sent before (up to %d)", s.seq+int64(s.length))
		if s.flags.Has(tcp.FIN) {
			text = fmt.Sprintf("the FIN again, copy %d: number %d was used before", max(s.copy, 2), s.seq+int64(s.length))
		}
	case roleKeepalive:
		text = fmt.Sprintf("a keep-alive: number %d is one below what is next, and the window of the %s is open", s.seq, you)
	case roleProbe:
		text = fmt.Sprintf("a probe of the window of the %s, which is 0", you)
	case roleZeroWindow:
		text = fmt.Sprintf("the window is 0: the %s takes no more data", me)
	case roleChallenge:
		text = fmt.Sprintf("a challenge ACK: what reached the %s before is not obeyed without asking (RFC 5961)", me)
	case roleICMP:
		text = "an ICMP error about a segment of the " + you
	case roleNone:
		text = plain(s, me, you)
	}
	switch s.fate {
	case dropped:
		text += ". It was dropped on the wire"
	case pending:
		text += ". It was held on the wire, and never left it"
	case forged:
		text += fmt.Sprintf(". It was forged: the %s did not send it", me)
	}
	return text + c.moves(s, i)
}

func plain(s *step, me, you string) string {
	switch s.kind {
	case flow.DATA:
		return fmt.Sprintf("%s of data", record.Count(int(s.length), "byte"))
	case flow.DUPACK:
		return "an ACK that says nothing new"
	case flow.ACK:
		switch s.of {
		case flow.SYNACK:
			return fmt.Sprintf("acknowledges the SYN-ACK: the %s takes the connection for established", me)
		case flow.DATA:
			return fmt.Sprintf("acknowledges the data of the %s up to %d", you, s.ack)
		case flow.FIN:
			return fmt.Sprintf("acknowledges the FIN of the %s", you)
		}
		return "an ACK"
	}
	return s.kind.String()
}

// moves says which end changed its state with a step.
func (c *Connection) moves(s *step, i int) string {
	text := ""
	for side := range s.states {
		var before tcp.State
		if i > 0 {
			before = c.steps[i-1].states[side]
		}
		if now := s.states[side]; now != 0 && now != before {
			text += fmt.Sprintf("; the %s is in %s now", who(side), now)
		}
	}
	return text
}
