package harness

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/internal/builtin"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject"
	"github.com/lastack/lastack/netenv"
)

// ProgramSpec says what program runs on a host. Only Argv is needed. "{dir}" in
// Argv, Env, Dir and Keep stands for Host.Dir.
type ProgramSpec struct {
	// Argv is the program and its arguments: Argv[0] is looked up as a shell
	// would. "builtin:NAME" is a stand-in that needs no file; see Builtins.
	Argv []string
	// Env is added to the caller's environment, as "KEY=value".
	Env []string
	// Dir is the working directory; empty is the caller's.
	Dir string
	// Keep are globs, as of path.Match, of files that the record keeps as they
	// are when the play ends; a relative one is below Host.Dir.
	Keep []string
}

// Program is a user's program on a host.
type Program struct {
	host    *Host
	nth     int // of the host's
	keep    []string
	process *netenv.Process
	out     record.Program
	stdout  *output
	stderr  *output
	ended   chan struct{}
}

// Start runs a program on the host; see Run.
func (h *Host) Start(argv ...string) *Program { return h.Run(ProgramSpec{Argv: argv}) }

// Run runs a program on the host. It sees the hosts' names in /etc/hosts, with
// their addresses in the play's family, and the caller's working directory. /tmp,
// /dev/shm, $HOME and $LASTACK_DIR are the host's own: they are empty at first, its
// programs share them, and they are gone with the lab, but not with the host's power.
// They are memory: 128 MiB in all. Of what the caller has in /tmp a program sees only
// its working directory and its own file. What cannot be started ends the play with
// ERROR.
func (h *Host) Run(spec ProgramSpec) *Program {
	s := h.stage
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		s.stop(record.Error, "start program on %s: no command", h.name)
	}
	name := spec.Argv[0]
	fail := func(err error) { s.stop(record.Error, "start %q on %s: %v", record.Fit(name, 40), h.name, err) }
	if h.off {
		fail(errOff)
	}
	p := &Program{host: h, nth: len(h.programs) + 1, stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	var err error
	if p.keep, err = keepGlobs(spec.Keep); err != nil {
		fail(err)
	}
	process := netenv.ProcessSpec{Argv: withDir(spec.Argv), Env: environment(spec), Dir: inDir(spec.Dir), Isolated: true}
	if role, is := strings.CutPrefix(name, builtin.Role); is {
		if !builtin.Has(role) {
			fail(CheckProgram(name))
		}
	} else {
		process.Path = process.Argv[0]
	}
	stdout, err := p.stdout.pipe()
	if err != nil {
		fail(err)
	}
	defer stdout.Close()
	stderr, err := p.stderr.pipe()
	if err != nil {
		fail(err)
	}
	defer stderr.Close()
	process.Files = []*os.File{nil, stdout, stderr}
	p.out = record.Program{Host: h.name, Argv: slices.Clone(spec.Argv), T: s.clock(), End: -1}
	if p.process, err = h.env.StartProcess(s.ctx, process); err != nil {
		s.stop(record.Error, "on %s: %v", h.name, err)
	}
	h.programs = append(h.programs, p)
	go p.wait()
	return p
}

// Dir is the directory of the host's programs for their files: their $LASTACK_DIR,
// and "{dir}" in what starts them. It exists on the host only, under the same name
// in every lab.
func (h *Host) Dir() string { return netenv.ProgramDir }

func inDir(text string) string { return strings.ReplaceAll(text, "{dir}", netenv.ProgramDir) }

func withDir(texts []string) []string {
	out := make([]string, 0, len(texts))
	for _, text := range texts {
		out = append(out, inDir(text))
	}
	return out
}

// elsewhere are the variables by which programs would find the caller's own files
// instead of those below their HOME and in /tmp.
var elsewhere = []string{"HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"}

// environment is the caller's, with directories of the host's own, and with what
// the spec adds.
func environment(spec ProgramSpec) []string {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains(elsewhere, name)
	})
	env = append(env, "HOME="+netenv.ProgramHome, "LASTACK_DIR="+netenv.ProgramDir)
	if spec.Dir != "" {
		if dir := inDir(spec.Dir); filepath.IsAbs(dir) {
			env = append(env, "PWD="+dir)
		}
	}
	return append(env, withDir(spec.Env)...)
}

// keepGlobs makes the globs absolute.
func keepGlobs(globs []string) ([]string, error) {
	var out []string
	for _, glob := range globs {
		full := inDir(glob)
		if !path.IsAbs(full) {
			full = netenv.ProgramDir + "/" + full
		}
		if _, err := path.Match(full, ""); err != nil || slices.Contains(strings.Split(full, "/"), "..") {
			return nil, fmt.Errorf("keep %q: want a glob as out/*.bin that goes nowhere above", glob)
		}
		out = append(out, path.Clean(full))
	}
	return out, nil
}

