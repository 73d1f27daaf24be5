package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/scenarios"
)

func newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show what a scenario does and claims",
		Long: `Shows one scenario: what happens on the wire, the claims that are judged, where
to read about it, and the command that plays it.`,
		Example: `  lastack show close/last-ack-lost`,
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("show which scenario? see lastack list")
			}
			sc, err := find(scenarios.All(), args[0])
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), description(sc))
			return nil
		},
		ValidArgsFunction: completeNames(1),
	}
}

func description(sc harness.Scenario) string {
	var b strings.Builder
	fmt.Fprintln(&b, sc.Name)
	for _, line := range record.Wrap(sc.Summary, columns) {
		fmt.Fprintln(&b, line)
	}
	if doc := unindent(sc.Doc); doc != "" {
		fmt.Fprintf(&b, "\n%s\n", doc)
	}
	bullets(&b, "Claims", claimTexts(sc))
	bullets(&b, "References", sc.Refs)
	fmt.Fprintf(&b, "\nPlay it:\n  lastack run %s -v\n", sc.Name)
	return b.String()
}

func claimTexts(sc harness.Scenario) (texts []string) {
	for _, c := range sc.Claims {
		texts = append(texts, c.Says)
	}
	return texts
}

func bullets(b *strings.Builder, title string, texts []string) {
	if len(texts) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n", title)
	for _, text := range texts {
		mark := "  - "
		for _, line := range record.Wrap(text, columns-4) {
			fmt.Fprintf(b, "%s%s\n", mark, line)
			mark = "    "
		}
	}
}

// unindent takes away the margin that all lines of a text in Go source share,
// and its blank lines at both ends.
func unindent(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\t", "    "), "\n")
	margin := -1
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
		if lines[i] == "" {
			continue
		}
		if m := len(lines[i]) - len(strings.TrimLeft(lines[i], " ")); margin < 0 || m < margin {
			margin = m
		}
	}
	for i, line := range lines {
		if line != "" {
			lines[i] = line[margin:]
		}
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
