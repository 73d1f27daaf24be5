package harness

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is CLOCK_MONOTONIC, which peers report their calls by.
func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0 // the clock is there on every Linux
	}
	return time.Duration(ts.Nano())
}

// kernel is the release of the kernel that the labs run on.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}

func signalName(s syscall.Signal) string { return unix.SignalName(s) }

// What one lab takes: of the machine's memory by rough measure, its processes
// included, and of this process's descriptors.
const (
	labMemory = 24 << 20
	labFiles  = 24
)

// room is how many labs may stand at once: as many as fit in half of the
// memory and of the descriptors that are left, at most 256.
func room() int {
	labs := uint64(256)
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		free := (uint64(info.Freeram) + uint64(info.Bufferram)) * uint64(info.Unit)
		labs = min(labs, free/2/labMemory)
	}
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		labs = min(labs, files.Cur/2/labFiles)
	}
	return int(max(labs, 1))
}

// The signals that stop a process and let it go on.
const (
	signalStop     = unix.SIGSTOP
	signalContinue = unix.SIGCONT
)
