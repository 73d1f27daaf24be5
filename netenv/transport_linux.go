package netenv

import (
	"fmt"
	"os"

	"github.com/lastack/lastack/netenv/keeper"
)

// control is the control socket to a keeper.
type control struct{ conn *keeper.Conn }

func (c control) send(m keeper.Message, files []*os.File) error {
	return withDescriptors(files, nil, func(fds []int) error { return c.conn.Send(m, fds...) })
}

// withDescriptors holds all files open while use runs, and changes nothing about
// them, as Fd would.
func withDescriptors(files []*os.File, fds []int, use func([]int) error) error {
	if len(files) == 0 {
		return use(fds)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return fmt.Errorf("pass descriptor %s: %w", files[0].Name(), err)
	}
	var useErr error
	err = raw.Control(func(fd uintptr) {
		useErr = withDescriptors(files[1:], append(fds, int(fd)), use)
	})
	if err != nil {
		return fmt.Errorf("pass descriptor %s: %w", files[0].Name(), err)
	}
	return useErr
}

// fileNames are those of a host's descriptors, in the order of keeper.HostFiles.
var fileNames = [keeper.HostFiles]string{"port", "sock_diag", "destroy events", "net/snmp", "net/netstat"}

func (c control) receive() (keeper.Message, []*os.File, error) {
	m, fds, err := c.conn.Receive()
	if err != nil {
		return m, nil, err
	}
	files := make([]*os.File, 0, len(fds))
	for i, fd := range fds {
		name := string(m.Op)
		if m.Op == keeper.OpNewLab || m.Op == keeper.OpBoot {
			name = fileNames[i%len(fileNames)]
		}
		files = append(files, os.NewFile(uintptr(fd), name))
	}
	return m, files, nil
}

func (c control) close() error { return c.conn.Close() }
