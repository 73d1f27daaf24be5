package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/inject/tcp"
)

// Holdings counts what the programs of the host hold now. It reads /proc, which
// some machines hide; that is the error.
func (h *Host) Holdings() (Holdings, error) {
	var all Holdings
	if h.off {
		return all, fmt.Errorf("count holdings of %s: %w", h.name, errOff)
	}
	namespace, err := h.namespace()
	if err != nil {
		return all, fmt.Errorf("count holdings of %s: %w", h.name, err)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return all, fmt.Errorf("count holdings of %s: %w", h.name, err)
	}
	for _, dir := range processes {
		if name, err := os.Readlink(dir + "/ns/net"); err != nil || name != namespace || isInit(dir) {
			continue
		}
		files, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue // it has ended
		}
		all.Processes++
		all.Descriptors += len(files)
	}
	if all.Processes == 0 && !h.Ended() {
		return all, fmt.Errorf("count holdings of %s: %w", h.name, errors.New("its processes are not to be seen in /proc"))
	}
	for _, s := range h.sockets() {
		if s.State != tcp.Listen && s.Inode != 0 {
			all.Sockets++
		}
	}
	return all, nil
}

// namespace is what /proc calls the host's network namespace.
func (h *Host) namespace() (string, error) {
	conn, err := h.env.Diag.SyscallConn()
	if err != nil {
		return "", err
	}
	name := ""
	var failed error
	err = conn.Control(func(fd uintptr) {
		ns, err := unix.IoctlRetInt(int(fd), unix.SIOCGSKNS)
		if err != nil {
			failed = fmt.Errorf("SIOCGSKNS: %w", err)
			return
		}
		defer unix.Close(ns)
		name, failed = os.Readlink("/proc/self/fd/" + strconv.Itoa(ns))
	})
	return name, errors.Join(err, failed)
}

// isInit tells the process that the lab itself needs on a host: it is process 1 of
// the host's own pid namespace.
func isInit(dir string) bool {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(status)) {
		if numbers, is := strings.CutPrefix(line, "NSpid:"); is {
			list := strings.Fields(numbers)
			return len(list) > 0 && list[len(list)-1] == "1"
		}
	}
	return false
}
