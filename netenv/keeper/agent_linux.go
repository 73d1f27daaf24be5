package keeper

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// errAgentEnded says that work came for a thread that is gone.
var errAgentEnded = errors.New("the host is off")

// An agent is one thread of this process that lives in a host's network
// namespace, and later in its mount namespace. No other goroutine can ever run in
// the wrong namespace, because the agent's ends locked, and with it the runtime
// kills the thread. That takes a while, so the thread gives the network namespace
// back before: once the agent has ended, it holds none.
//
// Sockets keep the namespace in which they were made, and children that of the
// thread that forks, so what must happen in the namespace is few and short.
type agent struct {
	home netns.NsHandle
	work chan func()
	quit chan struct{}
	done chan struct{}
}

// startAgent makes the thread. It is still in the keeper's namespaces, and the
// first thing that it does should take it out of there. Home is the keeper's
// network namespace; none for an agent that stays in it.
func startAgent(home netns.NsHandle) *agent {
	a := &agent{home: home, work: make(chan func()), quit: make(chan struct{}), done: make(chan struct{})}
	go a.run()
	return a
}

func (a *agent) run() {
	runtime.LockOSThread()
	defer close(a.done)
	// What a user's program inherits must not hold the keeper's capabilities.
	// Children that need them get them one by one. Without a user namespace there
	// are none in the ambient set, and nothing to lose.
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	for {
		select {
		case work := <-a.work:
			work()
		case <-a.quit:
			if a.home.IsOpen() {
				_ = netns.Set(a.home) // where this fails, the thread's end gives it back
			}
			return
		}
	}
}

// do runs f on the agent's thread and waits for it. f must not start goroutines:
// they would run elsewhere.
func (a *agent) do(f func() error) error {
	result := make(chan error, 1)
	select {
	case a.work <- func() { result <- f() }:
		return <-result
	case <-a.done:
		return errAgentEnded
	}
}

// end ends the thread after what it is doing. It may be called once.
func (a *agent) end() {
	close(a.quit)
	<-a.done
}

// enterNewNet moves the calling thread into a new network namespace.
func enterNewNet() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return at(StepNamespace, fmt.Errorf("make network namespace: %w", err))
	}
	return nil
}
