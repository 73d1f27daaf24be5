package tool_test

import (
	"encoding/json"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/scenarios/stories"
)

// Each story proves its mistake and its mending over both families, as its
// file says.
func TestStoriesGiveTheirVerdicts(t *testing.T) {
	newPool(t) // says why not, where no labs can be made
	repeat := soak(1, 50)
	run := exec.CommandContext(t.Context(), lastack(t), "run", "stories/*", "--ip", "both", "--repeat", strconv.Itoa(repeat), "--json")
	out, err := run.Output()
	var document struct {
		Verdict   record.Verdict
		Scenarios []struct {
			Name, Play, Why string
			IP              int
			Verdict, Wanted record.Verdict
		}
	}
	if broken := json.Unmarshal(out, &document); broken != nil {
		t.Fatalf("%v; its document: %v", err, broken)
	}
	played := map[string]bool{}
	for _, r := range document.Scenarios {
		name, _, _ := strings.Cut(r.Name, "{")
		played[name] = true
		// Of several values of `for` one gives the verdict that is wanted.
		if document.Verdict != record.Pass && r.Verdict != r.Wanted {
			t.Logf("%s, %s, IPv%d: %s, where %s is wanted: %s", r.Name, r.Play, r.IP, r.Verdict, r.Wanted, r.Why)
		}
	}
	if document.Verdict != record.Pass || err != nil {
		t.Errorf("together: %s, %v", document.Verdict, err)
	}
	for _, s := range stories.All() {
		if !played["stories/"+s.Name] {
			t.Errorf("%s was not played", s.Name)
		}
	}
}
