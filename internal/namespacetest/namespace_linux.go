package namespacetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNoHandles is returned by Of where the kernel cannot name a namespace without
// keeping it alive.
var ErrNoHandles = errors.New("this kernel gives no handles of namespaces (Linux 6.18 does)")

// Namespace is one, by a handle of the kernel's that does not keep it alive as a
// descriptor would.
type Namespace struct {
	name   string // as in net:[4026531840]
	handle unix.FileHandle
}

// Of are the namespaces of all threads of processes by their names, but for those of
// the calling process. What has ended meanwhile is left out. It returns ErrNoHandles.
func Of(pids []int) (map[string]Namespace, error) {
	own, err := filepath.Glob("/proc/self/ns/*")
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, file := range own {
		if name, err := os.Readlink(file); err == nil {
			known[name] = true
		}
	}
	found := map[string]Namespace{}
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/ns/*", pid))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name, err := os.Readlink(file)
			if err != nil || known[name] || found[name].name != "" {
				continue
			}
			ns, err := handleOf(name, file)
			if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
				return nil, ErrNoHandles
			}
			if err == nil {
				found[name] = ns
			}
		}
	}
	return found, nil
}

func handleOf(name, file string) (Namespace, error) {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Namespace{}, err
	}
	defer unix.Close(fd)
	handle, _, err := unix.NameToHandleAt(fd, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return Namespace{}, err
	}
	return Namespace{name, handle}, nil
}

// nsfsRoot is FD_NSFS_ROOT: where handles of namespaces are opened.
const nsfsRoot = -10003

// Lives asks the kernel whether the namespace is still there, held by whatever: a
// process, a descriptor, a mount, a socket.
func (n Namespace) Lives() (bool, error) {
	fd, err := unix.OpenByHandleAt(nsfsRoot, n.handle, unix.O_RDONLY|unix.O_CLOEXEC)
	switch {
	case err == nil:
		return true, unix.Close(fd)
	case errors.Is(err, unix.ESTALE):
		return false, nil
	}
	return false, fmt.Errorf("open namespace %s: %w", n.name, err)
}
