// Package docs makes the documents that are generated from the catalogue:
// docs/catalogue.md, docs/textbook.md and docs/coverage.md. Nothing is played
// for them; what they say of the kernel is what the scenarios claim, and that
// a scenario does what it is listed with here is the suite's to verify.
package docs

//go:generate go test -run TestDocumentsAreUpToDate -update .

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/lastack/lastack/harness"
)

// note stands in each document.
const note = "Generated from the scenarios; `go generate ./...` makes it anew. Edits here are lost."

// Anchor is where docs/catalogue.md speaks of a scenario.
func Anchor(name string) string {
	return strings.Trim(strayed.ReplaceAllString(strings.ToLower(name), "-"), "-")
}

var strayed = regexp.MustCompile(`[^a-z0-9_-]+`)

// link is a scenario's name that leads to the catalogue.
func link(name string) string {
	return fmt.Sprintf("[%s](catalogue.md#%s)", escape(name), Anchor(name))
}

func links(names []string) string {
	names = slices.Sorted(slices.Values(names))
	for i, name := range names {
		names[i] = link(name)
	}
	return strings.Join(names, ", ")
}

// family is the part of a name before the slash.
func family(sc harness.Scenario) string {
	before, _, _ := strings.Cut(sc.Name, "/")
	return before
}

// families are a catalogue's scenarios by family, both sorted by name, so that
// a document does not depend on who lists them.
func families(all []harness.Scenario) [][]harness.Scenario {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b harness.Scenario) int {
		return cmp.Or(strings.Compare(family(a), family(b)), strings.Compare(a.Name, b.Name))
	})
	var list [][]harness.Scenario
	for i, sc := range sorted {
		if i == 0 || family(sc) != family(sorted[i-1]) {
			list = append(list, nil)
		}
		list[len(list)-1] = append(list[len(list)-1], sc)
	}
	return list
}

// escape keeps Markdown from reading text as its own signs.
func escape(text string) string { return signs.Replace(text) }

// An underscore within a word is none of Markdown's signs.
var signs = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "<", "&lt;", "|", `\|`, "[", `\[`, "]", `\]`, "~", `\~`)
