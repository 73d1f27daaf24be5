package builtin

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func setUserTimeout(fd uintptr, d time.Duration) error {
	return unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
}

func setReceiveBuffer(fd uintptr, size int) error {
	return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size)
}

func peekDescriptor(fd uintptr) pooledState {
	var b [1]byte
	for {
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return alive
		case err != nil || n == 0:
			return ended
		default:
			return spoken
		}
	}
}

// readable looks without waiting.
func readable(fd uintptr) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}

// dieBySIGPIPE does what a program in C does that writes to a connection that was
// reset and has not asked to be spared the signal. Go's runtime lets a process die
// by it only where its stdout is such.
func dieBySIGPIPE() {
	r, w, err := os.Pipe()
	if err == nil {
		r.Close()
		err = unix.Dup3(int(w.Fd()), 1, 0)
	}
	if err == nil {
		_, err = os.Stdout.WriteString("x")
	}
	fmt.Fprintln(os.Stderr, "die by SIGPIPE:", err)
	os.Exit(exitFailed)
}
