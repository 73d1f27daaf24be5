package tool_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const usermodule = "testdata/usermodule"

// Its suites also say that neither their namespaces nor their working directory were changed.
var userSuites = []string{"example", "ownsuite"}

// userGo is the go command in the user's module, without a network: what it needs was downloaded with our own modules.
func userGo(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = usermodule
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=readonly -buildvcs=false", "GOWORK=off")
	return cmd
}

func mustRun(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}

// Its go.mod and go.sum have all that is needed. That they have no more says ci/test.sh, as go mod tidy needs a network.
func TestUserModuleIsWhole(t *testing.T) {
	mustRun(t, userGo(t, "vet", "./..."))
}

func TestUserModule(t *testing.T) {
	newPool(t) // or skip
	here := stand(t)
	mustRun(t, userGo(t, "test", "-count=1", "./..."))
	if diff := cmp.Diff(here, stand(t)); diff != "" {
		t.Errorf("where this process stands (-before +after):\n%s", diff)
	}
}

// Where these tests themselves have the race detector the C compiler for it is there, and all else was built with it already.
func TestUserModuleWithRaceDetector(t *testing.T) {
	if !raceDetector {
		t.Skip("go test -race does it, as in the second pass of ci/test.sh: this pass has no race detector")
	}
	newPool(t) // or skip
	mustRun(t, userGo(t, "test", "-count=1", "-race", "./..."))
}

// Ginkgo's own processes talk to each other over 127.0.0.1, which a library that moved its caller would cut.
func TestUserModuleWithGinkgo(t *testing.T) {
	newPool(t) // or skip
	which := exec.CommandContext(t.Context(), "go", "tool", "-modfile=ci/tools.mod", "-n", "ginkgo")
	which.Dir = top
	path, err := which.Output()
	if err != nil {
		t.Fatalf("%v: %v", which, err)
	}
	ginkgo := exec.CommandContext(t.Context(), strings.TrimSpace(string(path)), "-procs=2", "./...")
	user := userGo(t)
	ginkgo.Dir, ginkgo.Env = user.Dir, user.Env
	mustRun(t, ginkgo)
	left, err := filepath.Glob(usermodule + "/*/*.test")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Where this test runs without privileges the others have shown it. Root builds the suites and lets nobody run them, as
// neither root's modules nor root's cache are open to others; ci/rootless.sh does the whole as nobody.
func TestUserModuleWithoutPrivileges(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this user has no privileges: TestUserModule was it")
	}
	newPool(t) // or skip
	dir := worldDir(t)
	mustRun(t, userGo(t, "build", "-o", dir, "./srv", "./my-client"))
	for _, suite := range userSuites {
		binary := filepath.Join(dir, suite+".test")
		mustRun(t, userGo(t, "test", "-c", "-o", binary, "./"+suite))
		run := exec.CommandContext(t.Context(), binary, "-test.v")
		run.Dir = dir
		run.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "PROGRAMS=" + dir, "LASTACK_TIMESCALE=" + os.Getenv("LASTACK_TIMESCALE")}
		run.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		mustRun(t, run)
	}
}

// stand is where this process is: its directory, its namespaces, and the network namespaces of its threads.
func stand(t *testing.T) map[string]string {
	t.Helper()
	place := map[string]string{}
	var err error
	if place["directory"], err = os.Getwd(); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"/proc/self/ns/*", "/proc/self/task/*/ns/net"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name, err := os.Readlink(file)
			if err != nil {
				continue // the thread has just ended
			}
			if strings.Contains(file, "/task/") {
				file = "threads in " + name
			}
			place[file] = name
		}
	}
	return place
}
