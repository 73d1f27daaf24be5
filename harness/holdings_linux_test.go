package harness

import (
	"regexp"
	"testing"
	"time"

	"github.com/lastack/lastack/harness/record"
)

// What a host's programs hold is counted over all that they started, and over nothing
// else: neither the lab's own process on the host, nor another host's programs.
func TestHoldings(t *testing.T) {
	var none, one, both Holdings
	playPrograms(t, func(s *Stage) {
		count := func() Holdings {
			h, err := s.Server.Holdings()
			if err != nil {
				t.Error(err)
			}
			return h
		}
		none = count()
		s.Client.Start("sleep", "1000")
		server := s.Server.Start("sh", "-c", "exec 5</dev/null 6</dev/null; sleep 1000 & echo up; wait")
		s.AwaitFirst(10*time.Second, server.Logged(regexp.MustCompile("^up$")))
		one = count()
		s.Server.Start("sleep", "1000")
		both = count()
	}, func(t *testing.T, _ *record.Run) {
		if none != (Holdings{}) {
			t.Errorf("without a program there is %+v", none)
		}
		if one.Processes != 2 || one.Descriptors < 10 || one.Sockets != 0 {
			t.Errorf("a shell and its child with five descriptors each are %+v", one)
		}
		if both.Processes != 3 {
			t.Errorf("with one more program there is %+v", both)
		}
	})
}
