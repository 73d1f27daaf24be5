package harness

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/flow"
)

// effect is one act of a play and what it must leave in the record.
type effect struct {
	name  string
	hosts []HostSpec
	play  func(t *testing.T, s *Stage)
	// calls are what system calls and acts returned, by "HOST NAME": "1", or
	// "-1 ECONNRESET", or "under way".
	calls map[string][]string
	// arrived counts segments by name, and lost those that no host got.
	arrived, lost map[string]int
	verdict       record.Verdict // PASS where empty
}

// some counts at least one.
const some = -1

// showEffects plays each effect in a lab of its own, over both families.
func showEffects(t *testing.T, effects []effect) {
	pool, err := NewPool(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, e := range effects {
		for _, ip := range []int{4, 6} {
			t.Run(fmt.Sprintf("%s/IPv%d", e.name, ip), func(t *testing.T) {
				t.Parallel()
				e.show(t, pool, ip)
			})
		}
	}
}

func (e *effect) show(t *testing.T, pool *Pool, ip int) {
	sc := Scenario{Name: "test/" + e.name, Hosts: e.hosts, Play: func(s *Stage) { e.play(t, s) }}
	r, err := Play(context.Background(), sc, Options{IP: ip, Pool: pool, Out: t.TempDir(), Bound: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Log("\n" + r.Ladder())
		}
	}()
	want := e.verdict
	if want == "" {
		want = record.Pass
	}
	if r.Verdict != want {
		t.Fatalf("verdict %s: %s; want %s", r.Verdict, r.Why, want)
	}
	for key, want := range e.calls {
		if diff := cmp.Diff(want, outcomes(r, key)); diff != "" {
			t.Errorf("%s returned (-want +got):\n%s", key, diff)
		}
	}
	for name, want := range e.arrived {
		all, _ := count(t, r, name)
		expect(t, name+" came to the wire", all, want)
	}
	for name, want := range e.lost {
		_, lost := count(t, r, name)
		expect(t, name+" was lost", lost, want)
	}
}

func expect(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want && (want != some || got == 0) {
		t.Errorf("%s %d times, want %d", what, got, want)
	}
}

func outcomes(r *record.Run, key string) []string {
	var list []string
	for _, c := range r.Calls {
		host := c.Host
		if c.Peer != "" {
			host += "/" + c.Peer
		}
		if host+" "+c.Name != key {
			continue
		}
		text := fmt.Sprint(c.Result)
		switch {
		case c.End < 0:
			text = "under way"
		case c.Signal != "":
			text += " " + c.Errno + " " + c.Signal
		case c.Errno != "":
			text += " " + c.Errno
		}
		list = append(list, text)
	}
	return list
}

// count counts the arrivals of a name, and those of them that were lost.
func count(t *testing.T, r *record.Run, name string) (all, lost int) {
	t.Helper()
	p, err := flow.ParsePattern(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Other || !p.Matches(&s.Sighting) {
			continue
		}
		all++
		if s.Fate == record.Dropped {
			lost++
		}
	}
	return all, lost
}

// same ends nothing: the play goes on, and the test has failed.
func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// call finds the nth call of a name on a host, from 0.
func callOf(t *testing.T, calls []*record.Call, host, name string, n int) *record.Call {
	t.Helper()
	of := slices.Clone(calls)
	of = slices.DeleteFunc(of, func(c *record.Call) bool { return c.Host != host || c.Name != name })
	if n >= len(of) {
		t.Fatalf("%s made %d calls of %s", host, len(of), name)
	}
	return of[n]
}
