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
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/harness/report"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/internal/shell"
)

// tryFlags are what the flags of try say.
type tryFlags struct {
	server     []string
	rules      ruleList
	ready      readyValue
	exit       statusValue
	save, out  pathValue
	ip         oneFamily
	set        settings
	json, keep bool
}

func newTry() *cobra.Command {
	f := tryFlags{ip: oneFamily{families{4}}}
	server := programs{}
	cmd := &cobra.Command{
		Use:   "try --server CMD [--rule RULE]... [FLAGS] -- CLIENT [ARGUMENT]...",
		Short: "Play a client against a server once, with a fault between them",
		Long: `Starts the server on one host and, once it listens, the client on another, and
prints what came of it: the ladder with every segment's name, the states of both
kernels, and how both programs ended. The client reaches the server under the
name server. A RULE is what happens to segments between them, as in

  drop server.FIN#1
  hold client.DATA@2 until server.FIN at most 2s

(docs/vocabulary.md). Without a rule nothing happens to them, and the ladder
shows the names that rules can ask for. A rule that meets no segment makes the
play INCONCLUSIVE. --save writes the scenario to a file, for lastack run.

CMD is a command without a shell: blanks part its words, quotes keep them. Both
programs run in the directory in which lastack was started, with /tmp and HOME
of their own: other files below /tmp are not there. A program that comes with
lastack (lastack builtin) is builtin:NAME.

A client that still runs when nothing has come for 30 s gives FAIL. A FAIL
leaves its evidence, as that of lastack run does; an ERROR saves no file.`,
		Example: `  lastack try --server './srv' -- ./client
  lastack try --server 'python3 -m http.server' --rule 'drop server.FIN#1' \
      -- curl -s http://server:8000/
  lastack try --server './srv --port 8080' --ready 8080 --expect-exit 0 \
      --rule 'cut(500, fin) server.DATA@1' --save bug.yaml -- ./client server
  lastack try --server ./srv --keep -- ./client`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.server = server["server"]
			return try(cmd.Context(), f, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.SetInterspersed(false)
	flags.Var(server.of("server"), "server", "the server's command")
	flags.Var(&f.rules, "rule", "what happens to segments; may be given again")
	flags.Var(&f.ready, "ready", "when the server is ready: PORT, or log:REGEXP for a line that it writes (default: it listens on any port)")
	flags.Var(&f.exit, "expect-exit", "the exit status that the client must have, or must not, as 'not 0'")
	flags.Var(&f.ip, "ip", "address family to play, 4 or 6")
	flags.Var(&f.set, "set", "set a sysctl of one host or of both; may be given again")
	flags.Var(&f.save, "save", "write the scenario to `FILE`, which is not there yet")
	flags.Var(&f.out, "out", "keep the evidence (record, captures, ladder) below `DIR`")
	flags.BoolVar(&f.json, "json", false, "print one JSON document on stdout, and nothing else there")
	flags.BoolVar(&f.keep, "keep", false, "leave both hosts standing until Ctrl-C, for lastack exec")
	for _, name := range []string{"server", "rule", "ready", "expect-exit"} {
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions); err != nil {
			panic(err) // the flag is not there: a defect of the lines above
		}
	}
	return cmd
}

// ruleList is the value of --rule.
type ruleList []inject.Rule

// String is "".
func (l *ruleList) String() string { return "" }

// Set takes one more rule from the command line.
func (l *ruleList) Set(text string) error {
	r, err := inject.ParseRule(text)
	if err == nil {
		err = r.Check(hosts)
	}
	if err != nil {
		return err
	}
	*l = append(*l, r)
	return nil
}

// Type is what help calls the value.
func (l *ruleList) Type() string { return "RULE" }

// readyValue is the value of --ready.
type readyValue struct {
	listen int
	log    string
}

// String is "".
func (v *readyValue) String() string { return "" }

// Set takes the value from the command line.
func (v *readyValue) Set(text string) error {
	*v = readyValue{}
	if log, ok := strings.CutPrefix(text, "log:"); ok {
		log = strings.TrimPrefix(log, " ")
		if _, err := regexp.Compile(log); err != nil || log == "" {
			return errors.New("want a regular expression behind the colon, as in log:started")
		}
		v.log = log
		return nil
	}
	port, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimPrefix(text, "listen:"), " "), 10, 16)
	if err != nil || port == 0 {
		return errors.New("want a port, as 8080, or log:REGEXP")
	}
	v.listen = int(port)
	return nil
}

// Type is what help calls the value.
func (v *readyValue) Type() string { return "PORT|log:REGEXP" }

// statusValue is the value of --expect-exit.
type statusValue struct{ text string }

// String is "".
func (v *statusValue) String() string { return "" }

