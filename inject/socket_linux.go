package inject

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// TakeSocket takes an open socket out of Go's own poller, for a wire that waits
// for it by itself: in both, each frame would wake a second thread for nothing.
// It closes f; the returned file is the caller's to close.
func TakeSocket(f *os.File) (*os.File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("take socket: %w", err)
	}
	fd := -1
	controlErr := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return nil, fmt.Errorf("take socket: %w", err)
	}
	if err := f.Close(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("take socket: %w", err)
	}
	// NewFile asks whether the descriptor blocks, and polls one that does not.
	if err := unix.SetNonblock(fd, false); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("take socket: %w", err)
	}
	taken := os.NewFile(uintptr(fd), f.Name())
	if err := unix.SetNonblock(fd, true); err != nil {
		taken.Close()
		return nil, fmt.Errorf("take socket: %w", err)
	}
	return taken, nil
}
