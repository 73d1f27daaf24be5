package harness

import (
	"time"

	"github.com/onsi/gomega"

	"github.com/lastack/lastack/harness/record"
)

// Scenario is one behaviour: how it is brought about, and what must be true of
// it. The zero value of each field but Name and Play works.
type Scenario struct {
	// Name is FAMILY/BEHAVIOUR in lower case with hyphens: close/last-ack-lost.
	Name string
	// Variant is what records call this play of the scenario, where it has
	// several; empty means "default".
	Variant string
	// Summary is one sentence.
	Summary string
	// Doc is the ladder and the explanation that `lastack show` prints.
	Doc string
	// Refs are RFC sections and kernel functions.
	Refs []string
	// Hosts are further hosts beside the client and the server, or say more of
	// these two.
	Hosts []HostSpec
	// Play brings the behaviour about. It runs on a goroutine of its own.
	Play func(s *Stage)
	// Claims are judged in their order on the finished record.
	Claims []Claim
	// Slow: it waits for a constant of the kernel of more than 15 s, and is played
	// only where that is asked for. A quick twin claims what the timer says.
	Slow bool
	// Lasts is about how long a play waits for timers of the kernel, where that is
	// some seconds: of many scenarios the longest are begun first.
	Lasts time.Duration
	// Needs are what a kernel must have; where it lacks one the run is SKIP.
	Needs []Need
	// Patience is how late the wire may deliver a segment without changing what a
	// kernel does; 0 is 100 ms, half of the shortest retransmission timeout.
	Patience time.Duration
	// Answers are what the scenario says of numbered statements.
	Answers []Answer
}

// Claim is one sentence that must be true of every run, and its judge.
type Claim struct {
	// Says is the sentence.
	Says string
	// Given: the claim is a precondition of the others, as that the fault came to
	// the wire. A run in which it does not hold tested nothing, and is
	// INCONCLUSIVE.
	Given bool
	// Judge holds the record against it. Its first failed expectation ends it.
	Judge func(g gomega.Gomega, r *record.Run)
	// Refute is a change under which this very claim fails while the run is
	// conclusive: it proves that the claim can fail.
	Refute Variant
}

// Variant is a change of a scenario: exactly one of its fields is set.
type Variant struct {
	// Play replaces the scenario's play.
	Play func(s *Stage)
	// Sysctls are set on hosts before the play; those that the play itself
	// sets under the same key give way to them.
	Sysctls []Sysctl
	// Edit changes a finished record, where no play can break the claim.
	Edit func(r *record.Run)
}

// Sysctl is a setting of a host's own network namespace.
type Sysctl struct {
	// Host is the host's name; empty means every host.
	Host string
	// Key is the name with dots: net.ipv4.tcp_fin_timeout.
	Key string
	// Value is written as it stands.
	Value string
}

// String is [HOST:]KEY=VALUE, as lastack takes it on its command line.
func (s Sysctl) String() string {
	text := s.Key + "=" + s.Value
	if s.Host != "" {
		text = s.Host + ":" + text
	}
	return text
}

// WireMode says what the hosts hand to the wire.
type WireMode string

// The modes.
const (
	// Exact: each frame is one segment, as its kernel cut it.
	Exact WireMode = "exact"
	// Super: the hosts keep their offloads and send superframes, which the
	// wire passes unread where nothing asks for single segments, and cuts
	// where a rule or a record does.
	Super WireMode = "super"
)

// Options say how a scenario is played. The zero value works.
type Options struct {
	// IP is the address family, 4 or 6; 0 means 4.
	IP int
	// Sysctls are set before the play and win over what the play sets.
	Sysctls []Sysctl
	// Stock leaves every sysctl by which the play would shorten a timer of the
	// kernel at its stock value; see Host.Sysctl.
	Stock bool
	// Out is the directory in which evidence is kept of every run; where it is
	// empty, a run that does not pass leaves its evidence in a fresh directory
	// below the system's directory for temporary files.
	Out string
	// Expected tells whether a run came out as it should: where it did not, its
	// evidence is kept without Out too. nil means that it passed.
	Expected func(*record.Run) bool
	// Bound is the longest that one Await or one system call may take; 0 means
	// 30 s. LASTACK_TIMESCALE multiplies it.
	Bound time.Duration
	// Repro is the command that plays the run again, for the record; empty
	// means the command of package main.
	Repro string
	// Pool is where the lab is built; nil makes a pool for this play.
	Pool *Pool
	// Wire is Exact or Super; empty is Exact, for a play is recorded.
	Wire WireMode
	// Flow lets segments pass without waiting until the kernels were asked for
	// their states: the record has only those that the play asks for. Such a play is
	// about programs, not about timers, and a harness that was late only made the
	// network slow.
	Flow bool

	// turns are the lengths of turns in a fault-free play, which measuring
	// says that this one is.
	turns     map[turn]int64
	measuring bool
}
