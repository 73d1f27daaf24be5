package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/check"
	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/harness/record"
)

// checkFlags are what the flags of check say.
type checkFlags struct {
	server, ready, underTest, judge, effects, shard string
	points, faults, exclude, cells, output, ignore  []string
	ip                                              families
	conn, shallow, jobs                             count
	seed                                            uint64
	patience                                        time.Duration
	set                                             settings
	deep, list, json, strict, verbose               bool
	junit, out, save                                pathValue
}

func newCheck() *cobra.Command {
	f := checkFlags{ip: families{4}, conn: count{n: 1, most: 10_000}, shallow: count{most: 1_000_000}, jobs: count{most: 10_000}}
	cmd := &cobra.Command{
		Use:   "check --server COMMAND [FLAGS] -- CLIENT [ARGUMENTS]",
		Short: "Break a connection of your program at every point, in every way",
		Long: `Plays a client and a server of yours in labs of their own, first without a fault,
then with each fault at each point of their connection, and says what the program
under test made of it: did it crash, hang, fail where TCP had repaired all, take
half an answer for a whole one, or do something twice?

The command after -- is the client; it reaches the server under the name
"server". {dir} in a command is a directory that its host has for itself; /tmp and
HOME are the host's own too.

A cell is POINT/FAULT[/SIDE], as server.FIN/rst-instead/client. A finding is one
symptom; its first cell is played five times more, and one that never comes again
does not count. docs/check.md says what each fault does and what is found when.`,
		Example: `  lastack check --server './srv --port 8080' -- curl -fsS http://server:8080/file
  lastack check --server './srv' --under-test server -- ./client
  lastack check --server './srv' --list -- ./client
  lastack check --server './srv' --cell 'server.FIN/rst-instead/client' -- ./client
  lastack check --server './srv' --shard 1/4 --out part-1 -- ./client`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 0 && len(args) > 0 || dash > 0 {
				return fmt.Errorf("what is %q? the client's command stands behind --, as in lastack check --server './srv' -- ./client", args[0])
			}
			return checkPair(cmd.Context(), f, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.server, "server", "", "`COMMAND` of the server")
	flags.StringVar(&f.ready, "ready", "", "when the server serves: listen:PORT or log:REGEXP\n(default: it listens on any port); `WHEN`")
	flags.StringVar(&f.underTest, "under-test", check.Client, "whom the findings are about: client, server or both; `SIDE`")
	flags.Var(&f.ip, "ip", "address family, 4 or 6")
	flags.Var(&f.conn, "conn", "which connection is struck")
	flags.StringArrayVar(&f.points, "points", nil, "only points that match `GLOB`; may be given again")
	flags.StringArrayVar(&f.faults, "faults", nil, "only faults that match `GLOB`; may be given again")
	flags.StringArrayVar(&f.exclude, "exclude", nil, "no cells that match `GLOB`; may be given again")
	flags.StringArrayVar(&f.cells, "cell", nil, "only this `CELL`; may be given again")
	flags.BoolVar(&f.deep, "deep", false, "every segment of a turn is a point")
	flags.Var(&f.shallow, "shallow", "only so many cells, by chance")
	flags.Uint64Var(&f.seed, "seed", 1, "what --shallow chooses by; `N`")
	flags.StringVar(&f.shard, "shard", "", "only part i of n, as `i/n`; see lastack merge")
	flags.BoolVar(&f.list, "list", false, "print the cells and end")
	flags.DurationVar(&f.patience, "patience", 10*time.Second, "how long a client may take, beside three times the\nfault-free run; `TIME`")
	flags.StringArrayVar(&f.output, "output", nil, "files that match `GLOB` are output, as stdout is; a\nrelative one is below {dir}; may be given again")
	flags.StringArrayVar(&f.ignore, "ignore", nil, "leave what `REGEXP` matches out of output; may be given\nagain")
	flags.StringVar(&f.judge, "judge", "", "`COMMAND` that has the last word on a cell: it gets the\ndirectory of the evidence and exits 0 to acquit, 1 to\nconvict, 3 to abstain")
	flags.StringVar(&f.effects, "effects", "", "`COMMAND` that prints, on the server's host, how often\nthe client's request took effect")
	flags.Var(&f.jobs, "jobs", "how many labs at once (default: as many as fit)")
	flags.Var(&f.set, "set", "set a sysctl of one host or of both; may be given again")
	flags.Var(&f.out, "out", "keep the report and the evidence of findings below `DIR`")
	flags.Var(&f.junit, "junit", "write a JUnit report to `FILE`")
	flags.Var(&f.save, "save", "write the one --cell as a scenario file to `FILE`, and end")
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
	if f.save != "" && len(f.cells) != 1 {
		return errors.New("--save writes one cell: name it with --cell")
	}
	places, err := prepare(string(f.out), string(f.junit))
	if err != nil {
		return err
	}
	defer places.retreat() // where nothing came to be written
	ctx, stop := interruptible(parent)
	defer stop()
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
		return interrupted(fmt.Sprintf("%d cells were played", len(r.Cells)))
	}
	return ended(r.Verdict.ExitStatus())
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
		Client: client, UnderTest: f.underTest, IP: f.ip[0], Conn: f.conn.n, Deep: f.deep, Patience: f.patience, Jobs: f.jobs.n,
		Output: f.output, Out: string(f.out), Sysctls: []harness.Sysctl(f.set),
		Selection: check.Selection{
			Points: f.points, Faults: f.faults, Exclude: f.exclude, Cells: f.cells, Shallow: f.shallow.n, Seed: f.seed,
		},
	}
	if f.server == "" {
		return c, errors.New("check which server? as in lastack check --server './srv' -- ./client")
	}
	if len(client) == 0 {
		return c, errors.New("check which client? its command stands behind --, as in lastack check --server './srv' -- ./client")
	}
	if len(f.ip) != 1 {
		return c, errors.New("--ip both: a sweep is of one address family; run it twice")
	}
	if f.patience <= 0 {
		return c, fmt.Errorf("--patience %v: it takes a time as 2s", f.patience)
	}
	var err error
	for _, command := range []struct {
		flag string
		text string
		to   *[]string
	}{{"server", f.server, &c.Server}, {"judge", f.judge, &c.Judge}, {"effects", f.effects, &c.Effects}} {
		if command.text == "" {
			continue
		}
		if *command.to, err = file.Words(command.text); err != nil {
			return c, fmt.Errorf("--%s %q: %w", command.flag, command.text, err)
		}
	}
	for _, text := range f.ignore {
		re, err := regexp.Compile("(?m)" + text)
		if err != nil {
			return c, fmt.Errorf("--ignore %q: %w", text, err)
		}
		c.Ignore = append(c.Ignore, re)
	}
	for _, glob := range f.output {
		if _, err := filepath.Match(glob, ""); err != nil {
			return c, fmt.Errorf("--output %q: it is no glob", glob)
		}
	}
	if f.ready != "" {
		if err := f.readiness(&c); err != nil {
			return c, err
		}
	}
	if f.shard != "" {
		if c.Shard, c.Shards, err = check.ParseShard(f.shard); err != nil {
			return c, fmt.Errorf("--shard: %w", err)
		}
	}
	c.Repro = f.repro(client)
	return c, nil
}

