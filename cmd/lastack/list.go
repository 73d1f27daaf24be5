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
		Short: "List the scenarios of the catalogue, and the stories",
		Long: `Lists the scenarios of the catalogue with their summaries, family by family, and
the stories: scenario files that come with lastack, a published bug each.

A GLOB keeps those whose name it matches; * also matches a slash. A WORD keeps
those that speak of it anywhere: in the name, the summary, the explanation, the
claims, the references, the needs. So a state is found, an errno, a sysctl, a
section of an RFC, a function of the kernel. A word is found where a word
begins, however it is written: "time wait" and timewait find TIME_WAIT. Several
words in quotes must follow one another. Of several globs one must match, of
several words each.

Scenarios marked [slow] wait for a constant of the kernel of more than 15 s;
lastack run leaves them out unless --slow is given, or their name.`,
		Example: `  lastack list
  lastack list 'close/*'
  lastack list EPIPE
  lastack list "time wait" lost
  lastack list tcp_fin_timeout
  lastack list "RFC 9293 §3.10.7.4"`,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := search(append(scenarios.All(), storyScenarios()...), args)
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

// slowMark stands behind the summary of a slow scenario.
const slowMark = "[slow]"

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
		summary := sc.Summary
		if sc.Slow {
			summary += " " + slowMark
		}
		for i, line := range record.Wrap(summary, columns-width-4) {
			if i > 0 {
				name = strings.Repeat(" ", width+4)
			}
			fmt.Fprintln(&b, strings.TrimRight(name+line, " "))
		}
	}
	return b.String()
}
