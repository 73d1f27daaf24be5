package harness

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lastack/lastack/harness/record"
)

// longestStock is how long a kernel timer may take that a run in stock waits
// for: a scenario that needs a longer one is skipped.
const longestStock = 150 * time.Second

// timers are the sysctls that make a kernel give up, and after how long it does
// with a value, at least: bounds of waits are derived from them.
var timers = map[string]func(value int) time.Duration{
	"net.ipv4.tcp_retries2":       giveUp,
	"net.ipv4.tcp_orphan_retries": func(n int) time.Duration { return giveUp(orphanTries(n)) },
	"net.ipv4.tcp_syn_retries":    handshake,
	"net.ipv4.tcp_synack_retries": handshake,
	"net.ipv4.tcp_fin_timeout":    finWait2,
	"net.ipv4.tcp_rto_max_ms":     func(n int) time.Duration { return until(time.Duration(n) * time.Millisecond) },
}

const (
	rtoMin     = 200 * time.Millisecond // TCP_RTO_MIN
	rtoMax     = 120 * time.Second      // TCP_RTO_MAX
	rtoInitial = time.Second            // TCP_TIMEOUT_INIT
	timeWait   = 60 * time.Second       // TCP_TIMEWAIT_LEN
)

// giveUp is what retransmits_timed_out counts for so many repeats, from the
// first of them on.
func giveUp(retries int) time.Duration { return doubled(rtoMin, retries) }

// handshake is how long a SYN or a SYN-ACK is repeated so often.
func handshake(retries int) time.Duration { return doubled(rtoInitial, retries) }

// doubled is so many waits and the last one, each twice the one before.
func doubled(first time.Duration, retries int) (all time.Duration) {
	wait := first
	for range max(retries, 0) + 1 {
		all += wait
		wait = min(2*wait, rtoMax)
	}
	return all
}

// orphanTries is tcp_orphan_retries: 0 stands for 8.
func orphanTries(n int) int {
	if n == 0 {
		return 8
	}
	return n
}

// finWait2 is how long an orphan stays in FIN_WAIT_2: above TCP_TIMEWAIT_LEN
// twice what exceeds it.
func finWait2(seconds int) time.Duration {
	d := time.Duration(seconds) * time.Second
	if d > timeWait {
		return 2 * (d - timeWait)
	}
	return d
}

// until is all waits from the least on that are shorter than the longest.
func until(longest time.Duration) (all time.Duration) {
	for wait := rtoMin; wait < longest; wait *= 2 {
		all += wait
	}
	return all
}

// timer is after how long a kernel gives up by a sysctl of that value; false
// where that is not what it is about.
func timer(key, value string) (time.Duration, bool) {
	of, ok := timers[key]
	n, err := strconv.Atoi(value)
	if !ok || err != nil || n < 0 || n > 1<<20 {
		return 0, false
	}
	return of(n), true
}

// stretch lets every wait of the play last for what a sysctl in force makes the
// kernel take: timers run late, and what counts may be the one behind the last.
func (s *Stage) stretch(key, value string) {
	if d, ok := timer(key, value); ok && !s.measuring {
		s.bound = max(s.bound, s.base+Timescale(2*d))
	}
}

// shortens tells whether a value makes the kernel give up sooner than another.
func shortens(key, value, than string) bool {
	a, ok := timer(key, value)
	b, known := timer(key, than)
	return ok && known && a < b
}

// isAbout tells whether the scenario's name says that it is about a value.
func (s *Stage) isAbout(key, value string) bool {
	_, params, _ := strings.Cut(s.name, "{")
	said := strings.Split(strings.TrimSuffix(params, "}"), ",")
	return slices.Contains(said, shortKey(key)+"="+value)
}

// tooLong says why a stock timer is not waited for; empty where it is.
func tooLong(key, stock string) string {
	d, _ := timer(key, stock)
	if d <= longestStock {
		return ""
	}
	return fmt.Sprintf("with the stock %s=%s it takes %.1f s at least; a run in stock waits for %.0f s at most",
		shortKey(key), stock, d.Seconds(), longestStock.Seconds())
}

// shortKey is the last name of a key.
func shortKey(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// inForce is the value of a sysctl of the host.
func (h *Host) inForce(key string) string {
	value, err := h.env.Sysctl(h.stage.ctx, key)
	if err != nil {
		h.stage.stop(record.Error, "read %s on %s: %v", key, h.name, err)
	}
	return value
}
