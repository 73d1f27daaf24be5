//go:build !linux

package peer

import "os"

// Pair returns ErrNotLinux.
func Pair() (callers, peers *os.File, err error) { return nil, nil, ErrNotLinux }

// hangUp ends the reader.
func hangUp(f *os.File) { f.Close() }
