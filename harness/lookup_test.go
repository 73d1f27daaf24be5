package harness_test

import (
	"strings"
	"testing"

	"github.com/lastack/lastack/harness"
)

func TestCheckProgram(t *testing.T) {
	for name, want := range map[string]string{
		"go": "", "builtin:http": "", "{dir}/mine": "",
		"builtin:htpt":    `there is no builtin "htpt"; the nearest is "http"; see lastack builtin`,
		"no-such-program": `there is no program "no-such-program": it is looked up as a shell would`,
		"./no/such":       `there is no program "./no/such": `,
		"./a b":           `there is no program "./a b": each argument is an item of the list by itself`,
		"/":               `cannot run "/": is a directory`,
	} {
		err := harness.CheckProgram(name)
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
