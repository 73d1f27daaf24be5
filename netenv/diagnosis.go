package netenv

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/lastack/lastack/netenv/keeper"
)

// Facts are all that a diagnosis looks at, so that it needs no privileges to be
// tested, and no machine that is broken in every way.
type facts struct {
	// Step and Errno are what failed and how; Text is the error's own.
	Step  keeper.Step
	Errno syscall.Errno
	Text  string
	// UserNamespace says that one had to be used.
	UserNamespace bool
	// Knobs are files under /proc/sys by their keys; a key that this kernel does not
	// have is absent.
	Knobs map[string]string
	// Seccomp says that a filter is on this process.
	Seccomp bool
	// NoUserNamespaces says that the kernel was built without them.
	NoUserNamespaces bool
}

// The knobs that stand between a process and its namespaces.
const (
	knobAppArmor = "kernel.apparmor_restrict_unprivileged_userns"
	knobClone    = "kernel.unprivileged_userns_clone"
	knobMaxUser  = "user.max_user_namespaces"
	knobMaxNet   = "user.max_net_namespaces"
	knobMaxPID   = "user.max_pid_namespaces"
	knobMaxMount = "user.max_mnt_namespaces"
)

var knobs = []string{knobAppArmor, knobClone, knobMaxUser, knobMaxNet, knobMaxPID, knobMaxMount}

// A cure is why something failed and what to do about it.
type cure struct {
	why, do string
	// privileges says that it is a matter of privileges, not of a fault.
	privileges bool
}

// The step of the keeper's start, known here so that a table can name it anywhere.
const startStep keeper.Step = "keeper"

// diagnose finds the reason of a failure.
func diagnose(f *facts) cure {
	refused := f.Errno == syscall.EPERM || f.Errno == syscall.EACCES
	early := f.Step == startStep || f.Step == keeper.StepMount || f.Step == keeper.StepNamespace
	switch {
	case f.Errno == syscall.ENOSPC && early:
		return exhausted(f)
	case f.UserNamespace && f.NoUserNamespaces && early:
		return cure{"this kernel was built without user namespaces (CONFIG_USER_NS)", "run as root, or use another kernel", true}
	case f.UserNamespace && early && f.Knobs[knobClone] == "0":
		return cure{"unprivileged user namespaces are switched off: " + knobClone + " is 0", setKnob(knobClone, "1"), true}
	case f.UserNamespace && early && refused && isOn(f.Knobs[knobAppArmor]):
		return cure{"AppArmor restricts unprivileged user namespaces: " + knobAppArmor + " is " + f.Knobs[knobAppArmor], setKnob(knobAppArmor, "0"), true}
	case f.Step == keeper.StepSysctl && (f.Errno == syscall.EROFS || f.Errno == syscall.EACCES):
		return cure{"/proc/sys is read-only here, as in a container", "run the container with --security-opt systempaths=unconfined, or with --privileged", false}
	case early && (refused || f.Errno == syscall.ENOSYS) && f.Seccomp:
		return cure{"a seccomp filter forbids new namespaces, as in a container", "run the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined (as root in it, also --cap-add SYS_ADMIN --cap-add NET_ADMIN)", true}
	case early && refused && f.UserNamespace:
		return cure{"the system forbids user namespaces (a chroot, or a security module)", "run as root", true}
	case early && refused:
		return cure{"the system forbids new namespaces (a security module)", "look into the kernel's log", true}
	case f.Errno == syscall.EAGAIN && early:
		return cure{"the limit of processes is reached (RLIMIT_NPROC, or pids.max of the cgroup)", "raise ulimit -u, or the container's pids limit", false}
	case f.Step == keeper.StepVeth && f.Errno == syscall.EOPNOTSUPP:
		return cure{"the kernel has no veth (CONFIG_VETH)", "as root: modprobe veth", false}
	case f.Step == keeper.StepDiag && (f.Errno == syscall.ENOENT || f.Errno == syscall.EPROTONOSUPPORT || f.Errno == syscall.EINVAL):
		return cure{"the kernel has no inet_diag or tcp_diag (CONFIG_INET_DIAG, CONFIG_INET_TCP_DIAG)", "as root: modprobe -a inet_diag tcp_diag", false}
	case f.Step == keeper.StepDestroy && f.Errno == syscall.EOPNOTSUPP:
		return cure{"the kernel was built without CONFIG_INET_DIAG_DESTROY", "nothing: closed labs linger until the kernel gives up their sockets, and what destroys sockets is skipped", false}
	case f.Step == keeper.StepPort && f.Errno == syscall.EAFNOSUPPORT:
		return cure{"the kernel has no packet sockets (CONFIG_PACKET)", "as root: modprobe af_packet", false}
	case f.Errno == syscall.EMFILE || f.Errno == syscall.ENFILE || strings.Contains(f.Text, "too many open files"):
		return cure{"the limit of open files is reached", "raise ulimit -n", false}
	case f.Errno == syscall.ENOMEM || f.Errno == syscall.ENOBUFS:
		return cure{"the kernel has no memory left for it", "play fewer labs at once", false}
	}
	return cure{why: f.Text}
}

func isOn(value string) bool { return value != "" && value != "0" }

func setKnob(key, value string) string {
	return fmt.Sprintf("run as root, or as root once: sysctl -w %s=%s", key, value)
}

// exhausted tells which bound of namespaces is met. One that is 0 is it.
func exhausted(f *facts) cure {
	candidates := []string{knobMaxNet, knobMaxPID, knobMaxMount}
	if f.UserNamespace {
		candidates = append([]string{knobMaxUser}, candidates...)
	}
	if f.Step == keeper.StepNamespace {
		candidates = []string{knobMaxNet, knobMaxPID, knobMaxMount}
	}
	for _, key := range candidates {
		if f.Knobs[key] == "0" {
			return cure{"namespaces are switched off: " + key + " is 0", fmt.Sprintf("as root: sysctl -w %s=10000", key), true}
		}
	}
	return cure{
		fmt.Sprintf("the bound of namespaces is reached: %s is %s", candidates[0], f.Knobs[candidates[0]]),
		fmt.Sprintf("as root: sysctl -w %s=100000; or play fewer labs at once", candidates[0]), false,
	}
}

// explained is an error with its reason and what to do about it.
type explained struct {
	cure cure
	err  error
}

func (e *explained) Error() string {
	text := e.err.Error()
	if e.cure.why != text {
		text += ": " + e.cure.why
	}
	if e.cure.do != "" {
		text += "; " + e.cure.do
	}
	return text
}

func (e *explained) Unwrap() error { return e.err }

func (e *explained) Is(target error) bool { return target == ErrNoPrivileges && e.cure.privileges }

// explainWith adds what a diagnosis finds to an error of the keeper.
func explainWith(err error, f facts) error {
	var failure *keeper.Failure
	if !errors.As(err, &failure) {
		return err
	}
	f.Step, f.Errno, f.Text = failure.Step, failure.Errno, err.Error()
	c := diagnose(&f)
	if c.do == "" {
		return err
	}
	return &explained{c, err}
}
