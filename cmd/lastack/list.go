package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/scenarios"
)

func newList() *cobra.Command {
	return &cobra.Command{
		Use:   "list [GLOB | WORD]...",
		Short: "List the scenarios of the catalogue",
		Long: `Lists the scenarios of the catalogue with their summaries, family by family.

A GLOB keeps those whose name it matches; * also matches a slash. A WORD keeps
those in whose name, summary, claims or references it is found, in upper or
lower case. Of several globs one must match, of several words each.`,
		Example: `  lastack list
  lastack list 'close/*'
  lastack list fin_wait_2
  lastack list rfc 9293 lost`,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := search(scenarios.All(), args)
			if err != nil {
				return err
			}
			if len(found) == 0 {
				return noMatch(strings.Join(args, " "))
			}
			fmt.Fprint(cmd.OutOrStdout(), listing(found))
			return nil
		},
		ValidArgsFunction: completeNames(1),
	}
}

// widestName is the longest name that still has its summary beside it.
const widestName = 36

func listing(list []harness.Scenario) string {
	width := 0
	for _, sc := range list {
		if w := record.Width(sc.Name); w <= widestName {
			width = max(width, w)
		}
	}
	var b strings.Builder
	last := ""
	for _, sc := range list {
		if f := family(sc.Name); f != last {
			if last != "" {
				b.WriteByte('\n')
			}
			fmt.Fprintln(&b, f)
			last = f
		}
		name := fmt.Sprintf("  %-*s  ", width, sc.Name)
		if record.Width(sc.Name) > width {
			fmt.Fprintf(&b, "  %s\n", sc.Name)
			name = strings.Repeat(" ", width+4)
		}
		for i, line := range record.Wrap(sc.Summary, columns-width-4) {
			if i > 0 {
				name = strings.Repeat(" ", width+4)
			}
			fmt.Fprintln(&b, strings.TrimRight(name+line, " "))
		}
	}
	return b.String()
}
