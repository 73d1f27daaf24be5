package application

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/check"
	"github.com/lastack/lastack/harness/record"
)

// patience is what the twins' own timeouts are made for.
const patience = 2 * time.Second

// rounds is how often each pair is played: once, and 20 times where LASTACK_SOAK says
// so.
func rounds() int {
	if os.Getenv("LASTACK_SOAK") != "" {
		return 20
	}
	return 1
}

// TestMain lets every sweep begin: how many play at once is said by turns.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(2*len(pairs))); err != nil {
		panic(err) // the flag is that of package testing
	}
	os.Exit(m.Run())
}

// turns bounds how many sweeps of a kind play at once. Those of the mended twins work
// all the time; those of the wrong ones mostly wait, since a finding's cell is played
// five times, one after another.
var turns = map[string]chan struct{}{
	"wrong":  make(chan struct{}, 3*runtime.GOMAXPROCS(0)),
	"mended": make(chan struct{}, runtime.GOMAXPROCS(0)),
}

func TestTwins(t *testing.T) {
	pool := newPool(t)
	dir := programs(t)
	for _, p := range pairs {
		play := func(which string, once func(t *testing.T, round int)) {
			t.Run(p.name+"/"+which, func(t *testing.T) {
				if which == "mended" && os.Getenv("LASTACK_SHALLOW") != "" {
					t.Skip("LASTACK_SHALLOW is set: this pass plays the wrong twins alone")
				}
				t.Parallel()
				turns[which] <- struct{}{}
				defer func() { <-turns[which] }()
				for round := range rounds() {
					once(t, round)
				}
			})
		}
		play("wrong", func(t *testing.T, round int) { p.convict(t, pool, dir, round) })
		play("mended", func(t *testing.T, round int) { p.acquit(t, pool, dir, round) })
	}
}

// convict plays the wrong twin: it must be convicted of its mistake and of nothing
// else.
func (p *pair) convict(t *testing.T, pool *harness.Pool, dir string, round int) {
	t.Helper()
	c := p.config(t, pool, dir, "wrong")
	c.Points, c.Faults = p.points, p.faults
	r := sweep(t, c)
	if r == nil {
		return
	}
	if len(r.Findings) != 1 || r.Findings[0].Symptom != p.symptom || !among(r.Findings[0].Cells, p.at) {
		t.Errorf("round %d: the wrong twin must be convicted of %s at %v, and of nothing else:\n%s", round, p.symptom, p.at, text(t, r))
		return
	}
	p.read(t, r.Findings[0].Evidence)
}

// read looks at the evidence of a finding: it says what it is evidence of, and that of
// a leak is the play of five clients that showed it.
func (p *pair) read(t *testing.T, evidence string) {
	t.Helper()
	f, err := os.Open(filepath.Join(evidence, "record.json"))
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	defer f.Close()
	r, err := record.Read(f)
	if err != nil || r.Verdict != record.Fail || r.Why == "" {
		t.Errorf("the evidence of %s: %+v, %v", p.symptom, r, err)
		return
	}
	clients := map[string]bool{}
	for _, program := range r.Programs {
		clients[program.Host] = true
	}
	delete(clients, check.Server)
	if p.symptom == check.Leak && len(clients) != 5 {
		t.Errorf("the evidence of a leak shows %d clients, not five", len(clients))
	}
}

// acquit plays the mended twin with every fault at every point.
func (p *pair) acquit(t *testing.T, pool *harness.Pool, dir string, round int) {
	t.Helper()
	r := sweep(t, p.config(t, pool, dir, "mended"))
	if r == nil {
		return
	}
	if r.Verdict != record.Pass {
		t.Errorf("round %d: the mended twin must be acquitted:\n%s", round, text(t, r))
	}
	if len(r.Cells) < 100 {
		t.Errorf("round %d: a full sweep has more than %d cells:\n%s", round, len(r.Cells), text(t, r))
	}
}

func (p *pair) config(t testing.TB, pool *harness.Pool, dir, which string) check.Config {
	twin := command(t, dir, []string{strings.ReplaceAll(p.twin, "WHICH", which)})
	other := command(t, dir, p.other)
	c := check.Config{
		Server: other, Client: twin, UnderTest: p.underTest, Patience: patience, Output: p.output, Pool: pool, Out: t.TempDir(),
	}
	if p.underTest != check.Client {
		c.Server, c.Client = twin, other
	}
	return c
}

// sweep runs a check; nil where it could not be run, which is an error.
func sweep(t testing.TB, c check.Config) *check.Report {
	t.Helper()
	r, err := check.Run(t.Context(), c)
	if err != nil {
		t.Errorf("%v", err)
		return nil
	}
	return r
}

