package netenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/internal/namespacetest"
)

// crashLimit is how long after the caller's SIGKILL the last of its keeper may be
// seen.
const crashLimit = time.Second

// freeLimit is how long after it the kernel may take to free network namespaces: a
// tenth of a second mostly, longer on a busy machine.
const freeLimit = 3 * time.Second

// doomed is a caller that makes labs, with processes that are stopped and FINs in
// flight, until it is killed. It says on stdout that it has begun.
func doomed() error {
	ctx := context.Background()
	k, err := Start(ctx)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		l, err := k.NewLab(ctx, LabSpec{})
		if err != nil {
			return err
		}
		client, server := l.Host("client"), l.Host("server")
		go copyFrames(client.Port, server.Port, nil)
		go copyFrames(server.Port, client.Port, nil)
		for port, isolated := range map[int]bool{8080: false, 8081: true} {
			p, err := server.StartProcess(ctx, ProcessSpec{
				Argv: []string{"lastack-test", "listen", fmt.Sprintf("192.0.2.2:%d", port)}, Isolated: isolated,
			})
			if err != nil {
				return err
			}
			if _, err := client.StartProcess(ctx, ProcessSpec{
				Argv: []string{"lastack-test", "close", fmt.Sprintf("192.0.2.2:%d", port)}, Isolated: isolated,
			}); err != nil {
				return err
			}
			if err := p.Signal(syscall.SIGSTOP); err != nil {
				return err
			}
		}
		switch i % 4 {
		case 1:
			err = server.PowerOff(ctx)
		case 2:
			if err = client.PowerOff(ctx); err == nil {
				err = client.Boot(ctx)
			}
		case 3:
			err = l.Close()
		}
		if err != nil {
			return err
		}
	}
}

// Whatever the caller is doing when it is killed, a second later there is no
// process of it, and soon no network namespace, also none that a socket holds.
func TestCallerKilled(t *testing.T) {
	startKeeper(t) // or skip
	rounds, total := 12, 0
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		marker := fmt.Sprintf("LASTACK_TEST_MARKER=%d-%d", os.Getpid(), rand.Uint64())
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = []string{"lastack-test", "doomed"}
		cmd.Env = append(os.Environ(), marker)
		stdout, err := cmd.StdoutPipe()
		must(t, err)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		line, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil || line != "ready\n" {
			t.Fatalf("%q, %v", line, err)
		}
		// The instant is what is tested: there is no event to wait for.
		time.Sleep(time.Duration(rand.Int64N(int64(300 * time.Millisecond))))
		family := marked(marker)
		held, err := namespacetest.Of(family)
		if err != nil && !errors.Is(err, namespacetest.ErrNoHandles) {
			t.Fatal(err)
		}
		must(t, cmd.Process.Kill())
		killed := time.Now()
		_ = cmd.Wait() // its being killed is an error
		for len(family) > 1 && time.Since(killed) < 10*crashLimit {
			family = marked(marker)
			if len(family) == 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if took := time.Since(killed); took > crashLimit {
			t.Errorf("the last process was gone after %v: %v", took, family)
		}
		// The kernel frees namespaces in the background, and tells nobody; a socket would
		// hold one for minutes. Those of processes wait for whoever buries the dead, who is
		// not this test.
		maps.DeleteFunc(held, func(name string, _ namespacetest.Namespace) bool { return !strings.HasPrefix(name, "net:") })
		for name, ns := range held {
			for {
				alive, err := ns.Lives()
				must(t, err)
				if !alive {
					break
				}
				if took := time.Since(killed); took > freeLimit {
					t.Errorf("%s was still there after %v", name, took)
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
		total += len(held)
	}
	t.Logf("%d network namespaces were held when their caller was killed", total)
}

// marked finds the processes that have inherited the marker.
func marked(marker string) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	var found []int
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && slices.Contains(strings.Split(string(text), "\x00"), marker) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
				found = append(found, pid)
			}
		}
	}
	return found
}

// The keeper's death is told to whoever waits.
func TestKeeperKilled(t *testing.T) {
	k := startKeeper(t)
	l, err := k.NewLab(testContext(t), LabSpec{})
	must(t, err)
	p := helper(t, l.Host("client"), true, nil, "sleep")
	// From outside only SIGKILL reaches process 1 of a pid namespace for sure.
	must(t, syscall.Kill(k.pid, syscall.SIGKILL))
	if _, err := p.Wait(testContext(t)); err == nil || !strings.Contains(err.Error(), "keeper: it has ended: signal: killed") {
		t.Errorf("wait: %v", err)
	}
	if _, err := k.NewLab(testContext(t), LabSpec{}); err == nil || !strings.Contains(err.Error(), "signal: killed") {
		t.Errorf("new lab: %v", err)
	}
	if err := l.Close(); err == nil {
		t.Error("close of a lab without a keeper is no error")
	}
}

// A keeper heeds neither Ctrl-C nor a polite request to end.
func TestKeeperHeedsNoSignal(t *testing.T) {
	k := startKeeper(t)
	for _, number := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE} {
		must(t, syscall.Kill(k.pid, number))
	}
	newLab(t, k, LabSpec{})
}

// Nothing of the caller moves or stays: threads, links, mounts and descriptors are
// what they were.
func TestAuditBeforeAndAfter(t *testing.T) {
	k := startKeeper(t)
	must(t, k.Close())
	directory, err := os.Getwd()
	must(t, err)
	before, err := TakeAudit()
	must(t, err)
	k = startKeeper(t)
	for range 5 {
		l := newLab(t, k, LabSpec{})
		helper(t, l.Host("client"), true, nil, "sleep")
		must(t, l.Host("client").PowerOff(testContext(t)))
		must(t, l.Host("client").Boot(testContext(t)))
		during, err := TakeAudit()
		must(t, err)
		if len(during.Threads) != 1 {
			t.Errorf("threads of the caller in %d namespaces", len(during.Threads))
		}
		must(t, l.Close())
	}
	census, err := k.Census(testContext(t))
	must(t, err)
	if census.Labs+census.Hosts+census.Processes+census.Strays+census.Links != 0 {
		t.Errorf("the keeper holds %+v", census)
	}
	must(t, k.Close())
	after, err := TakeAudit()
	must(t, err)
	if len(after.Threads) != 1 {
		t.Errorf("threads in %d namespaces", len(after.Threads))
	}
	if after.Files > before.Files {
		t.Errorf("%d descriptors before, %d after", before.Files, after.Files)
	}
	if diff := cmp.Diff(before.Links, after.Links) + cmp.Diff(before.Mounts, after.Mounts); diff != "" {
		t.Error(diff)
	}
	if now, err := os.Getwd(); err != nil || now != directory {
		t.Errorf("the working directory is %s, %v", now, err)
	}
}

// Descriptors of the keeper do not grow with the labs that it has had.
func TestKeeperDescriptorsDoNotGrow(t *testing.T) {
	k := startKeeper(t)
	round := func() int {
		l := newLab(t, k, LabSpec{})
		wait(t, helper(t, l.Host("client"), true, nil, "exit", "0"))
		f, err := l.Host("client").OpenRaw(testContext(t), "ip4:tcp")
		must(t, err)
		f.Close()
		must(t, l.Close())
		census, err := k.Census(testContext(t))
		must(t, err)
		return census.Descriptors
	}
	first := round()
	for range 10 {
		if now := round(); now > first {
			t.Fatalf("%d descriptors after a lab, %d after more", first, now)
		}
	}
}
