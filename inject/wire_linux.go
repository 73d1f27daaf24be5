package inject

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Wire is the engine between real ports. It owns one thread, which sleeps
// until a frame, a deadline or Close wakes it. All methods are safe for
// concurrent use.
type Wire struct {
	mu     sync.Mutex
	engine *Engine
	ports  []*port
	config WireConfig
	states []StateNote
	last   map[endOf]seenAt
	waits  map[*Watch]chan struct{}
	failed error

	whole       []byte // scratch of send
	epoll, wake int
	closing     bool
	asleepUntil time.Duration // when the thread wakes by itself; 0: never
	askAt       time.Duration // when the kernels are asked again; 0: nothing waits for them
	pause       time.Duration // between two such questions
	done        chan struct{}
}

type endOf struct {
	conn int
	host string
}

// seenAt is an observation with the time at which its timer will have run out.
type seenAt struct {
	Observation
	runsOut time.Duration
}

// restart is by how much later a timer must run out than it would have before
// it counts as started again: more than the kernel rounds.
const restart = 50 * time.Millisecond

// port reads ahead by one frame, so that frames of several ports are taken in
// the order in which the kernel received them.
type port struct {
	fd      int
	ready   bool // there may be more to read
	full    bool // frame holds the next one
	frame   []byte
	buf     []byte
	head    int // bytes of virtio_net_hdr before each frame
	stamp   time.Time
	last    time.Duration // when the frame before arrived
	control [64]byte
	iov     unix.Iovec
	msg     unix.Msghdr
	lost    int
}

const (
	maxFrame = 1<<16 + 256 // a superframe with its headers
	wakeMark = -1          // what epoll says of the descriptor that wakes the thread
)

// NewWire puts an engine between the ports and begins to pass frames. The
// caller closes the wire before it closes the sockets.
func NewWire(config WireConfig) (*Wire, error) {
	if config.Clock == nil {
		start := time.Now()
		config.Clock = func() time.Duration { return time.Since(start) }
	}
	var bare []Port
	for _, p := range config.Ports {
		bare = append(bare, p.Port)
	}
	w := &Wire{
		engine: NewEngine(bare, config.Log), config: config,
		last: map[endOf]seenAt{}, waits: map[*Watch]chan struct{}{}, done: make(chan struct{}),
	}
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make wire: epoll: %w", err)
	}
	if w.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		unix.Close(w.epoll)
		return nil, fmt.Errorf("make wire: eventfd: %w", err)
	}
	if err := w.listen(w.wake, wakeMark); err != nil {
		w.closeDescriptors()
		return nil, err
	}
	for i, p := range config.Ports {
		raw := newPort(int(p.Socket.Fd()), p.Super)
		if err := unix.SetNonblock(raw.fd, true); err != nil { // Fd made it blocking
			w.closeDescriptors()
			return nil, fmt.Errorf("make wire: port of %s: %w", p.Host, err)
		}
		w.ports = append(w.ports, raw)
		if err := w.listen(raw.fd, int32(i)); err != nil {
			w.closeDescriptors()
			return nil, err
		}
	}
	go w.run()
	return w, nil
}

func newPort(fd int, super bool) *port {
	p := &port{fd: fd, buf: make([]byte, maxFrame)}
	if super {
		p.head = virtioHeader
	}
	p.iov.Base = &p.buf[0]
	p.iov.SetLen(len(p.buf))
	p.msg.Iov = &p.iov
	p.msg.SetIovlen(1)
	p.msg.Control = &p.control[0]
	return p
}

func (w *Wire) listen(fd int, mark int32) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: mark}
	if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("make wire: watch port: %w", err)
	}
	return nil
}

func (w *Wire) closeDescriptors() {
	unix.Close(w.epoll)
	unix.Close(w.wake)
}

// Do calls f with the engine and the time, and then sends what f set free.
func (w *Wire) Do(f func(e *Engine, now time.Duration)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.engine, w.config.Clock())
	w.pump()
	w.nudge()
}

// Await waits until a condition is met and returns when it was. It returns
// early, with ErrGivenUp, when stop is closed, and with the wire's own error
// when the wire broke. Any other error is the condition's: a host that the lab
// does not have.
func (w *Wire) Await(stop <-chan struct{}, c Condition) (time.Duration, error) {
	w.mu.Lock()
	watch, err := w.engine.Watch(c, w.config.Clock())
	if err != nil || watch.Met {
		w.mu.Unlock()
		if err != nil {
			return 0, err
		}
		return watch.T, nil
	}
	met := make(chan struct{})
	w.waits[watch] = met
	w.nudge()
	w.mu.Unlock()
	select {
	case <-met:
	case <-stop:
	case <-w.done:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waits, watch)
	switch {
	case watch.Met:
		return watch.T, nil
	case w.failed != nil:
		return 0, w.failed
	}
	w.engine.Unwatch(watch)
	return 0, ErrGivenUp
}

