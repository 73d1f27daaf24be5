package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/lastack/lastack/harness/check"
	"github.com/lastack/lastack/harness/record"
)

// sweeping shows how far a sweep is: on a terminal the matrix as it fills, else a
// line now and then.
type sweeping struct {
	mu     sync.Mutex
	to     io.Writer
	live   bool
	width  int
	height int
	drawn  int // lines that stand
	last   time.Time
	told   int // cells told of
	seen   map[check.Symptom]bool
}

func newSweeping(stderr io.Writer, columns int) *sweeping {
	s := &sweeping{to: stderr, live: live(stderr), width: columns, height: 24, seen: map[check.Symptom]bool{}}
	if f, ok := terminal(stderr); ok {
		if _, n, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			s.height = n
		}
	}
	return s
}

// often is how often the terminal is drawn anew at most.
const often = 100 * time.Millisecond

func (s *sweeping) show(p check.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live {
		if time.Since(s.last) < often && p.Done < len(p.Cells) {
			return
		}
		s.last = time.Now()
		s.draw(&p)
		return
	}
	for _, c := range p.Cells {
		if c.Symptom != "" && !s.seen[c.Symptom] {
			s.seen[c.Symptom] = true
			fmt.Fprintf(s.to, "%s at %s\n", c.Symptom, record.Printable(c.Cell))
		}
	}
	if p.Done == len(p.Cells) && s.told < p.Done || time.Since(s.last) > 5*time.Second {
		s.last, s.told = time.Now(), p.Done
		fmt.Fprintln(s.to, s.line(&p))
	}
}

func (s *sweeping) line(p *check.Progress) string {
	found := 0
	for _, c := range p.Cells {
		if c.Verdict == record.Fail {
			found++
		}
	}
	text := fmt.Sprintf("%d of %s, %.0f per second, %d with a symptom", p.Done, cellCount(len(p.Cells)), float64(p.Done)/max(p.Elapsed.Seconds(), 0.001), found)
	if p.Replaying != "" {
		text = "playing again " + record.Printable(p.Replaying)
	}
	return text
}

// draw writes the matrix and the line below it over those before.
func (s *sweeping) draw(p *check.Progress) {
	var b strings.Builder
	if err := p.Matrix(&b, check.TextOptions{Color: colored(s.to), Width: s.width - 1}); err != nil {
		return // a builder takes everything
	}
	text := b.String() + "\n" + record.Fit(s.line(p), s.width-1) + "\n"
	if n := strings.Count(text, "\n"); n >= s.height {
		text = record.Fit(s.line(p), s.width-1) + "\n" // what is scrolled away cannot be taken back
	}
	s.erase()
	io.WriteString(s.to, text)
	s.drawn = strings.Count(text, "\n")
}

func (s *sweeping) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.to, "\x1b[%dA\r\x1b[J", s.drawn)
		s.drawn = 0
	}
}

// end takes the live view away: the result follows.
func (s *sweeping) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}
