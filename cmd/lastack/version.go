package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// version says which build this is, in one line: the module's version, the
// commit where it is known, and what it was built with.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describe(info)
}

func describe(info *debug.BuildInfo) string {
	words := []string{"lastack"}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		words = append(words, v)
	} else {
		words = append(words, "devel")
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	if revision := set["vcs.revision"]; revision != "" {
		commit := "commit " + revision[:min(12, len(revision))]
		if set["vcs.time"] != "" {
			commit += " of " + set["vcs.time"]
		}
		if set["vcs.modified"] == "true" {
			commit += ", modified"
		}
		words = append(words, "("+commit+")")
	}
	words = append(words, fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH))
	return strings.Join(words, " ")
}
