package harness

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLongestFirst(t *testing.T) {
	var jobs []Job
	for _, lasts := range []time.Duration{0, time.Second, 0, time.Minute, time.Second} {
		jobs = append(jobs, Job{Scenario: Scenario{Lasts: lasts}})
	}
	if diff := cmp.Diff([]int{3, 1, 4, 0, 2}, longestFirst(jobs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
