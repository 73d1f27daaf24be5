package record

import (
	"fmt"
	"io"
	"time"

	"github.com/lastack/lastack/inject/tcp"
)

// Schema is the number of the document's shape. It changes only when a field
// goes away or changes its meaning; fields may be added without.
const Schema = 1

// Document is what the command prints with --json: a view of runs that stays
// the same from version to version. docs/json.md describes every field. No
// list in it is ever null.
type Document struct {
	Schema int `json:"schema"`
	// Verdict is the worst of the runs' verdicts.
	Verdict Verdict `json:"verdict"`
	// Partial: the command was interrupted, and runs are missing.
	Partial bool `json:"partial,omitempty"`
	// Kernel is the one that was played on, by its name and its release; empty where
	// nothing was played.
	Kernel    string    `json:"kernel"`
	Scenarios []RunView `json:"scenarios"`
}

// RunView is a run in the document.
type RunView struct {
	Name    string  `json:"name"`
	IP      int     `json:"ip"`
	Play    string  `json:"play"`
	Verdict Verdict `json:"verdict"`
	// Why says in one line what made the verdict other than PASS.
	Why string `json:"why,omitempty"`
	// Wanted is the verdict that a scenario file has written down for this play.
	Wanted     Verdict       `json:"wanted,omitempty"`
	DurationMS int64         `json:"duration_ms"`
	Claims     []ClaimView   `json:"claims"`
	Rules      []RuleView    `json:"rules"`
	Segments   []SegmentView `json:"segments"`
	States     []StateView   `json:"states"`
	Calls      []CallView    `json:"calls"`
	Counters   []CounterView `json:"counters"`
	Programs   []ProgramView `json:"programs"`
	Sockets    []SocketView  `json:"sockets"`
	Sysctls    []SysctlView  `json:"sysctls"`
}

// ClaimView is a claim in the document.
type ClaimView struct {
	Sentence string  `json:"sentence"`
	Verdict  Verdict `json:"verdict"`
	Why      string  `json:"why"`
	Given    bool    `json:"given"`
}

// RuleView is a rule in the document.
type RuleView struct {
	Rule string `json:"rule"`
	Hits int    `json:"hits"`
}

// SegmentView is a TCP segment, or an ICMP error about one, in the document.
type SegmentView struct {
	TimeUS int64    `json:"t_us"`
	Conn   int      `json:"conn"`
	From   string   `json:"from"`
	SentBy string   `json:"sent_by"`
	Name   string   `json:"name"`
	Names  []string `json:"names"`
	Flags  string   `json:"flags"`
	Seq    int64    `json:"seq"`
	Ack    int64    `json:"ack"`
	Len    int      `json:"len"`
	Fate   Fate     `json:"fate"`
	Rule   string   `json:"rule"`
	HeldUS int64    `json:"held_us"`
	Copies int      `json:"copies"`
}

// StateView is a reading of a kernel in the document.
type StateView struct {
	TimeUS    int64  `json:"t_us"`
	Conn      int    `json:"conn"`
	Host      string `json:"host"`
	State     string `json:"state"`
	Timer     string `json:"timer"`
	ExpiresMS int64  `json:"expires_ms"`
}

// CallView is a system call in the document.
type CallView struct {
	TimeUS int64  `json:"t_us"`
	Host   string `json:"host"`
	Call   string `json:"call"`
	Result int64  `json:"result"`
	Errno  string `json:"errno"`
}

// CounterView is a kernel's counter in the document.
type CounterView struct {
	Host  string `json:"host"`
	Name  string `json:"name"`
	Delta int64  `json:"delta"`
}

// ProgramView is a user's program in the document.
type ProgramView struct {
	Host   string   `json:"host"`
	Argv   []string `json:"argv"`
	Exit   int      `json:"exit"`
	Signal string   `json:"signal"`
	// Sizes are of the whole output, in bytes, and so is the sum.
	StdoutSize   int64      `json:"stdout_size"`
	StderrSize   int64      `json:"stderr_size"`
	StdoutSHA256 string     `json:"stdout_sha256"`
	Files        []FileView `json:"files"`
	// FilesLeft counts the files beyond those.
	FilesLeft int `json:"files_left"`
}

// FileView is a file that a program left behind, in the document.
type FileView struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// SocketView is a socket that was there when the play ended, in the document.
type SocketView struct {
	Host       string `json:"host"`
	Local      string `json:"local"`
	Remote     string `json:"remote"`
	State      string `json:"state"`
	Timer      string `json:"timer"`
	ExpiresMS  int64  `json:"expires_ms"`
	Orphan     bool   `json:"orphan"`
	Unaccepted bool   `json:"unaccepted"`
	RecvQueue  int64  `json:"recv_queue"`
	SendQueue  int64  `json:"send_queue"`
}

// SysctlView is a changed sysctl in the document.
type SysctlView struct {
	Host  string `json:"host"`
	Key   string `json:"key"`
	Value string `json:"value"`
	Stock string `json:"stock"`
}

// NewDocument views the runs in their order. Its verdict is Overall without
// strict; who wants it strict, or marks it partial, sets the field.
func NewDocument(runs []*Run) Document {
	d := Document{Schema: Schema, Verdict: Overall(runs, false), Scenarios: views(runs, (*Run).View)}
	for _, r := range runs {
		if r.Kernel != "" {
			d.Kernel = r.Kernel
			break
		}
	}
	return d
}

// Write writes the document as indented JSON.
func (d Document) Write(w io.Writer) error {
	if err := encode(w, d); err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return nil
}

