package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/scenarios"
)

var shells = []string{"bash", "fish", "powershell", "zsh"}

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a completion script for a shell",
		Long: `Prints the script that teaches a shell to complete verbs, flags and the names of
scenarios.`,
		Example: `  source <(lastack completion bash)
  lastack completion zsh > "${fpath[1]}/_lastack"
  lastack completion fish > ~/.config/fish/completions/lastack.fish
  lastack completion powershell | Out-String | Invoke-Expression`,
		Args:      atMost(1),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("completion for which shell? one of %s", strings.Join(shells, ", "))
			}
			w, root := cmd.OutOrStdout(), cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			case "zsh":
				return root.GenZshCompletion(w)
			}
			return fmt.Errorf("completion for %q is not known: it is one of %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// completeNames offers the names of scenarios that were not typed yet, at most
// as many words as the verb takes.
func completeNames(most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []cobra.Completion
		for _, sc := range append(scenarios.All(), storyScenarios()...) {
			if strings.HasPrefix(sc.Name, word) && !slices.Contains(args, sc.Name) {
				names = append(names, cobra.CompletionWithDesc(sc.Name, sc.Summary))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
