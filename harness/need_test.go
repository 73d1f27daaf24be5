package harness

import "testing"

func TestOlder(t *testing.T) {
	for _, test := range []struct {
		release, than string
		want          bool
	}{
		{"Linux 6.18.44-fc", "6.11", false},
		{"Linux 6.1.0", "6.11", true},
		{"Linux 5.15.0-91-generic", "6.1", true},
		{"Linux 6.11-rc3", "6.11", false},
		{"Linux 6.18.32-rc1", "6.18.33", true},
		{"Linux 6.18.44-fc-v657", "6.18.33", false},
		{"Linux 6.12.117+deb13", "6.18.33", true},
		{"Linux 7.1", "6.18.33", false},
		{"Linux 10.0", "6.18", false},
	} {
		if got := older(test.release, test.than); got != test.want {
			t.Errorf("older(%q, %q) = %v", test.release, test.than, got)
		}
	}
}
