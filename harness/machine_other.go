//go:build !linux

package harness

import (
	"runtime"
	"syscall"
	"time"
)

func monotonic() time.Duration { return 0 }

func kernel() string { return runtime.GOOS }

func signalName(s syscall.Signal) string { return s.String() }

func room() int { return 1 }

// The signals that stop a process and let it go on have no names everywhere.
const (
	signalStop     syscall.Signal = 19
	signalContinue syscall.Signal = 18
)
