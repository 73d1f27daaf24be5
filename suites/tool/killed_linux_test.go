package tool_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/internal/namespacetest"
)

// Whatever the command is doing when it is killed, seconds later nothing of it is left.
func TestNothingOutlivesTheCommand(t *testing.T) {
	newPool(t) // or skip
	t.Run("as this user", func(t *testing.T) { killMany(t, nil) })
	t.Run("as an unprivileged user", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("this user has no privileges: the test above was it")
		}
		killMany(t, &syscall.Credential{Uid: nobody, Gid: nobody})
	})
}

// after is how long the command's end may take, from its death on. Mostly it takes a tenth of it; on a busy machine the kernel
// frees namespaces late.
const after = 3 * time.Second

// What is looked for before the command is killed.
type moment struct {
	name  string
	args  []string                            // what is killed; nil is the whole catalogue
	ready func(dir string, all []member) bool // nil: at any instant
	stop  bool                                // the peers are stopped first
}

// What may be killed beside the catalogue. The client has files of its own, leaves a daemon behind that ignores what ends
// others, and does not end itself.
const (
	plainServer = "builtin:http --port 8080"
	daemonMaker = `trap "" TERM INT HUP; (setsid sleep 1000 &); head -c 4000000 /dev/zero >/tmp/file; cp /tmp/file "$HOME"; exec sleep 1001`
	daemonFile  = `lastack: 1
name: daemons
summary: A client that leaves a daemon behind.
hosts:
  server: { run: ["builtin:http", --port, "8080"], ready: { listen: 8080 } }
  client: { run: [sh, -c, 'trap "" TERM INT HUP; (setsid sleep 1000 &); head -c 4000000 /dev/zero >/tmp/file; exec sleep 1001'], after: [server] }
`
)

// commands are those that play programs or a matrix, and play on until they are killed.
func commands(t *testing.T) map[string][]string {
	t.Helper()
	file := filepath.Join(worldDir(t), "daemons.yaml")
	if err := os.WriteFile(file, []byte(daemonFile), 0o644); err != nil {
		t.Fatal(err)
	}
	return map[string][]string{
		"run FILE":   {"run", file, "--ip", "both", "--repeat", "20"},
		"try":        {"try", "--server", plainServer, "--", "sh", "-c", daemonMaker},
		"try --keep": {"try", "--server", plainServer, "--keep", "--", "sh", "-c", "setsid sleep 1000 &"},
		"check":      {"check", "--server", plainServer, "--deep", "--", "builtin:download", "-o", "{dir}/out", "http://server:8080/"},
		"matrix":     {"matrix"},
	}
}

func killMany(t *testing.T, user *syscall.Credential) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	others := commands(t)
	moments := []moment{
		{name: "a FIN is in flight", ready: finInFlight},
		{name: "a FIN is in flight and the peers are stopped", ready: finInFlight, stop: true},
		{name: "there is a keeper and no peer", ready: func(_ string, all []member) bool {
			return has(all, "lastack-keeper") && !has(all, "lastack-peer")
		}},
		{name: "a program of a file has left a daemon", args: others["run FILE"], ready: daemonLives},
		{name: "a lab is kept", args: others["try --keep"], ready: func(dir string, all []member) bool {
			controls, err := filepath.Glob(filepath.Join(dir, "lastack-lab-*", "control"))
			return err == nil && len(controls) > 0 && daemonLives(dir, all)
		}},
	}
	// Half of what are asked for as root, half without privileges.
	for range soak(3, 45) {
		moments = append(moments, moment{name: "any instant", stop: random.IntN(4) == 0})
	}
	names := slices.Sorted(maps.Keys(others))
	first := random.IntN(len(names))
	for i := range soak(3, 10*len(names)) {
		name := names[(first+i)%len(names)]
		moments = append(moments, moment{name: "any instant of " + name, args: others[name]})
	}
	adopt(t)
	mounts, links := mountsAndLinks(t)
	sum := victim{}
	for i, m := range moments {
		v := kill(t, user, m, time.Duration(random.Int64N(int64(800*time.Millisecond))), i)
		sum.peers += v.peers
		sum.fins += v.fins
		sum.stopped += v.stopped
		sum.namespaces += v.namespaces
		sum.daemons += v.daemons
	}
	mountsLeft, linksLeft := mountsAndLinks(t)
	if diff := cmp.Diff(mounts, mountsLeft); diff != "" {
		t.Errorf("mounts (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(links, linksLeft); diff != "" {
		t.Errorf("links (-before +after):\n%s", diff)
	}
	t.Logf("%d kills met %d peers (%d stopped), %d FINs in flight, %d daemons, %d namespaces", len(moments), sum.peers, sum.stopped, sum.fins, sum.daemons, sum.namespaces)
	if sum.peers == 0 || sum.fins == 0 || sum.stopped == 0 || sum.daemons < 2 {
		t.Error("a peer, a stopped peer, a FIN in flight, and the daemons of a file and of a lab that is kept must be among what was killed")
	}
}

