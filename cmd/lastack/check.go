package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/check"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/shell"
)

// checkFlags are what the flags of check say.
type checkFlags struct {
	server, judge, effects            command
	ready                             readyValue
	underTest                         sideValue
	shard                             texts
	points, faults, exclude, cells    texts
	output, ignore                    texts
	ip                                oneFamily
	conn, shallow, jobs               count
	seed                              seedValue
	patience                          span
	set                               settings
	deep, list, json, strict, verbose bool
	junit, out, save                  pathValue
	given                             func(flag string) bool
}

func newCheck() *cobra.Command {
	f := checkFlags{
		ip: oneFamily{families{4}}, conn: count{n: 1, most: 10_000}, shallow: count{most: 1_000_000}, jobs: count{most: 10_000},
		underTest: check.Client, seed: 1, patience: span(10 * time.Second),
	}
	cmd := &cobra.Command{
		Use:   "check --server CMD [FLAGS] -- CLIENT [ARGUMENT]...",
		Short: "Break a connection of your program at every point, in every way",
		Long: `Plays a client and a server of yours in labs of their own: first without a
fault, then with each fault at each point of their connection. It says what the
program under test made of it: did it crash, hang, fail where TCP had repaired
all, take half an answer for a whole one, or do something twice?

The command after -- is the client; it reaches the server under the name
"server". {dir} in a command is a directory that its host has for itself; /tmp
and HOME are the host's own too.

A cell is POINT/FAULT[/SIDE], as server.FIN/rst-instead/client. A finding is one
symptom; its first cell is played five times more, and one that never comes
again does not count. docs/check.md says what each fault does and what is found
when.`,
		Example: `  lastack check --server './srv --port 80' -- curl -fsS http://server/file
  lastack check --server './srv' --under-test server -- ./client
  lastack check --server './srv' --list -- ./client
  lastack check --server ./srv --cell server.FIN/rst-instead/client -- ./client
  lastack check --server './srv' --shard 1/4 --out part-1 -- ./client`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 0 && len(args) > 0 || dash > 0 {
				return fmt.Errorf("what is %q? the client's command stands behind --, as in lastack check --server './srv' -- ./client", args[0])
			}
			f.given = cmd.Flags().Changed
			return checkPair(cmd.Context(), f, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(&f.server, "server", "the server's command")
	flags.Var(&f.ready, "ready", "when the server is ready: a port that it listens on, or a line that it writes (default: it listens on any port)")
	flags.Var(&f.underTest, "under-test", "whom the findings are about: client, server or both")
	flags.Var(&f.ip, "ip", "address family, 4 or 6")
	flags.Var(&f.conn, "conn", "which connection is struck")
	flags.Var(f.points.of("GLOB"), "points", "only points that match; may be given again")
	flags.Var(f.faults.of("GLOB"), "faults", "only faults that match; may be given again")
	flags.Var(f.exclude.of("GLOB"), "exclude", "no cells that match; may be given again")
	flags.Var(f.cells.of("CELL"), "cell", "only this cell; may be given again")
	flags.BoolVar(&f.deep, "deep", false, "every segment of a turn is a point")
	flags.Var(&f.shallow, "shallow", "only so many cells, by chance")
	flags.Var(&f.seed, "seed", "what --shallow chooses by")
	flags.Var(f.shard.of("I/N"), "shard", "only part I of N; see lastack merge")
	flags.BoolVar(&f.list, "list", false, "print the cells and end")
	flags.Var(&f.patience, "patience", "how long a client may take, beside three times the fault-free run")
	flags.Var(f.output.of("GLOB"), "output", "files that match are output, as stdout is; a relative one is below {dir}; may be given again")
	flags.Var(f.ignore.of("REGEXP"), "ignore", "leave what matches out of output; may be given again")
	flags.Var(&f.judge, "judge", "has the last word on a cell: it gets the directory of the evidence and exits 0 to acquit, 1 to convict, 3 to abstain")
	flags.Var(&f.effects, "effects", "prints, on the server's host, how often the client's request took effect")
	flags.Var(&f.jobs, "jobs", "how many labs at once (default: as many as fit)")
	flags.Var(&f.set, "set", "set a sysctl of one host or of both; may be given again")
	flags.Var(&f.out, "out", "keep the report and the evidence of findings below `DIR`")
	flags.Var(&f.junit, "junit", "write a JUnit report to `FILE`")
	flags.Var(&f.save, "save", "write the one --cell as a scenario to `FILE`, which is not there yet, and end")
	flags.BoolVar(&f.json, "json", false, "print one JSON document on stdout, and nothing else there")
	flags.BoolVar(&f.strict, "strict", false, "let an inconclusive cell count, as worse than PASS")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "list every cell")
	complete := map[string]cobra.CompletionFunc{
		"under-test": cobra.FixedCompletions([]cobra.Completion{check.Client, check.Server, check.Both}, cobra.ShellCompDirectiveNoFileComp),
		"ip":         cobra.FixedCompletions([]cobra.Completion{"4", "6"}, cobra.ShellCompDirectiveNoFileComp),
		"faults":     cobra.FixedCompletions(faultNames(), cobra.ShellCompDirectiveNoFileComp),
		"out":        cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs),
		"junit":      cobra.FixedCompletions([]cobra.Completion{"xml"}, cobra.ShellCompDirectiveFilterFileExt),
		"save":       cobra.FixedCompletions([]cobra.Completion{"yaml"}, cobra.ShellCompDirectiveFilterFileExt),
	}
	for name, function := range complete {
		if err := cmd.RegisterFlagCompletionFunc(name, function); err != nil {
			panic(err) // the flag is not there: a defect of the lines above
		}
	}
	return cmd
}

