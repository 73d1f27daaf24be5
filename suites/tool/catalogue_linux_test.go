package tool_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
	"github.com/lastack/lastack/scenarios"
)

// A segment that a lab loses by itself would show at once: the first SYN of a fresh one.
func TestFreshLabsLoseNoFirstSegment(t *testing.T) {
	pool := newPool(t)
	established := harness.Scenario{Name: "fresh/established", Play: func(s *harness.Stage) { s.Established() }}
	jobs := make([]harness.Job, soak(100, 1000))
	for i := range jobs {
		jobs[i] = harness.Job{Scenario: established, Options: harness.Options{IP: 4 + i%2*2}}
	}
	for i, r := range playAll(t, pool, jobs) {
		mustPass(t, r)
		for k := range r.Segments {
			for _, name := range r.Segments[k].Texts() {
				if name == "client.SYN#2" || name == "server.SYN-ACK#2" {
					t.Errorf("lab %d of %d has %s\n%s", i+1, len(jobs), name, r.Ladder())
				}
			}
		}
	}
}

// A listener answers in the kernel for a connection that has vanished. It must not be taken for it.
func TestVanishedConnectionIsClosedBesideItsListener(t *testing.T) {
	pool := newPool(t)
	vanished := harness.Scenario{Name: "probe/vanished", Play: func(s *harness.Stage) {
		client, server := s.Established()
		client.Close()
		server.Read(1) // end of file
		server.Close()
		s.Await(s.Wire.Delivered("client.ACK(server.FIN)"))
		s.Await(server.Gone())
		s.Await(s.Server.Listening(8080))
		s.Await(server.Gone()) // and still, now that the listener is known to be there
	}}
	var jobs []harness.Job
	for _, ip := range []int{4, 6} {
		jobs = append(jobs, harness.Job{Scenario: vanished, Options: harness.Options{IP: ip}})
	}
	for _, r := range playAll(t, pool, jobs) {
		mustPass(t, r)
		seen := r.Visited(1, "server")
		if len(seen) == 0 || seen[len(seen)-1].State != tcp.Closed {
			t.Errorf("IPv%d: the server's end was last seen in %+v, want CLOSED\n%s", r.IP, seen, r.Ladder())
		}
		for _, s := range r.States {
			if s.State == tcp.Listen {
				t.Errorf("IPv%d: a listener was taken for the connection: %+v", r.IP, s)
			}
		}
	}
}

var firstCloses = []string{"close/four-way", "close/three-way", "close/last-ack-lost", "close/fin-lost"}

// What every run of the catalogue has to show, whatever its claims are.
func TestCatalogue(t *testing.T) {
	pool := newPool(t)
	out := t.TempDir()
	var jobs []harness.Job
	for _, sc := range scenarios.All() {
		if sc.Slow || soak(0, 1) == 0 && !strings.HasPrefix(sc.Name, "close/") {
			continue
		}
		for _, ip := range []int{4, 6} {
			jobs = append(jobs, harness.Job{Scenario: sc, Options: harness.Options{IP: ip, Out: out}})
		}
	}
	// Whether the claims hold is for suites/kernel to say; here a run has to be one.
	var runs []*record.Run
	for _, r := range playAll(t, pool, jobs) {
		switch r.Verdict {
		case record.Pass, record.Fail:
			runs = append(runs, r)
		case record.Skip:
			t.Logf("%s over IPv%d: %s: %s", r.Scenario, r.IP, r.Verdict, r.Why)
		default:
			t.Errorf("%s over IPv%d: %s: %s\n%s", r.Scenario, r.IP, r.Verdict, r.Why, r.Ladder())
		}
	}
	t.Run("FIN_WAIT_1 is in the record of every close", func(t *testing.T) { finWait1(t, runs) })
	// tshark takes longer than the plays do. The first four closes show most of what it has to agree with.
	chosen := slices.DeleteFunc(runs, func(r *record.Run) bool {
		return soak(0, 1) == 0 && !slices.Contains(firstCloses, r.Scenario)
	})
	t.Run("tshark agrees", func(t *testing.T) { tsharkAgrees(t, chosen) })
}

// The state lasts as long as its FIN is on the way, which is microseconds where nothing holds it. A close by RST has none.
func finWait1(t *testing.T, runs []*record.Run) {
	closes := 0
	for _, r := range runs {
		byFIN := slices.ContainsFunc(r.Segments, func(s record.Segment) bool {
			return !s.Other && !s.Forged && s.Flags&tcp.FIN != 0
		})
		if !strings.HasPrefix(r.Scenario, "close/") || !byFIN {
			continue
		}
		closes++
		if !slices.ContainsFunc(r.States, func(s record.State) bool { return s.State == tcp.FinWait1 }) {
			t.Errorf("%s over IPv%d was never seen in FIN_WAIT_1\n%s", r.Scenario, r.IP, r.Ladder())
		}
	}
	if closes == 0 {
		t.Error("the catalogue has no close")
	}
}
