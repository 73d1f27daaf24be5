package tool_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A family is all that was started, in however many steps, with a marker in its environment: of the processes of a machine
// only those are ours to judge, because others may run labs beside this test.
type family struct{ marker string }

func newFamily(name string) family {
	return family{fmt.Sprintf("LASTACK_TEST_FAMILY=%d-%s", os.Getpid(), name)}
}

// member is one process of a family.
type member struct {
	pid  int
	born string // in the kernel's ticks: with the number it names a process for good
	argv []string
}

func (m member) String() string { return fmt.Sprintf("%d %q", m.pid, m.argv) }

// ended reports whether nothing is left of the process. One that is dying has no environment any more, and is still there.
func (m member) ended() bool { return bornOf(m.pid) != m.born }

func bornOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The second field is the name, which may hold anything; starttime is the twenty-second.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// is reports whether the process runs as that role.
func (m member) is(role string) bool { return len(m.argv) > 0 && m.argv[0] == role }

// members are the processes of the family that have not ended.
func (f family) members() ([]member, error) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	var found []member
	for _, file := range files {
		// What cannot be read has just ended, or belongs to somebody else.
		environment, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(environment), "\x00"), f.marker) {
			continue
		}
		dir := filepath.Dir(file)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			return nil, err
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		found = append(found, member{pid, bornOf(pid), strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")})
	}
	return found, nil
}

// adopt makes this process the parent of the processes that its own leave behind, until the test ends: so it can bury them,
// and need not wait until the machine's process 1 does, which may take its time.
func adopt(t *testing.T) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	})
}

// pids are the numbers of processes.
func pids(processes []member) (numbers []int) {
	for _, m := range processes {
		numbers = append(numbers, m.pid)
	}
	return numbers
}

// bury takes the exit status of an adopted process, if it has ended and is one.
func bury(m member) {
	_, _ = unix.Wait4(m.pid, nil, unix.WNOHANG, nil) // else it is not ours to bury
}

// closing counts the sockets of a process's network namespace that have sent FIN and wait for its acknowledgement.
func closing(pid int) int {
	count := 0
	for _, file := range []string{"tcp", "tcp6"} {
		table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if err != nil {
			continue // it has just ended
		}
		for line := range bytes.Lines(table) {
			fields := strings.Fields(string(line))
			// The kernel's numbers of FIN_WAIT_1, LAST_ACK and CLOSING.
			if len(fields) > 3 && slices.Contains([]string{"04", "09", "0B"}, fields[3]) {
				count++
			}
		}
	}
	return count
}
