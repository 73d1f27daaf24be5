package main

import (
	"errors"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/scenarios"
)

// sample is a catalogue for tests.
var sample = []harness.Scenario{
	{Name: "close/fin-lost", Summary: "The FIN is lost.", Claims: []harness.Claim{{Says: "it comes again out of FIN_WAIT_1"}}},
	{Name: "close/last-ack-lost", Summary: "The last ACK is lost.", Refs: []string{"RFC 9293 §3.6"}},
	{Name: "reset/half-open", Summary: "One end forgot the connection, which the other finds out when it speaks: it is told by RST."},
}

func names(list []harness.Scenario) (out []string) {
	for _, sc := range list {
		out = append(out, sc.Name)
	}
	return out
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		args   []string
		want   []string
		status int
	}{
		{[]string{"reset/half-open", "close/fin-lost"}, []string{"reset/half-open", "close/fin-lost"}, 0},
		{[]string{"close/*"}, []string{"close/fin-lost", "close/last-ack-lost"}, 0},
		{[]string{"*lost"}, []string{"close/fin-lost", "close/last-ack-lost"}, 0},
		{[]string{"*"}, []string{"close/fin-lost", "close/last-ack-lost", "reset/half-open"}, 0},
		{[]string{"*/[fh]*"}, []string{"close/fin-lost", "reset/half-open"}, 0},
		{[]string{"close/last-ack-lost", "close/*", "close/fin-lost"}, []string{"close/last-ack-lost", "close/fin-lost"}, 0},
		{[]string{"close/*", "wait/*"}, nil, 3},
		{[]string{"wait/*", "reset/half-opne"}, nil, 2},
	} {
		got, _, err := choose(sample, c.args, false)
		status := 0
		if err != nil {
			status = statusCannotWork
			var f *failure
			if errors.As(err, &f) {
				status = f.status
			}
		}
		if diff := cmp.Diff(c.want, names(got)); diff != "" || status != c.status {
			t.Errorf("%q: %v, want status %d (-want +got):\n%s", c.args, err, c.status, diff)
		}
	}
}

// slowly is a catalogue in which some are slow.
var slowly = []harness.Scenario{
	{Name: "wait/sixty-seconds", Summary: "TIME_WAIT is waited out.", Slow: true},
	{Name: "wait/timer", Summary: "TIME_WAIT is shown by its timer."},
	{Name: "wait/slow-fin", Summary: "FIN_WAIT_2 is waited out.", Slow: true},
}

