package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/netenv/keeper/hostinit"
)

const (
	// firstLink is the index of the first wire's end. The kernel hurries to tell of
	// a link whose index is not its other end's; with equal ones, as 2 and 2, it may
	// take a second. A host's end is 2.
	firstLink = 1000
	// endLimit bounds the end of all labs together. What hangs longer dies with
	// process 1 of the pid namespace.
	endLimit = 10 * time.Second
)

// keeper is the server.
type keeper struct {
	net          netns.NsHandle // its own
	conn         *Conn
	rtnl         *rtnl
	watch        *linkWatch
	nursery      *nursery
	null         uintptr // /dev/null
	binary       string
	capabilities []uintptr

	links, groups atomic.Int64
	building      chan struct{}
	ending        chan struct{}

	mu    sync.Mutex
	labs  map[uint64]*lab
	procs map[uint64]*child
}

func (k *keeper) nextLink() int { return firstLink + int(k.links.Add(1)) }

// runKeeper serves until the control socket ends.
func runKeeper() int {
	hostinit.Deafen()
	dropInherited()
	conn, err := newConn(hostinit.ControlFD)
	if err != nil {
		fmt.Fprintln(os.Stderr, "lastack keeper:", err)
		return 1
	}
	k, hello, err := furnishKeeper(conn)
	if err != nil {
		if conn.Send(Message{Op: OpHello, Failure: FailureOf(err)}) != nil {
			fmt.Fprintln(os.Stderr, "lastack keeper:", err)
		}
		return 1
	}
	if err := conn.Send(Message{Op: OpHello, Body: encode(hello)}); err != nil {
		return 1 // the caller is gone
	}
	k.serve()
	k.end()
	return 0
}