// View is the run as the document shows it.
func (r *Run) View() RunView {
	v := RunView{
		Name: r.Scenario, IP: r.IP, Play: r.Play, Verdict: r.Verdict, Why: r.Why, Wanted: r.Wanted,
		DurationMS: r.Duration.Milliseconds(),
		Claims: views(r.Claims, func(c Claim) ClaimView {
			return ClaimView(c)
		}),
		Rules: views(r.Rules, func(x Rule) RuleView {
			return RuleView{Rule: x.Rule, Hits: x.Hits}
		}),
		Segments: []SegmentView{},
		States: views(r.States, func(s State) StateView {
			return StateView{
				TimeUS: s.T.Microseconds(), Conn: s.Conn, Host: s.Host, State: s.State.String(),
				Timer: s.Timer, ExpiresMS: s.Expires.Milliseconds(),
			}
		}),
		Calls: views(r.Calls, func(c Call) CallView {
			return CallView{TimeUS: c.T.Microseconds(), Host: c.Host, Call: c.text(), Result: c.Result, Errno: c.Errno}
		}),
		Counters: views(r.Counters, func(c Counter) CounterView {
			return CounterView(c)
		}),
		Programs: views(r.Programs, func(p Program) ProgramView {
			return ProgramView{
				Host: p.Host, Argv: views(p.Argv, func(a string) string { return a }), Exit: p.Exit, Signal: p.Signal,
				StdoutSize: p.StdoutSize, StderrSize: p.StderrSize, StdoutSHA256: p.StdoutSHA256,
				Files: views(p.Files, func(f File) FileView { return FileView{Name: f.Name, Size: f.Size, SHA256: f.SHA256} }), FilesLeft: p.FilesLeft,
			}
		}),
		Sockets: views(r.Sockets, func(s Socket) SocketView {
			return SocketView{
				Host: s.Host, Local: s.Local, Remote: s.Remote, State: s.State.String(),
				Timer: s.Timer, ExpiresMS: s.Expires.Milliseconds(), Orphan: s.Orphan, Unaccepted: s.Unaccepted,
				RecvQueue: s.RecvQueue, SendQueue: s.SendQueue,
			}
		}),
		Sysctls: views(r.Sysctls, func(s Sysctl) SysctlView {
			return SysctlView(s)
		}),
	}
	for i := range r.Segments {
		if s := &r.Segments[i]; !s.Other {
			v.Segments = append(v.Segments, s.view())
		}
	}
	return v
}

func (s *Segment) view() SegmentView {
	return SegmentView{
		TimeUS: s.T.Microseconds(), Conn: s.Conn, From: s.From, SentBy: s.SentBy,
		Name: s.Name(), Names: s.Texts(),
		Flags: s.Flags.String(), Seq: s.Seq, Ack: s.Ack, Len: s.Len,
		Fate: s.Fate, Rule: s.Rule, HeldUS: s.Held().Microseconds(), Copies: len(s.Departures),
	}
}

// views maps a list, to an empty one rather than to nil.
func views[A, B any](list []A, view func(A) B) []B {
	out := make([]B, 0, len(list))
	for _, a := range list {
		out = append(out, view(a))
	}
	return out
}

// Name is the main name of the segment, as the ladder prints it and as a match
// can ask for it; "" for what has no names.
func (s *Segment) Name() string {
	if len(s.Names.All()) == 0 {
		return ""
	}
	return s.Text(s.Names.Main())
}

// text is the call with its arguments, where they are known.
func (c *Call) text() string {
	text := c.Call
	if text == "" {
		text = c.Name + "()"
	}
	if c.Peer != "" {
		text = c.Peer + ": " + text
	}
	return text
}

// HostRun is the part of a run that belongs to one host. Its lists are copies
// in the order of the run's.
type HostRun struct {
	Host
	States   []State
	Calls    []Call
	Counters []Counter
	Programs []Program
	Sockets  []Socket
	Sysctls  []Sysctl
}

// On is what the run left behind on one host; empty lists where there is none
// of that name.
func (r *Run) On(host string) HostRun {
	h := HostRun{Host: Host{Name: host}}
	for _, x := range r.Hosts {
		if x.Name == host {
			h.Host = x
		}
	}
	h.States = filter(r.States, func(x State) bool { return x.Host == host })
	h.Calls = filter(r.Calls, func(x Call) bool { return x.Host == host })
	h.Counters = filter(r.Counters, func(x Counter) bool { return x.Host == host })
	h.Programs = filter(r.Programs, func(x Program) bool { return x.Host == host })
	h.Sockets = filter(r.Sockets, func(x Socket) bool { return x.Host == host })
	h.Sysctls = filter(r.Sysctls, func(x Sysctl) bool { return x.Host == host })
	return h
}

// Client is On("client").
func (r *Run) Client() HostRun { return r.On("client") }

// Server is On("server").
func (r *Run) Server() HostRun { return r.On("server") }

func filter[T any](list []T, keep func(T) bool) []T {
	var out []T
	for _, x := range list {
		if keep(x) {
			out = append(out, x)
		}
	}
	return out
}

// StateAt is the last reading of a host's end of a connection at or before a
// moment of the run's clock; false where there is none.
func (r *Run) StateAt(conn int, host string, t time.Duration) (State, bool) {
	var last State
	found := false
	for _, s := range r.States {
		if s.Conn == conn && s.Host == host && s.T <= t && (!found || s.T >= last.T) {
			last, found = s, true
		}
	}
	return last, found
}

// Visited is the sequence of states in which a host's end of a connection was
// seen, each with its first reading; the same state again right after itself
// counts once.
func (r *Run) Visited(conn int, host string) []State {
	var out []State
	for _, s := range r.States {
		if s.Conn == conn && s.Host == host && (len(out) == 0 || out[len(out)-1].State != s.State) {
			out = append(out, s)
		}
	}
	return out
}

// closed reports whether a reading means that there is no socket.
func (s *State) closed() bool { return s.State == tcp.Closed }