// wait writes down how the program ended; it ends with the process, which does
// not outlive the lab.
func (p *Program) wait() {
	defer close(p.ended)
	status, err := p.process.Wait(context.Background())
	if err != nil {
		return // the keeper is gone, and the play hears of that
	}
	s := p.host.stage
	s.mu.Lock()
	p.out.End = s.clock()
	p.out.Exit, p.out.Signal = status.Code, ""
	if status.Signal != 0 {
		p.out.Exit, p.out.Signal = -1, signalName(status.Signal)
	}
	s.mu.Unlock()
	// Who waits for a line or for the end must hear of the line first.
	p.stdout.drain(linesFirst)
	p.stderr.drain(linesFirst)
	s.Wire.wire.Do(func(e *inject.Engine, now time.Duration) { e.NoteExit(now, p.host.name, p.nth) })
}

// What a program leaves behind may keep its pipes open: then the rest of what it
// wrote is not waited for longer than this, before its end is told and before the
// record is written.
const (
	linesFirst = 100 * time.Millisecond
	drained    = time.Second
)

// drain waits until all that a program wrote is read, if it has ended.
func (p *Program) drain() {
	p.host.stage.mu.Lock()
	ended := p.out.End >= 0
	p.host.stage.mu.Unlock()
	if ended {
		p.stdout.drain(drained)
		p.stderr.drain(drained)
	}
}

// Exited is met once this program has ended, and what it wrote was read.
func (p *Program) Exited() inject.Condition {
	return inject.Condition{Kind: inject.Exited, Host: p.host.name, Nth: p.nth}
}

// Ended tells whether this program has ended.
func (p *Program) Ended() bool {
	p.host.stage.mu.Lock()
	defer p.host.stage.mu.Unlock()
	return p.out.End >= 0
}

// Status is how the program ended: its exit status, or the signal's name with −1;
// false while it runs.
func (p *Program) Status() (exit int, signal string, ended bool) {
	p.host.stage.mu.Lock()
	defer p.host.stage.mu.Unlock()
	return p.out.Exit, p.out.Signal, p.out.End >= 0
}

// Ended tells whether all programs that were started on the host have ended. What
// they left behind does not count.
func (h *Host) Ended() bool {
	for _, p := range h.programs {
		if !p.Ended() {
			return false
		}
	}
	return true
}

// Programs are those that were started on the host, in their order.
func (h *Host) Programs() []*Program { return slices.Clone(h.programs) }

// Logged is met once a line of the program's stdout or stderr matches. A line
// without an end counts when the output ends. What was written before is looked
// at too, as far as the record keeps it.
func (p *Program) Logged(re *regexp.Regexp) inject.Condition {
	s := p.host.stage
	c := inject.Condition{
		Kind: inject.Returned, Host: p.host.name,
		Call: p.host.number(fmt.Sprintf("log(%q)", strings.ReplaceAll(re.String(), " ", `\x20`))),
	}
	for _, o := range []*output{p.stdout, p.stderr} {
		o.watch(func(line []byte) bool {
			if !re.Match(line) {
				return false
			}
			s.Wire.wire.Do(func(e *inject.Engine, now time.Duration) { e.NoteReturn(now, c.Host, c.Call) })
			return true
		})
	}
	return c
}

// files are what the record keeps of the program's files.
func (p *Program) files(ctx context.Context) (kept []record.File, more int, err error) {
	if len(p.keep) == 0 {
		return nil, 0, nil
	}
	found, more, err := p.host.env.Files(ctx, p.keep)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range found {
		if err == nil {
			var file record.File
			file, err = readFile(f)
			kept = append(kept, file)
		}
		f.Close()
	}
	return kept, more, err
}

// largestFile bounds what is read of one file: more than a host's disk holds.
const largestFile = 256 << 20

// readFile reads a file that may grow meanwhile.
func readFile(f netenv.File) (record.File, error) {
	name, below := strings.CutPrefix(f.Name, netenv.ProgramDir+"/")
	if !below {
		name = f.Name
	}
	content := newDigest(record.FileKept)
	size, err := io.Copy(content, io.LimitReader(f, largestFile+1))
	if err != nil {
		return record.File{}, fmt.Errorf("read %s: %w", f.Name, err)
	}
	file := record.File{Name: name, Size: size, SHA256: content.sum(), Data: content.kept}
	if size > largestFile {
		file.SHA256 = "" // of the part that was read it would be another file's
		if info, err := f.Stat(); err == nil {
			file.Size = info.Size()
		}
	}
	return file, nil
}
