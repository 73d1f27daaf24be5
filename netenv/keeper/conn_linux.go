package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// inlineLimit is what travels in the packet itself. A larger message (a big
	// environment) goes through a memfd, as a packet must fit into the socket's
	// send buffer, whose bound is the machine's.
	inlineLimit = 64 << 10
	// maxFiles is the kernel's bound on descriptors in one packet.
	maxFiles = 253
)

// The first byte of a packet says where the message is.
const (
	inPacket = 'p'
	inMemory = 'm'
)

// ErrFilesLost says that descriptors did not arrive, because the receiver has
// reached its limit of open files.
var ErrFilesLost = errors.New("receive descriptors: too many open files (see ulimit -n)")

// Conn is one end of a control socket. Send is safe for concurrent use, Receive
// belongs to one goroutine.
type Conn struct {
	file *os.File
	raw  syscall.RawConn
	send sync.Mutex
	data []byte
	oob  []byte
}

// Pair makes a control socket: an end for this process and a file to be given to
// the other one. The caller closes both; all descriptors are close-on-exec.
func Pair() (*Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make control socket: %w", err)
	}
	far := os.NewFile(uintptr(fds[1]), "control")
	near, err := newConn(fds[0])
	if err != nil {
		far.Close()
		return nil, nil, err
	}
	return near, far, nil
}

// newConn takes over fd, also when it fails.
func newConn(fd int) (*Conn, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	c := &Conn{
		file: os.NewFile(uintptr(fd), "control"),
		data: make([]byte, inlineLimit+1),
		oob:  make([]byte, unix.CmsgSpace(4*maxFiles)),
	}
	var err error
	if c.raw, err = c.file.SyscallConn(); err != nil {
		c.file.Close()
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	return c, nil
}

// Close ends the connection; the other end reads io.EOF.
func (c *Conn) Close() error { return c.file.Close() }

// Send sends a message with copies of the descriptors, which stay the caller's.
func (c *Conn) Send(m Message, fds ...int) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("send %s: %w", m.Op, err)
	}
	packet := append(make([]byte, 0, len(text)+1), inPacket)
	if len(text) > inlineLimit {
		memory, err := memoryOf(text)
		if err != nil {
			return fmt.Errorf("send %s: %w", m.Op, err)
		}
		defer unix.Close(memory)
		packet[0] = inMemory
		fds = append([]int{memory}, fds...)
	} else {
		packet = append(packet, text...)
	}
	if len(fds) > maxFiles {
		return fmt.Errorf("send %s: %d descriptors in one message, the kernel takes %d", m.Op, len(fds), maxFiles)
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}

	c.send.Lock()
	defer c.send.Unlock()
	var sent error
	err = c.raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), packet, rights, nil, unix.MSG_NOSIGNAL)
		return sent != unix.EAGAIN
	})
	if err == nil {
		err = sent
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", m.Op, err)
	}
	return nil
}

// memoryOf makes a memfd that holds text.
func memoryOf(text []byte) (int, error) {
	fd, err := unix.MemfdCreate("message", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("make memfd: %w", err)
	}
	for rest := text; len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("write memfd: %w", err)
		}
		rest = rest[n:]
	}
	return fd, nil
}

// Receive waits for the next message. The descriptors that came with it are
// close-on-exec and belong to the caller. io.EOF says that the other end is gone.
func (c *Conn) Receive() (Message, []int, error) {
	var (
		m          Message
		n, oobn    int
		flags      int
		receiveErr error
	)
	err := c.raw.Read(func(fd uintptr) bool {
		n, oobn, flags, _, receiveErr = unix.Recvmsg(int(fd), c.data, c.oob, unix.MSG_CMSG_CLOEXEC)
		return receiveErr != unix.EAGAIN
	})
	if err == nil {
		err = receiveErr
	}
	switch {
	case errors.Is(err, unix.ECONNRESET):
		// The other end died with packets of ours unread.
		return m, nil, io.EOF
	case err != nil:
		return m, nil, fmt.Errorf("receive message: %w", err)
	case n == 0:
		return m, nil, io.EOF
	}
	fds, err := rightsIn(c.oob[:oobn])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = ErrFilesLost
	}
	text := c.data[1:n]
	if c.data[0] == inMemory && len(fds) > 0 {
		var readErr error
		text, readErr = readAll(fds[0])
		unix.Close(fds[0])
		fds = fds[1:]
		err = errors.Join(err, readErr)
	}
	if jsonErr := json.Unmarshal(text, &m); jsonErr != nil {
		err = errors.Join(err, fmt.Errorf("receive message: %w", jsonErr))
	}
	if err != nil {
		closeAll(fds)
		if m.ID != 0 && errors.Is(err, ErrFilesLost) {
			// The message itself is whole: whoever waits for it is told.
			m.Failure = FailureOf(fmt.Errorf("%s: %w", m.Op, ErrFilesLost))
			return m, nil, nil
		}
		return m, nil, err
	}
	return m, fds, nil
}

func rightsIn(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("receive descriptors: %w", err)
	}
	var fds []int
	for i := range messages {
		if messages[i].Header.Level != unix.SOL_SOCKET || messages[i].Header.Type != unix.SCM_RIGHTS {
			continue
		}
		some, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			closeAll(fds)
			return nil, fmt.Errorf("receive descriptors: %w", err)
		}
		fds = append(fds, some...)
	}
	return fds, nil
}

func readAll(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("read memfd: %w", err)
	}
	text := make([]byte, st.Size)
	if n, err := unix.Pread(fd, text, 0); err != nil || n < len(text) {
		return nil, fmt.Errorf("read memfd: %d of %d bytes: %w", n, len(text), err)
	}
	return text, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
