package matrix

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pin keeps the caller's thread on the CPU on which it is, until what it returns
// is called. What is handed to a kernel by a veth is taken in on the same CPU, in
// order: so nothing overtakes, and what was taken in is over when the thread runs
// again. Where the kernel refuses, the thread may move, and three connections of a
// cell that do not agree tell it.
func pin() (release func()) {
	runtime.LockOSThread()
	var all unix.CPUSet
	if unix.SchedGetaffinity(0, &all) != nil {
		return runtime.UnlockOSThread
	}
	if cpu, ok := here(); ok {
		var one unix.CPUSet
		one.Set(cpu)
		if unix.SchedSetaffinity(0, &one) == nil {
			return func() {
				if unix.SchedSetaffinity(0, &all) == nil {
					runtime.UnlockOSThread() // else the thread ends with its goroutine
				}
			}
		}
	}
	return runtime.UnlockOSThread
}

// here is the CPU that the thread runs on.
func here() (int, bool) {
	var cpu uint32
	_, _, errno := unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	return int(cpu), errno == 0
}
