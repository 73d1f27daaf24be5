package harness

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lastack/lastack/harness/record"
)

// TestLateAttempts: a run whose harness was late is played again, at most twice, and
// the evidence is that of the attempt that counts: of a run that passes in the end
// there is none.
func TestLateAttempts(t *testing.T) {
	for name, c := range map[string]struct {
		late     int // so many attempts
		verdict  record.Verdict
		earlier  int
		evidence bool
	}{
		"once":  {1, record.Pass, 1, false},
		"twice": {2, record.Pass, 2, false},
		"ever":  {3, record.Inconclusive, 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			attempt := 0
			r, err := Play(t.Context(), Scenario{Name: "test/late", Patience: time.Hour, Play: func(s *Stage) {
				within := time.Hour
				if attempt++; attempt <= c.late {
					within = -time.Hour // nobody is so fast
				}
				client, server := s.Established()
				s.Promptly("the server reads", "client.DATA", s.Server, "read", within)
				client.Write("x")
				server.Read(1)
			}}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != c.verdict || len(r.Attempts) != c.earlier || (r.Evidence != "") != c.evidence {
				t.Errorf("%s (%s) after %q, evidence %q", r.Verdict, r.Why, r.Attempts, r.Evidence)
			}
			left, err := os.ReadDir(temp)
			if err != nil || len(left) > 1 || (len(left) == 1) != c.evidence {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestWhereAPlayStands: what ends a play that is not Go names the place at which the
// play says that it stands, and no line of ours.
func TestWhereAPlayStands(t *testing.T) {
	for name, c := range map[string]struct {
		play func(s *Stage)
		want string
	}{
		"a place":    {func(s *Stage) { s.At("bug.yaml:3:5"); s.Host("none") }, "bug.yaml:3:5: there is no host"},
		"elsewhere":  {func(s *Stage) { s.At("bug.yaml:3:5"); s.At("bug.yaml:4:1"); s.Conclude(record.Fail, "over") }, "bug.yaml:4:1: over"},
		"none":       {func(s *Stage) { s.At(""); s.Host("none") }, "there is no host"},
		"a turn end": {func(s *Stage) { s.At("bug.yaml:3:5"); s.Wire.Rule("drop client.DATA@1[-1]") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Play(t.Context(), Scenario{Name: "test/place", Play: c.play}, Options{Out: t.TempDir()})
			if c.want == "" {
				if err == nil || !strings.HasPrefix(err.Error(), "play test/place: bug.yaml:3:5: resolve client.DATA@1[-1]: ") {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil || !strings.HasPrefix(r.Why, c.want) {
				t.Fatalf("%v, %v; want %q", r, err, c.want)
			}
		})
	}
}
