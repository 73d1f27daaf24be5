package main

import (
	"os"
	"strings"
	"testing"

	"github.com/lastack/lastack/harness/matrix"
)

func TestMatrix(t *testing.T) {
	needLabs(t)
	t.Run("one cell in detail", func(t *testing.T) {
		dir := t.TempDir()
		got := lastack(t.Context(), "matrix", "--state", "TIME_WAIT", "--arrival", "rst-exact", "--ip", "6", "--out", dir)
		for _, part := range []string{"TIME_WAIT × rst-exact, IPv6: PASS\n", "  state     CLOSED\n", "✱─ RST(client)", "1 cell measured, 1 depart"} {
			if got.Status != 0 || !strings.Contains(got.Stdout, part) {
				t.Fatalf("%q is missing: %+v", part, got)
			}
		}
		if kept, err := os.ReadDir(dir); err != nil || len(kept) != 1 {
			t.Errorf("evidence: %v, %v", kept, err)
		}
	})
	t.Run("a part as a document", func(t *testing.T) {
		got := lastack(t.Context(), "matrix", "--arrival", "close", "--arrival", "rst-exact", "--state", "LISTEN", "--state", "CLOSED", "--json")
		d, err := matrix.Read(strings.NewReader(got.Stdout))
		if err != nil || got.Status != 0 || len(d.Cells) != 8 || d.Cells[0].State != "LISTEN" || d.Cells[0].Arrival != "rst-exact" {
			t.Errorf("%v, %+v", err, got)
		}
	})
	t.Run("a setting changes what it should", func(t *testing.T) {
		got := lastack(t.Context(), "matrix", "--state", "TIME_WAIT", "--arrival", "rst-exact", "--ip", "4", "--set", "server:net.ipv4.tcp_rfc1337=1")
		if got.Status != 0 || !strings.Contains(got.Stdout, "  state     TIME_WAIT, timer timewait") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("a limit that the connections of a cell would share", func(t *testing.T) {
		got := lastack(t.Context(), "matrix", "--state", "ESTABLISHED", "--arrival", "rst-in-window", "--ip", "4", "--set", "net.ipv4.tcp_challenge_ack_limit=1")
		for _, part := range []string{"ESTABLISHED × rst-in-window, IPv4: PASS\n", "  answers   . 101/101\n", "SO_ERROR 0, read() EAGAIN, write() 10\n"} {
			if got.Status != 0 || !strings.Contains(got.Stdout, part) {
				t.Errorf("%q is missing: %+v", part, got)
			}
		}
	})
	t.Run("a setting that the kernel does not have", func(t *testing.T) {
		got := lastack(t.Context(), "matrix", "--set", "net.ipv4.tcp_nothing=1")
		if got.Status != statusCannotWork || !strings.Contains(got.Stderr, "--set: ") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("nothing but what has no meaning", func(t *testing.T) {
		got := lastack(t.Context(), "matrix", "--state", "CLOSED", "--arrival", "close")
		if got.Status != statusNothing || !strings.Contains(got.Stdout, "no program has a descriptor of it") {
			t.Errorf("%+v", got)
		}
	})
}