// victim is what a kill met.
type victim struct{ peers, stopped, fins, daemons, namespaces int }

func kill(t *testing.T, user *syscall.Credential, m moment, instant time.Duration, number int) (v victim) {
	t.Helper()
	dir := worldDir(t)
	kin := newFamily(fmt.Sprintf("%s-%d", t.Name(), number))
	args := m.args
	if args == nil {
		args = []string{"run", "--all", "--ip", "both", "--repeat", "20"}
	}
	command := exec.Command(lastack(t), args...)
	command.Dir = dir
	command.Env = append(os.Environ(), kin.marker, "TMPDIR="+dir, "HOME="+dir)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = command.Wait(); close(ended) }() // that it was killed is no news
	defer func() { _ = command.Process.Kill(); <-ended }()

	members := awaitMoment(t, kin, m, dir, instant, ended)
	for _, p := range members {
		if p.is("sleep") {
			v.daemons++
		}
		if !p.is("lastack-peer") {
			continue
		}
		v.peers++
		v.fins += closing(p.pid)
		if m.stop && syscall.Kill(p.pid, syscall.SIGSTOP) == nil {
			v.stopped++
		}
	}
	held, err := namespacetest.Of(pids(members))
	if err != nil && !errors.Is(err, namespacetest.ErrNoHandles) {
		t.Fatal(err)
	}
	handles := err == nil
	v.namespaces = len(held)
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	known := slices.DeleteFunc(members, func(m member) bool { return m.pid == command.Process.Pid })
	killed := time.Now()
	<-ended

	// The kernel tells nobody when the last thing that holds a namespace is gone, so it is asked again and again.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var left []string
	for {
		left = remains(t, kin, known, held)
		if len(left) == 0 || time.Since(killed) > stretched(after) {
			break
		}
		<-tick.C
	}
	if len(left) > 0 {
		t.Errorf("killed after %v (%s): %v later there still is\n%s", instant, m.name, time.Since(killed), strings.Join(left, "\n"))
	}
	if !handles && number == 0 {
		t.Logf("namespaces that only a socket holds were not looked for: %v", namespacetest.ErrNoHandles)
	}
	noFiles(t, dir)
	return v
}

// awaitMoment waits for the instant, or for what the moment wants, and says what runs then.
func awaitMoment(t *testing.T, kin family, m moment, dir string, instant time.Duration, ended <-chan struct{}) []member {
	t.Helper()
	timer := time.NewTimer(instant)
	defer timer.Stop()
	if m.ready == nil {
		select {
		case <-timer.C:
		case <-ended:
		}
	}
	// No event tells of another process's children and sockets.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		members, err := kin.members()
		if err != nil {
			t.Fatal(err)
		}
		if m.ready == nil || m.ready(dir, members) {
			return members
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("the command has ended before %s", m.name)
		}
	}
}

func finInFlight(_ string, all []member) bool {
	return slices.ContainsFunc(all, func(m member) bool { return m.is("lastack-peer") && closing(m.pid) > 0 })
}

func daemonLives(_ string, all []member) bool { return has(all, "sleep") }

func has(all []member, role string) bool {
	return slices.ContainsFunc(all, func(m member) bool { return m.is(role) })
}

// remains are the processes and the namespaces that are still there. Who holds a namespace matters not: where no process
// does, it is a socket.
func remains(t *testing.T, kin family, known []member, held map[string]namespacetest.Namespace) []string {
	t.Helper()
	members, err := kin.members()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range known {
		bury(m)
	}
	var left []string
	for _, m := range append(members, known...) {
		if !m.ended() {
			left = append(left, "process "+m.String())
		}
	}
	for name, ns := range held {
		alive, err := ns.Lives()
		if err != nil {
			t.Fatal(err)
		}
		if !alive {
			delete(held, name)
			continue
		}
		left = append(left, "namespace "+name)
	}
	return left
}

// noFiles looks at what was left where temporary files go, which also was the working directory. Evidence may lie there.
func noFiles(t *testing.T, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		evidence, err := filepath.Glob(filepath.Join(dir, f.Name(), "*"))
		if err != nil {
			t.Fatal(err)
		}
		if !f.IsDir() || !strings.HasPrefix(f.Name(), "lastack-") || strings.HasPrefix(f.Name(), "lastack-lab-") || len(evidence) > 1 {
			t.Errorf("file left behind: %s: %v", f.Name(), evidence)
		}
	}
}

func mountsAndLinks(t *testing.T) (mounts, links []string) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/thread-self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if name, _, is := strings.Cut(line, ":"); is {
			links = append(links, strings.TrimSpace(name))
		}
	}
	return strings.Split(string(text), "\n"), links
}
