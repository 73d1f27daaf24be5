//go:build !linux

package harness

import (
	"fmt"

	"github.com/lastack/lastack/inject"
)

// Holdings needs Linux.
func (h *Host) Holdings() (Holdings, error) {
	return Holdings{}, fmt.Errorf("count holdings of %s: %w", h.name, inject.ErrNotSupported)
}
