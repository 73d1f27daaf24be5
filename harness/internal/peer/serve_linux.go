package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// inherited is the descriptor on which the starter passes the control socket.
	inherited = 3
	// firstSocket is the number of the first socket.
	firstSocket = 8
	// firstPrivate is where the peer's own descriptors begin, out of the way of
	// the numbers that its sockets get.
	firstPrivate = 32
	// processors is the number of calls that may block at the same moment without
	// another having to wait until the runtime's monitor notices that a thread
	// blocks, which takes it up to 10 ms. It has nothing to do with cores.
	processors = 16
)

// init turns a process that was started in the role into a peer. No other
// process notices it.
func init() {
	if len(os.Args) == 0 || os.Args[0] != Role {
		return
	}
	runtime.GOMAXPROCS(processors)
	control, err := moveAside()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: take control socket: %v\n", Role, err)
		unix.Exit(2)
	}
	s := &server{control: control}
	s.requests = json.NewDecoder(s)
	go s.serve()
	select {} // the server ends the process
}

// moveAside moves the control socket to a high number and lets Go's runtime open
// there what its timers need. Else that would take a low number at a moment that
// differs from run to run. The numbers below firstSocket are filled, because on
// some machines the runtime has taken some of them before init. So the numbers in
// two records of the same play are the same.
func moveAside() (control int, err error) {
	control, err = unix.FcntlInt(inherited, unix.F_DUPFD_CLOEXEC, firstPrivate)
	if err != nil {
		return 0, err
	}
	if err := unix.SetNonblock(control, false); err != nil {
		return 0, err
	}
	var filled []int
	for fd := 0; fd <= control; filled = append(filled, fd) {
		if fd, err = unix.FcntlInt(uintptr(control), unix.F_DUPFD_CLOEXEC, inherited); err != nil {
			return 0, err
		}
	}
	time.AfterFunc(time.Hour, func() {}).Stop() // the first timer opens them
	for _, fd := range filled {
		if fd >= firstSocket {
			unix.Close(fd)
		}
	}
	return control, nil
}

// server reads requests and runs each on a thread of its own.
type server struct {
	control  int
	requests *json.Decoder // of the goroutine that serves next
	writing  sync.Mutex    // guards the order of events on control
}

// Read reads from the control socket, without Go's poller.
func (s *server) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(s.control, b)
		switch {
		case err == unix.EINTR:
		case err == unix.ECONNRESET, err == nil && n == 0 && len(b) > 0:
			return 0, io.EOF
		case err != nil:
			return 0, err
		default:
			return n, nil
		}
	}
}

// serve takes one request, leaves the next to another goroutine, and makes the
// calls itself: so no call waits until a thread has woken up for it.
func (s *server) serve() {
	var r request
	switch err := s.requests.Decode(&r); {
	case err == nil:
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the caller has gone, in mid-request even
		unix.Exit(0)
	default:
		fmt.Fprintf(os.Stderr, "%s: serve calls: %v\n", Role, err)
		unix.Exit(2)
	}
	go s.serve()
	s.run(r)
}

// tell sends events in one piece. If the caller is gone there is nobody to tell;
// the reader sees that too and ends the process.
func (s *server) tell(events ...event) {
	var message []byte
	for _, e := range events {
		part, err := json.Marshal(e)
		if err != nil {
			part, _ = json.Marshal(event{ID: e.ID, Last: true, Refused: fmt.Sprintf("tell result: %v", err)})
		}
		message = append(message, part...)
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	for len(message) > 0 {
		n, err := unix.SendmsgN(s.control, message, nil, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		message = message[n:]
	}
}

// run makes the calls of one request.
func (s *server) run(r request) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := r.Check(); err != nil {
		s.tell(event{ID: r.ID, Last: true, Refused: err.Error()})
		return
	}
	old, err := blockSignals()
	if err != nil {
		s.tell(event{ID: r.ID, Last: true, Refused: fmt.Sprintf("block signals: %v", err)})
		return
	}
	defer restoreSignals(old)
	s.sequence(r)
}

func (s *server) sequence(r request) {
	returned := make([]int64, 0, len(r.Calls))
	untold := made{id: r.ID}
	for i, c := range r.Calls {
		c.resolve(returned)
		w := prepare(c)
		if i == 0 || r.Announce {
			s.tell(event{ID: r.ID, Index: i})
		}
		if c.Op == OpExit {
			w.result.Begin = monotonic()
			w.result.End = w.result.Begin
			s.tell(untold.events(w, true)...)
			unix.Exit(int(c.N))
		}
		w.run()
		returned = append(returned, w.result.N)
		last := i == len(r.Calls)-1 || r.UntilError && w.result.Failed()
		if r.Announce || last {
			s.tell(untold.events(w, last)...)
			untold.works = nil
		} else {
			untold.works = append(untold.works, w)
		}
		if last {
			return
		}
		untold.next = i + 1 - len(untold.works)
	}
}

// made are the calls of a request whose results were not told yet.
type made struct {
	id    uint64
	next  int // the index of the first
	works []*work
}

// events are the results of these and of one more call.
func (m *made) events(w *work, last bool) []event {
	events := make([]event, 0, len(m.works)+1)
	for _, w := range append(m.works, w) {
		events = append(events, event{ID: m.id, Index: m.next + len(events), Result: w.finish()})
	}
	events[len(events)-1].Last = last
	return events
}

// resolve replaces references by what the earlier calls returned.
func (c *Call) resolve(returned []int64) {
	c.FD = resolved(c.FD, returned)
	for i := range c.Poll {
		c.Poll[i].FD = resolved(c.Poll[i].FD, returned)
	}
}

func resolved(fd FD, returned []int64) FD {
	if i, ok := fd.ref(); ok {
		return FD(returned[i])
	}
	return fd
}
