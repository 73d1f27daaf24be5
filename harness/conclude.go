package harness

import (
	"fmt"

	"github.com/lastack/lastack/harness/record"
)

// Conclude ends the play with a verdict and the reason for it, which is to say
// where it stands: it is for plays that are made of something else than Go.
func (s *Stage) Conclude(verdict record.Verdict, format string, args ...any) {
	panic(stop{verdict, fmt.Sprintf(format, args...)})
}
