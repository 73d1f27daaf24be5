package netenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/netenv/keeper"
)

// Start starts a keeper: as this process, where it may make namespaces, else in a
// user namespace. The caller closes it. The error says exactly what is in the way
// and which knob opens it; errors.Is tells ErrNoPrivileges and ErrNotSupported.
//
// ctx bounds the start, not the life of the keeper.
func Start(ctx context.Context) (*Keeper, error) {
	near, far, err := keeper.Pair()
	if err != nil {
		return nil, fmt.Errorf("start keeper: %w", err)
	}
	defer far.Close()
	privileged := mayMakeNamespaces()
	said := &tail{}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{keeper.RoleKeeper}
	cmd.Dir = "/" // the caller's directory is not held
	cmd.ExtraFiles = []*os.File{far}
	cmd.Stderr = said
	// Programs on the hosts have no part of the keeper's stderr, so nothing can keep
	// it open for long.
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = namespaces(privileged)
	if err := cmd.Start(); err != nil {
		near.Close()
		return nil, explainStart(failureAt(startStep, err), !privileged)
	}
	far.Close() // or the keeper's end would not be seen

	k := newKeeper(control{near}, func() error { return reap(cmd, said) })
	k.pid = cmd.Process.Pid
	type greeting struct {
		message keeper.Message
		err     error
	}
	greeted := make(chan greeting, 1)
	go func() {
		m, fds, err := k.conn.receive()
		closeFiles(fds)
		greeted <- greeting{m, err}
	}()
	var g greeting
	select {
	case g = <-greeted:
	case <-ctx.Done():
		near.Close()
		_ = reap(cmd, said)
		return nil, fmt.Errorf("start keeper: %w", context.Cause(ctx))
	}
	switch {
	case g.err != nil:
		near.Close()
		if err := reap(cmd, said); err != nil {
			g.err = err
		}
		return nil, fmt.Errorf("start keeper: it ended before it was ready: %w", g.err)
	case g.message.Failure != nil:
		near.Close()
		_ = reap(cmd, said) // the failure says it better
		return nil, explainStart(g.message.Failure, !privileged)
	}
	if err := json.Unmarshal(g.message.Body, &k.hello); err != nil {
		near.Close()
		_ = reap(cmd, said)
		return nil, fmt.Errorf("start keeper: %w", err)
	}
	go k.run()
	return k, nil
}

// namespaces are those of a keeper. It is in a session of its own, so that a
// terminal's signals do not reach it, and is not bound to the thread that started
// it: it ends when the control socket does.
func namespaces(privileged bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Setsid:     true,
	}
	if privileged {
		return attr
	}
	uid, gid := os.Getuid(), os.Getgid()
	attr.Cloneflags |= syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	for c := range uintptr(lastCapability()) + 1 {
		attr.AmbientCaps = append(attr.AmbientCaps, c)
	}
	return attr
}

func lastCapability() int {
	last := unix.CAP_LAST_CAP
	if text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		if _, err := fmt.Sscan(string(text), &last); err != nil {
			return unix.CAP_LAST_CAP
		}
	}
	return last
}

// mayMakeNamespaces reports whether this process has what a lab needs without a
// user namespace.
func mayMakeNamespaces() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	const needed = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	return data[0].Effective&needed == needed
}

// reap waits for the keeper's process and tells why it ended, if not as it should.
func reap(cmd *exec.Cmd, said *tail) error {
	err := cmd.Wait()
	text := strings.TrimSpace(said.String())
	switch {
	case err != nil && text != "":
		return fmt.Errorf("%w: %s", err, text)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return err
	case text != "":
		return errors.New(text)
	}
	return nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

var _ io.Writer = (*tail)(nil)

// tailLimit holds a Go panic with a few goroutines.
const tailLimit = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailLimit; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// failureAt makes a failure of this side's error.
func failureAt(step keeper.Step, err error) *keeper.Failure {
	f := keeper.FailureOf(err)
	f.Step = step
	return f
}
