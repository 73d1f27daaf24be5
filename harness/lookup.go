package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"

	"github.com/lastack/lastack/harness/internal/builtin"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/nearest"
)

// CheckProgram says why a program cannot be run, as far as that can be told before
// there is a host; nil where it can. The name is that of ProgramSpec.Argv.
func CheckProgram(name string) error {
	shown := record.Fit(name, 40)
	if role, is := strings.CutPrefix(name, builtin.Role); is {
		if builtin.Has(role) {
			return nil
		}
		return fmt.Errorf("there is no builtin %q; the nearest is %q; see lastack builtin", record.Fit(role, 40), nearest.Of(role, builtin.Names()))
	}
	_, err := exec.LookPath(name)
	var at *exec.Error
	switch {
	case err == nil, errors.Is(err, exec.ErrDot):
		return nil
	case strings.Contains(name, "{dir}"):
		return nil // only the lab knows
	case errors.As(err, &at):
		err = at.Err
	}
	switch gone := errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist); {
	case gone && strings.Contains(name, " "):
		return fmt.Errorf("there is no program %q: each argument is an item of the list by itself", shown)
	case gone:
		return fmt.Errorf("there is no program %q: it is looked up as a shell would, from the directory in which lastack was started", shown)
	}
	return fmt.Errorf("cannot run %q: %w", shown, err)
}
