package record_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/internal/recordtest"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
	"slices"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata, or writes it under -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), got); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", path, diff)
	}
}

func TestLadder(t *testing.T) {
	for name, run := range map[string]*record.Run{
		"last-ack-lost": recordtest.LastACKLost(),
		"everything":    recordtest.Full(),
		"empty":         {Scenario: "my/own", IP: 6, Verdict: record.Error, Why: "no privileges"},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name+".ladder", run.Ladder())
			golden(t, name+".short.ladder", run.DrawLadder(record.LadderOptions{Width: 60}))
			golden(t, name+".color.ladder", run.DrawLadder(record.LadderOptions{Width: 100, Color: true, Names: true}))
			for _, width := range []int{0, 60, 80, 133} {
				for _, line := range strings.Split(run.DrawLadder(record.LadderOptions{Width: width, Names: true}), "\n") {
					if limit := max(width, 60); width != 0 && record.Width(line) > limit || width == 0 && record.Width(line) > 80 {
						t.Errorf("at width %d a line has %d columns: %s", width, record.Width(line), line)
					}
				}
			}
		})
	}
}

// TestBoundedLadder: of a long ladder both ends are drawn as they are in the whole, and
// between them what is missing is said.
func TestBoundedLadder(t *testing.T) {
	for name, run := range map[string]*record.Run{"last-ack-lost": recordtest.LastACKLost(), "everything": recordtest.Full()} {
		for range 12 {
			run.Late = append(run.Late, record.Lateness{What: "deliver something"})
		}
		whole := strings.Split(run.DrawLadder(record.LadderOptions{Names: true}), "\n")
		bounded, missing := 0, 0
		for most := 1; most < 100; most++ {
			lines := strings.Split(run.DrawLadder(record.LadderOptions{Names: true, Most: most, Whole: "look elsewhere"}), "\n")
			gap := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "segments are left out here; look elsewhere") })
			if last := lines[len(lines)-2]; !strings.HasSuffix(last, " more, by less") && name == "last-ack-lost" {
				t.Errorf("%s: at most %d events, and all that came late: %s", name, most, last)
			}
			if gap < 0 {
				continue
			}
			bounded++
			if !slices.Equal(lines[:gap], whole[:gap]) {
				t.Errorf("%s: at most %d events begin otherwise:\n%s", name, most, strings.Join(lines, "\n"))
			}
			n := 0
			if _, err := fmt.Sscanf(strings.TrimSpace(lines[gap]), "… %d segments", &n); err != nil {
				t.Errorf("%s: %s: %v", name, lines[gap], err)
			}
			missing = max(missing, n)
			for _, line := range lines[gap+1:] {
				if record.Width(line) > 80 || !slices.Contains(whole, line) && !strings.HasSuffix(line, " more, by less") && !strings.HasPrefix(line, "          ") {
					t.Errorf("%s: at most %d events end with %q, which the whole does not have", name, most, line)
				}
			}
		}
		if bounded < 10 || missing < 5 {
			t.Errorf("%s: %d ladders are bounded, and the shortest has %d segments less", name, bounded, missing)
		}
	}
}

// The server's FIN had come in when the reading after the client's FIN was made:
// what that saw is the state in which the FIN left, and is drawn beside it.
func TestReadingBelongsToTheNextArrival(t *testing.T) {
	run := recordtest.LastACKLost()
	for i, s := range run.Segments {
		if s.Name() != "server.FIN" {
			continue
		}
		run.States = slices.DeleteFunc(run.States, func(x record.State) bool {
			return x.Host == "server" && x.State == tcp.LastAck
		})
		run.Segments[i].Departures[0].T = s.T + time.Millisecond/5
		run.States = append(run.States, record.State{
			T: s.T + time.Millisecond/10, Conn: 1, Host: "server", State: tcp.LastAck, Segment: i - 1, After: true,
		})
		slices.SortStableFunc(run.States, func(a, b record.State) int { return int(a.T - b.T) })
		break
	}
	for line := range strings.Lines(run.Ladder()) {
		if strings.Contains(line, "server.FIN F.") && !strings.Contains(line, "LAST_ACK") {
			t.Errorf("drawn beside the state before: %s", line)
		}
	}
}
