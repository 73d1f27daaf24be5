//go:build !linux

package inject

import (
	"os"
	"time"
)

// Wire is not to be had on this system.
type Wire struct{}

// NewWire returns ErrNotSupported.
func NewWire(WireConfig) (*Wire, error) { return nil, ErrNotSupported }

// Do does nothing.
func (w *Wire) Do(func(e *Engine, now time.Duration)) {}

// TakeSocket returns ErrNotSupported.
func TakeSocket(*os.File) (*os.File, error) { return nil, ErrNotSupported }

// States is empty.
func (w *Wire) States() []StateNote { return nil }

// Lost is 0.
func (w *Wire) Lost() int { return 0 }

// Observe does nothing.
func (w *Wire) Observe(string, int, func() (Observation, bool)) {}

// Silence does nothing.
func (w *Wire) Silence(string) {}

// Attach returns ErrNotSupported.
func (w *Wire) Attach(string, *os.File) error { return ErrNotSupported }

// Await returns ErrNotSupported.
func (w *Wire) Await(<-chan struct{}, Condition) (time.Duration, error) { return 0, ErrNotSupported }

// Close does nothing.
func (w *Wire) Close() error { return nil }
