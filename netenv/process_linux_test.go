package netenv

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestProcessesExitAndAreSignalled(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	for _, isolated := range []bool{false, true} {
		p := helper(t, l.Host("client"), isolated, nil, "exit", "7")
		before := p.Started()
		status := wait(t, p)
		if status.Code != 7 || status.Signal != 0 || status.Success() {
			t.Errorf("isolated %t: status %+v", isolated, status)
		}
		var now unix.Timespec
		must(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
		if status.At <= before || status.At > time.Duration(now.Nano()) {
			t.Errorf("isolated %t: started %v, exited %v, now %v", isolated, before, status.At, now)
		}
		if err := p.Signal(syscall.SIGTERM); !errors.Is(err, ErrProcessGone) {
			t.Errorf("signal after the end: %v", err)
		}
		// The signals that the keeper itself does not heed must end programs.
		for _, number := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
			r, w := pipe(t)
			p := helper(t, l.Host("client"), isolated, []*os.File{nil, w}, "sleep")
			readLine(t, r)
			must(t, p.Signal(number))
			if status := wait(t, p); status.Signal != number || status.Code != -1 {
				t.Errorf("isolated %t: %v: status %+v", isolated, number, status)
			}
		}
	}
}

func TestProgramsThatCannotStart(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	script := filepath.Join(dir, "script")
	must(t, os.WriteFile(script, []byte("#!/no/such/interpreter\n"), 0o755))
	plain := filepath.Join(dir, "plain")
	must(t, os.WriteFile(plain, []byte("text"), 0o644))
	for name, test := range map[string]struct {
		spec ProcessSpec
		want string
		err  error
	}{
		"in PATH":     {ProcessSpec{Path: "no-such-program"}, "no-such-program: not found in PATH", syscall.ENOENT},
		"by path":     {ProcessSpec{Path: "/no/such/program"}, "/no/such/program: no such file", syscall.ENOENT},
		"directory":   {ProcessSpec{Path: dir}, "it is a directory", syscall.EACCES},
		"working dir": {ProcessSpec{Path: "/bin/true", Dir: "/no/such/dir"}, "its directory /no/such/dir", syscall.ENOENT},
		"interpreter": {ProcessSpec{Path: script}, "its interpreter", syscall.ENOENT},
		"no x":        {ProcessSpec{Path: plain}, "plain: permission denied", syscall.EACCES},
		"nothing":     {ProcessSpec{}, "neither a path nor arguments", nil},
		"NUL":         {ProcessSpec{Path: "/bin/true", Argv: []string{"a\x00b"}}, "NUL", syscall.EINVAL},
	} {
		for _, isolated := range []bool{false, true} {
			test.spec.Isolated = isolated
			_, err := l.Host("client").StartProcess(testContext(t), test.spec)
			if err == nil || !strings.Contains(err.Error(), test.want) || test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("%s: error %v, want %q", name, err, test.want)
			}
		}
	}
}

func TestProgramGetsFilesDirectoryAndEnvironment(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	// An environment that fits into no packet.
	big := "BIG=" + strings.Repeat("x", 100<<10)
	more := "MORE=" + strings.Repeat("y", 100<<10)
	for _, isolated := range []bool{false, true} {
		r, w := pipe(t)
		p, err := l.Host("client").StartProcess(testContext(t), ProcessSpec{
			Path: "sh", Argv: []string{"sh", "-c", `echo $PWD $WORD ${#BIG} ${#MORE}; cat <&5; ls /proc/self/fd | tr '\n' ' ' >&4`},
			Env: []string{"PATH=" + os.Getenv("PATH"), "WORD=word", big, more}, Dir: "/usr", Isolated: isolated,
			Files: []*os.File{nil, w, nil, nil, w, textFile(t, "five\n")},
		})
		must(t, err)
		w.Close()
		wait(t, p)
		text, err := io.ReadAll(r)
		if want := "/usr word 102400 102400\nfive\n0 1 2 3 4 5 "; err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("isolated %t: %q, %v; want %q", isolated, text, err, want)
		}
		if extra := strings.Fields(strings.TrimPrefix(string(text), "/usr word 102400 102400\nfive\n")); len(extra) > 7 {
			t.Errorf("descriptors that nobody gave: %v", extra)
		}
	}
}

