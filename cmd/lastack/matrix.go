package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness/matrix"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/nearest"
)

// matrixFlags are what the flags of matrix say.
type matrixFlags struct {
	states, arrivals             chosen
	diff, json, markdown, strict bool

	ip     families
	ipSaid bool
	set    settings
	jobs   count
	out    pathValue
}

func newMatrix() *cobra.Command {
	f := matrixFlags{
		ip: families{4, 6}, jobs: count{most: 10_000},
		states: chosen{what: "state", of: namesOf(matrix.States())}, arrivals: chosen{what: "arrival", of: namesOf(matrix.Arrivals())},
	}
	cmd := &cobra.Command{
		Use:   "matrix [FLAGS]\nlastack matrix --diff A.json B.json",
		Short: "What this kernel does with any segment in any closing state",
		Long: `Plays every state of a connection against everything that can arrive there,
each cell on a lab of its own, side by side, and says what the server's kernel
answered, in which state it was then, what its program saw, and what RFC 9293,
5961 or 1337 asks.

Without flags it prints a table, a glyph a cell. --state and --arrival play a
part, and print all that is known of each cell, with the ladder of its play.

A cell is PASS where it was measured, whether the kernel departs from the RFC
or not; N/A where it has no meaning; else INCONCLUSIVE or ERROR. --diff
compares two kernels by what matrix --json printed on each, but for times. It
needs no Linux, and ends with 1 where they differ.`,
		Example: `  lastack matrix
  lastack matrix --state TIME_WAIT --arrival rst-exact --ip 4
  lastack matrix --arrival syn-in-window --arrival rst-below
  lastack matrix --set server:net.ipv4.tcp_rfc1337=1 --json > rfc1337.json
  lastack matrix --diff linux-6.12.json linux-6.18.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.ipSaid = cmd.Flags().Changed("ip")
			return runMatrix(cmd.Context(), &f, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if f.diff {
				return []cobra.Completion{"json"}, cobra.ShellCompDirectiveFilterFileExt
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(&f.states, "state", "play this state alone, in detail; may be given again")
	flags.Var(&f.arrivals, "arrival", "play this arrival alone, in detail; may be given again")
	flags.Var(&f.ip, "ip", "address family to play")
	flags.BoolVar(&f.markdown, "markdown", false, "print a document in Markdown")
	flags.BoolVar(&f.json, "json", false, "print one JSON document on stdout, and nothing else there")
	flags.BoolVar(&f.diff, "diff", false, "compare two such JSON documents, and play nothing")
	flags.Var(&f.set, "set", "set a sysctl of one host or of both; may be given again")
	flags.BoolVar(&f.strict, "strict", false, "let an INCONCLUSIVE cell count, as worse than PASS")
	flags.Var(&f.jobs, "jobs", "how many cells to play at once (default: 40, or as many as fit)")
	flags.Var(&f.out, "out", "keep the evidence of every cell below `DIR`")
	complete := map[string]cobra.CompletionFunc{
		"state":   cobra.FixedCompletions(f.states.of, cobra.ShellCompDirectiveNoFileComp),
		"arrival": cobra.FixedCompletions(f.arrivals.of, cobra.ShellCompDirectiveNoFileComp),
		"ip":      cobra.FixedCompletions([]cobra.Completion{"4", "6", "both"}, cobra.ShellCompDirectiveNoFileComp),
		"set":     cobra.FixedCompletions([]cobra.Completion{"net.ipv4.", "client:net.ipv4.", "server:net.ipv4."}, cobra.ShellCompDirectiveNoSpace),
		"jobs":    cobra.NoFileCompletions,
		"out":     cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
	}
	for name, function := range complete {
		if err := cmd.RegisterFlagCompletionFunc(name, function); err != nil {
			panic(err) // the flag is not there: a defect of the lines above
		}
	}
	return cmd
}

func namesOf[T any](list []T) (all []string) {
	for i := range list {
		all = append(all, fmt.Sprint(&list[i]))
	}
	return all
}

// chosen is the value of a flag that names some of what there is, and may be given
// again.
type chosen struct {
	what string
	of   []string
	list []string
}

// String is the value as it is typed.
func (c *chosen) String() string { return strings.Join(c.list, ",") }

// Set takes one more name from the command line.
func (c *chosen) Set(text string) error {
	if !slices.Contains(c.of, text) {
		return fmt.Errorf("there is no such %s; the nearest is %q; there are %s", c.what, nearest.Of(text, c.of), strings.Join(c.of, ", "))
	}
	if !slices.Contains(c.list, text) {
		c.list = append(c.list, text)
	}
	return nil
}

// Type is what help calls the value.
func (c *chosen) Type() string { return strings.ToUpper(c.what) }

// matrixJobs is how many cells are played at once: more wait for processors, and
// not for timers.
const matrixJobs = 40

// runMatrix is the verb.
func runMatrix(parent context.Context, f *matrixFlags, args []string, stdout, stderr io.Writer) error {
	switch {
	case f.diff:
		return diffMatrices(f, args, stdout)
	case len(args) > 0:
		return fmt.Errorf("matrix takes no %q: --state and --arrival choose cells, and --diff compares files", args[0])
	case f.json && f.markdown:
		return errors.New("print either --json or --markdown, not both")
	}
	places, err := prepare(string(f.out), "")
	if err != nil {
		return err
	}
	defer places.retreat() // where nothing came to be kept
	ctx, stop := interruptible(parent)
	defer stop()
	of := runFlags{jobs: f.jobs, set: f.set}
	if of.jobs.n == 0 {
		of.jobs.n = matrixJobs
	}
	pool, err := of.open(ctx)
	if err != nil {
		return err
	}
	p := &matrixPlay{stderr: stderr, live: live(stderr), detail: len(f.states.list)+len(f.arrivals.list) > 0, ladders: map[string]string{}}
	if p.detail {
		p.ladder = record.LadderOptions{Width: width(stdout, stderr), Color: colored(stdout)}
	}
	d := matrix.Play(ctx, pool, matrix.Options{
		States: f.states.list, Arrivals: f.arrivals.list, IP: f.ip, Sysctls: f.set, Out: places.dir, Done: p.done,
	})
	p.clear()
	err = pool.Close()
	if d.Partial {
		err = nil // the interruption says more
	}
	return errors.Join(p.print(f, d, stdout), err)
}

// matrixPlay is a matrix that is being played for a terminal.
type matrixPlay struct {
	stderr  io.Writer
	live    bool
	cells   int
	detail  bool
	ladder  record.LadderOptions
	ladders map[string]string
}

func (p *matrixPlay) done(c *matrix.Cell, r *record.Run) {
	p.cells++
	if p.live && r != nil {
		fmt.Fprintf(p.stderr, "\r%d cells", p.cells)
	}
	if p.detail && r != nil {
		p.ladders[ladderOf(c)] = r.DrawLadder(p.ladder)
	}
	if r != nil && r.Evidence != "" && !c.Measured() {
		c.Why += "; evidence in " + r.Evidence
	}
}

func ladderOf(c *matrix.Cell) string { return fmt.Sprint(c.Name(), c.IP) }

// clear takes the progress away.
func (p *matrixPlay) clear() {
	if p.live && p.cells > 0 {
		fmt.Fprint(p.stderr, "\r\x1b[K")
	}
}

// print writes the result, and says how the verb ends.
func (p *matrixPlay) print(f *matrixFlags, d *matrix.Document, stdout io.Writer) error {
	var err error
	switch {
	case f.json:
		err = d.Write(stdout)
	case f.markdown && !d.Partial:
		err = d.WriteMarkdown(stdout)
	case p.detail:
		err = p.details(d, stdout)
	default:
		if err = d.WriteTerminal(stdout, colored(stdout)); err == nil {
			err = unmeasured(d, stdout)
		}
	}
	if err != nil {
		return err
	}
	if d.Partial {
		if !f.json {
			if _, err := fmt.Fprintln(stdout, "partial: not all cells were played"); err != nil {
				return err
			}
		}
		return interrupted(fmt.Sprintf("%d cells are there", len(d.Cells)))
	}
	return ended(d.Verdict(f.strict).ExitStatus())
}

// details prints cell after cell, and in the end what they come to.
func (p *matrixPlay) details(d *matrix.Document, stdout io.Writer) error {
	for i := range d.Cells {
		c := &d.Cells[i]
		if err := c.WriteDetail(stdout, p.ladders[ladderOf(c)], width(stdout)); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(stdout); err != nil {
			return err
		}
	}
	text := d.Summary()
	if d.Kernel != "" { // nothing was played where no cell has a meaning
		text = d.Kernel + ": " + text
	}
	_, err := fmt.Fprintln(stdout, text)
	return err
}

// unmeasured counts, and says of each cell that says nothing why.
func unmeasured(d *matrix.Document, stdout io.Writer) error {
	for i := range d.Cells {
		if c := &d.Cells[i]; !c.Measured() && c.Verdict != matrix.NotApplicable {
			if _, err := fmt.Fprintf(stdout, "\n%s %s, IPv%d: %s\n", c.Verdict, c.Name(), c.IP, record.Printable(c.Why)); err != nil {
				return err
			}
		}
	}
	_, err := fmt.Fprintf(stdout, "\n%s\n", d.Summary())
	return err
}

// diffMatrices compares two files.
func diffMatrices(f *matrixFlags, args []string, stdout io.Writer) error {
	if f.json || f.markdown || f.ipSaid || f.out != "" || f.jobs.n > 0 || len(f.set)+len(f.states.list)+len(f.arrivals.list) > 0 {
		return errors.New("--diff plays nothing, and goes with --strict alone")
	}
	if len(args) != 2 {
		return errors.New("--diff compares two files that matrix --json printed: lastack matrix --diff A.json B.json")
	}
	var docs [2]*matrix.Document
	var titles [2]string
	for i, name := range args {
		d, err := readMatrix(name)
		if err != nil {
			return fmt.Errorf("%q: %w", name, reason(err))
		}
		docs[i], titles[i] = d, record.Printable(fmt.Sprintf("%s (%s)", d.Kernel, name))
	}
	c := matrix.Diff(docs[0], docs[1])
	if err := c.Write(stdout, titles[0], titles[1]); err != nil {
		return err
	}
	switch {
	case len(c.Differences) > 0:
		return ended(statusNotHeld)
	case c.Compared == 0, f.strict && !c.Whole():
		return ended(statusNothing)
	}
	return nil
}

func readMatrix(name string) (*matrix.Document, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return matrix.Read(file)
}
