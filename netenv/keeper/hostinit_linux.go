package keeper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runHostInit is process 1 of a host that runs a user's programs. It takes over
// what they leave behind, passes signals on to all of them, and takes them with it
// when the keeper closes the control socket.
func runHostInit() int {
	// The kernel buries children whose end nobody wants to hear of.
	signal.Ignore(syscall.SIGCHLD)
	deafen()
	unix.CloseOnExec(ControlFD)
	// A program that looks under /sys finds its host's links there. It is a
	// convenience, and refused in some containers.
	_ = unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	if err := tellInit(mountProc()); err != nil {
		return 1
	}
	for {
		var number [1]byte
		n, err := unix.Read(ControlFD, number[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return 0
		}
		if tellInit(signalOthers(syscall.Signal(number[0]))) != nil {
			return 1
		}
	}
}

// signalOthers signals everybody in this pid namespace but process 1, and waits
// until all have stopped, or are gone, where that is what the signal does.
func signalOthers(number syscall.Signal) error {
	for limit := time.Now().Add(settleLimit); ; {
		err := syscall.Kill(-1, number)
		switch {
		case errors.Is(err, syscall.ESRCH):
			return nil // nobody is left
		case err != nil || number != syscall.SIGKILL && number != syscall.SIGSTOP:
			return err
		case number == syscall.SIGSTOP && allStopped():
			return nil
		case time.Now().After(limit):
			return fmt.Errorf("after %v a process still waits in the kernel, where no signal reaches it", settleLimit)
		}
		// The kernel tells nobody that a process which is not his child has stopped or
		// is gone.
		time.Sleep(settlePause)
	}
}

// The signals that cannot be ignored act in microseconds, unless a process waits
// for a device.
const (
	settleLimit = 10 * time.Second
	settlePause = 200 * time.Microsecond
)

// allStopped reports whether every thread but those of process 1 stands still, or
// is dead already.
func allStopped() bool {
	stats, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/stat")
	if err != nil {
		return true
	}
	for _, stat := range stats {
		if strings.HasPrefix(stat, "/proc/1/") {
			continue
		}
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has just ended
		}
		// The name before the state may hold anything.
		if state := text[bytes.LastIndexByte(text, ')')+1:]; len(state) > 1 && !strings.ContainsRune("TtZX", rune(state[1])) {
			return false
		}
	}
	return true
}

// tellInit answers the keeper: an empty text is success.
func tellInit(err error) error {
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	_, err = unix.Write(ControlFD, []byte(text))
	return err
}

// deafen keeps signals from ending process 1 of a pid namespace before its control
// socket does. They are caught, not ignored: what is ignored stays so in programs.
func deafen() {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
}

// askInit sends a signal through a host's init, or with 0 hears whether it is
// ready, and waits for the answer.
func askInit(fd int, number syscall.Signal) error {
	if number != 0 {
		if _, err := unix.Write(fd, []byte{byte(number)}); err != nil {
			return fmt.Errorf("ask the host's init: %w", err)
		}
	}
	var text [256]byte
	for {
		n, err := unix.Read(fd, text[:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("ask the host's init: %w", err)
		case n == 0:
			return errors.New("ask the host's init: it has ended")
		case string(text[:n]) != "ok":
			return fmt.Errorf("host's init: %s", text[:n])
		default:
			return nil
		}
	}
}
