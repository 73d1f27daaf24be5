// Package record is what a run left behind: pure data on one clock. Ladder,
// timeline and the command's JSON are views of it.
package record

import (
	"time"

	"github.com/lastack/lastack/inject/flow"
	"github.com/lastack/lastack/inject/tcp"
)

// Verdict is the judgement of a claim or of a run.
type Verdict string

// The verdicts.
const (
	// Pass: every rule that had to fire did, and every claim holds.
	Pass Verdict = "PASS"
	// Fail: a claim does not hold, or what was awaited did not come.
	Fail Verdict = "FAIL"
	// Inconclusive: an armed fault did not fire, or the harness was late.
	// Nothing was tested, whatever the claims say.
	Inconclusive Verdict = "INCONCLUSIVE"
	// Skip: this kernel lacks what the scenario needs.
	Skip Verdict = "SKIP"
	// Error: the harness could not do its work.
	Error Verdict = "ERROR"
)

// Run is one play of a scenario with all its evidence. Its JSON reads back
// equal: a list that is nil is left out, and an empty one is written as [].
// Text that is not UTF-8 (a program's argument may be) reads back with U+FFFD
// in place of the stray bytes.
type Run struct {
	// Scenario is the name in the catalogue, Play the variant played:
	// "default" or another of the scenario's own, or the sentence of the refuted
	// claim.
	Scenario string `json:"scenario"`
	Summary  string `json:"summary"`
	Play     string `json:"play"`
	// IP is the address family, 4 or 6.
	IP int `json:"ip"`
	// Kernel is the one that was played on, by its name and its release, as uname -sr
	// writes them: "Linux 6.18.1".
	Kernel string `json:"kernel"`
	// Started is the wall time of T = 0 on the run's clock.
	Started  time.Time     `json:"started"`
	Duration time.Duration `json:"duration_ns"`

	Verdict Verdict `json:"verdict"`
	// Why says in one line what made the verdict other than PASS.
	Why string `json:"why,omitempty"`
	// Wanted is the verdict that a scenario file has written down for this play;
	// empty where it stands for itself.
	Wanted Verdict `json:"wanted,omitempty"`
	// Attempts says why earlier attempts of this run were not counted.
	Attempts []string `json:"attempts,omitzero"`
	// Repro is the command that plays this run again.
	Repro string `json:"repro"`
	// Evidence is the directory in which the record and the captures were
	// kept; empty where none were.
	Evidence string `json:"evidence,omitempty"`

	Claims   []Claim   `json:"claims,omitzero"`
	Rules    []Rule    `json:"rules,omitzero"`
	Hosts    []Host    `json:"hosts,omitzero"`
	Segments []Segment `json:"segments,omitzero"`
	States   []State   `json:"states,omitzero"`
	Calls    []Call    `json:"calls,omitzero"`
	Counters []Counter `json:"counters,omitzero"`
	Programs []Program `json:"programs,omitzero"`
	Sockets  []Socket  `json:"sockets,omitzero"`
	Sysctls  []Sysctl  `json:"sysctls,omitzero"`
	// Late lists what the harness did later than it was due, worst first.
	Late []Lateness `json:"late,omitzero"`
	// Lost counts frames that the kernel dropped before the wire could read
	// them; a run that lost any proves nothing.
	Lost int `json:"lost,omitempty"`
}

// Claim is a sentence that must be true, and what was found.
type Claim struct {
	Sentence string  `json:"sentence"`
	Verdict  Verdict `json:"verdict"`
	Why      string  `json:"why,omitempty"`
	// Given: where it does not hold, the run tested nothing.
	Given bool `json:"given,omitempty"`
}

// Rule is one rule of the play and how often it fired.
type Rule struct {
	Rule string `json:"rule"`
	Hits int    `json:"hits"`
	// Optional: the play may end without it having fired.
	Optional bool `json:"optional,omitempty"`
}

// Host is one end of the lab.
type Host struct {
	Name string `json:"name"`
	IPv4 string `json:"ipv4"`
	IPv6 string `json:"ipv6"`
	MAC  string `json:"mac"`
}

// Fate is what became of a segment.
type Fate string

// The fates.
const (
	Delivered Fate = "delivered"
	Dropped   Fate = "dropped"
	Injected  Fate = "injected"
)

// Segment is one arrival at the wire, or one segment that the wire made.
type Segment struct {
	// T is when it came in (or was made), on the run's clock.
	T time.Duration `json:"t_ns"`
	flow.Sighting
	Flags  tcp.Flags `json:"flags"`
	Len    int       `json:"len"`
	Window uint16    `json:"window"`

	Fate Fate `json:"fate"`
	// Rule is the text of the rule that acted on it, or "".
	Rule string `json:"rule,omitempty"`
	// Departures are the times at which it left: none for a dropped one,
	// several for a duplicated one.
	Departures []Departure `json:"departures,omitzero"`
	// Frame is the Ethernet frame as it came in, or as it was made.
	Frame []byte `json:"frame,omitzero"`
	// Rewritten is the frame that left where a rule changed it.
	Rewritten []byte `json:"rewritten,omitzero"`
	// Not TCP, and not an ICMP error about it: ARP and the like. Such a
	// segment has no names.
	Other bool `json:"other,omitempty"`
}

// Departure is one time at which a segment left the wire.
type Departure struct {
	// Due is when it should have left, T when it did, both on the run's clock.
	Due time.Duration `json:"due_ns"`
	T   time.Duration `json:"t_ns"`
	// To is the host to whose port it went.
	To string `json:"to"`
}

