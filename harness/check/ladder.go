package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
)

// The two ladders of a finding stand beside each other in 80 columns.
const (
	lane = 38
	rows = 48
)

// rung is one line of a ladder: what it says, and what makes it the same as one of
// the other ladder.
type rung struct {
	text, key string
	// note was made by the fault, so that there is nothing beside it.
	note bool
}

// beside draws what passed the wire without a fault, and with it.
func beside(free, is *record.Run) string {
	left, right := rungs(free), rungs(is)
	var b strings.Builder
	line := func(l, r string) {
		text := l + strings.Repeat(" ", max(0, lane-record.Width(l))) + "  │ " + r
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	line("without a fault", "with it")
	for _, pair := range align(left, right) {
		line(record.Fit(pair[0], lane), record.Fit(pair[1], lane))
	}
	return b.String()
}

// rungs are the lines of one ladder, the most telling of them.
func rungs(r *record.Run) []rung {
	type event struct {
		at time.Duration
		rung
	}
	var list []event
	var run struct {
		key   string
		n     int
		bytes int64
		index int
	}
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Conn == 0 || s.From != Client && s.To != Client {
			continue
		}
		name := s.Name()
		_, kind, _ := strings.Cut(name, ".")
		if s.Forged {
			kind, _, _ = strings.Cut(kind, "(")
		}
		main := s.Names.Main()
		mark := marks(s)
		if main.Kind == flow.ACK && (main.Of == flow.DATA || main.Of == flow.None) && mark == "" {
			continue // every stream has many
		}
		arrow := "→ "
		if s.From != Client {
			arrow = "← "
		}
		conn := ""
		if s.Conn > 1 {
			conn = fmt.Sprintf("%d: ", s.Conn)
		}
		key := arrow + conn + kind
		if main.Kind == flow.DATA {
			key = fmt.Sprintf("%s%sDATA@%d", arrow, conn, main.Turn)
			if mark == "" && !s.RepeatOnly && run.key == key && run.n > 0 {
				run.n++
				run.bytes += int64(s.Len)
				list[run.index].text = fmt.Sprintf("%s, %d bytes in %d", key, run.bytes, run.n)
				continue
			}
			run.key, run.n, run.bytes, run.index = key, 1, int64(s.Len), len(list)
			if mark != "" || s.RepeatOnly {
				run.key = ""
			}
		}
		text := arrow + conn + kind
		if s.Len > 0 {
			text += fmt.Sprintf(", %d bytes", s.Len)
		}
		list = append(list, event{s.T, rung{text: text + mark, key: key, note: s.Forged}})
	}
	for i := range r.Calls {
		c := &r.Calls[i]
		list = append(list, event{c.T, rung{text: fmt.Sprintf("  %s: %s", c.Host, c.Name), key: c.Host + c.Name, note: true}})
	}
	for i := range r.Programs {
		p := &r.Programs[i]
		if p.Host != Client && p.Host != Server {
			continue
		}
		if p.End >= 0 {
			list = append(list, event{p.End, rung{text: fmt.Sprintf("  %s %s", p.Host, howEnded(p.Exit, p.Signal)), key: p.Host + " ended"}})
		} else if p.Host == Client {
			list = append(list, event{r.Duration, rung{text: "  client still ran", key: p.Host + " ended"}})
		}
	}
	slices.SortStableFunc(list, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	var out []rung
	for _, e := range list {
		out = append(out, e.rung)
	}
	if more := len(out) - rows; more > 0 {
		half := rows / 2
		middle := rung{text: fmt.Sprintf("  … %d more", more), key: "…"}
		out = slices.Concat(out[:half], []rung{middle}, out[len(out)-half:])
	}
	return out
}

// marks say what the wire did to a segment.
func marks(s *record.Segment) string {
	mark := ""
	switch {
	case s.Forged:
		mark = "  ✱ forged"
	case s.Fate == record.Dropped:
		mark = "  ✗ lost"
	case s.Rewritten != nil:
		mark = "  ✱ shortened"
	case len(s.Departures) > 1:
		mark = "  ⧉ twice"
	case s.Held() > 5*time.Millisecond:
		mark = fmt.Sprintf("  ⧖ %d ms", s.Held().Milliseconds())
	}
	return mark
}

// align puts two ladders beside each other, with what they have in common in the
// same line (the longest common subsequence).
func align(left, right []rung) [][2]string {
	n, m := len(left), len(right)
	same := func(i, k int) bool { return left[i].key == right[k].key && left[i].note == right[k].note }
	best := make([][]int, n+1)
	for i := range best {
		best[i] = make([]int, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for k := m - 1; k >= 0; k-- {
			if same(i, k) {
				best[i][k] = best[i+1][k+1] + 1
			} else {
				best[i][k] = max(best[i+1][k], best[i][k+1])
			}
		}
	}
	var out [][2]string
	i, k := 0, 0
	for i < n || k < m {
		switch {
		case i < n && k < m && same(i, k):
			out = append(out, [2]string{left[i].text, right[k].text})
			i, k = i+1, k+1
		case k < m && (i == n || best[i][k+1] >= best[i+1][k]):
			out = append(out, [2]string{"", right[k].text})
			k++
		default:
			out = append(out, [2]string{left[i].text, ""})
			i++
		}
	}
	return out
}
