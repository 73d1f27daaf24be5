// Package stories holds production bugs as scenario files, each with the mistake
// and its mending.
package stories

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/lastack/lastack/harness/file"
)

//go:embed *.yaml
var files embed.FS

// All are the stories by name. A Scenario is not to be changed.
var All = sync.OnceValue(func() (all []*file.Scenario) {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // it is part of this binary
	}
	for _, e := range entries {
		data, err := files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		list, err := file.Parse("stories/"+e.Name(), data)
		if err != nil {
			panic(fmt.Sprintf("read story: %v", err)) // a defect of the file, which its test finds
		}
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b *file.Scenario) int { return strings.Compare(a.Name, b.Name) })
	return all
})