func faultNames() (names []cobra.Completion) {
	for _, f := range check.Faults() {
		names = append(names, cobra.CompletionWithDesc(f.Name, f.Says))
	}
	return names
}

// checkPair is the verb.
func checkPair(parent context.Context, f checkFlags, client []string, stdout, stderr io.Writer) error {
	c, err := f.config(client)
	if err != nil {
		return err
	}
	if f.save != "" {
		if len(c.Cells) != 1 {
			return errors.New("--save writes one cell: name it with --cell")
		}
		if err := absent(string(f.save)); err != nil {
			return fmt.Errorf("--save %q: %w", f.save, reason(err))
		}
	}
	places, err := prepare(string(f.out), string(f.junit))
	if err != nil {
		return err
	}
	defer places.retreat() // where nothing came to be written
	ctx, stop := interruptible(parent)
	defer stop()
	if len(f.set) > 0 {
		asks := runFlags{set: f.set}
		pool, err := asks.open(ctx)
		if err != nil {
			return err
		}
		pool.Close() // what it was for is over
	}
	switch {
	case f.list:
		return listCells(ctx, c, stdout, stderr)
	case f.save != "":
		return saveCell(ctx, c, string(f.save))
	}
	progress := newSweeping(stderr, width(stderr))
	c.Progress = progress.show
	r, err := check.Run(ctx, c)
	progress.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return interrupted("nothing was played")
	case err != nil:
		return unprefixed(err)
	}
	if f.strict && r.Verdict == record.Pass && r.Inconclusive > 0 {
		r.Verdict = record.Inconclusive
	}
	if err := writeReport(r, reportTo{json: f.json, verbose: f.verbose, junit: string(f.junit), dir: string(f.out)}, stdout, stderr); err != nil {
		return err
	}
	if r.Partial {
		return interrupted(cellsPlayed(len(r.Cells)))
	}
	return ended(r.Verdict.ExitStatus())
}

func cellsPlayed(n int) string {
	if n == 1 {
		return cellCount(n) + " was played"
	}
	return cellCount(n) + " were played"
}

// unprefixed takes the package's name from an error: the command says its own.
func unprefixed(err error) error {
	if text, is := strings.CutPrefix(err.Error(), "check: "); is {
		return &prefixCut{text, err}
	}
	return err
}

type prefixCut struct {
	text string
	err  error
}

func (p *prefixCut) Error() string { return p.text }
func (p *prefixCut) Unwrap() error { return p.err }

// config is what the flags say.
func (f *checkFlags) config(client []string) (check.Config, error) {
	c := check.Config{
		Server: f.server.words, Client: client, Judge: f.judge.words, Effects: f.effects.words,
		UnderTest: string(f.underTest), IP: f.ip.families[0], Conn: f.conn.n, Deep: f.deep, Patience: time.Duration(f.patience), Jobs: f.jobs.n,
		Port: uint16(f.ready.listen), Output: f.output.list, Out: string(f.out), Sysctls: []harness.Sysctl(f.set),
		Selection: check.Selection{
			Points: f.points.list, Faults: f.faults.list, Exclude: f.exclude.list, Cells: f.cells.list, Shallow: f.shallow.n, Seed: uint64(f.seed),
		},
	}
	if c.Server == nil {
		return c, errors.New("check which server? as in lastack check --server './srv' -- ./client")
	}
	if len(client) == 0 {
		return c, errors.New("check which client? its command stands behind --, as in lastack check --server './srv' -- ./client")
	}
	if len(f.ip.families) != 1 {
		return c, errors.New("--ip both: a sweep is of one address family; run it twice")
	}
	if err := f.exclusive(); err != nil {
		return c, err
	}
	for _, text := range f.ignore.list {
		if _, err := regexp.Compile(text); err != nil { // as it was written
			return c, fmt.Errorf("--ignore %q: %w", text, err)
		}
		c.Ignore = append(c.Ignore, regexp.MustCompile("(?m)"+text))
	}
	for _, glob := range f.output.list {
		if _, err := filepath.Match(glob, ""); err != nil {
			return c, fmt.Errorf("--output %q: it is no glob", glob)
		}
		if slices.Contains(strings.Split(glob, "/"), "..") {
			return c, fmt.Errorf("--output %q: want a glob as out/*.bin that goes nowhere above", glob)
		}
	}
	if f.ready.log != "" {
		c.Ready = regexp.MustCompile(f.ready.log) // the flag has proved it
	}
	switch len(f.shard.list) {
	case 0:
	case 1:
		var err error
		if c.Shard, c.Shards, err = check.ParseShard(f.shard.list[0]); err != nil {
			return c, fmt.Errorf("--shard: %w", err)
		}
	default:
		return c, errors.New("--shard is given twice: a sweep plays one part")
	}
	c.Repro = f.repro()
	return c, nil
}

