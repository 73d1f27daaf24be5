package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

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
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return all, fmt.Errorf("count holdings of %s: %w", h.name, err)
	}
	for _, dir := range dirs {
		if name, err := os.Readlink(dir + "/ns/net"); err != nil || name != namespace {
			continue // that of another host, or of nobody whom we may look at
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		// Process 1 of the host's own pid namespace is what the lab itself needs there.
		if p, ok := readStatus(pid); !ok || p.isInit() {
			continue
		}
		files, err := os.ReadDir(dir + "/fd")
		switch {
		case errors.Is(err, fs.ErrPermission):
			return all, fmt.Errorf("count holdings of %s: %w", h.name, err)
		case err != nil:
			continue // it has ended
		}
		all.Processes++
		all.Descriptors += len(files)
	}
	if all.Processes == 0 && !h.Ended() {
		return all, fmt.Errorf("count holdings of %s: its processes are not to be seen in /proc", h.name)
	}
	sockets, err := h.sockets()
	if err != nil {
		return all, fmt.Errorf("count holdings of %s: %w", h.name, err)
	}
	for _, s := range sockets {
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
