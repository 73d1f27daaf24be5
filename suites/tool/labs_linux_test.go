package tool_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
)

// TestMain takes the commands away that tests have built for each other.
func TestMain(m *testing.M) {
	status := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(status)
}

// soak is the number of the issue where LASTACK_SOAK is set, as ci/soak.sh does, and else one that a change can wait for.
func soak(quick, whole int) int {
	if os.Getenv("LASTACK_SOAK") != "" {
		return whole
	}
	return quick
}

// stretched is a bound on a machine that LASTACK_TIMESCALE calls slow.
func stretched(d time.Duration) time.Duration {
	if f, err := strconv.ParseFloat(os.Getenv("LASTACK_TIMESCALE"), 64); err == nil && f > 0 {
		return time.Duration(float64(d) * f)
	}
	return d
}

// newPool gives a pool that must end without an error, or skips the test with the words of doctor.
func newPool(t *testing.T) *harness.Pool {
	t.Helper()
	pool, err := harness.NewPool(t.Context(), 0)
	if err != nil {
		if harness.Doctor(t.Context()).OK() {
			t.Fatal(err)
		}
		t.Skipf("no labs here: %v", err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool
}

// playAll plays the jobs side by side and returns their records in order. A run that could not be begun is an error; the
// verdicts are the caller's to judge.
func playAll(t *testing.T, pool *harness.Pool, jobs []harness.Job) []*record.Run {
	t.Helper()
	runs := make([]*record.Run, len(jobs))
	var errs []error
	whole := harness.PlayAll(t.Context(), pool, jobs, func(i int, r *record.Run, err error) {
		runs[i] = r
		errs = append(errs, err)
	})
	if err := errors.Join(errs...); err != nil || !whole {
		t.Fatalf("play %d runs: %v", len(jobs), err)
	}
	return runs
}

// mustPass fails the test with the ladder of a run that did not pass.
func mustPass(t *testing.T, r *record.Run) {
	t.Helper()
	if r.Verdict == record.Pass {
		return
	}
	t.Errorf("%s over IPv%d: %s: %s\n%s", r.Scenario, r.IP, r.Verdict, r.Why, r.Ladder())
}

var (
	build = sync.OnceValues(func() (string, error) {
		var err error
		if built, err = os.MkdirTemp("", "tool-"); err != nil {
			return "", err
		}
		// Other users run what is in it.
		if err := os.Chmod(built, 0o755); err != nil {
			return "", err
		}
		command := exec.Command("go", "build", "-o", built, "./cmd/lastack")
		command.Dir = top
		if out, err := command.CombinedOutput(); err != nil {
			return "", errors.New(string(out))
		}
		return filepath.Join(built, "lastack"), nil
	})
	built string
)

// lastack is the path of the command, built from this tree.
func lastack(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatalf("build the command: %v", err)
	}
	return path
}

// nobody is an unprivileged user: what root becomes to see what such a one can do.
const nobody = 65534

// worldDir is a directory that every user can enter and write; t.TempDir gives one that only its owner can.
func worldDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tool-")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