func (f *checkFlags) readiness(c *check.Config) error {
	kind, what, _ := strings.Cut(f.ready, ":")
	switch kind {
	case "listen":
		port, err := strconv.ParseUint(strings.TrimSpace(what), 10, 16)
		if err != nil || port == 0 {
			return fmt.Errorf("--ready %q: want a port from 1 to 65535, as listen:8080", f.ready)
		}
		c.Port = uint16(port)
		return nil
	case "log":
		var err error
		if c.Ready, err = regexp.Compile(strings.TrimSpace(what)); err != nil {
			return fmt.Errorf("--ready %q: %w", f.ready, err)
		}
		return nil
	}
	return fmt.Errorf("--ready %q: it is listen:PORT or log:REGEXP", f.ready)
}

// repro is the command that a cell is added to, to be played alone.
func (f *checkFlags) repro(client []string) string {
	words := []string{"lastack", "check", "--server", quote(f.server)}
	add := func(flag, value string) {
		if value != "" {
			words = append(words, flag, quote(value))
		}
	}
	add("--ready", f.ready)
	if f.underTest != check.Client {
		add("--under-test", f.underTest)
	}
	if f.ip[0] != 4 {
		add("--ip", strconv.Itoa(f.ip[0]))
	}
	if f.conn.n != 1 {
		add("--conn", strconv.Itoa(f.conn.n))
	}
	if f.patience != 10*time.Second {
		add("--patience", f.patience.String())
	}
	for _, o := range f.output {
		add("--output", o)
	}
	for _, i := range f.ignore {
		add("--ignore", i)
	}
	add("--judge", f.judge)
	add("--effects", f.effects)
	for _, s := range f.set {
		text := s.Key + "=" + s.Value
		if s.Host != "" {
			text = s.Host + ":" + text
		}
		add("--set", text)
	}
	words = append(words, "--", check.Join(client))
	return strings.Join(words, " ")
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
	fmt.Fprintf(stderr, "%d cells; %d have no meaning and are left out:\n", len(names), total)
	for _, x := range excluded {
		fmt.Fprintf(stderr, "  %4d  %s\n", x.Count, x.Reason)
	}
	if len(names) == 0 {
		return ended(statusNothing)
	}
	return nil
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
