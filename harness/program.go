package harness

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/netenv"
)

// Program is a user's program on a host.
type Program struct {
	host    *Host
	process *netenv.Process
	out     record.Program
	stdout  *tail
	stderr  *tail
	ended   chan struct{}
}

// maxOutput is how much of what a program writes is kept.
const maxOutput = 1 << 20

// Start runs a program on the host: argv[0] is looked up as a shell would. It
// sees the hosts' names in /etc/hosts, and the caller's working directory.
func (h *Host) Start(argv ...string) *Program {
	s := h.stage
	if len(argv) == 0 {
		s.stop(record.Error, "start program on %s: no command", h.name)
	}
	p := &Program{host: h, stdout: newTail(), stderr: newTail(), ended: make(chan struct{})}
	stdout, err := p.stdout.pipe()
	if err != nil {
		s.stop(record.Error, "start %s on %s: %v", argv[0], h.name, err)
	}
	defer stdout.Close()
	stderr, err := p.stderr.pipe()
	if err != nil {
		s.stop(record.Error, "start %s on %s: %v", argv[0], h.name, err)
	}
	defer stderr.Close()
	p.out = record.Program{Host: h.name, Argv: slices.Clone(argv), T: s.clock(), End: -1}
	p.process, err = h.env.StartProcess(s.ctx, netenv.ProcessSpec{
		Path: argv[0], Argv: argv, Env: os.Environ(), Files: []*os.File{nil, stdout, stderr}, Isolated: true,
	})
	if err != nil {
		s.stop(record.Error, "start program on %s: %v", h.name, err)
	}
	h.programs = append(h.programs, p)
	go p.wait()
	return p
}

// wait writes down how the program ended; it ends with the process, which does
// not outlive the lab.
func (p *Program) wait() {
	defer close(p.ended)
	status, err := p.process.Wait(context.Background())
	if err != nil {
		return
	}
	s := p.host.stage
	s.mu.Lock()
	p.out.End = s.clock()
	p.out.Exit, p.out.Signal = status.Code, ""
	if status.Signal != 0 {
		p.out.Exit, p.out.Signal = -1, signalName(status.Signal)
	}
	s.mu.Unlock()
	s.Wire.wire.Do(func(e *inject.Engine, now time.Duration) { e.NoteExit(now, p.host.name) })
}

// drained bounds the wait for the rest of what an ended program wrote: something
// that it left behind may keep the pipe open.
const drained = time.Second

// drain waits until all that a program wrote is kept, if it has ended.
func (p *Program) drain() {
	p.host.stage.mu.Lock()
	ended := p.out.End >= 0
	p.host.stage.mu.Unlock()
	if !ended {
		return
	}
	limit := time.NewTimer(drained)
	defer limit.Stop()
	for _, t := range []*tail{p.stdout, p.stderr} {
		select {
		case <-t.done:
		case <-limit.C:
			return
		}
	}
}

// Exited is met once a program of this host has ended.
func (p *Program) Exited() inject.Condition {
	return inject.Condition{Kind: inject.Exited, Host: p.host.name}
}

// tail keeps the beginning of what a program writes and reads the rest away,
// so that a full pipe never stops it.
type tail struct {
	mu   sync.Mutex
	data []byte
	read *os.File
	done chan struct{}
}

func newTail() *tail { return &tail{done: make(chan struct{})} }

// pipe begins to read; the caller hands the returned end to the program and
// closes its own.
func (t *tail) pipe() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		close(t.done)
		return nil, err
	}
	t.read = r
	go func() {
		defer close(t.done)
		defer r.Close()
		io.Copy(t, r)
	}()
	return w, nil
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p[:min(len(p), maxOutput-len(t.data))]...)
	return len(p), nil
}

// bytes is what was kept so far.
func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.data)
}
