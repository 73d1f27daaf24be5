package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
)

// Symptom is what is wrong with a program, worst first.
type Symptom string

// The symptoms, in the order of reports.
const (
	Signal           Symptom = "signal"
	Hang             Symptom = "hang"
	SilentCorruption Symptom = "silent-corruption"
	FalseFailure     Symptom = "false-failure"
	RepeatedEffect   Symptom = "repeated-effect"
	Leak             Symptom = "leak"
	ServerDown       Symptom = "server-down"
	Judged           Symptom = "judge"
)

// Symptoms are all of them, worst first.
func Symptoms() []Symptom {
	return []Symptom{Signal, Hang, SilentCorruption, FalseFailure, RepeatedEffect, Leak, ServerDown, Judged}
}

// ending is how a program ended, or that it did not.
type ending struct {
	ended  bool
	exit   int
	signal string
	// ours: the play sent the signal.
	ours bool
	// complaint is the line by which its runtime said that it is broken.
	complaint string
	// words are the last that it said.
	words string
	out   outputs
	took  time.Duration
}

// how is the end in words.
func (e *ending) how() string {
	if !e.ended {
		return "did not end"
	}
	return howEnded(e.exit, e.signal)
}

func (e *ending) failed() bool { return !e.ended || e.exit != 0 || e.signal != "" }

// shellSignals are the signals that a program dies of by its own fault, as a
// shell's exit status tells them: 128 and the number.
var shellSignals = map[int]string{132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 139: "SIGSEGV", 141: "SIGPIPE"}

// crashed is how a program was ended by a signal that nobody sent it, or by its
// runtime.
func (e *ending) crashed() string {
	switch {
	case e.ours:
		return ""
	case e.ended && e.signal != "":
		return "was ended by " + e.signal
	case e.ended && shellSignals[e.exit] != "":
		return fmt.Sprintf("exited %d, as a shell tells %s", e.exit, shellSignals[e.exit])
	case e.complaint != "":
		return "said: " + e.complaint
	}
	return ""
}

// repeat is a turn of the client that the server's program got again.
type repeat struct {
	turn   int
	conn   int
	unsafe string // the method, if it must not be repeated
}

// reference is what fault-free runs did.
type reference struct {
	client, server ending
	// varies are the outputs that differ from run to run, with two lines that do.
	varies map[string][]string
	// concurrent: the server serves two clients at once.
	concurrent bool
	effects    int64
	took       time.Duration
}

// observation is all that was seen of one cell.
type observation struct {
	fired bool
	// trouble is why the cell could not be played.
	trouble string
	// unsure is why it shows nothing though it was played.
	unsure         string
	client, server ending
	// afterClose: the client's program had itself closed the connection before the
	// fault struck.
	afterClose bool
	// gaveUp is the host that a fault struck, which is not under test, and which then
	// ended the connection by itself too early.
	gaveUp string
	// allRead: every byte that the fault-free server sent was delivered.
	allRead bool
	// waits is what the client's kernel still waits for, in words.
	waits   string
	repeats []repeat
	effects int64 // -1 where they were not counted
	// conns is how many connections there were, struck which one.
	conns, struck int
	// during and after are a second client's runs; nil where there was none.
	during, after *ending
	// leaked is by how much descriptors, children or sockets grew more than without
	// faults, in words; uncounted is why that is not known where it was asked.
	leaked, uncounted string
	judge             *int
}

// trial is what is asked of a cell.
type trial struct {
	underTest  string
	repairable bool
	patience   time.Duration
}

// opinion is what was made of a cell.
type opinion struct {
	verdict  record.Verdict
	symptoms map[Symptom]string // with the sentence
	notes    []string
}

// worst is the symptom that stands for the cell; empty where there is none.
func (o *opinion) worst() Symptom {
	for _, s := range Symptoms() {
		if _, is := o.symptoms[s]; is {
			return s
		}
	}
	return ""
}

// judge holds what was seen against what a fault may bring about.
func judge(t trial, free *reference, o *observation) opinion {
	switch {
	case o.trouble != "":
		return opinion{verdict: record.Error, notes: []string{o.trouble}}
	case !o.fired:
		why := "the fault did not fire"
		if o.unsure != "" {
			why = o.unsure
		}
		return opinion{verdict: record.Inconclusive, notes: []string{why}}
	case o.unsure != "":
		return opinion{verdict: record.Inconclusive, notes: []string{o.unsure}}
	}
	j := judging{t: t, free: free, o: o, client: t.underTest != Server, server: t.underTest != Client}
	j.found.symptoms = map[Symptom]string{}
	j.crashes()
	j.hang()
	j.corruption()
	j.failure()
	j.repeated()
	if j.server && o.leaked != "" {
		j.finds(Leak, "after five faulted connections the server has %s than after five fault-free ones", o.leaked)
	}
	if j.server && o.uncounted != "" {
		j.notes("whether the server leaks is not known: %s", o.uncounted)
	}
	j.down()
	j.named()
	j.verdict()
	return j.found
}

type judging struct {
	t              trial
	free           *reference
	o              *observation
	client, server bool // which are under test
	found          opinion
}

func (j *judging) finds(s Symptom, format string, args ...any) {
	if _, is := j.found.symptoms[s]; !is {
		j.found.symptoms[s] = fmt.Sprintf(format, args...)
	}
}

