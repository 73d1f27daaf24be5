package netenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lastack/lastack/netenv/keeper"
)

// Process is a program on a host. Its methods are safe for concurrent use.
type Process struct {
	keeper *Keeper
	number uint64
	pid    int
	start  time.Duration

	done chan struct{} // closed when it ended, or the keeper did
	// status and ended are set before done is closed.
	status ExitStatus
	ended  bool
}

// StartProcess starts a program on the host. It runs in a process group of its
// own, out of reach of the terminal's Ctrl-C, and ends with the host at the latest.
// A program that does not exist, or cannot be started, is an error that names it.
func (h *Host) StartProcess(ctx context.Context, spec ProcessSpec) (*Process, error) {
	plan, err := planProcess(spec)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, f := range spec.Files {
		plan.Files = append(plan.Files, f != nil)
		if f != nil {
			files = append(files, f)
		}
	}
	k := h.lab.keeper
	p := &Process{keeper: k, number: k.numbers.Add(1), done: make(chan struct{})}
	// Known before it starts, as its end may be told before its beginning.
	k.mu.Lock()
	if k.died != nil {
		k.mu.Unlock()
		return nil, fmt.Errorf("start program %s: %w", plan.Argv[0], k.died)
	}
	k.procs[p.number] = p
	k.mu.Unlock()
	m := h.lab.message(keeper.OpStart, h.Name)
	m.Process = p.number
	// Who gives up waiting does not get the process, and so it must not run on.
	abandoned := false
	undo := func() { abandoned = true; go p.abandon() }
	reply, _, err := k.call(ctx, m, plan, files, undo)
	var started keeper.Started
	if err == nil {
		err = json.Unmarshal(reply.Body, &started)
	}
	if err != nil && !abandoned {
		k.mu.Lock()
		delete(k.procs, p.number)
		k.mu.Unlock()
	}
	if err != nil {
		return nil, err
	}
	p.pid, p.start = started.PID, started.At
	return p, nil
}

// abandon kills a process of which nobody knows whether it has started yet.
func (p *Process) abandon() {
	for range 100 {
		err := p.Signal(syscall.SIGKILL)
		if err == nil || !errors.Is(err, ErrProcessGone) {
			return
		}
		select {
		case <-p.done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func planProcess(spec ProcessSpec) (keeper.ProcessPlan, error) {
	plan := keeper.ProcessPlan{Path: spec.Path, Argv: spec.Argv, Env: spec.Env, Dir: spec.Dir, Isolated: spec.Isolated}
	if len(plan.Argv) == 0 {
		if plan.Path == "" {
			return plan, errors.New("start program: neither a path nor arguments")
		}
		plan.Argv = []string{plan.Path}
	}
	if plan.Env == nil {
		plan.Env = os.Environ()
	}
	if !filepath.IsAbs(plan.Dir) {
		here, err := os.Getwd()
		if err != nil {
			return plan, fmt.Errorf("start program %s: the directory of its caller: %w", plan.Argv[0], err)
		}
		plan.Dir = filepath.Join(here, plan.Dir)
	}
	if plan.Path != "" && !strings.Contains(plan.Path, "/") {
		var err error
		if plan.Path, err = lookPath(plan.Path, plan.Dir, plan.Env); err != nil {
			return plan, err
		}
	}
	for _, text := range append(append([]string{plan.Path, plan.Dir}, plan.Argv...), plan.Env...) {
		if strings.ContainsRune(text, 0) {
			return plan, fmt.Errorf("start program %s: %w: NUL in an argument or in the environment", plan.Argv[0], syscall.EINVAL)
		}
	}
	return plan, nil
}

// lookPath finds a program in the PATH of its own environment.
func lookPath(name, dir string, env []string) (string, error) {
	path := ""
	for _, pair := range env {
		if value, is := strings.CutPrefix(pair, "PATH="); is {
			path = value // the last one counts
		}
	}
	for _, place := range filepath.SplitList(path) {
		if !filepath.IsAbs(place) {
			place = filepath.Join(dir, place)
		}
		file := filepath.Join(place, name)
		if _, err := exec.LookPath(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("start program %s: not found in PATH: %w", name, syscall.ENOENT)
}

// PID is the process's number in the keeper's pid namespace: a name for logs. In
// this process's own namespace it has another.
func (p *Process) PID() int { return p.pid }

// Started is when the process was started, on CLOCK_MONOTONIC.
func (p *Process) Started() time.Duration { return p.start }

// Done is closed when the process has ended, or the keeper has.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process. Any number of callers may wait, also
// after it.
func (p *Process) Wait(ctx context.Context) (ExitStatus, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		select {
		case <-p.done: // both: the end counts
		default:
			return ExitStatus{}, fmt.Errorf("wait for process: %w", context.Cause(ctx))
		}
	}
	if !p.ended {
		return ExitStatus{}, fmt.Errorf("wait for process: %w", p.keeper.died)
	}
	return p.status, nil
}

// Signal signals the process and its group. One that has ended is
// ErrProcessGone.
func (p *Process) Signal(number syscall.Signal) error {
	ctx, cancel := bounded()
	defer cancel()
	err := p.keeper.ask(ctx, keeper.Message{Op: keeper.OpSignal, Process: p.number}, keeper.Signal{Number: number}, nil)
	var failure *keeper.Failure
	if errors.As(err, &failure) && failure.Step == keeper.StepGone {
		return fmt.Errorf("signal process: %w", ErrProcessGone)
	}
	return err
}
