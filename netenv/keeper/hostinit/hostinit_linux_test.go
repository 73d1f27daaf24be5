package hostinit_test

import (
	_ "net" // what must not be begun must be there
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/lastack/lastack/netenv/keeper/hostinit"
)

// The init of a host is there before net is, and refuses to be anything but process 1.
func TestBeginsBeforeNet(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{hostinit.Role}
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	trace := string(out)
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(trace, hostinit.Role+": this name is for process 1") {
		t.Errorf("the role outside a host ended with %v, want exit status 2 and a reason: %s", err, trace)
	}
	for name, want := range map[string]bool{"os": true, "net": false} {
		if got := strings.Contains(trace, "init "+name+" @"); got != want {
			t.Errorf("package %s was begun: %v, want %v: %s", name, got, want, trace)
		}
	}
}