func text(t testing.TB, r *check.Report) string {
	var b bytes.Buffer
	if err := r.Text(&b, check.TextOptions{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func among(cells, globs []string) bool {
	for _, cell := range cells {
		for _, glob := range globs {
			before, after, star := strings.Cut(glob, "*")
			if cell == glob || star && strings.HasPrefix(cell, before) && strings.HasSuffix(cell, after) {
				return true
			}
		}
	}
	return false
}

// command makes the words that start a program of testdata, or skips the test where
// what it needs is missing. Scripts stand in the working directory, which programs see.
func command(t testing.TB, dir string, words []string) []string {
	t.Helper()
	language, name, _ := strings.Cut(words[0], "/")
	switch language {
	case "go":
		return append([]string{filepath.Join(dir, name)}, words[1:]...)
	case "python":
		return append([]string{python(t), "testdata/python/" + name + ".py"}, words[1:]...)
	case "shell":
		interpreter(t, "curl")
		return append([]string{interpreter(t, "sh"), "testdata/shell/" + name + ".sh"}, words[1:]...)
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); err != nil {
		t.Skip("there is no C compiler: neither cc nor gcc is on PATH")
	}
	return append([]string{file}, words[1:]...)
}

func interpreter(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s on PATH", name)
	}
	return path
}

// python is the interpreter itself: what is on PATH may be a script that looks for it.
func python(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), interpreter(t, "python3"), "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		t.Skipf("python3 does not work: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// programs builds what is to be built of testdata.
func programs(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	var all sync.WaitGroup
	run := func(name string, args ...string) {
		all.Add(1)
		go func() {
			defer all.Done()
			if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
				t.Errorf("%s %v: %v\n%s", name, args, err, out)
			}
		}()
	}
	packages, err := filepath.Glob("testdata/go/*")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "-ldflags=-s -w", "-o", dir + "/"}
	for _, p := range packages {
		args = append(args, "./"+p)
	}
	run("go", args...)
	if cc := compiler(); cc != "" {
		sources, err := filepath.Glob("testdata/c/*.c")
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sources {
			run(cc, "-O1", "-pthread", "-o", filepath.Join(dir, strings.TrimSuffix(filepath.Base(s), ".c")), s)
		}
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return dir
}

func compiler() string {
	for _, name := range []string{"cc", "gcc"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// newPool makes labs possible, or skips the test where this machine has none.
func newPool(t testing.TB) *harness.Pool {
	t.Helper()
	if d := harness.Doctor(t.Context()); !d.OK() {
		t.Skip("no labs can be made here; lastack doctor says why")
	}
	pool, err := harness.NewPool(context.Background(), 48)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return pool
}

// Twins differ in their mistake alone: in a few lines.
func TestTwinsDiffer(t *testing.T) {
	const most = 12
	for _, p := range pairs {
		language, name, _ := strings.Cut(p.twin, "/")
		file := filepath.Join("testdata", language, name) + map[string]string{"go": "/main.go", "c": ".c", "python": ".py", "shell": ".sh"}[language]
		var lines [2]map[string]int
		for i, which := range []string{"wrong", "mended"} {
			source, err := os.ReadFile(strings.ReplaceAll(file, "WHICH", which))
			if err != nil {
				t.Fatal(err)
			}
			lines[i] = map[string]int{}
			for line := range strings.Lines(string(source)) {
				lines[i][strings.TrimSpace(line)]++
			}
		}
		differ := 0
		for line, n := range lines[0] {
			differ += max(0, n-lines[1][line])
		}
		for line, n := range lines[1] {
			differ += max(0, n-lines[0][line])
		}
		if differ == 0 || differ > most {
			t.Errorf("%s: the twins differ in %d lines: it must be the mistake, and that alone", p.name, differ)
		}
	}
}

// Each twin has its other, and each is in the table.
func TestEveryTwinIsPlayed(t *testing.T) {
	known := map[string]bool{}
	for _, p := range pairs {
		for _, which := range []string{"wrong", "mended"} {
			known[filepath.Base(strings.ReplaceAll(p.twin, "WHICH", which))] = true
		}
		known[filepath.Base(p.other[0])] = true
	}
	files, err := filepath.Glob("testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), filepath.Ext(f))
		if !known[name] {
			t.Errorf("%s is played by nobody", f)
		}
	}
	if len(pairs) != 16 {
		t.Errorf("there are %d pairs, want 16", len(pairs))
	}
}
