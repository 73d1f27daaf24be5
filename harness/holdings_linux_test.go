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
	playPrograms(t, func(s *Stage) {
		count := func() Holdings {
			h, err := s.Server.Holdings()
			if err != nil {
				t.Error(err)
			}
			return h
		}
		if none := count(); none != (Holdings{}) {
			t.Errorf("without a program there is %+v", none)
		}
		s.Client.Start("sleep", "1000")
		server := s.Server.Start("sh", "-c", "exec 5</dev/null 6</dev/null; sleep 1000 & echo up; wait")
		s.AwaitFirst(10*time.Second, server.Logged(regexp.MustCompile("^up$")))
		if one := count(); one.Processes != 2 || one.Descriptors < 10 || one.Sockets != 0 {
			t.Errorf("a shell and its child with five descriptors each are %+v", one)
		}
		s.Server.Start("sleep", "1000")
		if both := count(); both.Processes != 3 {
			t.Errorf("with one more program there is %+v", both)
		}
	}, func(*testing.T, *record.Run) {})
}
