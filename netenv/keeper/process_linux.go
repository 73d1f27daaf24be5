package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the clock that the caller has too.
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0 // the clock cannot fail
	}
	return time.Duration(now.Nano())
}

// A child is a process that this keeper started.
type child struct {
	pid  int
	at   time.Duration
	exit Exit
	// inInit says that it lives in its host's pid namespace, where the host's init
	// signals it.
	inInit bool
	gone   chan struct{} // closed when it was waited for; exit is set before
}

// A nursery starts children and waits for all of them, and for the orphans that
// process 1 is given. One loop waits for everything, so no exit status goes to
// whoever did not ask for it.
type nursery struct {
	// mu is held while a child is born, so that the loop, which looks at a dead
	// child before it buries it, always finds it in the table.
	mu       sync.Mutex
	born     *sync.Cond
	children map[int]*child
}

func newNursery() *nursery {
	n := &nursery{children: map[int]*child{}}
	n.born = sync.NewCond(&n.mu)
	go n.run()
	return n
}

// start forks on the calling thread, whose namespaces the child gets.
func (n *nursery) start(path string, argv []string, attr *syscall.ProcAttr) (*child, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := monotonic()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return nil, err
	}
	c := &child{pid: pid, at: now, gone: make(chan struct{})}
	n.children[pid] = c
	n.born.Signal()
	return c, nil
}

func (n *nursery) run() {
	for {
		var info unix.Siginfo
		// Only a look: the number is not given away before the table was asked.
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			n.mu.Lock()
			if len(n.children) == 0 {
				n.born.Wait()
			}
			n.mu.Unlock()
			continue
		case err != nil:
			return
		}
		n.bury()
	}
}

// bury waits for one dead child. It takes any: the lock keeps births away.
func (n *nursery) bury() {
	n.mu.Lock()
	defer n.mu.Unlock()
	var status syscall.WaitStatus
	// The dead child seen may have been one that could not start, which its own
	// fork has buried: so none may be left.
	pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	if err != nil || pid <= 0 {
		return
	}
	c := n.children[pid]
	if c == nil {
		return
	}
	delete(n.children, pid)
	c.exit = Exit{Code: status.ExitStatus(), At: monotonic()}
	if status.Signaled() {
		c.exit.Code, c.exit.Signal = -1, status.Signal()
	}
	close(c.gone)
}

// signal signals the child's process group, and the child where it has left that.
// A child that is gone is not signalled: its number may be another's.
func (n *nursery) signal(c *child, number syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.children[c.pid] != c {
		return os.ErrProcessDone
	}
	err := syscall.Kill(-c.pid, number)
	if errors.Is(err, syscall.ESRCH) {
		err = syscall.Kill(c.pid, number)
	}
	if err != nil {
		return fmt.Errorf("signal process %d: %w", c.pid, err)
	}
	if number == syscall.SIGSTOP {
		return awaitStopped(c.pid)
	}
	return nil
}

// awaitStopped waits until all threads of a child stand still: the signal is
// only the order to stop, and a thread on another processor may go on for
// microseconds. What the child started is not waited for. The lock that the
// caller holds keeps the number from being given away.
func awaitStopped(pid int) error {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED|unix.WCONTINUED|unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			if err != nil {
				return fmt.Errorf("stop process %d: %w", pid, err)
			}
			return nil
		}
	}
}

func (n *nursery) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.children)
}

// startError says what of a program could not be started. execve tells only an
// errno, which may be about the program, its interpreter or its directory.
func startError(plan *ProcessPlan, path string, err error) error {
	name := path
	if plan.Path == "" {
		name = plan.Argv[0]
	}
	reason := ""
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EACCES) {
		file := path
		if !filepath.IsAbs(file) {
			file = filepath.Join(plan.Dir, file)
		}
		if _, dirErr := os.Stat(plan.Dir); plan.Dir != "" && dirErr != nil {
			reason = fmt.Sprintf("its directory %s: ", plan.Dir)
		} else if info, fileErr := os.Stat(file); fileErr == nil && info.IsDir() {
			reason = "it is a directory: "
		} else if fileErr == nil && errors.Is(err, syscall.ENOENT) {
			reason = "it exists, but its interpreter (the first line of a script, or the dynamic loader) does not: "
		}
	}
	return fmt.Errorf("start program %s: %s%w", name, reason, err)
}

// allCapabilities is every capability that the kernel knows, to be kept by a
// program of ours over exec. As root it is not needed: root gets them anyway.
func allCapabilities() []uintptr {
	if os.Geteuid() == 0 {
		return nil
	}
	last := uintptr(unix.CAP_LAST_CAP)
	if text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		var n uintptr
		if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &n); err == nil {
			last = n
		}
	}
	var all []uintptr
	for c := uintptr(0); c <= last; c++ {
		all = append(all, c)
	}
	return all
}

// isDone reports whether a signal came too late, which is no error to whoever
// wanted the process to end.
func isDone(err error) bool {
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
}
