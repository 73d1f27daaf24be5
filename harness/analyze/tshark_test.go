package analyze

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// what is said of a frame, by tshark or by us.
type what struct {
	again, alive, zero, reset bool
	late                      bool // out of order, which we do not tell
}

func (w what) String() string {
	var words []string
	for _, x := range []struct {
		is   bool
		word string
	}{{w.again, "repeat"}, {w.alive, "keep-alive or probe"}, {w.zero, "zero window"}, {w.reset, "reset"}, {w.late, "out of order"}} {
		if x.is {
			words = append(words, x.word)
		}
	}
	if words == nil {
		return "nothing of note"
	}
	return strings.Join(words, ", ")
}

// frame is a segment in both views.
type frame struct {
	number       int
	ours, theirs what
	step         *step // nil where it is no segment of a connection here
	file         *Totals
}

// difference is a reason for which tshark says something else than we do.
type difference struct {
	reason   string
	explains func(f *frame) bool
}

var tsharkDifferences = []difference{
	{
		"the frame is in the capture twice, which is one segment here",
		func(f *frame) bool { return f.step == nil && f.file.Duplicates > 0 },
	},
	{
		"it has flags that no TCP sends, so it belongs to no connection here",
		func(f *frame) bool { return f.step == nil && f.file.Skipped["flags"] > 0 },
	},
	{
		"it is a late segment of an incarnation that has ended, and tshark counts it in the next one",
		func(f *frame) bool { return f.step == nil && f.file.Late > 0 },
	},
	{
		"in a simultaneous open the SYN-ACK has the number of the SYN, and is another kind of segment here",
		func(f *frame) bool {
			return f.step != nil && f.step.kind == flow.SYNACK && f.step.copy == 1 && f.theirs.again
		},
	},
	{
		"beside bytes that were sent before it brings new ones, and a repeat here brings none",
		func(f *frame) bool {
			return f.step != nil && f.step.kind == flow.DATA && f.step.copy > 1 && f.theirs.again
		},
	},
	{
		"it came within a few milliseconds of something newer, which is out of order for tshark before it is a repeat",
		func(f *frame) bool { return f.ours.again && f.theirs.late },
	},
}

// What Wireshark's analysis says of repeats, keep-alives and probes, zero
// windows and resets is what we say, or a row has the reason.
func TestTsharkAgrees(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: what Wireshark makes of the captures was not compared")
	}
	files, err := filepath.Glob("testdata/captures/*.pcap*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	if os.Getenv("LASTACK_SOAK") == "" {
		// tshark takes its time to start. These show most of what it has to agree with.
		files = slices.DeleteFunc(files, func(f string) bool {
			return !slices.Contains([]string{"any-sll.pcap", "both-server.pcap", "keepalive-timeout.pcap", "zero-window.pcap", "abort.pcap"}, filepath.Base(f))
		})
	}
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		frames = map[string][]frame{}
		turn   = make(chan struct{}, runtime.NumCPU())
	)
	for _, file := range files {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			list := compare(t, tshark, file)
			mu.Lock()
			defer mu.Unlock()
			frames[file] = list
		})
	}
	all.Wait()
	met, total := map[string]int{}, 0
	for file, list := range frames {
		for i := range list {
			f := &list[i]
			total++
			if f.agrees() {
				continue
			}
			k := slices.IndexFunc(tsharkDifferences, func(d difference) bool { return d.explains(f) })
			if k < 0 {
				t.Errorf("%s: frame %d is %q for us and %q for tshark, and no row has the reason", file, f.number, f.ours, f.theirs)
				continue
			}
			met[tsharkDifferences[k].reason]++
		}
	}
	if total == 0 {
		t.Errorf("of %d captures no frame was compared", len(files))
	}
	t.Logf("%d frames were compared", total)
	for reason, n := range met {
		t.Logf("%d × %s", n, reason)
	}
}

func (f *frame) agrees() bool {
	theirs := f.theirs
	theirs.late = false
	return f.ours == theirs
}

// compare reads a file in both ways. It is empty for one that either refuses.
func compare(t *testing.T, tshark, file string) []frame {
	type key struct {
		at  int64
		src string
	}
	steps := map[key][]*step{}
	in, err := os.Open(file)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer in.Close()
	totals, err := Read(t.Context(), []Input{{file, in}}, Options{Explain: true, Ended: func(c *Connection) {
		c.keepSteps()
		for i := range c.steps {
			s := &c.steps[i]
			src := c.Client
			if s.from == 1 {
				src = c.Server
			}
			k := key{c.Start.UnixNano() + s.at, src.String()}
			steps[k] = append(steps[k], s)
		}
	}})
	if err != nil {
		return nil
	}
	args := []string{"-n", "-r", file, "-Y", "tcp && !icmp && !icmpv6", "-T", "fields", "-E", "occurrence=l"}
	fields := []string{
		"frame.number", "frame.time_epoch", "ip.src", "ipv6.src", "tcp.srcport", "tcp.flags.reset", "tcp.analysis.retransmission",
		"tcp.analysis.fast_retransmission", "tcp.analysis.spurious_retransmission", "tcp.analysis.out_of_order", "tcp.analysis.keep_alive",
		"tcp.analysis.zero_window_probe", "tcp.analysis.zero_window",
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.Command(tshark, args...).Output()
	if err != nil {
		return nil
	}
	var list []frame
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) != len(fields) {
			t.Errorf("tshark %s: %q has %d fields, want %d", file, line, len(f), len(fields))
			return nil
		}
		set := func(i int) bool { return f[i] == "1" || f[i] == "True" }
		number, _ := strconv.Atoi(f[0])
		src := f[2] + ":" + f[4]
		if f[3] != "" {
			src = "[" + f[3] + "]:" + f[4]
		}
		x := frame{number: number, file: &totals, theirs: what{
			again: f[6]+f[7]+f[8] != "", late: f[9] != "", alive: f[10]+f[11] != "", zero: f[12] != "", reset: set(5),
		}}
		k := key{nanoseconds(f[1]), src}
		if s := steps[k]; len(s) > 0 {
			x.step = s[0]
			steps[k] = s[1:]
			x.ours = what{
				again: s[0].role == roleRepeat, alive: s[0].role == roleKeepalive || s[0].role == roleProbe,
				reset: s[0].flags.Has(tcp.RST), zero: s[0].window == 0 && s[0].flags&(tcp.SYN|tcp.RST|tcp.FIN) == 0,
			}
		}
		list = append(list, x)
	}
	return list
}

func nanoseconds(text string) int64 {
	seconds, fraction, _ := strings.Cut(text, ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return math.MinInt64
	}
	n, _ := strconv.ParseInt(fmt.Sprintf("%-9s", fraction)[:9], 10, 64)
	return s*1e9 + n
}
