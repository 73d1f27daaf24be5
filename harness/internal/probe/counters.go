package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Counters reads the counters of one namespace. It is safe for concurrent use.
type Counters struct {
	mu     sync.Mutex
	files  [2]*os.File
	buffer []byte
}

// NewCounters takes over the namespace's open net/snmp and net/netstat and closes
// them in Close. The files show the namespace in which they were opened.
func NewCounters(snmp, netstat *os.File) *Counters {
	return &Counters{files: [2]*os.File{snmp, netstat}, buffer: make([]byte, 16<<10)}
}

// Close closes both files.
func (c *Counters) Close() error {
	return errors.Join(c.files[0].Close(), c.files[1].Close())
}

// Read returns every counter under its group's name and its own:
// "Tcp.RetransSegs", "TcpExt.TCPTimeouts". The files are read one after the
// other, so what happens between them is in the second only.
func (c *Counters) Read() (map[string]int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	counters := make(map[string]int64, 512)
	for _, f := range c.files {
		text, err := c.whole(f)
		if err != nil {
			return nil, fmt.Errorf("read counters: %w", err)
		}
		if err := parseCounters(text, counters); err != nil {
			return nil, fmt.Errorf("read counters of %s: %w", f.Name(), err)
		}
	}
	return counters, nil
}

// Segments are how many TCP segments a kernel has taken in and sent. Out leaves
// out the repeats that Retrans counts, but for those of a request's SYN-ACK,
// which are in both.
type Segments struct{ In, Out, Retrans int64 }

// TCP reads these three only, which is cheaper than Read.
func (c *Counters) TCP() (Segments, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := c.whole(c.files[0])
	if err != nil {
		return Segments{}, fmt.Errorf("read counters: %w", err)
	}
	begin := max(bytes.Index(text, []byte("Tcp:")), 0)
	text = text[begin:]
	if _, behind, ok := bytes.Cut(text, []byte("\nTcp:")); ok {
		values, _, _ := bytes.Cut(behind, []byte{'\n'})
		text = text[:len(text)-len(behind)+len(values)]
	}
	counters := make(map[string]int64, 16)
	if err := parseCounters(text, counters); err != nil {
		return Segments{}, fmt.Errorf("read counters of %s: %w", c.files[0].Name(), err)
	}
	return Segments{In: counters["Tcp.InSegs"], Out: counters["Tcp.OutSegs"], Retrans: counters["Tcp.RetransSegs"]}, nil
}

// whole reads f from its start. The buffer grows until one read takes all:
// the kernel makes the text anew for each read at offset 0.
func (c *Counters) whole(f *os.File) ([]byte, error) {
	for {
		n, err := f.ReadAt(c.buffer, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if n < len(c.buffer) {
			return c.buffer[:n], nil
		}
		c.buffer = make([]byte, 2*len(c.buffer))
	}
}

// parseCounters adds the counters of a text of pairs of lines, names above
// values, both behind the group's name and a colon.
func parseCounters(text []byte, counters map[string]int64) error {
	for len(text) > 0 {
		var names, values []byte
		names, text, _ = bytes.Cut(text, []byte{'\n'})
		values, text, _ = bytes.Cut(text, []byte{'\n'})
		group, names, _ := bytes.Cut(names, []byte{':'})
		other, values, ok := bytes.Cut(values, []byte{':'})
		if !ok || !bytes.Equal(group, other) {
			return fmt.Errorf("group %q: no line of values follows the names", group)
		}
		if err := parseGroup(string(group), names, values, counters); err != nil {
			return err
		}
	}
	return nil
}

func parseGroup(group string, names, values []byte, counters map[string]int64) error {
	name, value := bytes.Fields(names), bytes.Fields(values)
	if len(name) != len(value) {
		return fmt.Errorf("group %q: %d names, %d values", group, len(name), len(value))
	}
	for i := range name {
		n, err := strconv.ParseInt(string(value[i]), 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			// The kernel's counters are unsigned and may have wrapped: the difference
			// of two is right in either reading.
			var u uint64
			u, err = strconv.ParseUint(string(value[i]), 10, 64)
			n = int64(u)
		}
		if err != nil {
			return fmt.Errorf("counter %s.%s: %w", group, name[i], err)
		}
		counters[group+"."+string(name[i])] = n
	}
	return nil
}

// Delta is by how much a counter changed.
type Delta struct {
	Name  string
	Delta int64
}

// Deltas are the counters that differ from before to after, by name. One that
// only after has counts from zero.
func Deltas(before, after map[string]int64) []Delta {
	var changed []Delta
	for name, value := range after {
		if d := value - before[name]; d != 0 {
			changed = append(changed, Delta{Name: name, Delta: d})
		}
	}
	slices.SortFunc(changed, func(a, b Delta) int { return strings.Compare(a.Name, b.Name) })
	return changed
}
