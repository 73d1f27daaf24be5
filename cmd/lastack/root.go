package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/nearest"
)

// The exit statuses, the same for every verb.
const (
	statusHeld        = 0
	statusNotHeld     = 1
	statusCannotWork  = 2
	statusNothing     = 3
	statusInterrupted = 130
)

// failure ends the command with a status of its own. Without an error nothing
// more is printed: the result has said it.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit status %d", f.status)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// ended is the error of a verb whose output has said everything; nil where all
// held.
func ended(status int) error {
	if status == statusHeld {
		return nil
	}
	return &failure{status: status}
}

// run is the whole command: it returns the exit status. Where ctx ends, the
// command ends as with Ctrl-C.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &checked{w: stdout}
	root := newRoot()
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	root.SetOut(out)
	root.SetErr(stderr)
	err := unknownVerb(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	status := statusHeld
	if err != nil {
		status = statusCannotWork
		var f *failure
		if errors.As(err, &f) {
			status = f.status
		}
		if f == nil || f.err != nil {
			complain(stderr, err)
		}
	}
	if out.err != nil {
		if !errors.Is(err, out.err) { // else it was said
			complain(stderr, fmt.Errorf("write result: %w", out.err))
		}
		status = troubled(status)
	}
	return status
}

// troubled is the status of a command that could not do all of its work beside
// what it found: a failure that it did find counts more.
func troubled(status int) int {
	if status == statusNotHeld || status == statusInterrupted {
		return status
	}
	return statusCannotWork
}

// complain prints an error as one line, whatever is in its text, and behind it the
// line of a file that is meant.
func complain(w io.Writer, err error) {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, record.Printable(line))
		}
	}
	fmt.Fprintf(w, "lastack: %s\n", strings.Join(parts, "; "))
	// What is wrong in a file is shown where it stands.
	var at *file.Error
	if errors.As(err, &at) {
		fmt.Fprint(w, at.Excerpt(width(w)))
	}
}

// checked remembers the first error of writing, so that a result which did not
// reach its reader never ends as one that did.
type checked struct {
	w   io.Writer
	err error
}

func (c *checked) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "lastack",
		Short: "Break TCP connections at the exact segment, on the real kernel",
		Long: `lastack breaks TCP connections on purpose, at the exact segment, between real
programs on the real Linux kernel, and says what the kernel and the application
made of it.

Everything happens in network namespaces that lastack makes for itself: it
touches nothing else on the machine, and leaves nothing behind.`,
		Example: `  lastack doctor                            can labs be made here?
  lastack run close/last-ack-lost -v        one scenario, with its ladder
  lastack run --all --junit report.xml      the catalogue, for CI
  lastack try --server ./srv --rule 'drop server.FIN' -- ./client
  lastack run bug.yaml                      a bug report that runs`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // so that unknownVerb has the word
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Root().Usage(); err != nil {
				return err
			}
			return &failure{status: statusCannotWork}
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { writeHelp(cmd.OutOrStdout(), cmd) })
	root.SetUsageFunc(func(cmd *cobra.Command) error { return writeHelp(cmd.ErrOrStderr(), cmd) })
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	root.Flags().Bool("version", false, "print the version and end")
	root.AddCommand(newDoctor(), newList(), newShow(), newRun(), newAnalyze(), newCheck(), newMerge(), newMatrix(), newTry(), newExec(), newBuiltin(), newSchema(), newCompletion())
	root.InitDefaultHelpCmd() // or it would be none of the verbs until cobra executes
	for _, cmd := range append(root.Commands(), root) {
		cmd.Flags().BoolP("help", "h", false, "print this help and end")
	}
	return root
}

// unknownVerb is the complaint about a first word that is no verb. It comes
// before any complaint about flags, which would be those of another verb.
func unknownVerb(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd != root {
		return nil
	}
	for _, word := range rest {
		switch {
		case word == cobra.ShellCompRequestCmd || word == cobra.ShellCompNoDescRequestCmd:
			return nil // cobra adds these when it executes
		case word == "--help" || word == "-h" || word == "--version":
			return nil
		case !strings.HasPrefix(word, "-"):
			return noVerb(root, word)
		}
	}
	return nil
}

func noVerb(root *cobra.Command, word string) error {
	var verbs []string
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			verbs = append(verbs, cmd.Name())
		}
	}
	return fmt.Errorf("unknown verb %q; the nearest is %q; see lastack help", word, nearest.Of(word, verbs))
}

// flagError says in one line what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		invalid *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown)
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value; see %s --help", missing.GetFlag().Name, cmd.CommandPath())
	case errors.As(err, &invalid) && invalid.GetFlag().Value.Type() == "bool":
		return fmt.Errorf("--%s %q: it takes no value", invalid.GetFlag().Name, invalid.GetValue())
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s %q: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	}
	return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
}

func unknownFlag(cmd *cobra.Command, err *pflag.NotExistError) error {
	if group := err.GetSpecifiedShortnames(); group != "" {
		return fmt.Errorf("unknown flag %q in %q; see %s --help", "-"+err.GetSpecifiedName(), "-"+group, cmd.CommandPath())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	name := "--" + err.GetSpecifiedName()
	return fmt.Errorf("unknown flag %q; the nearest is %q; see %s --help", name, nearest.Of(name, names), cmd.CommandPath())
}
