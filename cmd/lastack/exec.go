package main

import (
	"errors"

	"github.com/spf13/cobra"
)

var errNoCommand = errors.New("exec what? write the command behind --, as in -- ss -tno")

func newExec() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec DIR HOST -- CMD [ARGUMENT]...",
		Short: "Run a command on a host that lastack try --keep left standing",
		Long: `Runs a command on a host of a lab that lastack try --keep left standing: DIR is
the directory that it names. The command sees the host's network, its own /tmp
and HOME, and runs in the directory of lastack try; stdin, stdout and stderr are
those of lastack exec. It has no terminal of its own, and is ended where lastack
exec is.

The exit status is the command's, 128 and the number of the signal that ended
it, or 2 where it could not be run.`,
		Example: `  lastack exec /tmp/lastack-lab-123 client -- ss -tno
  lastack exec /tmp/lastack-lab-123 server -- cat /proc/net/snmp`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) < 2:
				return errors.New("exec where? write lastack exec DIR HOST -- CMD; DIR is what lastack try --keep names")
			case len(args) < 3:
				return errNoCommand
			}
			command := args[2:]
			if command[0] == "--" {
				command = command[1:]
			}
			if len(command) == 0 {
				return errNoCommand
			}
			status, err := askLab(cmd.Context(), args[0], request{Host: args[1], Argv: command})
			if err != nil {
				return err
			}
			return ended(status)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			switch len(args) {
			case 0:
				return nil, cobra.ShellCompDirectiveFilterDirs
			case 1:
				return hosts, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// controlName is the socket in the directory of a lab that stands.
const controlName = "control"

// request asks a lab that stands to run a command; three descriptors come with it.
type request struct {
	Host string   `json:"host"`
	Argv []string `json:"argv"`
}

// answer is how the command ended, or why it could not be run.
type answer struct {
	Exit   int    `json:"exit"`
	Signal int    `json:"signal"`
	Error  string `json:"error"`
}