func TestSlow(t *testing.T) {
	for _, c := range []struct {
		args []string
		slow bool
		want []string
		left int
		err  string
	}{
		{args: []string{"wait/*"}, want: []string{"wait/timer"}, left: 2},
		{args: []string{"wait/*", "*/s*", "wait/slow-fin"}, err: `"*/s*" matches slow scenarios only; add --slow to play them`},
		{args: []string{"wait/*"}, slow: true, want: []string{"wait/sixty-seconds", "wait/timer", "wait/slow-fin"}},
		{args: []string{"wait/slow-fin"}, want: []string{"wait/slow-fin"}},
		{args: []string{"wait/slow-fin", "*"}, want: []string{"wait/slow-fin", "wait/timer"}, left: 1},
		{args: []string{"wait/s*"}, err: `"wait/s*" matches slow scenarios only; add --slow to play them`},
	} {
		got, left, err := choose(slowly, c.args, c.slow)
		text := ""
		if err != nil {
			text = err.Error()
			var f *failure
			if !errors.As(err, &f) || f.status != statusNothing {
				t.Errorf("%q: %v ends with another status than %d", c.args, err, statusNothing)
			}
		}
		if diff := cmp.Diff(c.want, names(got)); diff != "" || left != c.left || text != c.err {
			t.Errorf("%q, slow %v: %d left out and %q, want %d and %q (-want +got):\n%s", c.args, c.slow, left, text, c.left, c.err, diff)
		}
	}
	list, left := quick(slowly)
	if diff := cmp.Diff([]string{"wait/timer"}, names(list)); diff != "" || left != 2 {
		t.Errorf("the quick ones, and %d slow ones (-want +got):\n%s", left, diff)
	}
	const want = `wait
  wait/sixty-seconds  TIME_WAIT is waited out. [slow]
  wait/timer          TIME_WAIT is shown by its timer.
  wait/slow-fin       FIN_WAIT_2 is waited out. [slow]
`
	if diff := cmp.Diff(want, listing(slowly)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAllIsQuick: --all leaves out the slow ones of the real catalogue, and
// --slow none.
func TestAllIsQuick(t *testing.T) {
	for _, slow := range []bool{false, true} {
		f := runFlags{all: true, slow: slow}
		chosen, left, err := f.choose(nil)
		if err != nil || len(chosen)+left != len(scenarios.All()) || slow && left != 0 {
			t.Errorf("--slow %v: %d chosen, %d left out of %d, %v", slow, len(chosen), left, len(scenarios.All()), err)
		}
		for _, sc := range chosen {
			if sc.scenario.Slow && !slow {
				t.Errorf("--all plays %s, which is slow", sc.scenario.Name)
			}
		}
	}
}

func TestSearchFindsHoweverItIsWritten(t *testing.T) {
	sc := harness.Scenario{
		Name: "reset/write-after-rst", Summary: "The first write() after the peer's\nclose() succeeds.",
		Doc:     "The second is EPIPE with SIGPIPE. Later comes TIME_WAIT.",
		Refs:    []string{"RFC 9293 §3.10.7.4", "tcp_timewait_state_process"},
		Claims:  []harness.Claim{{Says: "the server is acknowledged out of FIN_WAIT_2"}},
		Needs:   []harness.Need{{Sysctl: "net.ipv4.tcp_tw_reuse_delay"}, {Linux: "6.14"}},
		Answers: []harness.Answer{{Statement: 25, Holds: harness.HoldsWhen, Says: "ECONNRESET only where it reads"}},
	}
	for _, word := range []string{
		"EPIPE", "epipe", "sigpipe", "econnreset", "TIME_WAIT", "TIME-WAIT", "time wait", "Time  wait", "timewait",
		"fin_wait_2", "FIN-WAIT-2", "FIN_WAIT2", "fin wait 2", "finwait2", "tcp_tw_reuse_delay", "net.ipv4.tcp_tw_reuse_delay", "tw_reuse", "6.14",
		"RFC 9293", "rfc9293", "§3.10.7.4", "3.10.7.4", "RFC 9293 §3.10.7.4", "RFC 9293 3.10", "tcp_timewait_state_process",
		"ack", "rst", "peer's close", "write-after", "write()", "",
	} {
		if got, err := search([]harness.Scenario{sc}, []string{word}); err != nil || len(got) != 1 {
			t.Errorf("%q is not found, %v", word, err)
		}
	}
	for _, word := range []string{"irst", "wait time", "wledged", "RFC 929", "3.1", "close first", "slow"} {
		if got, err := search([]harness.Scenario{sc}, []string{word}); err != nil || len(got) != 0 {
			t.Errorf("%q is found, %v", word, err)
		}
	}
}

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"close/fin-lost", "close/last-ack-lost", "reset/half-open"}},
		{[]string{"FIN_wait"}, []string{"close/fin-lost"}},
		{[]string{"rfc 9293"}, []string{"close/last-ack-lost"}},
		{[]string{"lost", "ack"}, []string{"close/last-ack-lost"}},
		{[]string{"r*", "*fin*"}, []string{"close/fin-lost", "reset/half-open"}},
		{[]string{"close/*", "ack"}, []string{"close/last-ack-lost"}},
		{[]string{"nothing"}, nil},
	} {
		got, err := search(sample, c.args)
		if diff := cmp.Diff(c.want, names(got)); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", c.args, err, diff)
		}
	}
}

