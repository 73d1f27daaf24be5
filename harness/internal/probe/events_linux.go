package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// eventBuffer is the receive buffer asked for, in bytes: a killed server may free
// thousands of sockets at once. The machine's limit may cut it.
const eventBuffer = 4 << 20

// Events are the full sockets that a namespace frees. Next may be called by one
// goroutine at a time.
type Events struct {
	mu     sync.Mutex
	file   *os.File
	raw    syscall.RawConn
	closed atomic.Bool
	buffer []byte
	queue  []Socket
}

// NewEvents takes over f, a NETLINK_SOCK_DIAG socket that is a member of the
// groups SKNLGRP_INET_TCP_DESTROY and SKNLGRP_INET6_TCP_DESTROY, and closes it in
// Close.
func NewEvents(f *os.File) (*Events, error) {
	fd, err := rawDescriptor(f)
	if err != nil {
		return nil, fmt.Errorf("open destroy events: %w", err)
	}
	// The descriptor is opened anew as non-blocking, so that Go's poller waits for
	// it and Close ends a Next.
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open destroy events: %w", err)
	}
	if err := unix.SetNonblock(again, true); err != nil {
		unix.Close(again)
		return nil, fmt.Errorf("open destroy events: %w", err)
	}
	if unix.SetsockoptInt(again, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventBuffer) != nil {
		// A refusal leaves the buffer as it is, and an overflow is reported.
		_ = unix.SetsockoptInt(again, unix.SOL_SOCKET, unix.SO_RCVBUF, eventBuffer)
	}
	e := &Events{file: os.NewFile(uintptr(again), f.Name()), buffer: make([]byte, answerLen)}
	if e.raw, err = e.file.SyscallConn(); err != nil {
		e.file.Close()
		return nil, fmt.Errorf("open destroy events: %w", err)
	}
	f.Close()
	return e, nil
}

// Close closes the descriptor and ends a Next that waits, with os.ErrClosed.
func (e *Events) Close() error {
	e.closed.Store(true)
	return e.file.Close()
}

// Next waits for a socket to be freed and returns it as it was at its end:
// State is nearly always CLOSED. Find out which socket it was by its Cookie: one
// that was reset by close() with a linger of 0 has lost its four-tuple by then. Its
// Shutdown mask is not told. ErrOverflow says that events before the next one
// are lost; go on with Next. Other errors are the context's and os.ErrClosed.
//
// A context that ends leaves the events where they are.
func (e *Events) Next(ctx context.Context) (Socket, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.queue) == 0 {
		if err := ctx.Err(); err != nil {
			return Socket{}, err
		}
		if err := e.receive(ctx); err != nil {
			return Socket{}, err
		}
	}
	s := e.queue[0]
	e.queue = e.queue[1:]
	return s, nil
}

// receive waits for one datagram and queues its sockets.
func (e *Events) receive(ctx context.Context) error {
	if err := e.file.SetReadDeadline(time.Time{}); err != nil {
		if e.closed.Load() {
			return os.ErrClosed
		}
		return fmt.Errorf("read destroy events: %w", err)
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		_ = e.file.SetReadDeadline(time.Unix(1, 0)) // fails only on a closed file, whose reader has ended
	})
	var n int
	var failure error
	err := e.raw.Read(func(fd uintptr) bool {
		n, failure = unix.Read(int(fd), e.buffer)
		return failure != unix.EAGAIN && failure != unix.EINTR
	})
	if !stop() {
		<-over // else the old deadline would end the next call's wait
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ctx.Err()
	case err != nil && e.closed.Load():
		return os.ErrClosed // the poller has an error of its own for this
	case err != nil:
		return fmt.Errorf("read destroy events: %w", err)
	case failure == unix.ENOBUFS:
		return ErrOverflow
	case failure != nil:
		return fmt.Errorf("read destroy events: %w", failure)
	}
	sockets, _, err := parseSockets(e.buffer[:n])
	if err != nil {
		return fmt.Errorf("read destroy events: %w", err)
	}
	e.queue = sockets
	return nil
}
