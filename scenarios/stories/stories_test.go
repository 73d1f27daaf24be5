package stories_test

import (
	"testing"

	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/scenarios/stories"
)

// TestStories: every file can be read, cites its sources, and proves both the
// mistake and its mending; the programs are those that come with lastack.
func TestStories(t *testing.T) {
	names := map[string]bool{}
	for _, s := range stories.All() {
		if names[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		names[s.Name] = true
		if len(s.Sources) == 0 {
			t.Errorf("%s cites no source", s.Name)
		}
		verdicts := map[string]string{}
		for _, v := range s.Verdicts {
			verdicts[v.Variant] = string(v.Verdict)
		}
		if verdicts[file.Default] != "FAIL" || verdicts["mended"] != "PASS" {
			t.Errorf("%s gives %v: want the mistake as default, and mended", s.Name, verdicts)
		}
		if err := s.Check(s.Variants, nil); err != nil {
			t.Error(err)
		}
	}
	if len(names) == 0 {
		t.Error("there are none")
	}
}