// Observe asks a kernel for one end of a connection without a segment, and
// enters what it said. No frame is passed meanwhile, so that readings stand in
// the order in which they were true. ask says false where the kernel could not
// be asked.
func (w *Wire) Observe(host string, conn int, ask func() (Observation, bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.timed(ask); ok {
		w.note(w.config.Clock(), conn, host, o, -1, false)
	}
	w.pump()
	w.nudge()
}

// States are the observations so far, in their order.
func (w *Wire) States() []StateNote {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]StateNote(nil), w.states...)
}

// Lost counts frames that the kernel dropped because the wire read too slowly.
// A run that lost any proves nothing.
func (w *Wire) Lost() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	lost := 0
	for _, p := range w.ports {
		p.count()
		lost += p.lost
	}
	return lost
}

// Silence takes nothing more from a host's port and hands nothing to it. When
// it returns no frame is on its way.
func (w *Wire) Silence(host string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, p := range w.config.Ports {
		if p.Host == host {
			w.engine.Silence(i)
			raw := w.ports[i]
			unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, raw.fd, nil)
			// The caller may close the socket now, and its number be another's.
			raw.count()
			raw.fd, raw.ready, raw.full = -1, false, false
		}
	}
}

// Attach gives a port that Silence has ended a new socket, as after a host has booted: from
// now on frames pass there again. The old socket is the caller's to close,
// before or after.
func (w *Wire) Attach(host string, socket *os.File) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, p := range w.config.Ports {
		if p.Host != host {
			continue
		}
		old := w.ports[i]
		raw := newPort(int(socket.Fd()), p.Super)
		if err := unix.SetNonblock(raw.fd, true); err != nil { // Fd made it blocking
			return fmt.Errorf("attach port of %s: %w", host, err)
		}
		raw.lost = old.lost
		if err := w.listen(raw.fd, int32(i)); err != nil {
			return err
		}
		w.ports[i] = raw
		w.config.Ports[i].Socket = socket
		w.engine.Attach(i)
		w.rouse()
		return nil
	}
	return fmt.Errorf("attach port: there is no host %q", host)
}

// Close stops the wire: when it returns no frame is taken or sent any more.
// The error is what broke the wire before, if anything did.
func (w *Wire) Close() error {
	w.mu.Lock()
	w.closing = true
	w.rouse()
	w.mu.Unlock()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.epoll >= 0 {
		w.closeDescriptors()
		w.epoll, w.wake = -1, -1
	}
	return w.failed
}

func (w *Wire) rouse() {
	if w.wake >= 0 {
		one := [8]byte{7: 1}
		if nativeLittle {
			one = [8]byte{0: 1}
		}
		unix.Write(w.wake, one[:])
	}
}

var nativeLittle = func() bool { x := uint16(1); return *(*byte)(unsafe.Pointer(&x)) == 1 }()

// nudge wakes the thread when it would sleep beyond the next deadline.
func (w *Wire) nudge() {
	w.plan()
	if w.askAt > 0 && (w.asleepUntil == 0 || w.askAt < w.asleepUntil) {
		w.rouse()
		return
	}
	if at, ok := w.engine.Deadline(); ok && (w.asleepUntil == 0 || at < w.asleepUntil) {
		w.rouse()
	}
}

const (
	firstPause = time.Millisecond
	lastPause  = 32 * time.Millisecond
)

// plan sets when the kernels are asked for what no segment tells: at once and
// then ever more rarely, until something happens.
func (w *Wire) plan() {
	asked := false
	w.engine.Asked(func(*Condition) { asked = true })
	switch {
	case !asked || w.config.Prober == nil:
		w.askAt, w.pause = 0, 0
	case w.askAt == 0:
		w.askAt, w.pause = w.config.Clock(), firstPause
	}
}

// ask looks at the kernels for what conditions wait for.
func (w *Wire) ask() {
	now := w.config.Clock()
	if w.askAt == 0 || now < w.askAt {
		return
	}
	var wanted []Condition
	w.engine.Asked(func(c *Condition) { wanted = append(wanted, *c) })
	for _, c := range wanted {
		if c.Kind == Listening {
			if w.config.Prober.Listening(c.Host, c.Port) {
				w.engine.NoteListening(now, c.Host, c.Port)
			}
			continue
		}
		number := max(c.Conn, 1)
		conn := w.engine.Flow().Conn(number)
		if conn == nil {
			continue
		}
		if end := conn.EndOf(c.Host); end != nil {
			if o, ok := w.look(c.Host, conn, end); ok {
				w.note(w.config.Clock(), number, c.Host, o, -1, false)
			}
		}
	}
	w.pump()
	w.askAt = w.config.Clock() + w.pause
	w.pause = min(2*w.pause, lastPause)
	w.plan()
}

