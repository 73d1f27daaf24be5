package netenv

import (
	"fmt"
	"regexp"
	"strings"
)

// sysctlKey is names between single dots, of which the first is net. A name may
// hold what a link's may, but nothing that leads to another directory.
var sysctlKey = regexp.MustCompile(`^net(\.[A-Za-z0-9_-]+)+$`)

// checkSysctl refuses what is no key of a host.
func checkSysctl(key string) error {
	if sysctlKey.MatchString(key) {
		return nil
	}
	if !strings.HasPrefix(key, "net.") {
		return fmt.Errorf("sysctl %q: only keys under net. belong to a host", key)
	}
	return fmt.Errorf("sysctl %q: not a key: names between single dots, as net.ipv4.tcp_fin_timeout", key)
}

// nearest finds the candidate that needs the fewest edits to become name, or ""
// where even that is another word altogether.
func nearest(name string, candidates []string) string {
	best, least := "", len(name)/2+1
	for _, c := range candidates {
		if d := distance(name, c, least); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance counts insertions, deletions and replacements, and stops at limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		least := row[0]
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
			least = min(least, row[j])
		}
		if least >= limit {
			return limit
		}
	}
	return row[len(b)]
}
