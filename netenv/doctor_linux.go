package netenv

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lastack/lastack/netenv/keeper"
)

// Doctor looks whether labs can be made here, by making one, and says for what is
// missing the exact reason and what to do. It changes nothing on the machine.
func Doctor(ctx context.Context) Report {
	r := Report{Checks: []Check{{Name: "kernel", Status: OK, What: "Linux " + kernelRelease()}}}
	way := "with the privileges of this process"
	if !mayMakeNamespaces() {
		way = "in a user namespace, as uid " + strconv.Itoa(os.Getuid())
	}
	k, err := Start(ctx)
	if err != nil {
		return r.with(checkOf("namespaces", "", err)).with(memory(), openFiles())
	}
	defer k.Close()
	r = r.with(Check{Name: "namespaces", Status: OK, What: way})
	if k.hello.Proc != "" {
		r = r.with(Check{
			Name: "proc", Status: Optional, Why: k.hello.Proc,
			Do: "programs see a /proc that is not their host's; in a container run it with --security-opt systempaths=unconfined",
		})
	}
	l, err := k.NewLab(ctx, LabSpec{})
	if err != nil {
		return r.with(checkOf("lab", "", err)).with(memory(), openFiles())
	}
	defer l.Close()
	r = r.with(Check{Name: "lab", Status: OK, What: "two hosts, veth pairs and packet sockets"})
	h := l.Host(ClientName)
	r = r.with(
		checkOf("sysctl", "settable on hosts", h.SetSysctl(ctx, "net.ipv4.tcp_fin_timeout", "59")),
		checkOf("sock_diag", "inet_diag and tcp_diag", explain(h.ask(ctx, keeper.OpAskDiag, nil, nil))),
		destroyCheck(ctx, h), memory(), openFiles(), hostsCheck(),
	)
	return r
}

func (r Report) with(checks ...Check) Report {
	r.Checks = append(r.Checks, checks...)
	return r
}

// checkOf is OK where err is nil, and says the reason where not.
func checkOf(name, what string, err error) Check {
	if err == nil {
		return Check{Name: name, Status: OK, What: what}
	}
	c := Check{Name: name, Status: Missing, Why: err.Error()}
	var e *explained
	if errors.As(explain(err), &e) {
		c.Why, c.Do = e.cure.why, e.cure.do
	}
	return c
}

// destroyCheck destroys a socket that does not exist.
func destroyCheck(ctx context.Context, h *Host) Check {
	local := netip.AddrPortFrom(h.IPv4, 1)
	err := h.Destroy(ctx, local, local)
	if errors.Is(err, syscall.ENOENT) {
		err = nil
	}
	c := checkOf("sock_destroy", "sockets can be destroyed", err)
	if c.Status == Missing {
		c.Status = Optional
	}
	return c
}

// labMemory is what the kernel keeps for a lab, rounded up, and what its two
// peers need.
const labMemory = 16 << 20

func memory() Check {
	available := uint64(0)
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, is := strings.CutPrefix(line, "MemAvailable:"); is {
				kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
				if err == nil {
					available = kib << 10
				}
			}
		}
	}
	c := Check{Name: "memory", Status: OK, What: fmt.Sprintf("%d MiB available, enough for about %d labs at once", available>>20, available/labMemory)}
	if available < 8*labMemory {
		c.Status, c.Why, c.Do = Optional, fmt.Sprintf("only %d MiB are available", available>>20), "play few labs at once"
	}
	return c
}

// labFiles is how many descriptors a lab with two peers takes in this process.
const labFiles = 2*keeper.HostFiles + 8

func openFiles() Check {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return Check{Name: "files", Status: Optional, Why: err.Error()}
	}
	c := Check{Name: "files", Status: OK, What: fmt.Sprintf("%d open files, enough for about %d labs at once", limit.Cur, limit.Cur/labFiles)}
	if limit.Cur < 32*labFiles {
		c.Status, c.Why, c.Do = Optional, fmt.Sprintf("only %d files may be open", limit.Cur), "raise ulimit -n"
	}
	return c
}

func hostsCheck() Check {
	if _, err := os.Stat("/etc/hosts"); err != nil {
		return Check{Name: "hosts", Status: Optional, Why: "there is no /etc/hosts to cover", Do: "programs find other hosts by address only; as root: touch /etc/hosts"}
	}
	return Check{Name: "hosts", Status: OK, What: "programs find hosts by name"}
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "of unknown release"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// explain adds the reason and the knob to an error of a keeper that serves.
func explain(err error) error {
	if err == nil {
		return nil
	}
	var done *explained
	if errors.As(err, &done) {
		return err
	}
	return explainWith(err, gatherFacts(!mayMakeNamespaces()))
}

// explainStart is explain for a keeper that did not start.
func explainStart(failure *keeper.Failure, userNamespace bool) error {
	return explainWith(fmt.Errorf("start keeper: %w", failure), gatherFacts(userNamespace))
}

// gatherFacts reads what this machine says of itself.
func gatherFacts(userNamespace bool) facts {
	f := facts{UserNamespace: userNamespace, Knobs: map[string]string{}}
	for _, key := range knobs {
		text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
		if err == nil {
			f.Knobs[key] = strings.TrimSpace(string(text))
		}
	}
	if text, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(text)) {
			if mode, is := strings.CutPrefix(line, "Seccomp:"); is {
				f.Seccomp = strings.TrimSpace(mode) == "2"
			}
		}
	}
	_, err := os.Stat("/proc/self/ns/user")
	f.NoUserNamespaces = errors.Is(err, os.ErrNotExist)
	return f
}
