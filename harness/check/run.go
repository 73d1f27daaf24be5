package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/internal/evidence"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
)

// sweep is one run of the whole.
type sweep struct {
	config *Config
	pool   *harness.Pool
	// starting bounds how many servers start at once.
	starting chan struct{}

	// Of the fault-free runs.
	free     *record.Run
	runs     []*record.Run
	ref      reference
	points   []Point
	conns    int
	closes   bool          // the client's FIN comes of a close
	longest  string        // the point in the middle of the longest turn
	rest     time.Duration // how long after the client's end a point may come
	patience time.Duration
	// Of five fault-free connections: what they cost, or why that is not known.
	grew      census
	uncounted string

	mu       sync.Mutex // guards what follows
	reports  []CellReport
	opinions []opinion
	begun    time.Time
	done     int
}

// Run checks a pair of programs. The report is of what was played; where ctx ends
// it is partial. An error is what kept the sweep from being begun: a command that
// does not exist, a server that never listens, a pair that fails without a fault, a
// cell that does not exist.
func Run(ctx context.Context, c Config) (*Report, error) {
	w, err := begin(ctx, &c)
	if err != nil {
		return nil, err
	}
	if c.Pool == nil {
		defer w.pool.Close()
	}
	list, excluded, err := w.config.pick(w.points, c.UnderTest)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	if c.UnderTest != Client {
		if err := w.witness(ctx); err != nil {
			return nil, err
		}
	}
	w.begun = time.Now()
	if err := w.play(ctx, list); err != nil {
		return nil, err
	}
	took := time.Since(w.begun)
	if err := w.confirm(ctx, list); err != nil {
		return nil, err
	}
	findings, unrepeatable, err := w.replay(ctx, list)
	if err != nil {
		return nil, err
	}
	r := w.report(list, excluded, took)
	r.Findings, r.Unrepeatable = findings, unrepeatable
	r.Partial = ctx.Err() != nil
	r.conclude()
	return r, nil
}

// List is the cells that Run would play, and how many have no meaning, by reason.
// It plays the pair without a fault.
func List(ctx context.Context, c Config) (names []string, excluded []Exclusion, err error) {
	w, err := begin(ctx, &c)
	if err != nil {
		return nil, nil, err
	}
	if c.Pool == nil {
		defer w.pool.Close()
	}
	list, counts, err := w.config.pick(w.points, c.UnderTest)
	if err != nil {
		return nil, nil, fmt.Errorf("check: %w", err)
	}
	for _, cell := range list {
		names = append(names, cell.Name())
	}
	return names, exclusions(counts), nil
}

// begin plays the pair without a fault.
func begin(ctx context.Context, c *Config) (*sweep, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	for _, command := range []struct {
		what string
		argv []string
	}{{"server", c.Server}, {"client", c.Client}, {"judge", c.Judge}, {"effects", c.Effects}} {
		if len(command.argv) == 0 {
			continue
		}
		if err := harness.CheckProgram(command.argv[0]); err != nil {
			return nil, fmt.Errorf("check: %s: %w", command.what, err)
		}
	}
	w := &sweep{config: c, pool: c.Pool, starting: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	if w.pool == nil {
		var err error
		if w.pool, err = harness.NewPool(ctx, c.jobs()); err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
	}
	err := w.baseline(ctx)
	if err != nil {
		if c.Pool == nil {
			w.pool.Close()
		}
		return nil, err
	}
	return w, nil
}

// recordings is how often the pair is played without a fault.
const recordings = 3

// baseline records the pair three times side by side, as the cells will be.
func (w *sweep) baseline(ctx context.Context) error {
	n := recordings
	side := min(n, w.pool.Jobs())
	runs := make([]*record.Run, n)
	failed := make([]error, n)
	var all sync.WaitGroup
	places := make(chan struct{}, side)
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			places <- struct{}{}
			defer func() { <-places }()
			runs[i], failed[i] = w.faultless(ctx)
		}()
	}
	all.Wait()
	if ctx.Err() != nil {
		return errInterrupted
	}
	if at := slices.IndexFunc(failed, func(err error) bool { return err != nil }); at >= 0 {
		var broken *broken
		if side == 1 || !errors.As(failed[at], &broken) {
			return fmt.Errorf("check: %w", failed[at])
		}
		if _, alone := w.faultless(ctx); alone == nil {
			return fmt.Errorf("check: the pair works alone and fails beside itself: these programs share files: use {dir} or --jobs 1 (%w)", failed[at])
		}
		return fmt.Errorf("check: without any fault %w", failed[at])
	}
	w.settle(runs)
	if family := familyOf(runs[0], w.config.Conn); family != 0 && family != w.config.IP {
		return fmt.Errorf("check: connection %d of the client is over IPv%d: this sweep is of IPv%d", w.config.Conn, family, w.config.IP)
	}
	if len(w.points) == 0 {
		return fmt.Errorf("check: the client opened no connection %d to the server, so there is nothing to break", w.config.Conn)
	}
	return nil
}

