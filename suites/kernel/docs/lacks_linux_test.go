package docs

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListenerCalls measures what the table of lacks says of a listener. Its
// socket listens on a port of the loopback that nobody knows, and hears from
// nobody.
func TestListenerCalls(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	loopback := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Bind(fd, loopback); err != nil {
		t.Skipf("no loopback here: %v", err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	_, sent := unix.SendmsgN(fd, []byte("x"), nil, nil, unix.MSG_NOSIGNAL)
	_, _, accepted := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	for call, c := range map[string]struct{ got, want error }{
		"send":    {sent, unix.EPIPE},
		"connect": {unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: loopback.Addr}), unix.EISCONN},
		"accept":  {accepted, unix.EAGAIN},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s() of a listener is %v, want %v", call, c.got, c.want)
		}
	}
}
