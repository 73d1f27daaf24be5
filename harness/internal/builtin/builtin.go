// Package builtin holds the stand-ins: small programs of this same binary that
// make the mistakes that published bugs made, or mend them.
//
// A process whose argv[0] is Role and a name runs that stand-in from this package's
// init and never reaches main, so that a scenario file runs without a source tree.
// The package imports no other of this module.
//
// Stand-ins speak plain TCP, with TCP_NODELAY and without keep-alive or Multipath
// TCP unless a flag asks. They print what they did in plain lines on stdout, as it
// happens, and what went wrong on stderr.
package builtin

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Role begins the argv[0] of a stand-in.
const Role = "builtin:"

// Builtin is one stand-in.
type Builtin struct {
	// Name is what follows Role.
	Name string
	// Summary is one line.
	Summary string
	// Usage is what --help prints: arguments, flags and exit statuses.
	Usage string
}

// The exit statuses of all stand-ins.
const (
	exitOK     = 0
	exitFailed = 1 // it did not get what it was there for
	exitUsage  = 2 // flags or arguments that it does not know
)

// standIn is a program: define adds its flags and returns what runs it.
type standIn struct {
	name, summary string
	arguments     string // behind the flags, for the usage
	more          string // what else the usage says
	define        func(f *flag.FlagSet) func(p *process, args []string) error
}

var standIns = []standIn{
	dbServer, dbClient, dial, download, echo, feed, httpServer, poolClient, proxy, reader, send,
}

// process is where a stand-in runs.
type process struct {
	context.Context
	mu             sync.Mutex
	stdout, stderr io.Writer
	listens        func(net.Addr) // told where it listens; nil outside tests
}

// say prints a line of what was done.
func (p *process) say(format string, args ...any) { p.line(p.stdout, format, args...) }

// complain prints a line of what went wrong.
func (p *process) complain(format string, args ...any) { p.line(p.stderr, format, args...) }

func (p *process) line(to io.Writer, format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(to, format+"\n", args...)
}

// usageError is a mistake of whoever started the stand-in.
type usageError string

func (e usageError) Error() string { return string(e) }

// errFailed ends a stand-in that has said already what went wrong.
var errFailed = errors.New("failed")

func init() {
	if len(os.Args) == 0 {
		return
	}
	if name, is := strings.CutPrefix(os.Args[0], Role); is {
		os.Exit(run(context.Background(), name, os.Args[1:], os.Stdout, os.Stderr))
	}
}

// run runs a stand-in to its end and returns its exit status.
func run(ctx context.Context, name string, args []string, stdout, stderr io.Writer) int {
	for _, s := range standIns {
		if s.name == name {
			return s.run(&process{Context: ctx, stdout: stdout, stderr: stderr}, args)
		}
	}
	fmt.Fprintf(stderr, "%s%s: there is no such stand-in: want one of %s\n", Role, name, strings.Join(Names(), ", "))
	return exitUsage
}

func (s *standIn) run(p *process, args []string) int {
	f := s.flags()
	work := s.define(f)
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(p.stdout, s.usage())
		return exitOK
	}
	if err != nil {
		err = usageError(err.Error())
	} else {
		err = work(p, f.Args())
	}
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		p.complain("%s%s: %v (--help lists the flags)", Role, s.name, err)
		return exitUsage
	case errors.Is(err, errFailed):
	default:
		p.complain("%s%s: %v", Role, s.name, err)
	}
	return exitFailed
}

func (s *standIn) flags() *flag.FlagSet {
	f := flag.NewFlagSet(s.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return f
}

// usage is the text of --help.
func (s *standIn) usage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s%s [flags] %s\n\n%s\n%s\nFlags:\n", Role, s.name, s.arguments, s.summary, s.more)
	f := s.flags()
	s.define(f)
	f.VisitAll(func(f *flag.Flag) {
		name, usage := flag.UnquoteUsage(f)
		if name == "long" {
			name = "TIME"
		}
		if c, is := f.Value.(*choice); is {
			name = strings.Join(c.of, "|")
		}
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		fmt.Fprintf(&b, "  %s%s %s\n        %s", dashes, f.Name, name, usage)
		if f.DefValue != "" && f.DefValue != "0s" && f.DefValue != "0" {
			fmt.Fprintf(&b, " (%s if not given)", f.DefValue)
		}
		b.WriteString("\n")
	})
	b.WriteString("\nExit status: 0 done, 1 failed, 2 wrong flags or arguments.\n")
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// All are the stand-ins by name.
func All() []Builtin {
	var all []Builtin
	for i := range standIns {
		s := &standIns[i]
		all = append(all, Builtin{Name: s.name, Summary: s.summary, Usage: s.usage()})
	}
	return all
}

// Names are the names of all.
func Names() []string {
	var names []string
	for i := range standIns {
		names = append(names, standIns[i].name)
	}
	return names
}

// Has tells whether there is a stand-in of that name.
func Has(name string) bool { return slices.Contains(Names(), name) }

// choice is a flag that takes one of several words.
type choice struct {
	value string
	of    []string
}

// choose adds such a flag; the first word is what it is if not given.
func choose(f *flag.FlagSet, name, usage string, of ...string) *choice {
	c := &choice{of[0], of}
	f.Var(c, name, usage)
	return c
}

func (c *choice) String() string { return c.value }

func (c *choice) Set(text string) error {
	if !slices.Contains(c.of, text) {
		return fmt.Errorf("want one of %s", strings.Join(c.of, ", "))
	}
	c.value = text
	return nil
}

func (c *choice) is(word string) bool { return c.value == word }

// size is a flag of bytes: 100, 64KiB, 1MiB.
type size int64

func sizeFlag(f *flag.FlagSet, name, usage string, value int64) *size {
	s := size(value)
	f.Var(&s, name, usage+", a `size` as 100, 64KiB or 1MiB")
	return &s
}

func (s *size) String() string { return strconv.FormatInt(int64(*s), 10) }

func (s *size) Set(text string) error {
	unit := int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if before, is := strings.CutSuffix(text, suffix); is {
			text, unit = before, factor
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<40/unit {
		return errors.New("want a size as 100, 64KiB or 1MiB")
	}
	*s = size(n * unit)
	return nil
}

// pause waits, or ends with the process.
func (p *process) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.Done():
	}
}

// nothing refuses arguments.
func nothing(args []string) error {
	if len(args) > 0 {
		return usageError(fmt.Sprintf("unexpected argument %q", args[0]))
	}
	return nil
}

// pattern is n bytes of text that tells where a byte belongs: lines of sixteen
// characters that begin with their offset.
func pattern(n int64) []byte {
	b := make([]byte, 0, n+16)
	for int64(len(b)) < n {
		b = fmt.Appendf(b, "%015d\n", len(b))
	}
	return b[:n]
}