// broken is a pair that fails without a fault.
type broken struct{ what string }

func (b *broken) Error() string { return b.what }

// faultless plays the pair once without a fault.
func (w *sweep) faultless(ctx context.Context) (*record.Run, error) {
	p := w.newPlay()
	r, err := w.once(ctx, "fault-free", nil, p.free, harness.Options{})
	switch {
	case err != nil:
		return nil, err
	case p.failed != "":
		words := w.ending(r, Server).words
		if client := w.ending(r, Client); client.took > 0 || len(r.On(Client).Programs) > 0 {
			words = client.words
		}
		if words != "" {
			words = ": " + words
		}
		return nil, &broken{p.failed + words}
	case r.Verdict == record.Error:
		return nil, errors.New(r.Why)
	}
	if client := w.ending(r, Client); client.failed() {
		why := "the client " + client.how()
		if client.words != "" {
			why += ": " + client.words
		}
		return nil, &broken{why}
	}
	if server := w.ending(r, Server); server.ended && (server.signal != "" || server.exit != 0) {
		return nil, &broken{fmt.Sprintf("the server %s: %s", server.how(), server.words)}
	}
	if _, err := w.counted(r); err != nil {
		return nil, &broken{err.Error()}
	}
	return r, nil
}

// settle makes the reference of the recordings.
func (w *sweep) settle(runs []*record.Run) {
	w.free, w.runs = runs[0], runs
	w.ref = reference{client: w.ending(w.free, Client), server: w.ending(w.free, Server), varies: map[string][]string{}}
	var outs []outputs
	w.conns, w.closes = math.MaxInt, true
	for _, r := range runs {
		w.closes = w.closes && !halfCloses(r, w.config.Conn)
		client := w.ending(r, Client)
		outs = append(outs, client.out)
		w.ref.took = max(w.ref.took, client.took)
		w.conns = min(w.conns, connections(r, Client))
		if n, err := w.counted(r); err == nil && n >= 0 {
			w.ref.effects = max(w.ref.effects, n)
		}
		for _, program := range r.Programs {
			if program.Host != Client || program.End < 0 {
				continue
			}
			for i := range r.Segments {
				if s := &r.Segments[i]; s.Conn == w.config.Conn {
					w.rest = max(w.rest, s.T-program.End)
				}
			}
		}
	}
	for name := range outs[0] {
		var all []content
		for _, o := range outs {
			c, there := o[name]
			if !there {
				w.ref.varies[name] = []string{"it is there", "it is not there"}
			}
			all = append(all, c)
		}
		if lines := variesBy(all); lines != nil && w.ref.varies[name] == nil {
			w.ref.varies[name] = lines
		}
	}
	w.rest = 2*w.rest + settle
	w.patience = w.config.Patience + 3*w.ref.took
	w.points = points(runs, w.config.Conn, w.config.Deep)
	best := int64(-1)
	for _, p := range w.points {
		if p.Kind == flow.DATA && p.Length > best && p.Byte == p.Length/2 {
			best, w.longest = p.Length, p.Name
		}
	}
}

// witness asks what must be known to judge a server: whether it serves two at once,
// and what five connections cost it.
func (w *sweep) witness(ctx context.Context) error {
	at := slices.IndexFunc(w.points, func(p Point) bool { return p.Kind == flow.DATA })
	if at >= 0 {
		p := w.newPlay()
		served := false
		_, err := w.once(ctx, "two at once", hostSpecs(second), func(s *harness.Stage) {
			p.reset()
			if !p.serve(s) {
				return
			}
			rule := s.Wire.Rule(fmt.Sprintf("hold %s until exited %s", w.points[at].Match, second))
			client := p.client(s, s.Client)
			if s.AwaitFirst(whole, rule.Fired(), client.Exited()) != 0 {
				return
			}
			other := p.client(s, s.Host(second))
			served = s.AwaitFirst(w.patience, other.Exited()) == 0
			s.AwaitFirst(w.patience, client.Exited())
		}, harness.Options{})
		if err != nil {
			return err
		}
		w.ref.concurrent = served
	}
	var err error
	w.grew, w.uncounted, _, err = w.crowd(ctx, "five at once", nil, harness.Options{})
	return err
}

