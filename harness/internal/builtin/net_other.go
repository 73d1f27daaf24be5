//go:build !linux

package builtin

import (
	"os"
	"time"
)

func setUserTimeout(uintptr, time.Duration) error { return nil }

func setReceiveBuffer(uintptr, int) error { return nil }

func peekDescriptor(uintptr) pooledState { return unknown }

func readable(uintptr) bool { return false }

func dieBySIGPIPE() { os.Exit(exitFailed) }
