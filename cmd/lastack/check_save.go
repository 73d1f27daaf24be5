package main

import (
	"context"
	"fmt"
	"io"

	"github.com/lastack/lastack/harness/check"
)

// saveCell writes a cell as a scenario file.
func saveCell(ctx context.Context, c check.Config, name string) error {
	text, err := check.ScenarioFile(ctx, c)
	if err != nil {
		if ctx.Err() != nil {
			return interrupted("nothing was written")
		}
		return unprefixed(err)
	}
	err = check.WriteFile(name, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		return fmt.Errorf("--save %q: %w", name, reason(err))
	}
	return nil
}
