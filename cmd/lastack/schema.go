package main

import (
	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness/file"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files",
		Long: `Prints the JSON Schema of scenario files, by which editors complete keys and
show what is wrong. Save it beside the files and begin each with

  # yaml-language-server: $schema=lastack.schema.json`,
		Example: `  lastack schema > lastack.schema.json`,
		Args:    atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(file.Schema())
			return err
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}
