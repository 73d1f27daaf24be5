package check

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"time"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
)

// Config says what is checked and how. Server and Client are needed; the zero
// value of everything else works.
type Config struct {
	// Server and Client are the two programs: the program and its arguments, as in
	// harness.ProgramSpec. The client reaches the server under the name "server".
	// "{dir}" in an argument is a directory that the play's host has for itself.
	Server, Client []string
	// Ready, where it is set, matches the line by which the server says that it
	// serves. Else it is ready when it listens: on Port, or where that is 0 on any
	// port that others can reach.
	Ready *regexp.Regexp
	Port  uint16

	// UnderTest is Client, Server or Both: whom the findings are about. Empty is
	// Client.
	UnderTest string
	// IP is the address family, 4 or 6; 0 is 4.
	IP int
	// Conn is the number of the connection that is struck, from 1; 0 is 1.
	Conn int
	// Deep makes a point of every segment of a turn.
	Deep bool
	Selection

	// Patience is how long a client may take before it counts as hanging, beside
	// three times the fault-free run; 0 is 10 s. LASTACK_TIMESCALE multiplies it.
	Patience time.Duration
	// Jobs bounds how many labs stand at once; 0 derives it from the machine.
	Jobs int
	// Output are globs of files that are output, as Keep in harness.ProgramSpec.
	Output []string
	// Ignore is left out of output before it is compared.
	Ignore []*regexp.Regexp
	// Judge is a command that is run with the directory of a cell's evidence behind
	// its arguments and has the last word: it exits 0 to acquit, 1 to convict, 3 to
	// abstain.
	Judge []string
	// Effects is a command that is run on the server's host when the client has
	// ended, and prints a number: more than without a fault is a finding.
	Effects []string
	// Sysctls are set on the hosts.
	Sysctls []harness.Sysctl

	// Out keeps the evidence of findings below a directory; without it each
	// finding's goes to a fresh one below the directory for temporary files.
	Out string
	// Repro begins the line that plays one cell again, in front of the cell and the
	// client; empty is a lastack check with this server.
	Repro string
	// Progress, where it is set, is called after each cell, one call at a time.
	Progress func(Progress)
	// Pool is where labs are built; nil makes one.
	Pool *harness.Pool
}

// Progress is how far a sweep is.
type Progress struct {
	// Cells are all that are played, in order; those not played yet have no verdict.
	Cells []CellReport
	// Done is how many were played.
	Done int
	// Replaying is the cell that is played again, or empty.
	Replaying string
	Elapsed   time.Duration
}

// Matrix draws what is known so far.
func (p *Progress) Matrix(w io.Writer, o TextOptions) error {
	r := Report{Cells: p.Cells}
	return r.matrix(w, o)
}

// complete fills in what was left out, and refuses what cannot be.
func (c *Config) complete() error {
	switch {
	case len(c.Server) == 0:
		return errors.New("check: which server? name its command")
	case len(c.Client) == 0:
		return errors.New("check: which client? name its command")
	}
	if c.UnderTest == "" {
		c.UnderTest = Client
	}
	if c.UnderTest != Client && c.UnderTest != Server && c.UnderTest != Both {
		return fmt.Errorf("check: %q cannot be under test: it is client, server or both", c.UnderTest)
	}
	if c.IP == 0 {
		c.IP = 4
	}
	if c.Conn == 0 {
		c.Conn = 1
	}
	if c.Conn < 1 {
		return fmt.Errorf("check: there is no connection %d: they count from 1", c.Conn)
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	return c.checkFaults()
}

// jobs is how many labs stand at once where the user gives no number: one that
// waits costs nothing but memory.
func (c *Config) jobs() int {
	if c.Jobs > 0 {
		return c.Jobs
	}
	return 24 * runtime.GOMAXPROCS(0)
}

// Report is what came of a sweep.
type Report struct {
	Schema  int            `json:"schema"`
	Verdict record.Verdict `json:"verdict"`
	Kernel  string         `json:"kernel"`
	// UnderTest, Server, Client and IP are what was checked.
	UnderTest string         `json:"under_test"`
	IP        int            `json:"ip"`
	Server    []string       `json:"server"`
	Client    []string       `json:"client"`
	Baseline  BaselineReport `json:"baseline"`
	// Points are in the order in which they come.
	Points   []string        `json:"points"`
	Cells    []CellReport    `json:"cells"`
	Findings []FindingReport `json:"findings"`
	// Excluded counts cells without meaning, Exclusions say why.
	Excluded   int         `json:"excluded"`
	Exclusions []Exclusion `json:"exclusions"`
	// Inconclusive counts cells that showed nothing.
	Inconclusive int `json:"inconclusive"`
	// Unrepeatable are findings that never came again; they do not count.
	Unrepeatable []FindingReport `json:"unrepeatable"`
	CellsPerS    float64         `json:"cells_per_s"`
	// Partial: the sweep was interrupted, or shards are missing.
	Partial bool `json:"partial"`
	// Shard and Shards are the part that this is; 0 where it is the whole.
	Shard  int `json:"shard"`
	Shards int `json:"shards"`
	// DurationMS is how long the sweep took, without the replays of findings in
	// cells_per_s.
	DurationMS int64 `json:"duration_ms"`
}

// BaselineReport is the pair without a fault.
type BaselineReport struct {
	DurationMS int64 `json:"duration_ms"`
	PatienceMS int64 `json:"patience_ms"`
	Exit       int   `json:"exit"`
	// StdoutBytes is the size of the client's stdout, Connections how many it opens.
	StdoutBytes int64    `json:"stdout_bytes"`
	Files       []string `json:"files"`
	Connections int      `json:"connections"`
	// Concurrent: the server serves two clients at once. It is asked only where the
	// server is under test.
	Concurrent bool `json:"concurrent"`
	// Varies are outputs that differ from run to run and so are not judged.
	Varies []Varying `json:"varies"`
}

// Varying is an output that differs from run to run.
type Varying struct {
	Output string   `json:"output"`
	Lines  []string `json:"lines"`
}

// CellReport is one cell.
type CellReport struct {
	Cell    string         `json:"cell"`
	Point   string         `json:"point"`
	Fault   string         `json:"fault"`
	Side    string         `json:"side"`
	Verdict record.Verdict `json:"verdict"`
	// Symptom is the worst; empty where there is none.
	Symptom    Symptom `json:"symptom"`
	Note       string  `json:"note"`
	DurationMS int64   `json:"duration_ms"`
}

// FindingReport is one symptom.
type FindingReport struct {
	Symptom Symptom `json:"symptom"`
	// Cells are those that have it, the one that was played again first.
	Cells []string `json:"cells"`
	// Replays is how many of the repetitions had it too: 5/5.
	Replays  string `json:"replays"`
	Sentence string `json:"sentence"`
	// Repro is the command that plays that cell alone.
	Repro string `json:"repro"`
	// Ladder is what passed the wire, beside the fault-free run.
	Ladder string `json:"ladder"`
	// Evidence is the directory with the record and the captures of a replay.
	Evidence string `json:"evidence"`
}

// Exclusion is why cells have no meaning.
type Exclusion struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// Schema is the number of the report's shape: as record.Schema.
const Schema = 1
