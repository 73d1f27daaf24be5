package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/nearest"
)

func newBuiltin() *cobra.Command {
	return &cobra.Command{
		Use:   "builtin [NAME]",
		Short: "List the programs that come with lastack, and their flags",
		Long: `Lists the programs that a scenario file can run as builtin:NAME. They are part
of lastack, so that a file runs anywhere: small servers, clients and proxies
with the mistakes that published bugs had, and without them. With a NAME it
prints that program's arguments, flags and exit statuses.`,
		Example: `  lastack builtin
  lastack builtin http
  lastack try --server 'builtin:http --port 8080' -- curl -s http://server:8080/`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := builtinList()
			if len(args) == 1 {
				var err error
				if text, err = builtinUsage(args[0]); err != nil {
					return err
				}
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			for _, b := range harness.Builtins() {
				if len(args) == 0 {
					names = append(names, cobra.CompletionWithDesc(b.Name, b.Summary))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func builtinList() string {
	all := harness.Builtins()
	wide := 0
	for _, b := range all {
		wide = max(wide, record.Width(b.Name))
	}
	var out strings.Builder
	for _, b := range all {
		name := fmt.Sprintf("%-*s  ", wide, b.Name)
		for _, line := range record.Wrap(b.Summary, columns-wide-2) {
			fmt.Fprintln(&out, strings.TrimRight(name+line, " "))
			name = strings.Repeat(" ", wide+2)
		}
	}
	return out.String()
}

func builtinUsage(name string) (string, error) {
	var names []string
	for _, b := range harness.Builtins() {
		if b.Name == strings.TrimPrefix(name, "builtin:") {
			return strings.TrimRight(b.Usage, "\n") + "\n", nil
		}
		names = append(names, b.Name)
	}
	return "", fmt.Errorf("there is no builtin %q; the nearest is %q; see lastack builtin", name, nearest.Of(name, names))
}
