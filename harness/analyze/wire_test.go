package analyze

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// wired is what the connections of a wire.pcapng come to. Each line has a fate before
// what it has in a script: passed, held (for 5 ms), dropped or forged.
func wired(t *testing.T, text string) []*Connection {
	t.Helper()
	var list []*Connection
	table := newTable(nil, true, func(c *Connection) {
		c.keepSteps()
		list = append(list, c)
	})
	s := newScript(t)
	var segments []*wireSegment
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		kind, known := map[string]fate{"passed": passed, "held": passed, "dropped": dropped, "forged": forged}[word]
		if !known {
			t.Fatalf("script line %q: no fate %q", line, word)
		}
		seg, _ := s.segment(rest)
		w := &wireSegment{at: began.Add(s.at).UnixNano(), fate: kind, arrived: *seg}
		w.leaving = &w.arrived
		switch {
		case word == "held":
			w.left = []int64{int64(s.at + 5*time.Millisecond)}
		case kind != dropped:
			w.left = []int64{int64(s.at + 20*time.Microsecond)}
		}
		segments = append(segments, w)
	}
	w := &wire{}
	w.arrange(segments)
	for _, ended := w.peek(); !ended; _, ended = w.peek() {
		w.apply(table)
	}
	table.flush()
	return list
}

// The peer of an end whose FIN was lost, and in whose name another was forged, knows
// the forged one's number.
func TestForgedFIN(t *testing.T) {
	list := wired(t, `passed c SYN
		passed s SYN-ACK
		passed c ACK
		passed c DATA 10
		passed s DATA 500
		dropped s DATA 1000
		dropped s FIN
		dropped c ACK ack=501
		forged s FIN seq=501
		forged c RST
		dropped c FIN ack=502
		forged s ACK seq=502 ack=12`)
	if len(list) != 1 {
		t.Fatalf("%d connections", len(list))
	}
	c := list[0]
	if c.Ended != Reset || c.Reset.By != Middlebox || c.ClosedFirst != Server || c.States.Client != "CLOSED" || c.States.Server != "CLOSED" {
		t.Errorf("%s, %+v, first %s, states %+v", c.Ended, c.Reset, c.ClosedFirst, c.States)
	}
	var states []string
	for _, s := range c.steps {
		for side, state := range s.states {
			text := string(who(side)) + " " + state.String()
			if state != 0 && !slices.Contains(states, text) {
				states = append(states, text)
			}
		}
	}
	slices.Sort(states)
	want := []string{
		"client CLOSED", "client CLOSE_WAIT", "client ESTABLISHED", "client LAST_ACK", "client SYN_SENT",
		"server CLOSED", "server ESTABLISHED", "server FIN_WAIT_1", "server SYN_RECV",
	}
	if !slices.Equal(states, want) {
		t.Errorf("the states are %v,\nwant %v", states, want)
	}
	const note = "a FIN that the server did not send reached the client, whose program reads an end of file there"
	if !slices.Contains(c.Notes, note) {
		t.Errorf("there is no note %q: %q", note, c.Notes)
	}
}

// A segment that leaves the wire late shows its sender as it was when it came.
func TestHeldBehindFIN(t *testing.T) {
	list := wired(t, `passed c SYN
		passed s SYN-ACK
		passed c ACK
		held s DATA 500
		passed s FIN`)
	for _, s := range list[0].steps {
		if s.length == 500 && s.states[1].String() != "ESTABLISHED" {
			t.Errorf("the server's state with its data is %s", s.states[1])
		}
	}
}

// However many segments were dropped, each is listed as lost.
func TestEveryDropIsListed(t *testing.T) {
	text := "passed c SYN\npassed s SYN-ACK\npassed c ACK\ndropped c DATA 10"
	const repeats = 3 * repeatsKept
	for range repeats {
		text += "\ndropped c DATA again"
	}
	c := wired(t, text)[0]
	if len(c.Lost) != repeats+1 || c.Lost[repeats] != fmt.Sprintf("client.DATA@1#%d", repeats+1) {
		t.Errorf("%d are listed, the last is %s", len(c.Lost), c.Lost[len(c.Lost)-1])
	}
}