func (j *judging) notes(format string, args ...any) {
	j.found.notes = append(j.found.notes, fmt.Sprintf(format, args...))
}

// convicts tells whether what the client shows counts against the side under
// test: where that is the server alone, the client is but the witness, and only
// what TCP heals convicts.
func (j *judging) convicts() bool { return j.client || j.t.repairable }

func (j *judging) crashes() {
	for _, side := range []struct {
		name     string
		judged   bool
		is, free *ending
	}{{"client", j.client, &j.o.client, &j.free.client}, {"server", j.server, &j.o.server, &j.free.server}} {
		if how := side.is.crashed(); side.judged && how != "" && side.free.crashed() == "" {
			if side.is.complaint != "" && !j.t.repairable {
				how += " (where this is how it reports a failure, a --judge can acquit it)"
			}
			j.finds(Signal, "the %s %s", side.name, how)
		}
	}
}

func (j *judging) hang() {
	if j.o.client.ended || j.o.client.ours && j.o.client.signal != "" {
		return
	}
	what := fmt.Sprintf("the client had not ended after %v; %s", j.t.patience.Round(100*time.Millisecond), j.o.waits)
	if j.convicts() {
		j.finds(Hang, "%s", what)
	} else {
		j.notes("%s", what)
	}
}

func (j *judging) corruption() {
	changed, existing := j.o.client.out.changed(j.free.client.out, j.free.varies)
	if len(changed) == 0 {
		return
	}
	succeeded := j.o.client.ended && !j.o.client.failed()
	if !succeeded && !existing {
		return
	}
	if !succeeded {
		changed = slices.DeleteFunc(changed, func(c string) bool {
			return strings.HasPrefix(c, stdout) || strings.HasSuffix(c, " is missing")
		})
	}
	what := fmt.Sprintf("the client %s, but %s", j.o.client.how(), strings.Join(changed, ", and "))
	if j.convicts() {
		j.finds(SilentCorruption, "%s", what)
	} else {
		j.notes("%s", what)
	}
}

func (j *judging) failure() {
	if !j.o.client.ended || !j.o.client.failed() || j.o.client.ours {
		return
	}
	how := j.o.client.how()
	if j.o.client.words != "" {
		how += fmt.Sprintf(" (%s)", j.o.client.words)
	}
	switch {
	case j.o.gaveUp != "":
		j.notes("the %s, which was struck, ended the connection by itself, and the client %s", j.o.gaveUp, how)
	case j.t.repairable:
		j.finds(FalseFailure, "TCP repairs the fault, and yet the client %s", how)
	case j.o.afterClose && j.client:
		j.finds(FalseFailure, "the client had closed the connection before the fault struck, and yet %s", how)
	case j.o.allRead:
		j.notes("every byte of the server had come, and the client %s", how)
	}
}

func (j *judging) repeated() {
	if !j.client {
		return
	}
	for _, r := range j.o.repeats {
		what := fmt.Sprintf("the client's turn %d reached the server's program again on connection %d", r.turn, r.conn)
		if r.unsafe != "" {
			j.finds(RepeatedEffect, "%s, and %s must not be repeated unasked", what, r.unsafe)
		} else {
			j.notes("%s", what)
		}
	}
	if j.o.effects > j.free.effects {
		j.finds(RepeatedEffect, "--effects counts %d, and %d without a fault", j.o.effects, j.free.effects)
	}
}

func (j *judging) down() {
	if !j.server || j.o.server.crashed() != "" && j.free.server.crashed() == "" {
		return // a server that crashed is down; that it crashed says more
	}
	for _, second := range []struct {
		when string
		is   *ending
	}{{"while the fault lasts", j.o.during}, {"after the fault", j.o.after}} {
		if second.is == nil {
			continue
		}
		how := second.is.how()
		changed, _ := second.is.out.changed(j.free.client.out, j.free.varies)
		switch {
		case !second.is.ended:
			how = fmt.Sprintf("had not ended after %v", j.t.patience.Round(100*time.Millisecond))
		case second.is.failed() && second.is.words != "":
			how += fmt.Sprintf(" (%s)", second.is.words)
		case second.is.failed():
		case len(changed) > 0:
			how += ", but " + strings.Join(changed, ", and ")
		default:
			continue
		}
		j.finds(ServerDown, "a second client, %s, %s", second.when, how)
	}
}

// named says which connections passed untouched.
func (j *judging) named() {
	if others := j.o.conns - 1; others == 1 && j.o.struck > 0 {
		j.notes("one more connection passed untouched")
	} else if others > 1 && j.o.struck > 0 {
		j.notes("%d more connections passed untouched", others)
	}
}

// verdict lets the user's own judge have the last word.
func (j *judging) verdict() {
	f := &j.found
	if j.o.judge != nil {
		switch *j.o.judge {
		case 0:
			if s := f.worst(); s != "" {
				j.notes("the judge acquits it of %s: %s", s, f.symptoms[s])
			}
			f.symptoms = map[Symptom]string{}
		case 1:
			j.finds(Judged, "the judge convicts it")
		case 3:
		default:
			f.verdict = record.Error
			j.notes("the judge exited %d: 0 acquits, 1 convicts, 3 abstains", *j.o.judge)
			return
		}
	}
	f.verdict = record.Pass
	if len(f.symptoms) > 0 {
		f.verdict = record.Fail
	}
}
