package tool_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Where tshark calls a segment otherwise than its name does, the reason is one of these.
var differences = []difference{
	{
		reason: "the earlier copies were lost on the wire: this host's capture holds the later one alone",
		explains: func(c comparison) bool {
			return c.ours.again && !c.theirs.again && c.segment.SentBy != c.host && c.reached(func(o *record.Segment) bool {
				return o.Seq <= c.segment.Seq && o.Seq+length(o) >= c.segment.Seq+length(c.segment)
			}) == 0
		},
	},
	{
		reason: "the wire made copies of one arrival, and names count arrivals",
		explains: func(c comparison) bool {
			return !c.ours.again && c.theirs.again && c.segment.SentBy != c.host && len(c.segment.Departures) > 1
		},
	},
	{
		reason: "it was forged, and names count what the claimed sender really sent",
		explains: func(c comparison) bool {
			return c.segment.Forged && !c.ours.again && (c.theirs.again || c.theirs.late) && c.segment.SentBy != c.host
		},
	},
	{
		reason:   "one byte that is sent again has the form of a keep-alive, and tshark cannot know that it is data",
		explains: func(c comparison) bool { return c.ours.again && c.theirs.alive && c.segment.Len <= 1 },
	},
	{
		reason: "in a simultaneous open the SYN-ACK repeats the number of the SYN, and a name counts its own kind",
		explains: func(c comparison) bool {
			return c.theirs.again && !c.ours.again && c.segment.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN|tcp.ACK && c.before(func(o *record.Segment) bool {
				return o.Flags&(tcp.SYN|tcp.ACK) == tcp.SYN && o.Seq == c.segment.Seq
			})
		},
	},
	{
		reason: "a forgery in its sender's name carried these numbers before, and names count what the sender really sent",
		explains: func(c comparison) bool {
			return c.theirs.again && !c.ours.again && !c.segment.Forged && c.before(func(o *record.Segment) bool { return o.Forged && length(o) > 0 })
		},
	},
	{
		reason: "the wire rewrote the first copy, which reached this host with another number",
		explains: func(c comparison) bool {
			return c.ours.again && !c.theirs.again && c.segment.SentBy != c.host &&
				c.before(func(o *record.Segment) bool { return len(o.Rewritten) > 0 && o.Seq == c.segment.Seq })
		},
	},
	{
		reason:   "it came within a few milliseconds of something newer, which is out-of-order for tshark before it is a retransmission",
		explains: func(c comparison) bool { return c.ours.again && c.theirs.late },
	},
}

// A difference is explained where one of these says so, and both agree on FIN and RST.
type difference struct {
	reason   string
	explains func(comparison) bool
}

// comparison is one segment of the capture of one host.
type comparison struct {
	run          *record.Run
	host         string
	segment      *record.Segment
	ours, theirs verdict
}

// before reports whether the same sender, or who claimed to be it, had sent such a segment before on that connection.
func (c comparison) before(is func(*record.Segment) bool) bool {
	for i := range c.run.Segments {
		o := &c.run.Segments[i]
		if o == c.segment {
			return false
		}
		if !o.Other && o.Conn == c.segment.Conn && o.From == c.segment.From && is(o) {
			return true
		}
	}
	return false
}

// reached counts the segments of the same sender and connection that came to the host before, and satisfy is.
func (c comparison) reached(is func(*record.Segment) bool) int {
	n := 0
	for i := range c.run.Segments {
		o := &c.run.Segments[i]
		if o == c.segment {
			break
		}
		if o.Other || o.Conn != c.segment.Conn || o.From != c.segment.From || length(o) == 0 || !is(o) {
			continue
		}
		for _, d := range o.Departures {
			if d.To == c.host {
				n++
			}
		}
	}
	return n
}

// length is how much sequence space a segment takes up.
func length(s *record.Segment) int64 {
	n := int64(s.Len)
	if s.Flags&tcp.SYN != 0 {
		n++
	}
	if s.Flags&tcp.FIN != 0 {
		n++
	}
	return n
}

// verdict is what is said of a segment.
type verdict struct {
	fin, rst, again bool

	// What our names do not say.
	late  bool // out of order
	alive bool // a keep-alive
}

func (v verdict) String() string {
	text := "neither FIN nor RST"
	switch {
	case v.fin && v.rst:
		text = "FIN and RST"
	case v.fin:
		text = "FIN"
	case v.rst:
		text = "RST"
	}
	if v.again {
		text += ", again"
	}
	if v.late {
		text += ", out of order"
	}
	if v.alive {
		text += ", keep-alive"
	}
	return text
}

