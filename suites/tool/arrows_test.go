package tool_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	module = "github.com/lastack/lastack"
	top    = "../.." // of the module, from here
)

func TestArrowsHold(t *testing.T) {
	for _, breach := range importBreaches(listPackages(t), arrows, reserved) {
		t.Error(breach)
	}
}

func TestArrowsOfTheTableLeadSomewhere(t *testing.T) {
	for _, r := range arrows {
		for _, to := range r.to {
			if !slices.ContainsFunc(arrows, func(other row) bool { return other.room == to }) {
				t.Errorf("the row of %s names %s, which has no row", r.room, to)
			}
		}
	}
}

// Scenarios and suites wait for events, and each spec runs, and counts, the first time.
func TestArrowsSources(t *testing.T) {
	for _, dir := range []string{"scenarios", "suites"} {
		for _, file := range goFiles(t, filepath.Join(top, dir)) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			breaches, err := sourceBreaches(strings.TrimPrefix(filepath.ToSlash(file), top+"/"), source)
			if err != nil {
				t.Fatal(err)
			}
			for _, breach := range breaches {
				t.Error(breach)
			}
		}
	}
}

// A check that cannot fail checks nothing: each case but the first breaks one rule.
func TestArrowsFindBreaches(t *testing.T) {
	for _, tc := range []struct {
		name     string
		packages []goPackage
		want     []string
	}{
		{
			name: "what the arrows allow",
			packages: []goPackage{
				{ImportPath: module + "/cmd/lastack", Imports: []string{"fmt", module + "/harness/file", module + "/inject/flow"}},
				{ImportPath: module + "/scenarios/wait", Imports: []string{module + "/harness/expect", "github.com/onsi/gomega"}},
				{ImportPath: module + "/scenarios/stories", Imports: []string{module + "/harness/file"}},
				{ImportPath: module + "/suites/kernel", XTestImports: []string{"testing", "github.com/onsi/ginkgo/v2", module + "/scenarios"}},
				{ImportPath: module + "/harness", Imports: []string{module + "/netenv", module + "/inject/tcp", module + "/harness/internal/peer"}},
				{ImportPath: module + "/harness/record", XTestImports: []string{module + "/harness/record", module + "/harness/internal/recordtest"}},
				{ImportPath: module + "/inject", Imports: []string{"golang.org/x/net/ipv4"}},
				{ImportPath: module + "/inject/capture", TestImports: []string{"testing", "github.com/google/gopacket/pcapgo"}},
			},
		},
		{
			name:     "against an arrow",
			packages: []goPackage{{ImportPath: module + "/harness/record", Imports: []string{module + "/harness"}}},
			want:     []string{"harness/record imports harness: it has arrows to inject/flow, and in turn to inject/tcp"},
		},
		{
			name:     "against an arrow, in a test",
			packages: []goPackage{{ImportPath: module + "/inject/tcp", TestImports: []string{module + "/inject/flow"}}},
			want:     []string{"inject/tcp, in a test, imports inject/flow: it has arrows to inject/tcp/internal/codec"},
		},
		{
			name:     "from one family of scenarios to another",
			packages: []goPackage{{ImportPath: module + "/scenarios/wait", Imports: []string{module + "/scenarios/close"}}},
			want: []string{"scenarios/wait imports scenarios/close: it has arrows to harness, harness/record, harness/expect, " +
				"and in turn to inject, inject/capture, inject/flow, inject/tcp"},
		},
		{
			name:     "netenv is reached by its own arrow only",
			packages: []goPackage{{ImportPath: module + "/suites/specs", Imports: []string{module + "/netenv"}}},
			want: []string{"suites/specs imports netenv: it has arrows to scenarios, harness, and in turn to harness/expect, " +
				"harness/file, harness/record, inject, inject/capture, inject/flow, inject/tcp, scenarios/*, scenarios/stories"},
		},
		{
			name:     "an internal package is reached by its own arrow only",
			packages: []goPackage{{ImportPath: module + "/harness/check", Imports: []string{module + "/harness/internal/probe"}}},
			want: []string{"harness/check imports harness/internal/probe: it has arrows to harness, harness/internal/evidence, internal/nearest, internal/shell, internal/wholefile, " +
				"and in turn to harness/record, inject, inject/capture, inject/flow, inject/tcp"},
		},
		{
			name:     "out of a leaf",
			packages: []goPackage{{ImportPath: module + "/netenv/keeper/hostinit", Imports: []string{module + "/netenv"}}},
			want:     []string{"netenv/keeper/hostinit imports netenv: it is a leaf and has no arrows"},
		},
		{
			name:     "a room that the table does not know",
			packages: []goPackage{{ImportPath: module + "/harness/attic"}},
			want:     []string{"harness/attic has no row in the table of arrows"},
		},
		{
			name:     "test support outside tests",
			packages: []goPackage{{ImportPath: module + "/harness", Imports: []string{module + "/harness/internal/recordtest"}}},
			want:     []string{"harness imports harness/internal/recordtest, which is for tests only"},
		},
		{
			name: "packages that only some rooms may know",
			packages: []goPackage{
				{ImportPath: module + "/cmd/lastack", Imports: []string{"github.com/onsi/ginkgo/v2/types"}},
				{ImportPath: module + "/harness", Imports: []string{"testing"}},
				{ImportPath: module + "/inject/flow", TestImports: []string{"github.com/google/gopacket"}},
				{ImportPath: module + "/netenv", Imports: []string{"golang.org/x/net/ipv4"}},
			},
			want: []string{
				"cmd/lastack imports github.com/onsi/ginkgo/v2/types, which is for suites/* only",
				"harness imports testing, which is for harness/internal/recordtest and tests only",
				"inject/flow, in a test, imports github.com/google/gopacket, which is for inject/tcp, inject/tcp/internal/codec, inject/capture only",
				"netenv imports golang.org/x/net/ipv4, which is for inject only",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, importBreaches(tc.packages, arrows, reserved)); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestArrowsFindBreachesInSources(t *testing.T) {
	for _, tc := range []struct {
		name, source string
		want         []string
	}{
		{
			name: "what is allowed",
			source: `package p
				import ("time"; . "github.com/onsi/ginkgo/v2")
				type stage struct { Focus int }
				var _ = Describe("x", Label("Focus"), func() { _ = stage{Focus: 1}.Focus; _ = time.Second; other.Sleep() })`,
		},
		{
			name:   "sleep",
			source: "package p\nimport \"time\"\nfunc f() { time.Sleep(time.Second) }",
			want:   []string{"x.go:3: time.Sleep: wait for an event, not for a duration"},
		},
		{
			name:   "sleep under another name and as a value",
			source: "package p\nimport clock \"time\"\nvar nap = clock.Sleep",
			want:   []string{"x.go:3: time.Sleep: wait for an event, not for a duration"},
		},
		{
			name:   "sleep, imported by dot",
			source: "package p\nimport . \"time\"\nfunc f() { Sleep(Second) }",
			want:   []string{"x.go:3: time.Sleep: wait for an event, not for a duration"},
		},
		{
			name:   "focused",
			source: "package p\nimport . \"github.com/onsi/ginkgo/v2\"\nvar _ = FDescribe(\"x\", func() {\nFIt(\"y\", func() {})\nIt(\"z\", Focus, func() {})\n})",
			want: []string{
				"x.go:3: ginkgo.FDescribe: a focused spec leaves out all others",
				"x.go:4: ginkgo.FIt: a focused spec leaves out all others",
				"x.go:5: ginkgo.Focus: a focused spec leaves out all others",
			},
		},
		{
			name:   "pending",
			source: "package p\nimport g \"github.com/onsi/ginkgo/v2\"\nvar _ = g.PDescribeTable(\"x\", g.XEntry(nil))\nvar _ = g.It(\"y\", g.Pending)",
			want: []string{
				"x.go:3: ginkgo.PDescribeTable: a pending spec is not run",
				"x.go:3: ginkgo.XEntry: a pending spec is not run",
				"x.go:4: ginkgo.Pending: a pending spec is not run",
			},
		},
		{
			name:   "flake attempts",
			source: "package p\nimport \"github.com/onsi/ginkgo/v2\"\nvar _ = ginkgo.It(\"x\", ginkgo.FlakeAttempts(3))",
			want:   []string{"x.go:3: ginkgo.FlakeAttempts: a spec that wavers is mended, not tried again"},
		},
		{
			name:   "flake attempts, by the configuration",
			source: "package p\nfunc f() { suite, _ := config(); suite.FlakeAttempts = 3 }",
			want:   []string{"x.go:2: FlakeAttempts: a spec that wavers is mended, not tried again"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := sourceBreaches("x.go", []byte(tc.source))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
}
