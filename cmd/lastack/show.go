package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/shell"
	"github.com/lastack/lastack/scenarios"
)

func newShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show what a scenario does and claims",
		Long: `Shows one scenario: what happens on the wire, the claims that are judged, where
to read about it, what it needs of the kernel, what it answers to statements
that are taught (docs/textbook.md), and the command that plays it. Of a story it
shows the scenario file, which can be saved and changed.`,
		Example: `  lastack show close/last-ack-lost
  lastack show idle-close-race`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("show which scenario? see lastack list")
			}
			if list, _, err := findStories(args[0]); err == nil && len(list) == 1 && !isGlob(args[0]) {
				fmt.Fprint(cmd.OutOrStdout(), storyDescription(list[0].file))
				return nil
			}
			sc, err := find(scenarios.All(), args[0])
			if err != nil {
				return nearStory(err, args)
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
	if doc := reflow(unindent(sc.Doc)); doc != "" {
		fmt.Fprintf(&b, "\n%s\n", doc)
	}
	bullets(&b, "Claims", claimTexts(sc))
	bullets(&b, "References", sc.Refs)
	bullets(&b, "Needs", needTexts(sc))
	bullets(&b, "Answers", answerTexts(sc))
	if sc.Slow {
		fmt.Fprintf(&b, "\nSlow: it waits for a constant of the kernel of more than 15 s.\n")
	}
	fmt.Fprintf(&b, "\nPlay it:\n  lastack run %s -v\n", shell.Quote(sc.Name))
	return b.String()
}

func claimTexts(sc harness.Scenario) (texts []string) {
	for _, c := range sc.Claims {
		texts = append(texts, c.Says)
	}
	return texts
}

// needTexts are what a scenario needs, in words.
func needTexts(sc harness.Scenario) (texts []string) {
	for _, n := range sc.Needs {
		switch {
		case n.Linux != "":
			texts = append(texts, "Linux ≥ "+n.Linux)
		case n.Sysctl != "":
			texts = append(texts, "the sysctl "+n.Sysctl)
		}
	}
	return texts
}

func answerTexts(sc harness.Scenario) (texts []string) {
	for _, a := range sc.Answers {
		texts = append(texts, fmt.Sprintf("statement %d %s: %s", a.Statement, a.Holds, a.Says))
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

// reflow breaks prose anew, so that it fits; what is indented was drawn, and
// stays as it is.
func reflow(doc string) string {
	var rows, paragraph []string
	end := func() {
		if paragraph != nil {
			rows = append(rows, record.Wrap(strings.Join(paragraph, " "), columns)...)
			paragraph = nil
		}
	}
	for line := range strings.SplitSeq(doc, "\n") {
		if line == "" || strings.HasPrefix(line, " ") {
			end()
			rows = append(rows, line)
			continue
		}
		if strings.HasPrefix(line, "- ") {
			end()
		}
		paragraph = append(paragraph, line)
	}
	end()
	return strings.Join(rows, "\n")
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
