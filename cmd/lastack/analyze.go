package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness/analyze"
	"github.com/lastack/lastack/inject"
)

// analyzeFlags are what the flags of analyze say.
type analyzeFlags struct {
	all, explain, json, jsonl bool

	filter matchValue
	failOn endings
	save   pathValue
}

func newAnalyze() *cobra.Command {
	var f analyzeFlags
	cmd := &cobra.Command{
		Use:   "analyze FILE ... | - [FLAGS]",
		Short: "Say how each connection in a capture ended",
		Long: `Reads captures (pcap and pcapng, gzip too) and says of each TCP connection how
it ended: who closed first and by which steps, what was repeated, and what a
reset was about. It needs no privileges, and works outside Linux too.

Several files are read together in the order of time, as one capture. With - the
capture comes from stdin, and each connection is printed when it ends.

A connection ended in one of these ways, the worst first:

  abandoned          repeats without an answer, given up or never resolved
  keepalive-timeout  keep-alives without an answer, then the RST of who asked
  reset              a RST that its receiver has to obey
  refused            a RST or an ICMP error for the SYN
  unanswered         a SYN that nothing answers
  half-closed        one FIN only when the capture ends
  unknown            the file does not show enough
  open               nothing ended in the capture
  simultaneous       neither FIN acknowledges the other
  four-way           the first FIN is acknowledged before the other comes
  three-way          the first FIN is acknowledged by the other

It says what the files show, and a cause only with its evidence. MATCH is a name
or an expression as rules have it (docs/vocabulary.md); each connection counts
for itself, as connection 1.

The exit status is 0 where the files were read, whatever is in them; 1 is only
with --fail-on.`,
		Example: `  lastack analyze prod.pcapng
  lastack analyze client.pcap server.pcap --filter server.RST --explain
  lastack analyze prod.pcapng --filter 'tcp.dstport == 5432' --all
  lastack analyze run.pcapng --json --fail-on reset,abandoned
  tcpdump -i any -w - tcp | lastack analyze -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return analyzeFiles(cmd.Context(), &f, args, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.all, "all", false, "show every connection, also those that ended well")
	flags.Var(&f.filter, "filter", "only connections of which a segment matches")
	flags.BoolVar(&f.explain, "explain", false, "say of every segment what it does, and how that is known")
	flags.BoolVar(&f.json, "json", false, "print one JSON document on stdout, and nothing else there")
	flags.BoolVar(&f.jsonl, "jsonl", false, "print a line of JSON for each connection when it ends")
	flags.Var(&f.save, "save", "write a scenario to `FILE` that ends as the worst connection of which\nthe cause was seen; the file is not there yet")
	flags.Var(&f.failOn, "fail-on", "exit with 1 where a connection ended so")
	complete := map[string]cobra.CompletionFunc{
		"filter":  cobra.NoFileCompletions,
		"save":    cobra.FixedCompletions([]cobra.Completion{"yaml"}, cobra.ShellCompDirectiveFilterFileExt),
		"fail-on": cobra.FixedCompletions(endingWords(), cobra.ShellCompDirectiveNoFileComp),
	}
	for name, function := range complete {
		if err := cmd.RegisterFlagCompletionFunc(name, function); err != nil {
			panic(err) // the flag is not there: a defect of the lines above
		}
	}
	return cmd
}

// analysis takes connections as they end.
type analysis interface {
	Add(*analyze.Connection)
	Close(analyze.Totals) error
	Summary() *analyze.Summary
}

// analyzeFiles is the verb.
func analyzeFiles(parent context.Context, f *analyzeFlags, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	switch {
	case len(args) == 0:
		return errors.New("analyze which file? name a capture, or - for stdin")
	case f.json && f.jsonl:
		return errors.New("give either --json or --jsonl, not both")
	case (f.json || f.jsonl) && (f.explain || f.all):
		return errors.New("--explain and --all are for people; JSON has every connection without them")
	}
	if f.save != "" {
		// Not only when a long capture was read.
		if err := absent(string(f.save)); err != nil {
			return fmt.Errorf("--save %q: %w", string(f.save), reason(err))
		}
	}
	ctx, stop := interruptible(parent)
	defer stop()
	if os.Getenv("GOGC") == "" {
		// Little is kept, so it may grow to three times before it is gone through.
		defer debug.SetGCPercent(debug.SetGCPercent(200))
	}
	bar := newProgress(stderr)
	defer bar.off()
	live := false
	var inputs []analyze.Input
	for _, name := range args {
		if name == "-" {
			if live {
				return errors.New("stdin can be read once: give - once")
			}
			live = true
			inputs = append(inputs, analyze.Input{Name: "stdin", Reader: abandonable(ctx, stdin)})
			continue
		}
		file, err := openCapture(name)
		if err != nil {
			return fmt.Errorf("analyze %q: %w", name, err)
		}
		defer file.Close()
		inputs = append(inputs, analyze.Input{Name: name, Reader: bar.count(file)})
	}
	o := analyze.Options{Explain: f.explain, Live: live, Filter: f.filter.match}
	var out analysis
	if f.json || f.jsonl {
		out = analyze.NewJSON(stdout, f.jsonl)
	} else {
		out = analyze.NewText(stdout, analyze.TextOptions{
			All: f.all, Explain: f.explain, Stream: live, Color: colored(stdout), Width: width(stdout),
		})
	}
	var saved reproduction
	o.Ended = func(c *analyze.Connection) {
		out.Add(c)
		if f.save != "" {
			saved.consider(c)
		}
	}
	if live || f.jsonl {
		bar.off() // the results themselves show that it goes on
	}
	totals, err := analyze.Read(ctx, inputs, o)
	bar.off()
	if err != nil {
		return fmt.Errorf("analyze %w", err)
	}
	for _, cut := range totals.Cut {
		if f.json || f.jsonl {
			complain(stderr, errors.New(cut))
		}
	}
	if err := out.Close(totals); err != nil {
		return err
	}
	if f.save != "" && (saved.text != "" || !totals.Partial) {
		if err := saved.write(string(f.save)); err != nil {
			return err
		}
	}
	if totals.Partial {
		return interrupted(fmt.Sprintf("%d connections were analysed", totals.Connections))
	}
	for _, e := range f.failOn {
		if out.Summary().Count(e) > 0 {
			return ended(statusNotHeld)
		}
	}
	return nil
}

// reproduction is the scenario that --save writes.
type reproduction struct {
	text  string
	ended analyze.Ended
}

// consider takes the connection in place of a better one.
func (r *reproduction) consider(c *analyze.Connection) {
	order := analyze.Endings()
	if r.text != "" && slices.Index(order, r.ended) <= slices.Index(order, c.Ended) {
		return
	}
	if text := c.Scenario(); text != "" {
		r.text, r.ended = text, c.Ended
	}
}

func (r *reproduction) write(name string) error {
	if r.text == "" {
		return fmt.Errorf("--save %q: of no connection here was a cause seen that stand-ins can bring about; see nearest in --json, or lastack list", name)
	}
	if err := writeNew(name, r.text); err != nil {
		return fmt.Errorf("--save %q: %w", name, reason(err))
	}
	return nil
}

// openCapture opens a file that can be read as a capture.
func openCapture(name string) (*os.File, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, reason(err)
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		file.Close()
		return nil, errors.New("it is a directory")
	}
	return file, nil
}

// abandonable is a reader that ends with its context, though the one beneath
// still waits for its next byte.
func abandonable(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err) // nil is the end
	}()
	return out
}

// matchValue is the value of --filter.
type matchValue struct{ match *inject.Match }

// String is the match as it was typed.
func (m *matchValue) String() string {
	if m.match == nil {
		return ""
	}
	return m.match.String()
}

// Set takes the match from the command line.
func (m *matchValue) Set(text string) error {
	match, err := inject.ParseMatch(text)
	if err != nil {
		return err
	}
	if err := match.Check([]string{string(analyze.Client), string(analyze.Server)}); err != nil {
		return err
	}
	m.match = &match
	return nil
}

// Type is what help calls the value.
func (m *matchValue) Type() string { return "MATCH" }

// endings is the value of --fail-on.
type endings []analyze.Ended

// String is the value as it is typed.
func (e *endings) String() string {
	words := make([]string, 0, len(*e))
	for _, word := range *e {
		words = append(words, string(word))
	}
	return strings.Join(words, ",")
}

// Set takes the words from the command line.
func (e *endings) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		ended, err := analyze.ParseEnded(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		*e = append(*e, ended)
	}
	return nil
}

// Type is what help calls the value.
func (e *endings) Type() string { return "ENDED,..." }

func endingWords() (words []string) {
	for _, e := range analyze.Endings() {
		words = append(words, string(e))
	}
	return words
}
