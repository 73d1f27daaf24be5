package netenv

import (
	"os"
	"strings"
	"testing"
)

func TestDoctorFindsThisMachineFit(t *testing.T) {
	startKeeper(t) // or skip
	r := Doctor(testContext(t))
	if !r.OK() {
		t.Errorf("%+v", r)
	}
	for _, name := range []string{"kernel", "namespaces", "lab", "sysctl", "sock_diag", "sock_destroy", "memory", "files", "hosts"} {
		if c := r.Find(name); c.Name == "" {
			t.Errorf("no check %q in %+v", name, r)
		}
	}
	if what := r.Find("namespaces").What; (os.Geteuid() != 0) != strings.Contains(what, "user namespace") {
		t.Errorf("namespaces: %q", what)
	}
}
