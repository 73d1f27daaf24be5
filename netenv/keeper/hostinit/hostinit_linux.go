package hostinit

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

// Role is the name of a process that is the init of a host: its argument 0.
const Role = "lastack-host"

// ControlFD is the descriptor on which a keeper, and the init of a host, finds the
// socket that it is told by.
const ControlFD = 3

func init() { TakeOver(Role, run) }

// TakeOver gives the process its other role, where its name says so, and does not
// return. It is for an init. What a role mounts is its own namespaces' matter, so one
// that was not started as process 1 of them is refused.
func TakeOver(role string, run func() int) {
	if len(os.Args) == 0 || os.Args[0] != role {
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintf(os.Stderr, "%s: this name is for process 1 of a namespace that lastack made\n", role)
		os.Exit(2)
	}
	os.Exit(run())
}

// run is process 1 of a host that runs a user's programs. It takes over what they
// leave behind, passes signals on to all of them, and takes them with it when the
// keeper closes the control socket.
func run() int {
	// The kernel buries children whose end nobody wants to hear of.
	signal.Ignore(syscall.SIGCHLD)
	Deafen()
	unix.CloseOnExec(ControlFD)
	// A program that looks under /sys finds its host's links there. It is a
	// convenience, and refused in some containers.
	_ = unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	if err := tell(MountProc()); err != nil {
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
		if tell(signalOthers(syscall.Signal(number[0]))) != nil {
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

// tell answers the keeper: an empty text is success.
func tell(err error) error {
	text := "ok"
	if err != nil {
		text = err.Error()
	}
	_, err = unix.Write(ControlFD, []byte(text))
	return err
}

// MountProc mounts a /proc of the calling process's pid namespace.
func MountProc() error {
	err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	if err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// Deafen keeps signals from ending process 1 of a pid namespace before its control
// socket does. They are caught, not ignored: what is ignored stays so in programs.
func Deafen() {
	ignored := make(chan os.Signal, 1)
	signal.Notify(ignored, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
}

// Ask sends a signal to everybody on a host through its init, or with 0 hears
// whether it is ready, and waits for the answer. It is for the keeper, whose end of
// the control socket fd is.
func Ask(fd int, number syscall.Signal) error {
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
