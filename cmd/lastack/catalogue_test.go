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
		got, err := choose(sample, c.args)
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

Play it:
  lastack run close/last-ack-lost -v
`
	if diff := cmp.Diff(want, description(sc)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"run", "run", 0}, {"rnu", "run", 1}, {"rn", "run", 1}, {"runn", "run", 1},
		{"ran", "run", 1}, {"", "run", 3}, {"list", "show", 4}, {"§", "x", 1}, {"ca", "abc", 3},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
	if got := nearest("x", nil); got != "" {
		t.Errorf("the nearest of none is %q", got)
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

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{
		"net.ipv4.tcp_fin_timeout=2":      "net.ipv4.tcp_fin_timeout=2",
		"server:net.ipv4.tcp_rmem=1 2 3":  `'server:net.ipv4.tcp_rmem=1 2 3'`,
		"net.ipv4.x=it's":                 `'net.ipv4.x=it'\''s'`,
		"":                                "''",
		"net.ipv4.x=$(touch /tmp/here); ": `'net.ipv4.x=$(touch /tmp/here); '`,
	} {
		if got := quote(word); got != want {
			t.Errorf("quote(%q) = %s, want %s", word, got, want)
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
