package netenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lastack/lastack/netenv/keeper"
)

// transport is the control socket, seen from here.
type transport interface {
	// send sends a message with copies of the files, which stay the caller's.
	send(keeper.Message, []*os.File) error
	// receive waits for a message. The files belong to whoever receives.
	receive() (keeper.Message, []*os.File, error)
	close() error
}

// Keeper is the process that lives in the namespaces and serves any number of labs
// at once. All methods are safe for concurrent use.
type Keeper struct {
	conn transport
	// reap waits until the process is gone and tells what it said on its way.
	reap func() error

	numbers atomic.Uint64 // of requests, labs and processes
	hello   keeper.Hello
	pid     int

	mu      sync.Mutex
	waiting map[uint64]*request
	labs    map[uint64]*Lab
	procs   map[uint64]*Process
	closing bool
	died    error         // why there is no keeper any more
	gone    chan struct{} // closed after died is set
	closed  chan struct{} // closed when Close has done its work
	failure error         // what Close returned
}

// A request waits for its answer, for which there is room, so that nobody waits
// to give it. It is given with the keeper's lock held.
type request struct {
	answer chan answer
}

type answer struct {
	message keeper.Message
	files   []*os.File
}

func newKeeper(conn transport, reap func() error) *Keeper {
	return &Keeper{
		conn: conn, reap: reap,
		waiting: map[uint64]*request{}, labs: map[uint64]*Lab{}, procs: map[uint64]*Process{},
		gone: make(chan struct{}), closed: make(chan struct{}),
	}
}

// run takes what the keeper says, until it ends.
func (k *Keeper) run() {
	for {
		m, files, err := k.conn.receive()
		if err != nil {
			k.die(err)
			return
		}
		if m.Op == keeper.OpExited {
			k.exited(m)
			continue
		}
		k.mu.Lock()
		r := k.waiting[m.ID]
		delete(k.waiting, m.ID)
		if r != nil {
			r.answer <- answer{m, files}
		}
		k.mu.Unlock()
		if r == nil {
			go closeFiles(files) // nobody waits any more
		}
	}
}

// die tells everybody who waits that the keeper is gone.
func (k *Keeper) die(err error) {
	said := k.reap()
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closing:
		k.died = fmt.Errorf("keeper: %w", ErrClosed)
	case said != nil:
		k.died = fmt.Errorf("keeper: it has ended: %w", said)
	default:
		k.died = fmt.Errorf("keeper: it has ended: %w", err)
	}
	close(k.gone)
	for _, p := range k.procs {
		close(p.done)
	}
	k.procs = map[uint64]*Process{}
}

func (k *Keeper) exited(m keeper.Message) {
	var exit keeper.Exit
	if err := json.Unmarshal(m.Body, &exit); err != nil {
		return // both ends are one binary
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.procs[m.Process]
	if p == nil {
		return
	}
	delete(k.procs, m.Process)
	p.status = ExitStatus{Code: exit.Code, Signal: exit.Signal, At: exit.At}
	p.ended = true
	close(p.done)
}

// call sends a request and waits for its answer. Where ctx ends first, undo is
// called, and descriptors that come later are closed.
func (k *Keeper) call(ctx context.Context, m keeper.Message, body any, files []*os.File, undo func()) (keeper.Message, []*os.File, error) {
	if err := ctx.Err(); err != nil {
		return m, nil, fmt.Errorf("%s: %w", m.Op, context.Cause(ctx))
	}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return m, nil, fmt.Errorf("%s: %w", m.Op, err)
		}
		m.Body = text
	}
	m.ID = k.numbers.Add(1)
	r := &request{answer: make(chan answer, 1)}
	k.mu.Lock()
	k.waiting[m.ID] = r
	k.mu.Unlock()
	forget := func() {
		k.mu.Lock()
		delete(k.waiting, m.ID)
		k.mu.Unlock()
		select {
		case late := <-r.answer:
			go closeFiles(late.files)
		default:
		}
	}
	if err := k.conn.send(m, files); err != nil {
		forget()
		select {
		case <-k.gone:
			return m, nil, fmt.Errorf("%s: %w", m.Op, k.died)
		default:
			return m, nil, err
		}
	}
	select {
	case a := <-r.answer:
		if a.message.Failure != nil {
			closeFiles(a.files)
			return m, nil, a.message.Failure
		}
		return a.message, a.files, nil
	case <-ctx.Done():
		forget()
		if undo != nil {
			undo()
		}
		return m, nil, fmt.Errorf("%s: %w", m.Op, context.Cause(ctx))
	case <-k.gone:
		forget()
		return m, nil, fmt.Errorf("%s: %w", m.Op, k.died)
	}
}

// ask is a call without descriptors whose answer is decoded into result, if not nil.
func (k *Keeper) ask(ctx context.Context, m keeper.Message, body, result any) error {
	reply, files, err := k.call(ctx, m, body, nil, nil)
	closeFiles(files)
	if err == nil && result != nil {
		err = json.Unmarshal(reply.Body, result)
	}
	return err
}

// Close ends all labs in order, then the keeper, and returns when its process is
// gone. It closes the descriptors of labs that were not closed. A second call
// waits for the first and returns the same.
func (k *Keeper) Close() error {
	k.mu.Lock()
	if k.closing {
		k.mu.Unlock()
		<-k.closed
		return k.failure
	}
	k.closing = true
	labs := make([]*Lab, 0, len(k.labs))
	for _, l := range k.labs {
		labs = append(labs, l)
	}
	dead := k.died
	k.mu.Unlock()

	var wait sync.WaitGroup
	errs := make([]error, len(labs))
	for i, l := range labs {
		wait.Go(func() { errs[i] = l.Close() })
	}
	wait.Wait()
	err := errors.Join(errs...)
	if dead == nil {
		err = errors.Join(err, k.conn.close())
	}
	<-k.gone
	k.failure = err
	close(k.closed)
	return err
}

// Census asks the keeper what it holds, for audits.
func (k *Keeper) Census(ctx context.Context) (Census, error) {
	var c keeper.Census
	if err := k.ask(ctx, keeper.Message{Op: keeper.OpCensus}, nil, &c); err != nil {
		return Census{}, err
	}
	return Census(c), nil
}

// Census is what a keeper holds. Without labs it holds no host, process or link.
type Census struct {
	// Labs, Hosts (with power), and Processes, inits of hosts included.
	Labs, Hosts, Processes int
	// Threads are those of the keeper; Strays those that are in a namespace but
	// serve no host.
	Threads, Strays int
	// Descriptors are the keeper's open ones.
	Descriptors int
	// Links are the wires' ends.
	Links int
}

// callLimit bounds requests of methods without a context. The keeper has bounds of
// its own and answers long before.
const callLimit = time.Minute

func bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(context.Background(), callLimit, errors.New("the keeper does not answer"))
}

// closeFiles closes side by side, as closing a packet socket waits for the kernel.
func closeFiles(files []*os.File) {
	var wait sync.WaitGroup
	for _, f := range files {
		wait.Go(func() { f.Close() }) // its owner may have closed it before
	}
	wait.Wait()
}
