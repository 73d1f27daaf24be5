package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness/check"
	"github.com/lastack/lastack/harness/record"
)

func newMerge() *cobra.Command {
	var (
		json, strict, verbose bool
		junit, out            pathValue
	)
	cmd := &cobra.Command{
		Use:   "merge DIR ... [FLAGS]",
		Short: "Put the reports of a check's shards together",
		Long: `Puts together what lastack check --shard i/n --out DIR left in directories, and
prints one report, as check would have. It plays nothing, and needs no Linux.

Shards that are missing make the report partial, which ends with 2.`,
		Example: `  lastack check --server './srv' --shard 1/2 --out part-1 -- ./client
  lastack check --server './srv' --shard 2/2 --out part-2 -- ./client
  lastack merge part-1 part-2 --junit report.xml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return mergeReports(args, strict, reportTo{json: json, verbose: verbose, junit: string(junit), dir: string(out)}, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.Var(&out, "out", "write the merged report below `DIR`")
	flags.Var(&junit, "junit", "write a JUnit report to `FILE`")
	flags.BoolVar(&json, "json", false, "print one JSON document on stdout, and nothing else there")
	flags.BoolVar(&strict, "strict", false, "let an inconclusive cell count, as worse than PASS")
	flags.BoolVarP(&verbose, "verbose", "v", false, "list every cell")
	return cmd
}

// mergeReports is the verb.
func mergeReports(dirs []string, strict bool, to reportTo, stdout, stderr io.Writer) error {
	if len(dirs) == 0 {
		return errors.New("merge which reports? name the directories that check --out wrote")
	}
	var reports []*check.Report
	for _, dir := range dirs {
		r, err := check.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%q: there is no %s in it: name a directory that check --out wrote", dir, check.ReportFile)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", dir, reason(err))
		}
		reports = append(reports, r)
	}
	r, err := check.Merge(reports)
	if err != nil {
		return err
	}
	if strict && r.Verdict == record.Pass && r.Inconclusive > 0 {
		r.Verdict = record.Inconclusive
	}
	places, err := prepare(to.dir, to.junit)
	if err != nil {
		return err
	}
	defer places.retreat()
	if err := writeReport(r, to, stdout, stderr); err != nil {
		return err
	}
	if r.Partial && r.Verdict != record.Fail {
		return ended(statusCannotWork)
	}
	return ended(r.Verdict.ExitStatus())
}
