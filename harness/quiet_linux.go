package harness

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// status is what /proc says of a process.
type status struct {
	pid, parent int
	// inner are its numbers in the pid namespaces that it is in, from ours inwards.
	inner []int
}

// threads looks at all processes of the hosts on which these run, whose numbers are
// those in the keeper's pid namespace: it notes how often each thread was given the
// processor, and returns whether all sleep.
func threads(pids []int, switches map[int]int64) bool {
	all := processes()
	children := map[int][]int{}
	for _, p := range all {
		children[p.parent] = append(children[p.parent], p.pid)
	}
	var ours []int
	for next := []int{os.Getpid()}; len(next) > 0; {
		next = append(next[1:], children[next[0]]...)
		ours = append(ours, next...)
	}
	slices.Sort(ours)
	// What a program leaves behind is no child of it any more, but in its namespace.
	hosts := map[string]bool{}
	for _, pid := range ours {
		if in := all[pid].inner; len(in) >= 3 && slices.Contains(pids, in[1]) {
			hosts[namespace(pid)] = true
		}
	}
	asleep := true
	for _, pid := range slices.Compact(ours) {
		in := all[pid].inner
		if len(in) < 3 || in[len(in)-1] == 1 || !hosts[namespace(pid)] { // 1 is the host's init, and no program
			continue
		}
		if !sleeps(pid, switches) {
			asleep = false
		}
	}
	return asleep
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
		text, err := os.ReadFile(filepath.Join("/proc", d.Name(), "status"))
		if err != nil {
			continue // it has ended
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
		all[pid] = p
	}
	return all
}

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