// dropInherited closes what the caller inherited itself and passed on without
// knowing: a pipe that somebody waits for must not stay open because of a keeper,
// and no program on a host should find it. What this process has opened already is
// close-on-exec.
func dropInherited() {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // then they stay, as in any other child
	}
	for _, file := range files {
		fd, err := strconv.Atoi(file.Name())
		if err != nil || fd <= hostinit.ControlFD {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}

// furnishKeeper prepares the keeper's own namespaces, of which the network is
// where the wires' ends lie.
func furnishKeeper(conn *Conn) (*keeper, Hello, error) {
	var hello Hello
	if err := privateMounts(); err != nil {
		return nil, hello, err
	}
	// Without a /proc of its own the keeper sees its threads in that of the caller,
	// which will do where a container does not let it mount one.
	if err := hostinit.MountProc(); err != nil {
		hello.Proc = at(StepMount, err).Error()
	}
	// The namespace is new, so no link has had an address yet.
	for _, key := range []string{"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6"} {
		if err := writeSysctl(key, "1"); err != nil {
			hello.SysReadOnly = errors.Is(err, unix.EROFS)
			if !errors.Is(err, unix.ENOENT) {
				return nil, hello, err
			}
		}
	}
	rtnl, err := openRtnl()
	if err != nil {
		return nil, hello, err
	}
	if err := rtnl.setUp(loopback, true); err != nil {
		return nil, hello, err
	}
	watch, err := watchLinks(rtnl.operstates)
	if err != nil {
		return nil, hello, err
	}
	own, err := netns.GetFromPath("/proc/self/ns/net")
	if err != nil {
		return nil, hello, at(StepNamespace, fmt.Errorf("open network namespace: %w", err))
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, hello, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	return &keeper{
		net: own, conn: conn, rtnl: rtnl, watch: watch, nursery: newNursery(), null: uintptr(null),
		binary: "/proc/self/exe", capabilities: allCapabilities(),
		building: make(chan struct{}, runtime.NumCPU()), ending: make(chan struct{}),
		labs: map[uint64]*lab{}, procs: map[uint64]*child{},
	}, hello, nil
}

// serve answers requests, each on its own goroutine, until the caller is gone.
func (k *keeper) serve() {
	for {
		m, fds, err := k.conn.Receive()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			fmt.Fprintln(os.Stderr, "lastack keeper:", err)
			return
		case m.Failure != nil: // its descriptors were lost
			k.answer(m, nil, nil, m.Failure)
			continue
		}
		if m.Op == OpNewLab {
			// Known before the next message is read, which may close it already.
			k.newLab(m)
			continue
		}
		go k.handle(m, fds)
	}
}

func (k *keeper) newLab(m Message) {
	var plan LabPlan
	err := json.Unmarshal(m.Body, &plan)
	var l *lab
	if err == nil {
		l, err = k.addLab(m.Lab, plan)
	}
	if err != nil {
		k.answer(m, nil, nil, err)
		return
	}
	go func() {
		fds, err := l.build()
		var wires []int
		if err == nil {
			for _, h := range l.hosts {
				wires = append(wires, h.wire)
			}
		}
		k.answer(m, wires, fds, err)
		closeAll(fds)
	}()
}

// handle does one request and answers it. fds came with it.
func (k *keeper) handle(m Message, fds []int) {
	defer closeAll(fds)
	body, files, err := k.do(m, fds)
	k.answer(m, body, files, err)
	closeAll(files)
}

// answer sends what became of a request. A caller that is gone is noticed where
// messages are received.
func (k *keeper) answer(m Message, body any, fds []int, err error) {
	reply := Message{ID: m.ID, Op: m.Op, Failure: FailureOf(err)}
	if err == nil && body != nil {
		reply.Body = encode(body)
	}
	if err := k.conn.Send(reply, fds...); err != nil && !errors.Is(err, unix.EPIPE) {
		_ = k.conn.Send(Message{ID: m.ID, Op: m.Op, Failure: FailureOf(err)})
	}
}

func encode(body any) json.RawMessage {
	text, err := json.Marshal(body)
	if err != nil {
		panic("encode " + err.Error()) // only our own plain types are encoded
	}
	return text
}

func (k *keeper) do(m Message, fds []int) (body any, files []int, err error) {
	switch m.Op {
	case OpCensus:
		census, err := k.census()
		return census, nil, err
	case OpSignal:
		return nil, nil, k.signal(m)
	}
	k.mu.Lock()
	l := k.labs[m.Lab]
	k.mu.Unlock()
	if m.Op == OpCloseLab {
		if l == nil {
			return nil, nil, nil // it failed or was closed: there is nothing left
		}
		return nil, nil, l.close()
	}
	if l == nil {
		return nil, nil, fmt.Errorf("%s: the lab is closed", m.Op)
	}
	h, err := l.host(m.Host)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.Op, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if l.ended {
		return nil, nil, fmt.Errorf("%s %s: the lab is closed", m.Op, m.Host)
	}
	body, files, err = k.doHost(h, m, fds)
	if errors.Is(err, errOff) || errors.Is(err, errAgentEnded) {
		err = fmt.Errorf("%s %s: %w", m.Op, m.Host, err)
	}
	return body, files, err
}

func (k *keeper) doHost(h *host, m Message, fds []int) (body any, files []int, err error) {
	switch m.Op {
	case OpCutOff:
		return nil, nil, h.cutOff()
	case OpPowerOff:
		return nil, nil, h.powerOff()
	case OpBoot:
		if h.on {
			return nil, nil, errors.New("boot host " + m.Host + ": it is on")
		}
		files, err = h.boot()
		if err != nil {
			err = errors.Join(fmt.Errorf("boot host %s: %w", m.Host, err), h.powerOff())
		}
		return h.wire, files, err
	case OpUnplug:
		return nil, nil, h.unplug()
	case OpPlug:
		return nil, nil, h.plug()
	case OpDestroy:
		var tuple Tuple
		if err := json.Unmarshal(m.Body, &tuple); err != nil {
			return nil, nil, err
		}
		if !h.on {
			return nil, nil, errOff
		}
		return nil, nil, h.diag.destroyTuple(tuple)
	case OpAskDiag:
		if !h.on {
			return nil, nil, errOff
		}
		_, err := h.diag.sockets(unix.AF_INET, unix.IPPROTO_TCP)
		if err != nil {
			err = at(StepDiag, fmt.Errorf("ask sock_diag: %w", err))
		}
		return nil, nil, err
	case OpGetSysctl:
		return k.getSysctl(h, m)
	case OpSetSysctl:
		var s Sysctl
		if err := json.Unmarshal(m.Body, &s); err != nil {
			return nil, nil, err
		}
		change, err := h.setSysctl(s)
		return change, nil, err
	case OpListSysctls:
		var keys []string
		if !h.on {
			return nil, nil, errOff
		}
		err := h.agent.do(func() (err error) { keys, err = listSysctls(); return err })
		return keys, nil, err
	case OpOpenRaw:
		var raw RawSocket
		if err := json.Unmarshal(m.Body, &raw); err != nil {
			return nil, nil, err
		}
		if !h.on {
			return nil, nil, errOff
		}
		fd := -1
		if err := h.agent.do(func() (err error) { fd, err = openRaw(raw.Network); return err }); err != nil {
			return nil, nil, err
		}
		return nil, []int{fd}, nil
	case OpNeighbours:
		var n Neighbours
		if err := json.Unmarshal(m.Body, &n); err != nil {
			return nil, nil, err
		}
		if !h.on {
			return nil, nil, errOff
		}
		if err := h.neighbours(n.Resolve); err != nil {
			return nil, nil, err
		}
		h.plan.Resolve = n.Resolve
		return nil, nil, nil
	case OpStart:
		return k.start(h, m, fds)
	case OpFiles:
		var search Search
		if err := json.Unmarshal(m.Body, &search); err != nil {
			return nil, nil, err
		}
		found, files, err := h.disk.files(search.Globs)
		return found, files, err
	case OpSignalAll:
		var s Signal
		if err := json.Unmarshal(m.Body, &s); err != nil {
			return nil, nil, err
		}
		return nil, nil, h.signalAll(s.Number)
	}
	return nil, nil, fmt.Errorf("request %q: unknown", m.Op)
}

func (k *keeper) getSysctl(h *host, m Message) (any, []int, error) {
	var s Sysctl
	if err := json.Unmarshal(m.Body, &s); err != nil {
		return nil, nil, err
	}
	if !h.on {
		return nil, nil, errOff
	}
	err := h.agent.do(func() (err error) { s.Value, err = readSysctl(s.Key); return err })
	return s, nil, err
}

// start starts a process and tells its end, whenever that comes, under the number
// that the caller gave it.
func (k *keeper) start(h *host, m Message, fds []int) (any, []int, error) {
	var plan ProcessPlan
	if err := json.Unmarshal(m.Body, &plan); err != nil {
		return nil, nil, err
	}
	if len(plan.Argv) == 0 {
		return nil, nil, errors.New("start program: no name in argv")
	}
	c, err := h.start(&plan, fds)
	if err != nil {
		return nil, nil, err
	}
	k.mu.Lock()
	k.procs[m.Process] = c
	k.mu.Unlock()
	go func() {
		<-c.gone
		h.forget(c)
		k.mu.Lock()
		delete(k.procs, m.Process)
		k.mu.Unlock()
		_ = k.conn.Send(Message{Op: OpExited, Process: m.Process, Body: encode(c.exit)})
	}()
	return Started{PID: c.pid, At: c.at}, nil, nil
}

func (k *keeper) signal(m Message) error {
	var s Signal
	if err := json.Unmarshal(m.Body, &s); err != nil {
		return err
	}
	k.mu.Lock()
	c := k.procs[m.Process]
	k.mu.Unlock()
	if c == nil {
		return at(StepGone, os.ErrProcessDone)
	}
	if err := k.nursery.signal(c, s.Number); err != nil {
		if isDone(err) {
			err = at(StepGone, os.ErrProcessDone)
		}
		return err
	}
	return nil
}

// end ends all labs side by side.
func (k *keeper) end() {
	close(k.ending)
	k.mu.Lock()
	labs := make([]*lab, 0, len(k.labs))
	for _, l := range k.labs {
		labs = append(labs, l)
	}
	k.mu.Unlock()
	var wait sync.WaitGroup
	for _, l := range labs {
		wait.Go(func() { _ = l.close() }) // nobody is left who could be told
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(endLimit):
	}
}

// census counts what the keeper holds.
func (k *keeper) census() (Census, error) {
	k.mu.Lock()
	c := Census{Labs: len(k.labs)}
	var labs []*lab
	for _, l := range k.labs {
		labs = append(labs, l)
	}
	k.mu.Unlock()
	expected := 0
	for _, l := range labs {
		for _, h := range l.hosts {
			h.mu.Lock()
			if h.on {
				c.Hosts++
				expected++
			}
			h.mu.Unlock()
		}
	}
	c.Processes = k.nursery.count()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return c, fmt.Errorf("take census: %w", err)
	}
	for _, task := range tasks {
		if _, err := strconv.Atoi(task.Name()); err != nil {
			continue
		}
		ns, err := netns.GetFromPath("/proc/self/task/" + task.Name() + "/ns/net")
		if err != nil {
			continue // it has just ended
		}
		c.Threads++
		if !ns.Equal(k.net) {
			c.Strays++
		}
		ns.Close()
	}
	c.Strays -= expected
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return c, fmt.Errorf("take census: %w", err)
	}
	c.Descriptors = len(files) - 1 // the directory's own
	states, err := k.rtnl.operstates()
	if err != nil {
		return c, err
	}
	c.Links = len(states) - 1 // lo
	return c, nil
}
