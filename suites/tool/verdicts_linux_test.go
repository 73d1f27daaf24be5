package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/inject/tcp"
	"github.com/lastack/lastack/internal/namespacetest"
	"github.com/lastack/lastack/scenarios"
)

func TestEveryClaimHasExactlyOneRefutation(t *testing.T) {
	for _, sc := range scenarios.All() {
		if len(sc.Claims) == 0 {
			t.Errorf("%s claims nothing", sc.Name)
		}
		for _, c := range sc.Claims {
			changes := 0
			for _, set := range []bool{c.Refute.Play != nil, len(c.Refute.Sysctls) > 0, c.Refute.Edit != nil} {
				if set {
					changes++
				}
			}
			if changes != 1 || c.Says == "" || c.Judge == nil {
				t.Errorf("%s: %q has %d refutations, want one, and a judge", sc.Name, c.Says, changes)
			}
		}
	}
}

// A suite is worth what its specs find: of one that is hollow only what is sound may pass.
func TestSpecsFindWhatIsHollow(t *testing.T) {
	newPool(t) // or skip
	report := filepath.Join(t.TempDir(), "report.json")
	run := exec.Command("go", "test", "./testdata/hollow", "-count=1", "-ginkgo.json-report="+report)
	run.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // what does not pass leaves its evidence there
	out, err := run.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("the hollow suite: %v, want it to fail\n%s", err, out)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var reports []types.Report
	if err := json.Unmarshal(text, &reports); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{} // whether it passed
	for _, spec := range reports[0].SpecReports {
		if spec.LeafNodeType == types.NodeTypeIt {
			got[strings.TrimSuffix(spec.ContainerHierarchyTexts[0], " over IPv4")+": "+spec.LeafNodeText] = spec.State == types.SpecStatePassed
		}
	}
	want := map[string]bool{
		"hollow/cannot-fail: is played to its end, and every fault fires": true,
		"hollow/cannot-fail: nothing is asked":                            true,
		"hollow/cannot-fail: can fail: nothing is asked":                  false,
		"hollow/cannot-fail: it has no refutation":                        true,
		"hollow/cannot-fail: can fail: it has no refutation":              false,
		"hollow/cannot-fail: its refutation is not conclusive":            true,
		"hollow/cannot-fail: can fail: its refutation is not conclusive":  false,

		"hollow/never-fires: is played to its end, and every fault fires": false,
		"hollow/never-fires: it holds, but nothing was tested":            false,
		"hollow/never-fires: can fail: it holds, but nothing was tested":  false,

		"hollow/panics: is played to its end, and every fault fires": false,
		"hollow/panics: its judge panics":                            false,
		"hollow/panics: can fail: its judge panics":                  false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("specs that passed (-want +got):\n%s", diff)
	}
}

// How plays end that do not go as they should.
func TestVerdicts(t *testing.T) {
	pool := newPool(t)
	t.Setenv("TMPDIR", t.TempDir()) // what does not pass leaves its evidence there
	// Long enough for a busy machine to open a connection, as no other wait here is met.
	const bound = 2 * time.Second
	holds := harness.Claim{Says: "it holds", Judge: func(gomega.Gomega, *record.Run) {}}
	fails := harness.Claim{Says: "it fails", Judge: func(g gomega.Gomega, _ *record.Run) { g.Expect(1).To(gomega.Equal(2)) }}
	panics := harness.Claim{Says: "it panics", Judge: func(gomega.Gomega, *record.Run) { panic("judge on purpose") }}
	established := func(s *harness.Stage) { s.Established() }
	neverFires := func(s *harness.Stage) {
		s.Wire.On("client.RST").Drop()
		s.Established()
	}
	cases := []struct {
		name   string
		play   func(*harness.Stage)
		claims []harness.Claim
		want   record.Verdict
		status int
		why    []string
	}{
		{"all is well", established, []harness.Claim{holds}, record.Pass, 0, nil},
		{"a claim fails", established, []harness.Claim{holds, fails}, record.Fail, 1, []string{"it fails"}},
		{"a rule never fires", neverFires, []harness.Claim{holds}, record.Inconclusive, 3, []string{"drop client.RST", "never fired"}},
		{"a rule never fires and a claim fails", neverFires, []harness.Claim{fails}, record.Inconclusive, 3, []string{"never fired"}},
		{"an optional rule never fires", func(s *harness.Stage) {
			s.Wire.On("client.RST").Optional().Drop()
			s.Established()
		}, []harness.Claim{holds}, record.Pass, 0, nil},
		{"a held segment is never freed", func(s *harness.Stage) {
			client, _ := s.Established()
			held := s.Wire.On("client.DATA").Hold(s.Wire.Seen("client.RST"))
			client.Write("x")
			s.Await(held.Fired())
		}, []harness.Claim{holds}, record.Inconclusive, 3, []string{"its condition never came"}},
		{"a segment never comes", func(s *harness.Stage) {
			s.Established()
			s.Await(s.Wire.Seen("client.RST"))
		}, []harness.Claim{holds}, record.Fail, 1, []string{"verdicts_linux_test.go:", "client.RST", "which had not come after " + stretched(bound).String()}},
		{"an awaited rule never fires", func(s *harness.Stage) {
			s.Established()
			s.Await(s.Wire.On("client.RST").Drop().Fired())
		}, []harness.Claim{holds}, record.Inconclusive, 3, []string{"verdicts_linux_test.go:", "had not fired"}},
		{"a state never comes", func(s *harness.Stage) {
			client, _ := s.Established()
			s.Await(client.In(tcp.Closing))
		}, []harness.Claim{holds}, record.Fail, 1, []string{"verdicts_linux_test.go:", "CLOSING"}},
		{"a call never returns", func(s *harness.Stage) {
			client, _ := s.Established()
			client.Read(1)
		}, []harness.Claim{holds}, record.Fail, 1, []string{"verdicts_linux_test.go:", "read on client"}},
		{"a judge panics", established, []harness.Claim{holds, panics}, record.Error, 2, []string{"it panics"}},
		{"a judge panics and a claim fails", established, []harness.Claim{fails, panics}, record.Fail, 1, []string{"it fails"}},
		{"a play panics", func(s *harness.Stage) {
			s.Established()
			panic("play on purpose")
		}, []harness.Claim{holds}, record.Error, 2, []string{"play on purpose", "verdicts_linux_test.go:"}},
		{"a match does not parse", func(s *harness.Stage) { s.Wire.On("client.FINN").Drop() }, nil, record.Error, 2,
			[]string{"verdicts_linux_test.go:", "client.FINN"}},
	}
	var jobs []harness.Job
	for _, tc := range cases {
		jobs = append(jobs, harness.Job{
			Scenario: harness.Scenario{Name: "verdict/test", Play: tc.play, Claims: tc.claims}, Options: harness.Options{Bound: bound},
		})
	}
	runs := playAll(t, pool, jobs)
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			r := runs[i]
			if r.Verdict != tc.want || r.Verdict.ExitStatus() != tc.status {
				t.Errorf("%s (exit status %d), want %s (%d): %s\n%s", r.Verdict, r.Verdict.ExitStatus(), tc.want, tc.status, r.Why, r.Ladder())
			}
			for _, part := range tc.why {
				if !strings.Contains(r.Why, part) {
					t.Errorf("%q does not say %q", r.Why, part)
				}
			}
			if r.Verdict != record.Pass && r.Why == "" {
				t.Error("nothing says why")
			}
		})
	}
}

