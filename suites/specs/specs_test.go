package specs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/ginkgo/v2/types"

	"github.com/lastack/lastack/harness"
)

// TestSelection: what no spec will judge is not played, and what takes long
// only where it is asked for by its label.
func TestSelection(t *testing.T) {
	defer func(saved []*play) { plays = saved }(plays)
	plays = []*play{
		{specs: []spec{{"close/plain over IPv4 holds", []string{"close", "ipv4"}}}},
		{specs: []spec{{"close/plain over IPv4 can fail: holds", []string{"close", "ipv4", "refutation"}}}},
		{
			scenario: harness.Scenario{Slow: true},
			specs:    []spec{{"wait/sixty over IPv4 holds", []string{"wait", "ipv4", slow}}},
		},
	}
	for _, c := range []struct {
		suite types.SuiteConfig
		want  []int
	}{
		{types.SuiteConfig{}, []int{0, 1}},
		{types.SuiteConfig{LabelFilter: "slow"}, []int{2}},
		{types.SuiteConfig{LabelFilter: "slow || !slow"}, []int{0, 1, 2}},
		{types.SuiteConfig{LabelFilter: "Slow || close"}, []int{0, 1, 2}},
		{types.SuiteConfig{LabelFilter: "!slow"}, []int{0, 1}},
		{types.SuiteConfig{LabelFilter: "wait"}, nil},
		{types.SuiteConfig{LabelFilter: "!refutation"}, []int{0}},
		{types.SuiteConfig{FocusStrings: []string{"wait/sixty"}}, nil},
		{types.SuiteConfig{FocusStrings: []string{"wait/sixty"}, LabelFilter: "slow"}, []int{2}},
		{types.SuiteConfig{SkipStrings: []string{"can fail"}}, []int{0}},
	} {
		got, err := selection(c.suite, types.ReporterConfig{})
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%+v: %v (-want +got):\n%s", c.suite, err, diff)
		}
	}
	if _, err := selection(types.SuiteConfig{FocusStrings: []string{"("}}, types.ReporterConfig{}); err == nil {
		t.Error("a focus that is no expression is taken")
	}
}
