package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/lastack/lastack/harness/report"
)

// interruptible ends its context at the first Ctrl-C, so that labs are taken
// down and what was found is told. A second one ends the process; what then
// stands is taken down by those who built it.
func interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// interrupted is how a verb ends that Ctrl-C ended.
func interrupted(what string) error {
	return &failure{statusInterrupted, fmt.Errorf("interrupted: %s", what)}
}

// terminal is the file behind a writer, if it is a terminal.
func terminal(w io.Writer) (*os.File, bool) {
	if c, ok := w.(*checked); ok {
		w = c.w
	}
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// colored decides on colours for a writer.
func colored(w io.Writer) bool {
	_, ok := terminal(w)
	return report.UseColor(ok, os.Getenv)
}

// live reports whether lines that were written can be written anew.
func live(w io.Writer) bool {
	_, ok := terminal(w)
	return ok && os.Getenv("TERM") != "dumb"
}

// width is how wide output is that goes to these writers: 80 columns, or those
// of a terminal that has fewer.
func width(writers ...io.Writer) int {
	least := columns
	for _, w := range writers {
		if f, ok := terminal(w); ok {
			if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
				least = min(least, n)
			}
		}
	}
	return least
}