// Set takes the value from the command line.
func (v *statusValue) Set(text string) error {
	digits, not := strings.CutPrefix(text, "not ")
	n, err := strconv.ParseUint(strings.TrimSpace(digits), 10, 8)
	if err != nil {
		return errors.New("want an exit status from 0 to 255, or one that it must not have, as 'not 0'")
	}
	v.text = strconv.FormatUint(n, 10)
	if not {
		v.text = "not " + v.text
	}
	return nil
}

// Type is what help calls the value.
func (v *statusValue) Type() string { return "N|'not N'" }

// draft is the scenario that the flags make.
func (f *tryFlags) draft(client []string) (*file.Draft, error) {
	switch {
	case f.server == nil:
		return nil, errors.New("try which server? say --server CMD; see lastack try --help")
	case len(client) == 0:
		return nil, errors.New("try which client? write it behind --, as in lastack try --server ./srv -- ./client")
	case len(f.ip.families) != 1:
		return nil, errors.New("--ip both: try plays once, over 4 or 6")
	}
	if err := harness.CheckProgram(f.server[0]); err != nil {
		return nil, fmt.Errorf("--server: %w", err)
	}
	if err := harness.CheckProgram(client[0]); err != nil {
		return nil, fmt.Errorf("the client: %w", err)
	}
	d := &file.Draft{
		Name: "try", Summary: "What was tried.", Server: f.server, Client: client,
		Listen: f.ready.listen, Log: f.ready.log, Rules: f.rules, Exit: f.exit.text,
	}
	var texts []string
	for i := range f.rules {
		texts = append(texts, f.rules[i].String())
	}
	if len(texts) > 0 {
		d.Summary = strings.Join(texts, "; ")
	}
	if f.save != "" {
		if d.Name = scenarioName(string(f.save)); d.Name == "" {
			d.Name = "try"
		}
	}
	for _, s := range f.set {
		key := s.Key
		if s.Host != "" {
			key = s.Host + ":" + key
		}
		d.Sysctls = append(d.Sysctls, [2]string{key, s.Value})
	}
	return d, nil
}

// scenarioName makes a scenario's name of a file's.
func scenarioName(path string) string {
	base := strings.ToLower(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, base)
	return strings.Trim(strings.TrimLeft(name, "-0123456789"), "-")
}

// try is the verb.
func try(parent context.Context, f tryFlags, client []string, stdout, stderr io.Writer) error {
	d, err := f.draft(client)
	if err != nil {
		return err
	}
	text := d.Text()
	list, err := file.Parse("", []byte(text))
	if err != nil {
		return err
	}
	plays, err := list[0].Plays(file.Default, nil)
	if err != nil {
		return err
	}
	places, err := prepare(string(f.out), "")
	if err != nil {
		return err
	}
	defer places.retreat() // where nothing came to be written
	ctx, stop := interruptible(parent)
	defer stop()
	kept := &standing{ctx: ctx, stderr: stderr}
	if f.keep {
		dir, release, err := holdDir()
		if err != nil {
			return fmt.Errorf("--keep: %w", err)
		}
		defer release()
		kept.dir = dir
	}
	options := harness.Options{
		IP: f.ip.families[0], Out: places.dir, Repro: f.repro(d),
		Expected: func(r *record.Run) bool { return r.Verdict != record.Fail }, // of all else what is to be seen is printed
	}
	if len(f.set) > 0 {
		asks := runFlags{set: f.set}
		if options.Pool, err = asks.open(ctx); err != nil {
			return err
		}
		defer options.Pool.Close() // what it was for is over then
	}
	if f.save != "" {
		if err := writeNew(string(f.save), text); err != nil {
			return fmt.Errorf("--save %q: %w", f.save, reason(err))
		}
	}
	playing, giveUp := context.WithCancel(context.WithoutCancel(parent))
	defer giveUp()
	defer context.AfterFunc(ctx, func() {
		if !kept.stands.Load() { // else Ctrl-C is how it ends
			giveUp()
		}
	})()
	sc := plays[0].Scenario
	if f.keep {
		play := sc.Play
		sc.Play = func(s *harness.Stage) {
			// Also where the play ends early: then there is most to see.
			defer func() {
				if !s.Rehearsal() && playing.Err() == nil {
					kept.stand(s)
				}
			}()
			play(s)
		}
	}
	r, err := harness.Play(playing, sc, options)
	saved := string(f.save)
	if saved != "" && (r == nil || r.Verdict == record.Error) {
		// What could not be played is no scenario. The file was not there before.
		if e := os.Remove(saved); e != nil {
			err = errors.Join(err, fmt.Errorf("--save %q: %w", f.save, reason(e)))
		}
		saved = ""
	}
	if r == nil {
		if playing.Err() != nil {
			return interrupted("nothing was played")
		}
		return err
	}
	if err = errors.Join(err, kept.err); err != nil {
		complain(stderr, err)
	}
	broken := playing.Err() != nil
	if f.json {
		doc := record.NewDocument([]*record.Run{r})
		doc.Partial = broken
		if err := doc.Write(stdout); err != nil {
			return err
		}
	} else if err := writeTry(stdout, r, f.exit.text != "", broken, saved); err != nil {
		return err
	}
	if broken {
		return interrupted("the play was not over")
	}
	if err != nil {
		return &failure{status: troubled(r.Verdict.ExitStatus())}
	}
	return ended(r.Verdict.ExitStatus())
}

