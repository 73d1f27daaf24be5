package peer

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// blockSignals blocks what a call may raise or be interrupted by, on this thread:
// SIGPIPE, so that it stays pending for its collector (Go would swallow it), and
// the signals that Go's runtime sends itself, so that no call returns EINTR
// because of them.
func blockSignals() (old unix.Sigset_t, err error) {
	set := sigset(unix.SIGPIPE, unix.SIGURG, unix.SIGCHLD, unix.SIGPROF)
	err = unix.PthreadSigmask(unix.SIG_BLOCK, &set, &old)
	return old, err
}

func restoreSignals(old unix.Sigset_t) {
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil) // cannot fail with a mask that the kernel gave
}

func sigset(signals ...unix.Signal) unix.Sigset_t {
	var set unix.Sigset_t
	word := int(unsafe.Sizeof(set.Val[0])) * 8
	for _, s := range signals {
		n := int(s) - 1
		set.Val[n/word] |= 1 << (n % word)
	}
	return set
}

// sigsetSize is the size of the kernel's set, which is smaller than libc's.
const sigsetSize = 8

// collectSigpipe takes a pending SIGPIPE of this thread, and reports whether
// there was one.
func collectSigpipe() bool {
	set := sigset(unix.SIGPIPE)
	var now unix.Timespec
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&set)), 0,
			uintptr(unsafe.Pointer(&now)), sigsetSize, 0, 0)
		if errno != unix.EINTR {
			return errno == 0 && unix.Signal(n) == unix.SIGPIPE
		}
	}
}

// monotonic is CLOCK_MONOTONIC.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail for this clock
	return time.Duration(ts.Nano())
}
