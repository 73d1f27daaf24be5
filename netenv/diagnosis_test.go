package netenv

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/lastack/lastack/netenv/keeper"
)

func TestDiagnosisNamesReasonAndKnob(t *testing.T) {
	for name, test := range map[string]struct {
		facts      facts
		why, do    string
		privileges bool
	}{
		"AppArmor at the start": {
			facts{Step: startStep, Errno: syscall.EPERM, UserNamespace: true, Knobs: map[string]string{knobAppArmor: "1"}},
			"kernel.apparmor_restrict_unprivileged_userns is 1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0", true,
		},
		"AppArmor takes the privileges inside": {
			facts{Step: keeper.StepMount, Errno: syscall.EACCES, UserNamespace: true, Knobs: map[string]string{knobAppArmor: "1", knobMaxUser: "1000"}},
			"AppArmor", "kernel.apparmor_restrict_unprivileged_userns=0", true,
		},
		"Debian's knob": {
			facts{Step: startStep, Errno: syscall.EPERM, UserNamespace: true, Knobs: map[string]string{knobClone: "0"}, Seccomp: true},
			"kernel.unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1", true,
		},
		"no user namespaces allowed": {
			facts{Step: startStep, Errno: syscall.ENOSPC, UserNamespace: true, Knobs: map[string]string{knobMaxUser: "0"}},
			"user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=10000", true,
		},
		"no network namespaces allowed, as root": {
			facts{Step: keeper.StepNamespace, Errno: syscall.ENOSPC, Knobs: map[string]string{knobMaxUser: "0", knobMaxNet: "0"}},
			"user.max_net_namespaces is 0", "sysctl -w user.max_net_namespaces=10000", true,
		},
		"too many namespaces": {
			facts{Step: keeper.StepNamespace, Errno: syscall.ENOSPC, UserNamespace: true, Knobs: map[string]string{knobMaxNet: "7"}},
			"bound of namespaces is reached: user.max_net_namespaces is 7", "fewer labs", false,
		},
		"seccomp in a container": {
			facts{Step: startStep, Errno: syscall.EPERM, UserNamespace: true, Seccomp: true, Knobs: map[string]string{knobMaxUser: "1000", knobClone: "1", knobAppArmor: "0"}},
			"seccomp", "seccomp=unconfined", true,
		},
		"seccomp, as root with all knobs fine": {
			facts{Step: startStep, Errno: syscall.EPERM, Seccomp: true}, "seccomp", "--cap-add SYS_ADMIN", true,
		},
		"a chroot": {
			facts{Step: startStep, Errno: syscall.EPERM, UserNamespace: true}, "chroot", "run as root", true,
		},
		"a kernel without them": {
			facts{Step: startStep, Errno: syscall.EINVAL, UserNamespace: true, NoUserNamespaces: true}, "CONFIG_USER_NS", "run as root", true,
		},
		"read-only /proc/sys": {facts{Step: keeper.StepSysctl, Errno: syscall.EROFS}, "/proc/sys is read-only", "systempaths", false},
		"no veth":             {facts{Step: keeper.StepVeth, Errno: syscall.EOPNOTSUPP}, "CONFIG_VETH", "modprobe veth", false},
		"no tcp_diag":         {facts{Step: keeper.StepDiag, Errno: syscall.ENOENT}, "tcp_diag", "modprobe -a inet_diag tcp_diag", false},
		"no SOCK_DESTROY":     {facts{Step: keeper.StepDestroy, Errno: syscall.EOPNOTSUPP}, "CONFIG_INET_DIAG_DESTROY", "closed labs linger", false},
		"no packet sockets":   {facts{Step: keeper.StepPort, Errno: syscall.EAFNOSUPPORT}, "CONFIG_PACKET", "modprobe af_packet", false},
		"files":               {facts{Errno: syscall.EMFILE}, "limit of open files", "ulimit -n", false},
		"lost descriptors":    {facts{Text: "new lab: receive descriptors: too many open files"}, "limit of open files", "ulimit -n", false},
		"processes":           {facts{Step: startStep, Errno: syscall.EAGAIN}, "RLIMIT_NPROC", "ulimit -u", false},
		"memory":              {facts{Step: keeper.StepNamespace, Errno: syscall.ENOMEM}, "memory", "fewer labs", false},
		"something else":      {facts{Step: keeper.StepVeth, Errno: syscall.EEXIST, Text: "file exists"}, "file exists", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := diagnose(&test.facts)
			if !strings.Contains(c.why, test.why) || !strings.Contains(c.do, test.do) || c.privileges != test.privileges {
				t.Errorf("why %q, do %q, privileges %t; want %q, %q, %t", c.why, c.do, c.privileges, test.why, test.do, test.privileges)
			}
			if strings.Contains(c.why+c.do, "\n") {
				t.Error("more than one line")
			}
		})
	}
}

func TestExplainedErrorIsOneLineAndCanBeAsked(t *testing.T) {
	failure := &keeper.Failure{Text: "fork/exec: operation not permitted", Errno: syscall.EPERM, Step: startStep}
	err := explainWith(fmt.Errorf("start keeper: %w", failure), facts{UserNamespace: true, Knobs: map[string]string{knobAppArmor: "1"}})
	if !errors.Is(err, ErrNoPrivileges) || !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v is neither ErrNoPrivileges nor EPERM", err)
	}
	want := "start keeper: fork/exec: operation not permitted: AppArmor restricts unprivileged user namespaces: kernel.apparmor_restrict_unprivileged_userns is 1; run as root, or as root once: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
	if err.Error() != want {
		t.Errorf("%q\nwant %q", err, want)
	}
	plain := errors.New("something else")
	if err := explainWith(plain, facts{}); !errors.Is(err, plain) || errors.Is(err, ErrNoPrivileges) {
		t.Errorf("%v", err)
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_retries2", "net.ipv4.tcp_retries1"}
	for name, want := range map[string]string{
		"net.ipv4.tcp_fin_timout": "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_retries": "net.ipv4.tcp_retries2",
		"completely-different": "", "": "",
	} {
		if got := nearest(name, keys); got != want {
			t.Errorf("nearest to %q is %q, want %q", name, got, want)
		}
	}
}

func TestAddressesReadAlike(t *testing.T) {
	for number, want := range map[byte]string{
		1: "192.0.2.1 2001:db8::1 02:00:00:00:00:01", 12: "192.0.2.12 2001:db8::12 02:00:00:00:00:0c",
		66: "192.0.2.66 2001:db8::66 02:00:00:00:00:42", 254: "192.0.2.254 2001:db8::254 02:00:00:00:00:fe",
	} {
		v4, v6, mac := Addresses(number)
		if got := v4.String() + " " + v6.String() + " " + mac.String(); got != want {
			t.Errorf("%d: %s, want %s", number, got, want)
		}
	}
}
