package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// columns is how wide help and lists are.
const columns = 80

func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Print the help of a verb",
		Long:  "Prints the help of a verb, or without one what verbs there are.",
		Example: `  lastack help
  lastack help run`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) == 0 {
				return root.Help()
			}
			for _, verb := range root.Commands() {
				if verb.Name() == args[0] {
					return verb.Help()
				}
			}
			return noVerb(root, args[0])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var verbs []cobra.Completion
			for _, verb := range cmd.Root().Commands() {
				if !verb.Hidden {
					verbs = append(verbs, cobra.CompletionWithDesc(verb.Name(), verb.Short))
				}
			}
			return verbs, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// exitStatuses ends every help text that can end with more than 0 and 2.
const exitStatuses = `0    held
1    did not hold
2    could not work: bad input, no privileges, an error
3    nothing was tested: inconclusive, no match, all skipped
130  interrupted`

// writeHelp writes the help text of the command or of one of its verbs.
func writeHelp(w io.Writer, cmd *cobra.Command) error {
	var b strings.Builder
	section := func(title, body string) {
		if body = strings.TrimRight(body, "\n"); body != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n", title, body)
		}
	}
	b.WriteString(cmd.Long)
	b.WriteByte('\n')
	if cmd.HasParent() {
		section("Usage:", indent("lastack "+cmd.Use, "  "))
	} else {
		section("Usage:", "  lastack VERB [FLAGS] [ARGUMENTS]")
		var verbs strings.Builder
		for _, verb := range cmd.Commands() {
			if !verb.Hidden {
				fmt.Fprintf(&verbs, "  %-11s %s\n", verb.Name(), verb.Short)
			}
		}
		section("Verbs:", verbs.String())
	}
	section("Examples:", cmd.Example)
	section("Flags:", trimLines(cmd.LocalFlags().FlagUsagesWrapped(columns)))
	section("Exit status:", indent(exitStatuses, "  "))
	if !cmd.HasParent() {
		b.WriteString("\nlastack help VERB says more about one of them.\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write help: %w", err)
	}
	return nil
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}

// trimLines takes the blanks from the ends of lines.
func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// atMost bounds the arguments of a verb.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) <= n:
			return nil
		case n == 0:
			return fmt.Errorf("%s takes no arguments, not %q; see %s --help", cmd.Name(), args[0], cmd.CommandPath())
		}
		return fmt.Errorf("%s takes one argument, so what is %q? see %s --help", cmd.Name(), args[n], cmd.CommandPath())
	}
}