func (w *Wire) run() {
	runtime.LockOSThread()
	defer close(w.done)
	events := make([]unix.EpollEvent, 8)
	for {
		w.mu.Lock()
		if w.closing {
			w.mu.Unlock()
			return
		}
		timeout := w.timeout()
		w.mu.Unlock()
		n, err := unix.EpollWait(w.epoll, events, timeout)
		w.mu.Lock()
		w.asleepUntil = 0
		if err != nil && !errors.Is(err, unix.EINTR) {
			w.failed = fmt.Errorf("run wire: epoll: %w", err)
			w.mu.Unlock()
			return
		}
		for _, ev := range events[:max(n, 0)] {
			if ev.Fd == wakeMark {
				var drain [8]byte
				unix.Read(w.wake, drain[:])
			} else {
				// An event may be older than the Silence that ended its port.
				p := w.ports[ev.Fd]
				p.ready = p.fd >= 0
			}
		}
		w.engine.Tick(w.config.Clock())
		w.pump()
		// What has come in is told first: it often is what was asked for.
		if !w.take() {
			w.ask()
		}
		w.mu.Unlock()
	}
}

// timeout is how long the thread may sleep, in milliseconds; a deadline that
// is less than one away is waited for awake.
func (w *Wire) timeout() int {
	for _, p := range w.ports {
		if p.full {
			return 0
		}
	}
	w.plan()
	at, ok := w.engine.Deadline()
	if w.askAt > 0 && (!ok || w.askAt < at) {
		at, ok = w.askAt, true
	}
	if !ok {
		return -1
	}
	left := at - w.config.Clock()
	w.asleepUntil = at
	return int(max(left, 0) / time.Millisecond)
}

// burst bounds how many frames are passed before the ports are looked at again.
const burst = 32

// take passes the frames that have come in, earliest first. It says false where
// there was none.
func (w *Wire) take() bool {
	n := burst
	if w.config.Step {
		n = 1
	}
	for i := range n {
		var first *port
		index := 0
		for i, p := range w.ports {
			if p.ready && !p.full {
				w.read(p)
			}
			if p.full && (first == nil || p.stamp.Before(first.stamp)) {
				first, index = p, i
			}
		}
		if first == nil {
			return i > 0
		}
		first.full = false
		w.arrive(index, first)
	}
	return true
}

// read fetches the next frame of a port with the time at which the kernel
// received it.
func (w *Wire) read(p *port) {
	p.msg.SetControllen(len(p.control))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(p.fd), uintptr(unsafe.Pointer(&p.msg)), unix.MSG_DONTWAIT)
	switch errno {
	case 0:
	case unix.EINTR, unix.ENETDOWN: // the cable was pulled or the host cut off: it may come back
		return
	default:
		p.ready = false
		if errno != unix.EAGAIN {
			w.failed = fmt.Errorf("run wire: read port: %w", errno)
		}
		return
	}
	p.frame, p.full = p.buf[min(p.head, int(n)):n], true
	p.stamp = stampOf(p.control[:p.msg.Controllen])
}

// stampOf reads the SO_TIMESTAMPNS of a control message. Without one the frame
// counts as arrived now.
func stampOf(control []byte) time.Time {
	const header = unix.SizeofCmsghdr
	if len(control) >= unix.CmsgLen(16) {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS {
			ts := (*unix.Timespec)(unsafe.Pointer(&control[header]))
			return time.Unix(ts.Unix())
		}
	}
	return time.Now()
}

func (w *Wire) arrive(index int, p *port) {
	// The wall clock is read first: what comes between the two readings then
	// makes the arrival later, never earlier than what it answers.
	waited := time.Now().Round(0).Sub(p.stamp.Round(0))
	now := w.config.Clock()
	t := now
	// It may also be set at any time: a difference that cannot be is none.
	if waited > 0 && waited < time.Minute {
		t = now - waited
	}
	// Two readings are some microseconds off, and what comes in at one port does so
	// in its order.
	t = max(t, p.last)
	p.last = t
	if w.askAt > 0 {
		w.askAt, w.pause = now, firstPause
	}
	if p.head > 0 && w.engine.Particular() {
		if frames, ok := finish(p.buf[:p.head], p.frame); ok {
			for _, frame := range frames {
				w.enter(t, index, frame)
			}
			return
		}
	}
	w.enter(t, index, p.frame)
}