// memory bounds what the records of all cells that are under way may take, in bytes.
const memory = 256 << 20

// side is how many cells are played side by side: fewer where each has thousands of
// connections, or a long download, in its record.
func (w *sweep) side() int {
	size := 1
	for i := range w.free.Segments {
		size += 1024 + 2*len(w.free.Segments[i].Frame)
	}
	return max(1, min(w.pool.Jobs(), memory/size))
}

// play plays all cells side by side.
func (w *sweep) play(ctx context.Context, list []Cell) error {
	w.reports = make([]CellReport, len(list))
	w.opinions = make([]opinion, len(list))
	for i := range list {
		c := &list[i]
		w.reports[i] = CellReport{Cell: c.Name(), Point: c.Point.Name, Fault: c.Fault.Name, Side: c.Side}
	}
	var all sync.WaitGroup
	places := make(chan struct{}, w.side())
	var failed error
	for _, i := range order(list) {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { <-places }()
			saw, err := w.cell(ctx, &list[i], harness.Options{})
			if errors.Is(err, errInterrupted) {
				return
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil {
				failed = errors.Join(failed, err)
				saw.opinion = opinion{verdict: record.Error, notes: []string{err.Error()}}
			}
			w.enter(i, saw.opinion, saw.took)
		}()
	}
	all.Wait()
	if w.done == 0 && failed != nil {
		return fmt.Errorf("check: %w", failed)
	}
	return nil
}

// order is the order in which cells are played: first those that mostly wait, so
// that at the end of the sweep the processors do not wait with them.
func order(list []Cell) []int {
	var waiting, busy []int
	for i := range list {
		if list[i].Fault.Waits {
			waiting = append(waiting, i)
		} else {
			busy = append(busy, i)
		}
	}
	return append(waiting, busy...)
}

// confirm plays each cell with a symptom once more: on a busy machine the patience may
// have been too short, and what is counted among the cells of a finding has been seen
// twice.
func (w *sweep) confirm(ctx context.Context, list []Cell) error {
	var all sync.WaitGroup
	var failed error
	places := make(chan struct{}, w.side())
	for i := range list {
		if w.opinions[i].verdict != record.Fail {
			continue
		}
		places <- struct{}{}
		all.Add(1)
		go func() {
			defer all.Done()
			defer func() { <-places }()
			again, err := w.cell(ctx, &list[i], harness.Options{})
			w.mu.Lock()
			defer w.mu.Unlock()
			if err != nil {
				if !errors.Is(err, errInterrupted) {
					failed = errors.Join(failed, err)
				}
				return
			}
			once := w.opinions[i].worst()
			if _, is := again.symptoms[once]; !is && again.verdict != record.Error && again.verdict != record.Inconclusive {
				again.notes = append(again.notes, fmt.Sprintf("%s was seen once and did not come again", once))
				w.done--
				w.enter(i, again.opinion, again.took)
			}
		}()
	}
	all.Wait()
	return failed
}

// enter writes down what was made of a cell.
func (w *sweep) enter(i int, o opinion, took time.Duration) {
	w.opinions[i] = o
	r := &w.reports[i]
	r.Verdict, r.Symptom, r.DurationMS = o.verdict, o.worst(), took.Milliseconds()
	var notes []string
	for _, s := range Symptoms() {
		if text := o.symptoms[s]; text != "" {
			notes = append(notes, text)
		}
	}
	r.Note = strings.Join(append(notes, o.notes...), "; ")
	w.done++
	w.tell("")
}

// tell reports progress; the caller holds the lock.
func (w *sweep) tell(replaying string) {
	if w.config.Progress != nil {
		w.config.Progress(Progress{Cells: slices.Clone(w.reports), Done: w.done, Replaying: replaying, Elapsed: time.Since(w.begun)})
	}
}

// sight is what was seen of a cell, and what was made of it.
type sight struct {
	opinion
	run   *record.Run
	crowd *record.Run // of the five clients; nil where no leak was looked for
	took  time.Duration
}