func textFile(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	_, err = f.WriteString(text)
	must(t, err)
	_, err = f.Seek(0, io.SeekStart)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestIsolatedProgramSeesItsHost(t *testing.T) {
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{Hosts: []HostSpec{{Name: "client"}, {Name: "server"}, {Name: "proxy"}}})
	before, err := os.ReadFile("/etc/hosts")
	must(t, err)
	text := output(t, l.Host("client"), "hosts")
	for _, line := range []string{"127.0.0.1\tlocalhost", "192.0.2.2\tserver", "2001:db8::2\tserver", "192.0.2.3\tproxy", "192.0.2.1\tclient"} {
		if !strings.Contains(text, line) {
			t.Errorf("/etc/hosts has no %q:\n%s", line, text)
		}
	}
	after, err := os.ReadFile("/etc/hosts")
	if err != nil || !bytes.Equal(before, after) {
		t.Error("the machine's /etc/hosts changed")
	}
	status := output(t, l.Host("client"), "status")
	if os.Geteuid() != 0 {
		for _, set := range []string{"CapEff", "CapPrm", "CapAmb"} {
			if !strings.Contains(status, set+":\t0000000000000000") {
				t.Errorf("an isolated program has privileges:\n%s", status)
			}
		}
	}
	if pid := field(t, status, "Pid:"); pid > 20 {
		t.Errorf("pid %d: not a namespace of its own", pid)
	}
}

func output(t *testing.T, h *Host, args ...string) string {
	t.Helper()
	r, w := pipe(t)
	p := helper(t, h, true, []*os.File{nil, w, w}, args...)
	w.Close()
	text, err := io.ReadAll(r)
	must(t, err)
	if status := wait(t, p); !status.Success() {
		t.Fatalf("status %+v: %s", status, text)
	}
	return string(text)
}

func field(t *testing.T, text, name string) int {
	t.Helper()
	for line := range strings.Lines(text) {
		if rest, is := strings.CutPrefix(line, name); is {
			n, err := strconv.Atoi(strings.TrimSpace(rest))
			must(t, err)
			return n
		}
	}
	t.Fatalf("no %s in %s", name, text)
	return 0
}

// What a program leaves behind lives on with its host, is stopped and continued
// with it, and dies with it.
func TestDaemonBelongsToTheHost(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client := l.Host("client")
	r, w := pipe(t)
	p := helper(t, client, true, []*os.File{nil, w}, "daemon")
	w.Close()
	if status := wait(t, p); !status.Success() {
		t.Fatalf("status %+v", status)
	}
	readLine(t, r) // the daemon is ready, after its parent has ended or before
	must(t, client.SignalAll(ctx, syscall.SIGSTOP))
	must(t, client.SignalAll(ctx, syscall.SIGCONT))
	must(t, client.PowerOff(ctx))
	if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
		t.Errorf("the daemon's end of the pipe: %q, %v; want it closed", rest, err)
	}
}

func TestSignalAllReachesBothKinds(t *testing.T) {
	ctx := testContext(t)
	k := startKeeper(t)
	l := newLab(t, k, LabSpec{})
	client := l.Host("client")
	var processes []*Process
	for _, isolated := range []bool{false, true, true, false} {
		r, w := pipe(t)
		processes = append(processes, helper(t, client, isolated, []*os.File{nil, w}, "sleep"))
		readLine(t, r)
	}
	must(t, client.SignalAll(ctx, syscall.SIGTERM))
	for _, p := range processes {
		if status := wait(t, p); status.Signal != syscall.SIGTERM {
			t.Errorf("status %+v", status)
		}
	}
}
