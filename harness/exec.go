package harness

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/lastack/lastack/netenv"
)

// Exec runs a command on the host beside the play, with these files as its first
// descriptors, which stay the caller's: it is no part of the record. It returns
// when the command has ended, with its exit status, or the signal's name and −1.
// Where ctx ends first the command is killed. It may be called from any goroutine
// while the play goes on.
func (h *Host) Exec(ctx context.Context, spec ProgramSpec, files []*os.File) (exit int, signal string, err error) {
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		return -1, "", fmt.Errorf("run command on %s: there is none", h.name)
	}
	argv := withDir(spec.Argv)
	p, err := h.env.StartProcess(ctx, netenv.ProcessSpec{
		Path: argv[0], Argv: argv, Env: environment(spec), Dir: inDir(spec.Dir), Files: files, Isolated: true,
	})
	if err != nil {
		return -1, "", fmt.Errorf("run command on %s: %w", h.name, err)
	}
	status, err := p.Wait(ctx)
	if ctx.Err() != nil {
		if err := p.Signal(syscall.SIGKILL); err == nil {
			status, _ = p.Wait(context.WithoutCancel(ctx))
		}
		return -1, signalName(syscall.SIGKILL), ctx.Err()
	}
	if err != nil {
		return -1, "", fmt.Errorf("run command on %s: %w", h.name, err)
	}
	if status.Signal != 0 {
		return -1, signalName(status.Signal), nil
	}
	return status.Code, "", nil
}
