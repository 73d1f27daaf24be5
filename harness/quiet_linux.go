package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// status is what /proc says of a process.
type status struct {
	pid, parent int
	// inner are its numbers in the pid namespaces that it is in, from ours inwards.
	inner []int
}

// census is where the programs of a lab are found in /proc, and which process is
// the init of a host, to which what they leave behind falls. To find them all of
// /proc is read; the labs that are played side by side would keep each other from
// the processor if that were done at every look.
type census struct {
	found map[int]int  // by number in the keeper's pid namespace: that in ours
	inits map[int]bool // in ours
	// members are all that ran on these hosts when it was taken.
	members []int
}

// tellsChildren: a kernel without CONFIG_PROC_CHILDREN has no such file.
var tellsChildren = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/thread-self/children")
	return err == nil
})

// threads looks at all processes of the hosts on which these run, whose numbers are
// those in the keeper's pid namespace: it notes how often each thread was given the
// processor, and returns whether all sleep.
func (c *census) threads(pids []int, switches map[int]int64) bool {
	if !tellsChildren() || slices.ContainsFunc(pids, func(pid int) bool { return c.found[pid] == 0 }) {
		c.take(pids)
	}
	asleep := true
	var next []int
	if !tellsChildren() {
		next = append(next, c.members...)
	}
	for _, pid := range pids {
		if at := c.found[pid]; at != 0 {
			next = append(next, at)
		}
	}
	for init := range c.inits {
		next = append(next, children(init)...)
	}
	seen := map[int]bool{}
	for ; len(next) > 0; next = next[1:] {
		if pid := next[0]; !seen[pid] && !c.inits[pid] { // a host's init is no program
			seen[pid] = true
			asleep = sleeps(pid, switches) && asleep
			next = append(next, children(pid)...)
		}
	}
	return asleep
}

// take finds programs, and the inits of their hosts, among all processes.
func (c *census) take(pids []int) {
	all := processes()
	below := map[int][]int{}
	for _, p := range all {
		below[p.parent] = append(below[p.parent], p.pid)
	}
	*c = census{found: map[int]int{}, inits: map[int]bool{}}
	hosts := map[string]bool{}
	ours := []int{os.Getpid()}
	for i := 0; i < len(ours); i++ {
		ours = append(ours, below[ours[i]]...)
	}
	for _, pid := range ours {
		if in := all[pid].inner; len(in) >= 3 && slices.Contains(pids, in[1]) {
			c.found[in[1]] = pid
			hosts[namespace(pid)] = true
		}
	}
	for _, pid := range ours {
		if !hosts[namespace(pid)] {
			continue
		}
		if p := all[pid]; len(p.inner) >= 3 && p.isInit() {
			c.inits[pid] = true
		} else {
			c.members = append(c.members, pid)
		}
	}
}

// children are those of all threads of a process.
func children(pid int) []int {
	var all []int
	files, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		for _, word := range bytes.Fields(text) {
			n, _ := strconv.Atoi(string(word))
			all = append(all, n)
		}
	}
	return all
}

// namespace tells pid namespaces apart.
func namespace(pid int) string {
	name, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "ns", "pid"))
	return name
}

// processes are all that can be seen.
func processes() map[int]status {
	all := map[int]status{}
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return all
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if p, ok := readStatus(pid); ok {
			all[pid] = p
		}
	}
	return all
}

// readStatus is what /proc says of a process; false where it has ended.
func readStatus(pid int) (status, bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return status{}, false
	}
	p := status{pid: pid}
	for line := range bytes.Lines(text) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "PPid":
			p.parent, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		case "NSpid":
			for _, word := range bytes.Fields(value) {
				n, _ := strconv.Atoi(string(word))
				p.inner = append(p.inner, n)
			}
		}
	}
	return p, true
}

// isInit tells the init of a pid namespace.
func (p *status) isInit() bool { return len(p.inner) > 0 && p.inner[len(p.inner)-1] == 1 }

// sleeps tells whether all threads of a process sleep or are stopped, and notes
// how often each was given the processor.
func sleeps(pid int, switches map[int]int64) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "task")
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return true // it has ended
	}
	asleep := true
	for _, t := range tasks {
		text, err := os.ReadFile(filepath.Join(dir, t.Name(), "status"))
		if err != nil {
			continue
		}
		tid, _ := strconv.Atoi(t.Name())
		for line := range bytes.Lines(text) {
			key, value, _ := bytes.Cut(line, []byte(":"))
			value = bytes.TrimSpace(value)
			switch string(key) {
			case "State":
				asleep = asleep && len(value) > 0 && bytes.IndexByte([]byte("STtZXI"), value[0]) >= 0
			case "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches":
				n, _ := strconv.ParseInt(string(value), 10, 64)
				switches[tid] += n
			}
		}
	}
	return asleep
}