// exclusive refuses flags of which one would be ignored.
func (f *checkFlags) exclusive() error {
	for _, both := range []struct {
		flag   string
		others []string
		why    string
	}{
		{"list", []string{"save", "json", "out", "junit", "strict", "verbose"}, "--list plays no cell, so there is no report"},
		{"save", []string{"json", "out", "junit", "strict", "verbose"}, "--save plays no cell, so there is no report"},
		{"cell", []string{"points", "faults", "exclude", "shallow", "shard"}, "--cell names the cells that are played, and nothing chooses among them"},
	} {
		for _, other := range both.others {
			if f.given(both.flag) && f.given(other) {
				return fmt.Errorf("--%s and --%s exclude each other: %s", both.flag, other, both.why)
			}
		}
	}
	if f.given("seed") && !f.given("shallow") {
		return errors.New("--seed is what --shallow chooses by, and there is no --shallow")
	}
	return nil
}

// repro is the command to which a cell and the client are added, to be played alone.
func (f *checkFlags) repro() string {
	words := []string{"lastack", "check", "--server", f.server.text}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, flag, value)
		}
	}
	switch {
	case f.ready.listen > 0:
		add("--ready", strconv.Itoa(f.ready.listen))
	case f.ready.log != "":
		add("--ready", "log:"+f.ready.log)
	}
	if f.underTest != check.Client {
		add("--under-test", string(f.underTest))
	}
	if f.ip.families[0] != 4 {
		add("--ip", strconv.Itoa(f.ip.families[0]))
	}
	if f.conn.n != 1 {
		add("--conn", strconv.Itoa(f.conn.n))
	}
	if f.patience != span(10*time.Second) {
		add("--patience", f.patience.String())
	}
	for _, o := range f.output.list {
		add("--output", o)
	}
	for _, i := range f.ignore.list {
		add("--ignore", i)
	}
	add("--judge", f.judge.text)
	add("--effects", f.effects.text)
	for _, s := range f.set {
		add("--set", s.String())
	}
	return shell.Join(words)
}

// listCells prints the cells, and on stderr what was left out.
func listCells(ctx context.Context, c check.Config, stdout, stderr io.Writer) error {
	names, excluded, err := check.List(ctx, c)
	if err != nil {
		if ctx.Err() != nil {
			return interrupted("nothing was played")
		}
		return unprefixed(err)
	}
	for _, name := range names {
		fmt.Fprintln(stdout, record.Printable(name))
	}
	total := 0
	for _, x := range excluded {
		total += x.Count
	}
	fmt.Fprintln(stderr, listed(len(names), total))
	for _, x := range excluded {
		fmt.Fprintf(stderr, "  %4d  %s\n", x.Count, x.Reason)
	}
	if len(names) == 0 {
		return ended(statusNothing)
	}
	return nil
}

// listed sums a list up.
func listed(cells, left int) string {
	text := cellCount(cells)
	switch left {
	case 0:
		return text
	case 1:
		return text + "; 1 has no meaning and is left out:"
	}
	return fmt.Sprintf("%s; %d have no meaning and are left out:", text, left)
}

func cellCount(n int) string {
	if n == 1 {
		return "1 cell"
	}
	return fmt.Sprintf("%d cells", n)
}

// reportTo says where a report goes.
type reportTo struct {
	json, verbose bool
	junit, dir    string
}

// writeReport writes a report to all places where it is wanted.
func writeReport(r *check.Report, to reportTo, stdout, stderr io.Writer) error {
	var trouble error
	if to.json {
		trouble = r.JSON(stdout)
	} else {
		trouble = r.Text(stdout, check.TextOptions{Color: colored(stdout), Width: width(stdout), Verbose: to.verbose})
	}
	if to.junit != "" {
		if err := check.WriteFile(to.junit, r.JUnit); err != nil {
			trouble = errors.Join(trouble, fmt.Errorf("--junit %q: %w", to.junit, reason(err)))
		}
	}
	if to.dir != "" {
		if err := r.WriteDir(to.dir); err != nil {
			trouble = errors.Join(trouble, fmt.Errorf("--out %q: %w", to.dir, reason(err)))
		}
	}
	if os.Getenv("GITHUB_ACTIONS") != "" {
		trouble = errors.Join(trouble, github(r, stderr))
	}
	return trouble
}

// github writes annotations, and the job summary where there is a place for it.
func github(r *check.Report, stderr io.Writer) error {
	if err := r.Annotations(stderr); err != nil {
		return err
	}
	path := os.Getenv("GITHUB_STEP_SUMMARY")
	if path == "" {
		return nil
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("write job summary: %w", err)
	}
	err = r.Summary(out)
	if closed := out.Close(); err == nil && closed != nil {
		err = fmt.Errorf("write job summary: %w", closed)
	}
	return err
}