// Held is how long the first departure came after the arrival; 0 for a
// dropped segment.
func (s *Segment) Held() time.Duration {
	if len(s.Departures) == 0 {
		return 0
	}
	return s.Departures[0].T - s.T
}

// State is one reading of a kernel: the state in which a connection's end was
// seen at that time, not what caused it.
type State struct {
	T    time.Duration `json:"t_ns"`
	Conn int           `json:"conn"`
	Host string        `json:"host"`
	// State is CLOSED where the kernel has no socket (any more).
	State tcp.State `json:"state"`
	// Timer is the kernel's name: "", "retransmit", "keepalive", "timewait", "persist".
	Timer string `json:"timer,omitempty"`
	// Expires is what was left of the timer at T, at least; Latest is what may
	// have been left, for the kernel was asked some time before T.
	Expires time.Duration `json:"expires_ns,omitempty"`
	Latest  time.Duration `json:"latest_ns,omitempty"`
	// Orphan: no descriptor refers to the socket any more.
	Orphan bool `json:"orphan,omitempty"`
	// Segment is the index of the segment at which it was read, or -1.
	Segment int `json:"segment"`
	// After: read after that segment was delivered; else when it arrived.
	After bool `json:"after,omitempty"`
}

// Call is one system call of a peer, or an act of the play on a host: "kill",
// "stop", "continue", "destroy", "power-off", "boot", "unplug", "plug",
// "neighbours".
type Call struct {
	// T and End are when it was entered and when it returned; End is -1 while
	// it had not.
	T    time.Duration `json:"t_ns"`
	End  time.Duration `json:"end_ns"`
	Host string        `json:"host"`
	// Peer is the name of a further peer on the host; empty for the first.
	Peer string `json:"peer,omitempty"`
	// Name is the system call, Call its text with arguments; what the kernel
	// wrote through them stands in brackets.
	Name string `json:"name"`
	Call string `json:"call"`
	// Result is what it returned: -1 with an Errno.
	Result int64  `json:"result"`
	Errno  string `json:"errno,omitempty"`
	// Signal is the signal that the call raised: SIGPIPE.
	Signal string `json:"signal,omitempty"`
	// Data is the beginning of what was read.
	Data []byte `json:"data,omitzero"`
}

// Counter is a counter of a host's kernel that moved during the play.
type Counter struct {
	Host  string `json:"host"`
	Name  string `json:"name"` // TcpExt.TCPTimeouts
	Delta int64  `json:"delta"`
}

// Program is a user's program and how it ended.
type Program struct {
	Host string   `json:"host"`
	Argv []string `json:"argv,omitzero"`
	// T and End are when it was started and when it ended; End is -1 for one
	// that the harness had to end.
	T      time.Duration `json:"t_ns"`
	End    time.Duration `json:"end_ns"`
	Exit   int           `json:"exit"`
	Signal string        `json:"signal,omitempty"`
	// Stdout and Stderr are what it wrote, cut at 1 MiB; their sizes are of the
	// whole, in bytes, and so is the SHA-256 of stdout, in hexadecimal digits.
	Stdout       []byte `json:"stdout,omitzero"`
	Stderr       []byte `json:"stderr,omitzero"`
	StdoutSize   int64  `json:"stdout_size,omitempty"`
	StderrSize   int64  `json:"stderr_size,omitempty"`
	StdoutSHA256 string `json:"stdout_sha256,omitempty"`
	// Files are those that were to be kept, as they were when the play ended;
	// FilesLeft counts those that were too many.
	Files     []File `json:"files,omitzero"`
	FilesLeft int    `json:"files_left,omitempty"`
}

// FileKept is how much of a file the record keeps, in bytes.
const FileKept = 64 << 10

// File is a file that a program left behind.
type File struct {
	// Name is relative to the host's directory for files where the file lies
	// below that, else absolute.
	Name string `json:"name"`
	Size int64  `json:"size"`
	// SHA256 is of the whole file, in hexadecimal digits; empty of one that is
	// larger than 256 MiB, which was not read to its end.
	SHA256 string `json:"sha256,omitempty"`
	// Data is the beginning of the file, cut at FileKept.
	Data []byte `json:"data,omitzero"`
}

// Socket is one TCP socket of a host's kernel when the play ended.
type Socket struct {
	Host string `json:"host"`
	// Local and Remote are addresses with ports; the Remote of a listener has
	// port 0.
	Local  string    `json:"local"`
	Remote string    `json:"remote"`
	State  tcp.State `json:"state"`
	// Timer and Expires are as in State.
	Timer   string        `json:"timer,omitempty"`
	Expires time.Duration `json:"expires_ns,omitempty"`
	// Orphan: its program has closed it. Unaccepted: no program has taken it
	// from the accept queue yet.
	Orphan     bool `json:"orphan,omitempty"`
	Unaccepted bool `json:"unaccepted,omitempty"`
	// RecvQueue is how many bytes wait to be read, SendQueue how many are not
	// acknowledged; a FIN counts as one in both. Of a listener they are the length of
	// the accept queue and its bound.
	RecvQueue int64 `json:"recv_queue,omitempty"`
	SendQueue int64 `json:"send_queue,omitempty"`
}

// Sysctl is a setting of a host that the play changed.
type Sysctl struct {
	Host  string `json:"host"`
	Key   string `json:"key"`
	Value string `json:"value"`
	Stock string `json:"stock"`
}

// Lateness is something that the harness did after it was due.
type Lateness struct {
	What string        `json:"what"`
	Due  time.Duration `json:"due_ns"`
	T    time.Duration `json:"t_ns"`
}