// Of a run of which nothing can be said no claim is refuted either.
func TestInconclusiveRefutationRefutesNothing(t *testing.T) {
	pool := newPool(t)
	t.Setenv("TMPDIR", t.TempDir())
	sc := harness.Scenario{
		Name: "verdict/refutation", Play: func(s *harness.Stage) { s.Established() },
		Claims: []harness.Claim{{
			Says:  "there is no rule",
			Judge: func(g gomega.Gomega, r *record.Run) { g.Expect(r.Rules).To(gomega.BeEmpty()) },
			Refute: harness.Variant{Play: func(s *harness.Stage) {
				s.Wire.On("client.RST").Drop()
				s.Established()
			}},
		}},
	}
	r, err := harness.Refute(t.Context(), sc, 0, harness.Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict != record.Inconclusive {
		t.Errorf("%s: %s, want INCONCLUSIVE although the claim fails", r.Verdict, r.Why)
	}
	sc.Claims[0].Refute = harness.Variant{}
	if _, err := harness.Refute(t.Context(), sc, 0, harness.Options{Pool: pool}); err == nil {
		t.Error("a claim without a refutation: no error")
	}
}

// Whoever gives up gets an answer soon, and nothing goes on behind his back.
func TestCancelledPlayLeavesNothing(t *testing.T) {
	newPool(t) // or skip
	adopt(t)
	t.Setenv("TMPDIR", t.TempDir())
	kin := newFamily(t.Name())
	name, value, _ := strings.Cut(kin.marker, "=")
	t.Setenv(name, value) // for the keeper that Play starts
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var held map[string]namespacetest.Namespace
	var begun time.Time // of the end
	r, err := harness.Play(ctx, harness.Scenario{Name: "verdict/cancelled", Play: func(s *harness.Stage) {
		client, _ := s.Established()
		members, err := kin.members()
		if err != nil {
			t.Error(err)
		}
		if held, err = namespacetest.Of(pids(members)); err != nil && !errors.Is(err, namespacetest.ErrNoHandles) {
			t.Error(err)
		}
		time.AfterFunc(50*time.Millisecond, func() { begun = time.Now(); cancel() })
		client.Read(1) // nobody will ever write
	}}, harness.Options{})
	gave := time.Now()
	if took := gave.Sub(begun); took > stretched(after) {
		t.Errorf("it took %v from the end of the context to the end of Play", took)
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Fatalf("the play was not cancelled: %v, %v", r, err)
	}
	if r != nil && r.Verdict == record.Pass {
		t.Errorf("a play that was cancelled: %s", r.Verdict)
	}
	members, err := kin.members()
	if err != nil {
		t.Fatal(err)
	}
	// Play has closed its own keeper. Only what the kernel frees in the background may still be there.
	if len(members) > 0 {
		t.Errorf("processes left behind: %v", members)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(remains(t, kin, nil, held)) > 0 && time.Since(gave) < stretched(after) {
		<-tick.C
	}
	if left := remains(t, kin, nil, held); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if files, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(files) > 0 {
		t.Errorf("files left behind: %v, %v", files, err)
	}
}
