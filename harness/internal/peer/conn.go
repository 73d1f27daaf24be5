package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// ErrGone says that the peer has ended, or its control socket has.
var ErrGone = errors.New("reach peer: it is gone")

// ErrNotLinux is what everything that needs a kernel returns elsewhere.
var ErrNotLinux = errors.New("run a peer: needs Linux")

// Conn controls one peer. It is safe for concurrent use.
type Conn struct {
	file *os.File
	gone chan struct{}

	writing sync.Mutex // guards the order of requests on the file

	mu      sync.Mutex // guards what follows
	next    uint64
	pending map[uint64]*Pending
	broken  error
}

// NewConn takes over f, the callers' end of a Pair, and closes it in Close.
func NewConn(f *os.File) *Conn {
	c := &Conn{file: f, gone: make(chan struct{}), pending: make(map[uint64]*Pending)}
	go c.receive()
	return c
}

// Close ends the control socket and with it the peer, which exits at once; the
// kernel then closes what it had open. Calls under way end with ErrGone. Close
// does not wait for the process.
func (c *Conn) Close() error {
	hangUp(c.file)
	<-c.gone
	return nil
}

// Gone is closed when the peer has ended or Close was called.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// Do makes one call and waits for its result. The error is ErrGone where the peer
// ended before it told the result, the context's where that ended first (the call
// goes on in the peer, and its result is lost: use Start to keep it), or that of
// Sequence.Check. What the kernel refuses is in the Result.
func (c *Conn) Do(ctx context.Context, call Call) (Result, error) {
	return c.Start(call).Wait(ctx)
}

// Run makes the calls of a sequence and waits for their results. With an error it
// returns those that are known.
func (c *Conn) Run(ctx context.Context, s Sequence) ([]Result, error) {
	return c.StartSequence(s).WaitAll(ctx)
}

// Start sends one call and returns at once. Errors come from the Pending.
func (c *Conn) Start(call Call) *Pending { return c.StartSequence(Seq(call)) }

// StartSequence sends a sequence and returns at once. Errors come from the
// Pending.
func (c *Conn) StartSequence(s Sequence) *Pending {
	p := newPending(len(s.Calls))
	if err := s.Check(); err != nil {
		p.finish(err)
		return p
	}
	id, err := c.enter(p)
	if err != nil {
		p.finish(err)
		return p
	}
	if err := c.send(request{ID: id, Sequence: s}); err != nil {
		c.leave(id)
		p.finish(fmt.Errorf("%w: %w", ErrGone, err))
	}
	return p
}

func (c *Conn) enter(p *Pending) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return 0, c.broken
	}
	c.next++
	c.pending[c.next] = p
	return c.next, nil
}

func (c *Conn) leave(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

func (c *Conn) send(r request) error {
	message, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err = c.file.Write(message)
	return err
}

// receive hands the peer's events to those who wait, until the peer is gone. It
// alone closes the file.
func (c *Conn) receive() {
	events := json.NewDecoder(c.file)
	var err error
	for err == nil {
		var e event
		if err = events.Decode(&e); err == nil {
			c.deliver(e)
		}
	}
	c.mu.Lock()
	if c.broken = ErrGone; !ended(err) {
		c.broken = fmt.Errorf("%w: %w", ErrGone, err)
	}
	left := c.pending
	c.pending = nil
	c.mu.Unlock()
	for _, p := range left {
		p.finish(c.broken)
	}
	c.file.Close()
	close(c.gone)
}

// ended reports whether err is only the end of the control socket. A peer that
// was killed with requests unread resets it.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.ECONNRESET)
}

func (c *Conn) deliver(e event) {
	c.mu.Lock()
	p := c.pending[e.ID]
	if e.Last {
		delete(c.pending, e.ID)
	}
	c.mu.Unlock()
	if p != nil {
		p.take(e)
	}
}