// repro is the command that plays it again.
func (f *tryFlags) repro(d *file.Draft) string {
	if f.save != "" {
		return shell.Join([]string{"lastack", "run", string(f.save), "--ip", strconv.Itoa(f.ip.families[0]), "-v"})
	}
	words := []string{"lastack", "try", "--ip", strconv.Itoa(f.ip.families[0]), "--server", shell.Join(d.Server)}
	for i := range f.rules {
		words = append(words, "--rule", f.rules[i].String())
	}
	switch {
	case d.Listen > 0:
		words = append(words, "--ready", strconv.Itoa(d.Listen))
	case d.Log != "":
		words = append(words, "--ready", "log:"+d.Log)
	}
	if d.Exit != "" {
		words = append(words, "--expect-exit", d.Exit)
	}
	for _, s := range f.set {
		words = append(words, "--set", s.String())
	}
	return shell.Join(slices.Concat(words, []string{"--"}, d.Client))
}

// writeNew writes a file that was not there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// shownLines is how much of a program's output is printed.
const shownLines = 10

// writeTry prints what came of it. Without an expectation there is no verdict but
// of whether the play was one.
func writeTry(w io.Writer, r *record.Run, expects, broken bool, saved string) error {
	var b strings.Builder
	wide := width(w)
	b.WriteString(report.Ladder(r, wide, colored(w)))
	b.WriteByte('\n')
	for _, p := range r.Programs {
		writeOutput(&b, p.Host+" stdout", p.Stdout, p.StdoutSize, wide)
		writeOutput(&b, p.Host+" stderr", p.Stderr, p.StderrSize, wide)
	}
	if r.Evidence != "" {
		fmt.Fprintf(&b, "evidence: %s\n", record.Printable(r.Evidence))
	}
	if saved != "" {
		fmt.Fprintf(&b, "saved: lastack run %s\n", shell.Quote(saved))
	}
	paragraph := func(indent, text string) { report.Paragraph(&b, wide, indent, text) }
	switch {
	case broken:
		b.WriteString("interrupted: the play was not over\n")
	case expects || r.Verdict != record.Pass:
		why := verdictWhy(r)
		if r.Verdict == record.Fail && slices.ContainsFunc(r.Claims, func(c record.Claim) bool { return r.Why == "claim does not hold: "+c.Sentence }) {
			why = "" // the claim follows
		}
		paragraph("", string(r.Verdict)+why)
		for _, c := range r.Claims {
			mark := "✓ "
			if c.Verdict != record.Pass {
				mark = "✗ "
			}
			if r.Verdict == record.Pass || r.Verdict == record.Fail {
				paragraph("  ", mark+c.Sentence)
				if c.Verdict != record.Pass && c.Why != r.Why {
					paragraph("      ", c.Why)
				}
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func verdictWhy(r *record.Run) string {
	if r.Why == "" {
		return ""
	}
	return "  " + r.Why
}

// writeOutput prints the end of what a program wrote.
func writeOutput(b *strings.Builder, title string, text []byte, size int64, wide int) {
	all := strings.Split(strings.TrimRight(string(text), "\r\n"), "\n")
	if len(text) == 0 {
		return
	}
	fmt.Fprintf(b, "%s, %d bytes:\n", title, max(size, int64(len(text))))
	if n := len(all) - shownLines; n > 0 {
		fmt.Fprintf(b, "  | … %d lines before\n", n)
		all = all[n:]
	}
	for _, line := range all {
		b.WriteString(record.Fit("  | "+record.Printable(strings.TrimRight(line, "\r")), wide) + "\n")
	}
}

// standing is a lab that is left standing after its play.
type standing struct {
	ctx    context.Context
	dir    string // where lastack exec finds it
	stderr io.Writer
	stands atomic.Bool
	err    error
}

// stand serves lastack exec until Ctrl-C.
func (k *standing) stand(s *harness.Stage) {
	lab, err := openLab(k.dir, s)
	if err != nil {
		k.err = fmt.Errorf("--keep: %w", err)
		return
	}
	defer lab.close()
	k.stands.Store(true)
	if k.ctx.Err() == nil {
		fmt.Fprintf(k.stderr, "both hosts stand until Ctrl-C; meanwhile, elsewhere:\n  lastack exec %s client -- ss -tno\n", shell.Quote(k.dir))
	}
	<-k.ctx.Done()
}