func TestListing(t *testing.T) {
	const want = `close
  close/fin-lost       The FIN is lost.
  close/last-ack-lost  The last ACK is lost.

reset
  reset/half-open      One end forgot the connection, which the other finds out
                       when it speaks: it is told by RST.
`
	if diff := cmp.Diff(want, listing(sample)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDescription(t *testing.T) {
	sc := harness.Scenario{
		Name: "close/last-ack-lost", Summary: "The last ACK is lost.",
		Doc:  "\n\t\tTIME_WAIT exists for this.\n\n\t\t  client   server\n\t\t",
		Refs: []string{"RFC 9293 §3.6"},
		Claims: []harness.Claim{
			{Says: "the server sends its FIN again, with the same sequence number, when its retransmission timer runs out"},
			{Says: "neither program notices"},
		},
		Slow:    true,
		Needs:   []harness.Need{{Linux: "6.14"}, {Sysctl: "net.ipv4.tcp_tw_reuse_delay"}},
		Answers: []harness.Answer{{Statement: 8, Holds: harness.Holds, Says: "the repeated FIN is acknowledged."}},
	}
	const want = `close/last-ack-lost
The last ACK is lost.

TIME_WAIT exists for this.

  client   server

Claims:
  - the server sends its FIN again, with the same sequence number, when its
    retransmission timer runs out
  - neither program notices

References:
  - RFC 9293 §3.6

Needs:
  - Linux ≥ 6.14
  - the sysctl net.ipv4.tcp_tw_reuse_delay

Answers:
  - statement 8 holds: the repeated FIN is acknowledged.

Slow: it waits for a constant of the kernel of more than 15 s.

Play it:
  lastack run close/last-ack-lost -v
`
	if diff := cmp.Diff(want, description(sc)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReflow(t *testing.T) {
	const doc = `The server repeats its FIN out of LAST_ACK, and the client acknowledges each copy
again.

  client                                                                     server
    ── FIN ──►
- first, and
more
- second`
	const want = `The server repeats its FIN out of LAST_ACK, and the client acknowledges each
copy again.

  client                                                                     server
    ── FIN ──►
- first, and more
- second`
	if diff := cmp.Diff(want, reflow(doc)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := reflow(""); got != "" {
		t.Errorf("of nothing comes %q", got)
	}
}

// TestCatalogueReads: whatever is in the catalogue can be listed and shown in
// 80 columns.
func TestCatalogueReads(t *testing.T) {
	checkColumns(t, "list", lastack(t.Context(), "list").Stdout)
	for _, sc := range scenarios.All() {
		got := lastack(t.Context(), "show", sc.Name)
		if got.Status != 0 || got.Stderr != "" {
			t.Errorf("show %s: %+v", sc.Name, got)
		}
		checkColumns(t, "show "+sc.Name, got.Stdout)
	}
}

func TestDiagnosis(t *testing.T) {
	report := harness.Diagnosis{Checks: []harness.Check{
		{Name: "kernel", Status: harness.CheckOK, What: "Linux 6.18.1"},
		{Name: "namespaces", Status: harness.CheckMissing, Why: "unprivileged user namespaces are switched off: kernel.unprivileged_userns_clone is 0", Do: "run as root, or as root once: sysctl -w kernel.unprivileged_userns_clone=1"},
		{Name: "files", Status: harness.CheckOptional, What: "64 open files", Why: "only 64 files may be open", Do: "raise ulimit -n"},
	}}
	const want = `✓ kernel      Linux 6.18.1
✗ namespaces  unprivileged user namespaces are switched off:
              kernel.unprivileged_userns_clone is 0
              → run as root, or as root once: sysctl -w
              kernel.unprivileged_userns_clone=1
! files       only 64 files may be open
              → raise ulimit -n

Labs cannot be made here: see what is marked ✗.
What is marked ! is better to have, but not needed.
`
	if diff := cmp.Diff(want, diagnosis(report, false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := diagnosis(report, true); !strings.HasPrefix(got, "\x1b[32m✓\x1b[0m kernel      Linux") {
		t.Errorf("in colours: %q", got)
	}
	report.Checks = report.Checks[:1]
	if got, want := diagnosis(report, false), "✓ kernel  Linux 6.18.1\n\nLabs can be made here.\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseSetting(t *testing.T) {
	for text, want := range map[string]harness.Sysctl{
		"net.ipv4.tcp_fin_timeout=2":                   {Key: "net.ipv4.tcp_fin_timeout", Value: "2"},
		"server:net.ipv4.tcp_rmem=4096 131072 6291456": {Host: "server", Key: "net.ipv4.tcp_rmem", Value: "4096 131072 6291456"},
		"client:net.ipv6.conf.eth0.mtu=1280":           {Host: "client", Key: "net.ipv6.conf.eth0.mtu", Value: "1280"},
		"net.ipv4.tcp_congestion_control=a=b:c":        {Key: "net.ipv4.tcp_congestion_control", Value: "a=b:c"},
	} {
		got, err := parseSetting(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
	for _, text := range []string{"", "=", "=2", "net=2", "net.=2", ":net.ipv4.x=2", "client:=2", "client:server:net.ipv4.x=2", "net.ipv4.a b=2", "net.ipv4.x= "} {
		if got, err := parseSetting(text); err == nil {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}

func TestDescribeBuild(t *testing.T) {
	info := &debug.BuildInfo{
		Main: debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.time", Value: "2026-11-01T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
		},
	}
	if got, want := describe(info), "lastack v1.2.3 (commit 0123456789ab of 2026-11-01T12:00:00Z, modified) go"; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q…", got, want)
	}
	if got := describe(&debug.BuildInfo{}); !strings.HasPrefix(got, "lastack devel go") {
		t.Errorf("got %q", got)
	}
}
