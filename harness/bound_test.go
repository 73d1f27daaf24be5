package harness

import (
	"strings"
	"testing"
	"time"
)

func TestTimer(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       time.Duration
	}{
		{"tcp_retries2", "1", 600 * time.Millisecond},
		{"tcp_retries2", "15", 924600 * time.Millisecond},
		{"tcp_orphan_retries", "0", 102200 * time.Millisecond},
		{"tcp_orphan_retries", "8", 102200 * time.Millisecond},
		{"tcp_orphan_retries", "2", 1400 * time.Millisecond},
		{"tcp_syn_retries", "6", 127 * time.Second},
		{"tcp_synack_retries", "5", 63 * time.Second},
		{"tcp_fin_timeout", "60", time.Minute},
		{"tcp_fin_timeout", "61", 2 * time.Second},
		{"tcp_rto_max_ms", "1000", 1400 * time.Millisecond},
		{"tcp_rto_max_ms", "120000", 204600 * time.Millisecond},
	} {
		if got, ok := timer("net.ipv4."+c.key, c.value); !ok || got != c.want {
			t.Errorf("%s=%s: %v, %v, want %v", c.key, c.value, got, ok, c.want)
		}
	}
	for _, key := range []string{"net.ipv4.tcp_rfc1337", "tcp_retries2", ""} {
		if got, ok := timer(key, "1"); ok {
			t.Errorf("%q is no timer, but takes %v", key, got)
		}
	}
	for _, value := range []string{"", "-1", "many", "1 2", "99999999999999999999"} {
		if got, ok := timer("net.ipv4.tcp_retries2", value); ok {
			t.Errorf("tcp_retries2=%s takes %v", value, got)
		}
	}
}

func TestTooLong(t *testing.T) {
	for _, c := range []struct{ key, stock, why string }{
		{"net.ipv4.tcp_retries2", "15", "tcp_retries2=15 it takes 924.6 s"},
		{"net.ipv4.tcp_rto_max_ms", "120000", "tcp_rto_max_ms=120000 it takes 204.6 s"},
		{"net.ipv4.tcp_orphan_retries", "0", ""},
		{"net.ipv4.tcp_syn_retries", "6", ""},
		{"net.ipv4.tcp_rfc1337", "1000", ""},
	} {
		why := tooLong(c.key, c.stock)
		if (c.why == "") != (why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%s=%s: %q, want %q", c.key, c.stock, why, c.why)
		}
	}
}

func TestIsAbout(t *testing.T) {
	s := &Stage{name: "wait/some{tcp_fin_timeout=59,bind=0}"}
	for value, want := range map[string]bool{"59": true, "5": false, "9": false, "60": false, "": false} {
		if got := s.isAbout("net.ipv4.tcp_fin_timeout", value); got != want {
			t.Errorf("about %q: %v", value, got)
		}
	}
	if (&Stage{name: "wait/some"}).isAbout("net.ipv4.tcp_fin_timeout", "59") {
		t.Error("a name without values is about one")
	}
}

func TestShortens(t *testing.T) {
	for _, c := range []struct {
		key, value, than string
		want             bool
	}{
		{"tcp_retries2", "3", "15", true},
		{"tcp_orphan_retries", "2", "0", true},
		{"tcp_orphan_retries", "0", "0", false},
		{"tcp_fin_timeout", "120", "60", false},
		{"tcp_fin_timeout", "61", "60", true},
		{"tcp_rfc1337", "0", "1", false},
	} {
		if got := shortens("net.ipv4."+c.key, c.value, c.than); got != c.want {
			t.Errorf("%s=%s in place of %s: %v", c.key, c.value, c.than, got)
		}
	}
}

// TestStretch: a wait may last as long as the kernel takes, and never less than
// it might before.
func TestStretch(t *testing.T) {
	s := &Stage{base: 30 * time.Second, bound: 30 * time.Second}
	s.stretch("net.ipv4.tcp_orphan_retries", "0")
	if want := 30*time.Second + Timescale(2*102200*time.Millisecond); s.bound != want {
		t.Errorf("after orphan_retries=0: %v, want %v", s.bound, want)
	}
	before := s.bound
	s.stretch("net.ipv4.tcp_fin_timeout", "1")
	s.stretch("net.ipv4.tcp_rfc1337", "1000")
	if s.bound != before {
		t.Errorf("then: %v, want %v", s.bound, before)
	}
	s.measuring = true
	s.stretch("net.ipv4.tcp_retries2", "15")
	if s.bound != before {
		t.Errorf("in a fault-free play: %v, want %v", s.bound, before)
	}
}
