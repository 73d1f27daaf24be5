package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
)

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say whether labs can be made on this machine",
		Long: `Makes a lab and says what of it works on this machine. Where something is
missing it names the reason, and what to do about it. It changes nothing.

Status 0 means that scenarios can be played, as this user; 2 that they cannot.`,
		Example: `  lastack doctor
  sudo lastack doctor`,
		Args: atMost(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			report := harness.Doctor(ctx)
			if ctx.Err() != nil {
				return interrupted("nothing was found out")
			}
			fmt.Fprint(cmd.OutOrStdout(), diagnosis(report, colored(cmd.OutOrStdout())))
			if !report.OK() {
				return ended(statusCannotWork)
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
}

// diagnosis is the report of the doctor for a reader.
func diagnosis(report harness.Diagnosis, color bool) string {
	width := 0
	for _, c := range report.Checks {
		width = max(width, record.Width(c.Name))
	}
	margin := strings.Repeat(" ", width+4)
	var b strings.Builder
	row := func(first, text string) {
		for _, line := range record.Wrap(text, columns-width-4) {
			fmt.Fprintln(&b, strings.TrimRight(first+line, " "))
			first = margin
		}
	}
	optional := false
	for _, c := range report.Checks {
		mark, paint, text := "✓", "32", c.What
		switch c.Status {
		case harness.CheckOK:
		case harness.CheckOptional:
			mark, paint, optional = "!", "33", true
		default:
			mark, paint = "✗", "31"
		}
		if color {
			mark = "\x1b[" + paint + "m" + mark + "\x1b[0m"
		}
		if c.Status != harness.CheckOK && c.Why != "" {
			text = c.Why
		}
		row(fmt.Sprintf("%s %-*s  ", mark, width, c.Name), text)
		if c.Do != "" {
			row(margin, "→ "+c.Do)
		}
	}
	b.WriteByte('\n')
	if report.OK() {
		b.WriteString("Labs can be made here.\n")
	} else {
		b.WriteString("Labs cannot be made here: see what is marked ✗.\n")
	}
	if optional {
		b.WriteString("What is marked ! is better to have, but not needed.\n")
	}
	return b.String()
}