// cell plays and judges one cell.
func (w *sweep) cell(ctx context.Context, c *Cell, o harness.Options) (saw sight, err error) {
	var hosts []harness.HostSpec
	if w.config.UnderTest != Client {
		hosts = hostSpecs(second, third)
	}
	o.Repro = w.again(c)
	scratch := ""
	if len(w.config.Judge) > 0 && o.Out == "" {
		if scratch, err = os.MkdirTemp("", "lastack-"); err != nil {
			return saw, fmt.Errorf("keep evidence for --judge: %w", err)
		}
		defer os.RemoveAll(scratch)
		o.Out = scratch
	}
	began := time.Now()
	p := w.newPlay()
	saw.run, err = w.once(ctx, c.Name(), hosts, func(s *harness.Stage) { p.strike(s, c) }, o)
	if err != nil {
		return saw, err
	}
	seen := p.observe(c, saw.run)
	if seen.fired && seen.trouble == "" && w.leaky(c) {
		if seen.leaked, seen.uncounted, saw.crowd, err = w.leaks(ctx, c, o); err != nil {
			return saw, err
		}
	}
	if len(w.config.Judge) > 0 && seen.fired && seen.trouble == "" {
		var asking error
		if seen.judge, asking = w.ask(ctx, c, saw.run.Evidence); asking != nil {
			seen.trouble = asking.Error()
		}
	}
	saw.took = time.Since(began)
	t := trial{underTest: w.config.UnderTest, repairable: c.Fault.Repairable, patience: harness.Timescale(w.patience)}
	saw.opinion = judge(t, &w.ref, &seen)
	return saw, nil
}

// ask runs the user's judge over the evidence of a cell.
func (w *sweep) ask(ctx context.Context, c *Cell, dir string) (*int, error) {
	ctx, cancel := context.WithTimeout(ctx, whole)
	defer cancel()
	argv := append(slices.Clone(w.config.Judge), dir)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "LASTACK_CELL="+c.Name())
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.As(err, &exit) && exit.ExitCode() >= 0:
		status := cmd.ProcessState.ExitCode()
		return &status, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("the judge had not ended after %v", whole)
	}
	return nil, fmt.Errorf("the judge: %w", err)
}

// replays is how often the first cell of a finding is played again.
const replays = 5

// attempts bounds how many cells of a symptom are tried until one repeats.
const attempts = 5

// replay plays the first cell of each symptom again, one after another, and the
// symptoms side by side. A symptom whose first cell does not repeat is tried on its
// next.
func (w *sweep) replay(ctx context.Context, list []Cell) (findings, unrepeatable []FindingReport, err error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, symptom := range Symptoms() {
		var cells []int
		for i := range list {
			if _, has := w.opinions[i].symptoms[symptom]; has {
				cells = append(cells, i)
			}
		}
		if len(cells) == 0 {
			continue
		}
		all.Add(1)
		go func() {
			defer all.Done()
			found, not, e := w.repeats(ctx, list, symptom, cells)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, e)
			if found != nil {
				findings = append(findings, *found)
			}
			unrepeatable = append(unrepeatable, not...)
		}()
	}
	all.Wait()
	order := func(a, b FindingReport) int {
		return slices.Index(Symptoms(), a.Symptom) - slices.Index(Symptoms(), b.Symptom)
	}
	slices.SortStableFunc(findings, order)
	slices.SortStableFunc(unrepeatable, order)
	return findings, unrepeatable, err
}

// repeats plays cells of one symptom until one repeats.
func (w *sweep) repeats(ctx context.Context, list []Cell, symptom Symptom, cells []int) (*FindingReport, []FindingReport, error) {
	var not []FindingReport
	rest := slices.Clone(cells)
	for _, i := range cells[:min(len(cells), attempts)] {
		c := &list[i]
		f := FindingReport{Symptom: symptom, Sentence: w.opinions[i].symptoms[symptom], Repro: w.again(c)}
		hits, n := 0, 0
		for ; n < replays && ctx.Err() == nil; n++ {
			o := harness.Options{}
			if f.Evidence == "" {
				var err error
				if o.Out, err = w.keep(symptom); err != nil {
					return nil, nil, err
				}
			}
			w.mu.Lock()
			w.tell(c.Name())
			w.mu.Unlock()
			again, err := w.cell(ctx, c, o)
			sentence, hit := again.symptoms[symptom]
			shows, other := again.run, again.crowd
			if symptom == Leak {
				shows, other = other, shows
			}
			if hit {
				discard(o.Out, other)
			} else {
				discard(o.Out, shows, other)
			}
			if errors.Is(err, errInterrupted) {
				break
			}
			if err != nil {
				return nil, nil, err
			}
			if hit {
				hits++
			}
			if hit && f.Evidence == "" {
				if err := convict(shows, sentence); err != nil {
					return nil, nil, err
				}
				f.Evidence, f.Ladder = shows.Evidence, beside(w.free, again.run)
			}
		}
		f.Replays = fmt.Sprintf("%d/%d", hits, n)
		if hits > 0 || n < replays {
			f.Cells = append(f.Cells, c.Name())
			for _, k := range rest {
				if k != i {
					f.Cells = append(f.Cells, list[k].Name())
				}
			}
			return &f, not, nil
		}
		f.Cells = []string{c.Name()}
		not = append(not, f)
		rest = slices.DeleteFunc(rest, func(k int) bool { return k == i })
	}
	if len(rest) > 0 { // more than were tried again
		last := &not[len(not)-1]
		for _, k := range rest {
			last.Cells = append(last.Cells, list[k].Name())
		}
	}
	return nil, not, nil
}

