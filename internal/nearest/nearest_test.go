package nearest_test

import (
	"testing"

	"github.com/lastack/lastack/internal/nearest"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"run", "run", 0}, {"rnu", "run", 1}, {"rn", "run", 1}, {"runn", "run", 1},
		{"ran", "run", 1}, {"", "run", 3}, {"list", "show", 4}, {"§", "x", 1}, {"ca", "abc", 3},
	} {
		if got := nearest.Distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := nearest.Distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
	if got := nearest.Of("time_wait", []string{"SYN_SENT", "TIME_WAIT"}); got != "TIME_WAIT" {
		t.Errorf("the nearest of time_wait is %q", got)
	}
	if got := nearest.Of("x", nil); got != "" {
		t.Errorf("the nearest of none is %q", got)
	}
}
