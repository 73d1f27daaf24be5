package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	if err := writeNew(name, text); err != nil {
		return fmt.Errorf("--save %q: %w", name, reason(err))
	}
	return nil
}

// absent proves, before anything is played, that a file can be written that is not
// there yet.
func absent(name string) error {
	_, err := os.Lstat(name)
	switch {
	case err == nil:
		return errors.New("file exists")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return writable(filepath.Dir(name))
}