// convict writes into the evidence of a run what it is evidence of: when it was
// kept, nobody had judged it.
func convict(r *record.Run, sentence string) error {
	r.Verdict, r.Why = record.Fail, sentence
	if err := evidence.Write(r.Evidence, r); err != nil {
		return fmt.Errorf("keep evidence of %s: %w", r.Scenario, err)
	}
	return nil
}

// keep is the directory for the evidence of a replay.
func (w *sweep) keep(symptom Symptom) (string, error) {
	if w.config.Out != "" {
		return filepath.Join(w.config.Out, "evidence", string(symptom)), nil
	}
	dir, err := os.MkdirTemp("", "lastack-")
	if err != nil {
		return "", fmt.Errorf("keep evidence: %w", err)
	}
	return dir, nil
}

// discard removes the evidence of runs that show nothing, and the directory where
// it lay unless something else was kept there.
func discard(dir string, runs ...*record.Run) {
	for _, r := range runs {
		if r != nil && r.Evidence != "" {
			os.RemoveAll(r.Evidence)
		}
	}
	if dir != "" {
		os.Remove(dir)
	}
}

// report is what was seen of the cells.
func (w *sweep) report(list []Cell, excluded map[string]int, took time.Duration) *Report {
	r := &Report{
		Schema: Schema, Kernel: w.free.Kernel, UnderTest: w.config.UnderTest, IP: w.config.IP,
		Server: w.config.Server, Client: w.config.Client,
		Points: []string{}, Cells: []CellReport{}, Exclusions: exclusions(excluded),
		DurationMS: took.Milliseconds(), Shard: w.config.Shard, Shards: w.config.Shards,
		Baseline: BaselineReport{
			DurationMS: w.ref.took.Milliseconds(), PatienceMS: harness.Timescale(w.patience).Milliseconds(), Exit: w.ref.client.exit,
			StdoutBytes: w.ref.client.out[stdout].size, Files: []string{}, Connections: w.conns,
			Concurrent: w.ref.concurrent, Varies: []Varying{},
		},
	}
	for _, p := range w.points {
		r.Points = append(r.Points, p.Name)
	}
	for i := range w.reports {
		if w.reports[i].Verdict != "" {
			r.Cells = append(r.Cells, w.reports[i])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.ref.client.out)) {
		if name != stdout {
			r.Baseline.Files = append(r.Baseline.Files, strings.TrimPrefix(name, "file "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.ref.varies)) {
		r.Baseline.Varies = append(r.Baseline.Varies, Varying{name, w.ref.varies[name]})
	}
	for _, x := range r.Exclusions {
		r.Excluded += x.Count
	}
	if s := took.Seconds(); s > 0 {
		r.CellsPerS = math.Round(10*float64(len(r.Cells))/s) / 10
	}
	return r
}

// conclude counts, and passes the verdict.
func (r *Report) conclude() {
	if r.Findings == nil {
		r.Findings = []FindingReport{}
	}
	if r.Unrepeatable == nil {
		r.Unrepeatable = []FindingReport{}
	}
	r.Inconclusive = 0
	verdicts := map[record.Verdict]int{}
	for _, c := range r.Cells {
		verdicts[c.Verdict]++
	}
	r.Inconclusive = verdicts[record.Inconclusive]
	switch {
	case len(r.Findings) > 0:
		r.Verdict = record.Fail
	case verdicts[record.Error] > 0:
		r.Verdict = record.Error
	case r.Partial || verdicts[record.Pass]+verdicts[record.Fail] == 0:
		r.Verdict = record.Inconclusive // what was not played may be what fails
	default:
		r.Verdict = record.Pass
	}
}

func exclusions(counts map[string]int) []Exclusion {
	list := []Exclusion{}
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		list = append(list, Exclusion{why, counts[why]})
	}
	return list
}
