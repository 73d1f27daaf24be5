package probe

import "golang.org/x/sys/unix"

// Shrink makes the receive buffer of e too small for more than a few events.
func Shrink(e *Events) error {
	fd, err := rawDescriptor(e.file)
	if err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
}