// tsharkAgrees compares what Wireshark's analysis says of FIN, RST and retransmission with our names, in the captures of both
// hosts.
func tsharkAgrees(t *testing.T, runs []*record.Run) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: what Wireshark makes of the captures was not compared with our names")
	}
	met := map[string]int{}
	captures := analyseAll(t, tshark, runs)
	for _, r := range runs {
		for _, file := range captureFiles {
			rows := captures[filepath.Join(r.Evidence, file)]
			// The wire's capture holds what was lost beside what was not, so its analysis means nothing. That it reads is enough.
			host := strings.TrimSuffix(file, ".pcapng")
			if want := segments(r, host); len(rows) != want {
				t.Errorf("%s over IPv%d: %s has %d segments, want %d", r.Scenario, r.IP, file, len(rows), want)
			}
			if host == "wire" {
				continue
			}
			for _, row := range rows {
				c := comparison{run: r, host: host, theirs: row.verdict}
				if c.segment, c.ours = ours(t, r, row.name); c.segment == nil || c.agrees() {
					continue
				}
				i := slices.IndexFunc(differences, func(d difference) bool { return d.explains(c) })
				if i < 0 || c.ours.fin != c.theirs.fin || c.ours.rst != c.theirs.rst {
					t.Errorf("%s over IPv%d, %s: %s is %q for us and %q for tshark, and no row has the reason\n%s",
						r.Scenario, r.IP, file, row.name, c.ours, c.theirs, r.Ladder())
					continue
				}
				met[differences[i].reason]++
			}
		}
	}
	for reason, n := range met {
		t.Logf("%d × %s", n, reason)
	}
}

// agrees leaves out what our names do not say.
func (c comparison) agrees() bool {
	c.theirs.late, c.theirs.alive = false, false
	return c.ours == c.theirs
}

// segments counts those that a host sent or received; for "wire" all that came in or were made there.
func segments(r *record.Run, host string) int {
	n := 0
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Names.Main().Kind == flow.ICMP {
			continue
		}
		if host == "wire" {
			n++
			if len(s.Rewritten) > 0 && len(s.Departures) > 0 {
				n++
			}
			continue
		}
		if s.SentBy == host {
			n++
		}
		for _, d := range s.Departures {
			if d.To == host {
				n++
			}
		}
	}
	return n
}

// analysed is a segment of a capture: its name as our comment has it, and what tshark says of it.
type analysed struct {
	name string
	verdict
}

var captureFiles = []string{"client.pcapng", "server.pcapng", "wire.pcapng"}

// analyseAll reads the captures of all runs, as many at once as there are processors: tshark takes its time to start.
func analyseAll(t *testing.T, tshark string, runs []*record.Run) map[string][]analysed {
	t.Helper()
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		read = map[string][]analysed{}
		turn = make(chan struct{}, runtime.NumCPU())
	)
	for _, r := range runs {
		for _, file := range captureFiles {
			all.Go(func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				file := filepath.Join(r.Evidence, file)
				rows, err := analyse(tshark, file)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				read[file] = rows
			})
		}
	}
	all.Wait()
	return read
}

func analyse(tshark, file string) ([]analysed, error) {
	args := []string{"-n", "-r", file, "-o", "tcp.check_checksum:TRUE", "-Y", "tcp && !icmp && !icmpv6", "-T", "fields"}
	fields := []string{
		"frame.comment", "tcp.flags.fin", "tcp.flags.reset", "tcp.analysis.retransmission", "tcp.analysis.fast_retransmission",
		"tcp.analysis.spurious_retransmission", "tcp.analysis.out_of_order", "tcp.analysis.keep_alive", "tcp.checksum.status", "_ws.malformed",
	}
	for _, field := range fields {
		args = append(args, "-e", field)
	}
	out, err := exec.Command(tshark, args...).Output()
	if err != nil {
		return nil, fmt.Errorf("tshark %s: %w", file, err)
	}
	var rows []analysed
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) != len(fields) {
			return nil, fmt.Errorf("tshark %s: %q has %d fields, want %d", file, line, len(f), len(fields))
		}
		if f[8] != "1" || f[9] != "" {
			return nil, fmt.Errorf("tshark %s: %s: checksum status %q, malformed %q", file, f[0], f[8], f[9])
		}
		// The flags are 1 or True, by the version.
		set := func(flag string) bool { return flag == "1" || flag == "True" }
		rows = append(rows, analysed{f[0], verdict{fin: set(f[1]), rst: set(f[2]), again: f[3]+f[4]+f[5] != "", late: f[6] != "", alive: f[7] != ""}})
	}
	return rows, nil
}

// ours says the same of the segment of that name, from nothing but its names.
func ours(t *testing.T, r *record.Run, name string) (found *record.Segment, v verdict) {
	t.Helper()
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || s.Name() != name {
			continue
		}
		var now verdict
		for _, n := range s.Names.All() {
			now.fin = now.fin || n.Kind == flow.FIN
			now.rst = now.rst || n.Kind == flow.RST
			// Only what takes up sequence space is sent again. An ACK that is repeated is none for Wireshark either.
			takes := n.Kind == flow.SYN || n.Kind == flow.SYNACK || n.Kind == flow.DATA || n.Kind == flow.FIN
			now.again = now.again || takes && n.Copy > 1
		}
		if found != nil && now != v {
			t.Errorf("%s over IPv%d: the comment %q of a capture names different segments: %q and %q", r.Scenario, r.IP, name, v, now)
		}
		found, v = s, now
	}
	if found == nil {
		t.Errorf("%s over IPv%d: the comment %q of a capture names no segment", r.Scenario, r.IP, name)
	}
	return found, v
}
