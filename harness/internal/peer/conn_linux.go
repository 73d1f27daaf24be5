package peer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Pair makes a control socket: callers is for NewConn, peers goes to the process
// of the peer as its descriptor 3 and is closed here when that has started. Both
// are close-on-exec.
func Pair() (callers, peers *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make control socket: %w", err)
	}
	// Only the callers' end goes through Go's poller; the peer's has to block.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, fmt.Errorf("make control socket: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "peer control"), os.NewFile(uintptr(fds[1]), "peer"), nil
}

// hangUp ends the control socket for both sides, whoever else holds a copy of the
// descriptor, and so ends the reader too.
func hangUp(f *os.File) {
	raw, err := f.SyscallConn()
	if err != nil {
		return // closed already
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) }) // fails only where it has ended
}