func (w *Wire) enter(t time.Duration, index int, frame []byte) {
	passage := w.engine.Arrive(t, index, frame)
	if w.config.Step && !passage.Other {
		w.probe(passage, passage.From, false)
	}
	w.pump()
}

// pump sends what the engine has set free.
func (w *Wire) pump() {
	for {
		em, ok := w.engine.Next(w.config.Clock())
		if !ok {
			break
		}
		// The time is taken before: the answer is stamped while send still runs.
		w.engine.Left(&em, w.config.Clock())
		err := w.send(&em)
		if err != nil && !lossy(err) && w.failed == nil {
			w.failed = fmt.Errorf("run wire: send to %s: %w", w.config.Ports[em.Port].Host, err)
		}
		if w.config.Step && !em.Passage.Other {
			w.probe(em.Passage, em.Passage.To, true)
			w.probe(em.Passage, em.Passage.From, true)
		}
	}
	for watch, met := range w.waits {
		if watch.Met {
			delete(w.waits, watch)
			close(met)
		}
	}
}

// lossy are the errors of a cable that is pulled: the frame is lost, as it
// would be.
func lossy(err error) bool {
	return errors.Is(err, unix.ENETDOWN) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV)
}

// send hands a frame to its port. One that goes on as it came in, in the port's
// own buffer, takes its virtio_net_hdr along: the receiving kernel finishes
// what the sending one left to hardware. Any other is whole already.
func (w *Wire) send(em *Emission) error {
	out := w.ports[em.Port]
	if out.head == 0 {
		return send(out.fd, em.Frame)
	}
	if in := em.Passage.Port; in >= 0 {
		if from := w.ports[in]; len(em.Frame) > 0 && len(from.buf) > from.head && &em.Frame[0] == &from.buf[from.head] {
			return send(out.fd, from.buf[:from.head+len(em.Frame)])
		}
	}
	w.whole = append(append(w.whole[:0], make([]byte, out.head)...), em.Frame...)
	return send(out.fd, w.whole)
}

func send(fd int, frame []byte) error {
	for {
		_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)), 0, 0, 0)
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		case unix.ENOBUFS, unix.EAGAIN: // the other end's queue is full: wait for room as a cable would
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			unix.Poll(fds, 1)
		default:
			return errno
		}
	}
}

// probe reads one end's state and notes it.
func (w *Wire) probe(p *Passage, host string, after bool) {
	conn := w.engine.Flow().Conn(p.Conn)
	if conn == nil {
		return
	}
	end := conn.EndOf(host)
	if end == nil {
		return
	}
	if o, ok := w.look(host, conn, end); ok {
		w.note(w.config.Clock(), p.Conn, host, o, p.Index, after)
	}
}

// look asks a kernel for one end.
func (w *Wire) look(host string, conn *flow.Conn, end *flow.End) (Observation, bool) {
	return w.timed(func() (Observation, bool) {
		return w.config.Prober.Probe(host, end.Addr, conn.Other(end).Addr)
	})
}

// A kernel is asked again, at most so often, where the scheduler came between
// the question and what it says of a timer.
const (
	askedAgain = 3
	answerSoon = 2 * time.Millisecond
)

// timed asks, and says how exactly the answer is known. It is dated when it is
// there, lest a state be older than what brought it about; but what was left of
// the timer was read some time before that, after the question was put.
func (w *Wire) timed(ask func() (Observation, bool)) (o Observation, ok bool) {
	for range 1 + askedAgain {
		asked := w.config.Clock()
		o, ok = ask()
		if !ok || o.Timer == "" {
			break
		}
		took := w.config.Clock() - asked
		o.Latest = o.Expires
		o.Expires = max(0, o.Expires-took)
		if took < answerSoon {
			break
		}
	}
	return o, ok
}

func (w *Wire) note(now time.Duration, conn int, host string, o Observation, passage int, after bool) {
	key := endOf{conn, host}
	before, known := w.last[key]
	if !known && o.State == tcp.Closed && passage < 0 {
		return // nothing was there yet
	}
	w.last[key] = seenAt{o, now + o.Latest}
	restarted := o.Timer != "" && now+o.Expires > before.runsOut+restart
	if !known || before.State != o.State || before.Timer != o.Timer || before.Orphan != o.Orphan || restarted {
		w.states = append(w.states, StateNote{T: now, Conn: conn, Host: host, Observation: o, Passage: passage, After: after})
	}
	if known || o.State != tcp.Closed {
		w.engine.NoteState(now, Reading{Conn: conn, Host: host, State: o.State})
	}
}

// count reads and clears the kernel's count of frames lost at a port.
func (p *port) count() {
	if p.fd < 0 {
		return
	}
	if st, err := unix.GetsockoptTpacketStats(p.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		p.lost += int(st.Drops)
	}
}
