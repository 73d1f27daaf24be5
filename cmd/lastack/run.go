package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/harness/report"
	"github.com/lastack/lastack/internal/shell"
	"github.com/lastack/lastack/scenarios"
)

// runFlags are what the flags of run say.
type runFlags struct {
	all, slow, json, stock, strict, verbose bool

	junit, out   pathValue
	variant      word
	programs     programs
	ip           families
	ipSaid       bool
	set          settings
	repeat, jobs count
}

func newRun() *cobra.Command {
	f := runFlags{ip: families{4}, programs: programs{}, repeat: count{n: 1, most: 100_000}, jobs: count{most: 10_000}}
	cmd := &cobra.Command{
		Use: `run NAME | GLOB | FILE ... [FLAGS]
lastack run STORY | FILE --client CMD [FLAGS]
lastack run --all [FLAGS]`,
		Short: "Play scenarios and judge their claims",
		Long: `Plays scenarios, each in a lab of its own between two real kernels' sockets, and
says which of their claims hold.

A GLOB plays every scenario whose name it matches; * also matches a slash. Put
it in quotes, or the shell looks for files. Scenarios are played side by side.

A slow scenario waits for a constant of the kernel of more than 15 s. --all and
globs leave these out, and the result says how many, unless --slow is given; one
that is named is played.

A FILE is a scenario file (docs/scenario-files.md), and FILE.yaml#NAME one
scenario of several in it; stories/* are files that come with lastack, a
published bug each, and a story may be named without stories/. Of these each
variant is played that the file's verdicts name. One that gives its written
verdict has held, and where all have held the scenario is PASS: so a story shows
the mistake, which gives FAIL, and its mending, which gives PASS. --variant, and
a program in place of another, play one variant and give its own verdict.

A CMD is a command without a shell: blanks part its words, quotes keep them. It
runs in the directory in which lastack was started; other files below /tmp are
not there. What a story asks of it lastack show STORY says.

The result goes to stdout, progress and errors to stderr. A run that does not
pass leaves its evidence (the record, captures for Wireshark, the ladder) in a
directory that the result names; with --out every run does. A verdict is one of

  PASS          every fault happened, and every claim holds
  FAIL          a claim does not hold
  INCONCLUSIVE  a fault did not happen, or lastack was late: nothing was tested
  SKIP          this kernel lacks what the scenario needs, or with --stock its
                timers take more than 150 s
  ERROR         lastack could not do its work

Of many the worst counts: FAIL, ERROR, INCONCLUSIVE, PASS.`,
		Example: `  lastack run close/last-ack-lost -v
  lastack run 'close/*' --ip both
  lastack run --all --junit report.xml --out evidence
  lastack run --all --slow
  lastack run bug.yaml --ip both
  lastack run idle-close-race --client './mine http://server:8080/'
  lastack run close/fin-lost --repeat 200 --set net.ipv4.tcp_fin_timeout=5
  lastack run close/fin-lost --set server:net.ipv4.tcp_orphan_retries=3 --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.ipSaid = cmd.Flags().Changed("ip")
			return runScenarios(cmd.Context(), f, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if f.all {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			names, directive := completeNames(len(args)+1)(cmd, args, word)
			if len(names) == 0 {
				return []cobra.Completion{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
			}
			return names, directive
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.all, "all", false, "play the whole catalogue")
	flags.BoolVar(&f.slow, "slow", false, "let --all and globs play slow scenarios too")
	flags.Var(&f.ip, "ip", "address family to play")
	flags.Var(&f.variant, "variant", "play this variant of a file, and give its verdict")
	flags.Var(f.programs.of("client"), "client", "run this on the client instead of the file's program")
	flags.Var(f.programs.of("server"), "server", "run this on the server likewise")
	flags.Var(&f.programs, "host", "run this on another host likewise; may be given again")
	flags.Var(&f.repeat, "repeat", "how often to play everything")
	flags.Var(&f.jobs, "jobs", "how many to play at once (default: as many as fit)")
	flags.Var(&f.set, "set", "set a sysctl of one host or of both; may be given again")
	flags.BoolVar(&f.stock, "stock", false, "let no scenario shorten its time by sysctls")
	flags.BoolVar(&f.strict, "strict", false, "let SKIP count, as worse than PASS")
	flags.Var(&f.out, "out", "keep the evidence of every run below `DIR`")
	flags.Var(&f.junit, "junit", "write a JUnit report to `FILE`")
	flags.BoolVar(&f.json, "json", false, "print one JSON document on stdout, and nothing else there")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print the ladder of every run")
	complete := map[string]cobra.CompletionFunc{
		"ip":      cobra.FixedCompletions([]cobra.Completion{"4", "6", "both"}, cobra.ShellCompDirectiveNoFileComp),
		"repeat":  cobra.NoFileCompletions,
		"jobs":    cobra.NoFileCompletions,
		"variant": cobra.NoFileCompletions,
		"host":    cobra.NoFileCompletions,
		"set":     cobra.FixedCompletions([]cobra.Completion{"net.ipv4.", "client:net.ipv4.", "server:net.ipv4."}, cobra.ShellCompDirectiveNoSpace),
		"out":     cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"junit":   cobra.FixedCompletions([]cobra.Completion{"xml"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	for name, function := range complete {
		if err := cmd.RegisterFlagCompletionFunc(name, function); err != nil {
			panic(err) // the flag is not there: a defect of the lines above
		}
	}
	return cmd
}

// runScenarios is the verb.
func runScenarios(parent context.Context, f runFlags, args []string, stdout, stderr io.Writer) error {
	chosen, left, err := f.choose(args)
	var none *failure
	if f.json && errors.As(err, &none) && none.status == statusNothing {
		// Whoever reads documents gets one that says so.
		return errors.Join(err, record.NewDocument(nil).Write(stdout))
	}
	if err != nil {
		return err
	}
	places, err := prepare(string(f.out), string(f.junit))
	if err != nil {
		return err
	}
	ctx, stop := interruptible(parent)
	defer stop()
	pool, err := f.open(ctx)
	if err != nil {
		places.retreat()
		return err
	}

	p := newPlaying(f, places, chosen, stdout, stderr)
	whole := harness.PlayAll(ctx, pool, p.jobs, p.done)
	if err := pool.Close(); err != nil && whole {
		p.trouble(err)
	}
	p.left = left
	err = p.finish(!whole)
	places.retreat() // where nothing came to be written
	return err
}

// choose picks what is to be played, and counts the slow scenarios that are
// left out.
func (f *runFlags) choose(args []string) (chosen []choice, left int, err error) {
	switch {
	case f.all && len(args) > 0:
		return nil, 0, fmt.Errorf("run either --all or %q, not both", args[0])
	case f.all && f.one():
		return nil, 0, errors.New("--all plays the catalogue: --variant, --client, --server and --host are for scenario files and stories")
	case f.all:
		list, left := scenarios.All(), 0
		if !f.slow {
			list, left = quick(list)
		}
		return catalogue(list), left, nil
	case len(args) == 0:
		return nil, 0, errors.New("run which scenarios? name them, or use --all; see lastack list")
	}
	return f.pick(args)
}

// open makes a pool in which labs take what --set asks for: a setting that
// this kernel does not have, or a value that it refuses, ends the command
// before anything is played, and so does Ctrl-C.
func (f *runFlags) open(ctx context.Context) (_ *harness.Pool, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = interrupted("nothing was played")
		}
	}()
	pool, err := harness.NewPool(ctx, f.jobs.n)
	if err != nil {
		return nil, err
	}
	if len(f.set) == 0 {
		return pool, nil
	}
	r, err := harness.Play(ctx, harness.Scenario{
		Name: "settings/accepted", Play: func(*harness.Stage) {},
	}, harness.Options{Sysctls: f.set, Pool: pool})
	if err == nil && r.Verdict == record.Error {
		err = errors.New(r.Why)
	}
	if err != nil {
		pool.Close() // the reason why nothing is played counts more
		return nil, fmt.Errorf("--set: %w", err)
	}
	return pool, nil
}

// playing is everything that run plays, and what has come of it.
type playing struct {
	flags    runFlags
	places   *outputs
	jobs     []harness.Job
	terminal *report.Terminal
	stdout   io.Writer
	stderr   io.Writer

	// By job: what the outputs at the end need of each run, and no more; and the
	// verdicts that a file has written down, nil where the run stands for itself.
	groups []*group
	runs   []*record.Run
	views  []*record.RunView

	kernel string
	played int
	left   int              // slow scenarios that were left out
	ended  []record.Verdict // of the runs, and ERROR for trouble beside them
}

func newPlaying(f runFlags, places *outputs, chosen []choice, stdout, stderr io.Writer) *playing {
	p := &playing{flags: f, places: places, stdout: stdout, stderr: stderr}
	results := stdout
	if f.json {
		// The document holds the result; for people there is progress alone,
		// unless they ask for more.
		results = io.Discard
		if f.verbose {
			results = stderr
		}
	}
	p.terminal = report.NewTerminal(results, stderr, report.Options{
		Color: colored(results), Live: live(stderr), Verbose: f.verbose, Width: width(stdout, stderr), Repeat: f.repeat.n,
	})
	for i := range f.repeat.n {
		for _, c := range chosen {
			p.add(c, i)
		}
	}
	p.runs = make([]*record.Run, len(p.jobs))
	p.views = make([]*record.RunView, len(p.jobs))
	return p
}

// add adds the runs of what was chosen.
func (p *playing) add(c choice, repetition int) {
	if c.file == nil {
		for _, ip := range p.flags.ip {
			p.jobs = append(p.jobs, p.job(c.scenario, ip, repetition, p.flags.repro(c.scenario.Name, "", ip)))
			p.groups = append(p.groups, nil)
		}
		return
	}
	p.addFile(c, repetition)
}

// trouble is something that went wrong beside the runs.
func (p *playing) trouble(err error) {
	p.ended = append(p.ended, record.Error)
	complain(p.stderr, err)
}

// job is one run. The terminal learns of its begin from the play itself, once:
// a run whose harness was late is played again.
func (p *playing) job(sc harness.Scenario, ip, repetition int, repro string) harness.Job {
	f := &p.flags
	o := harness.Options{IP: ip, Sysctls: f.set, Stock: f.stock, Out: p.places.dir, Repro: repro}
	if o.Out != "" && f.repeat.n > 1 {
		digits := len(strconv.Itoa(f.repeat.n))
		o.Out = filepath.Join(o.Out, fmt.Sprintf("repeat-%0*d", digits, repetition+1))
	}
	var once sync.Once
	play := sc.Play
	sc.Play = func(s *harness.Stage) {
		once.Do(func() { p.terminal.Begin(sc.Name, cmp.Or(sc.Variant, defaultPlay), ip) })
		play(s)
	}
	return harness.Job{Scenario: sc, Options: o}
}

// defaultPlay is what records call a scenario's own play.
const defaultPlay = "default"

// repro is the command that plays one run again and shows it.
func (f *runFlags) repro(name, variant string, ip int) string {
	words := []string{"lastack", "run", name, "--ip", strconv.Itoa(ip), "-v"}
	if variant != "" {
		words = append(words, "--variant", variant)
	}
	words = append(words, f.programs.words()...)
	if f.stock {
		words = append(words, "--stock")
	}
	for _, s := range f.set {
		words = append(words, "--set", s.String())
	}
	return shell.Join(words)
}

// done takes a run that has ended.
func (p *playing) done(i int, r *record.Run, err error) {
	job := &p.jobs[i]
	if r == nil {
		r = &record.Run{
			Scenario: job.Scenario.Name, Summary: job.Scenario.Summary, Play: cmp.Or(job.Scenario.Variant, defaultPlay), IP: job.Options.IP,
			Verdict: record.Error, Repro: job.Options.Repro,
		}
	}
	if err != nil {
		r.Verdict = record.Worst(true, r.Verdict, record.Error)
		if r.Why == "" || r.Verdict == record.Error {
			r.Why = err.Error()
		} else {
			r.Why += "; " + err.Error()
		}
	}
	p.played++
	if g := p.groups[i]; g != nil {
		r.Wanted = g.wants(r.Play)
	}
	if p.kernel == "" {
		p.kernel = r.Kernel
	}
	if p.flags.json {
		v := r.View()
		p.views[i] = &v
	}
	if g := p.groups[i]; g != nil {
		if r = p.gather(g, r); r == nil {
			return
		}
	}
	p.terminal.End(r)
	p.ended = append(p.ended, r.Verdict)
	if p.places.junit != "" {
		p.runs[i] = r
	}
	trim(r)
}

// trim takes out of a run what no output at the end needs: thousands of runs
// are kept until then, and none of them whole. The ladder of one that did not
// pass is drawn for the JUnit report.
func trim(r *record.Run) {
	for i := range r.Programs {
		r.Programs[i].Stdout, r.Programs[i].Stderr = nil, nil
	}
	if r.Verdict == record.Pass {
		r.Segments, r.States, r.Calls, r.Counters = nil, nil, nil, nil
		return
	}
	for i := range r.Segments {
		r.Segments[i].Frame = nil
	}
}

// finish writes what is written at the end, and says how the verb ends.
func (p *playing) finish(partial bool) error {
	// What could not be written to stdout is known to who gave it.
	_ = p.terminal.Close()
	if p.places.junit != "" {
		if err := report.WriteJUnitFile(p.places.junit, present(p.runs), partial); err != nil {
			p.trouble(fmt.Errorf("--junit %q: %w", p.flags.junit, reason(err)))
		}
	}
	if p.left > 0 {
		// The document of --json is what was played, and this is not.
		to := p.stdout
		if p.flags.json {
			to = p.stderr
		}
		fmt.Fprintln(to, leftOut(p.left))
	}
	verdict := record.Worst(p.flags.strict, p.ended...)
	switch {
	case p.flags.json:
		d := record.Document{
			Schema: record.Schema, Verdict: verdict, Partial: partial, Kernel: p.kernel, Scenarios: []record.RunView{},
		}
		for _, v := range present(p.views) {
			d.Scenarios = append(d.Scenarios, *v)
		}
		if err := d.Write(p.stdout); err != nil {
			return err
		}
	case partial:
		fmt.Fprintf(p.stdout, "partial: interrupted after %d of %d runs\n", p.played, len(p.jobs))
	}
	if partial {
		return interrupted(fmt.Sprintf("%d of %d runs were played", p.played, len(p.jobs)))
	}
	return ended(verdict.ExitStatus())
}

// leftOut says that not all was played.
func leftOut(n int) string {
	if n == 1 {
		return "1 slow scenario was left out; --slow plays it too"
	}
	return fmt.Sprintf("%d slow scenarios were left out; --slow plays them too", n)
}

// present is a list without what is not there.
func present[T any](list []*T) []*T {
	var out []*T
	for _, x := range list {
		if x != nil {
			out = append(out, x)
		}
	}
	return out
}
