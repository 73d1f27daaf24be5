package main

import (
	"fmt"
	"path"
	"strings"

	"github.com/lastack/lastack/harness"
)

// isGlob tells a pattern from a name or a word.
func isGlob(text string) bool { return strings.ContainsAny(text, "*?[") }

// matchGlob matches a name as a shell would a file's, but a star runs over the
// slash too: "*lost*" is every scenario in which something is lost.
func matchGlob(pattern, name string) (bool, error) {
	const noSlash = "\x00"
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", noSlash), strings.ReplaceAll(name, "/", noSlash))
	if err != nil {
		return false, fmt.Errorf("bad glob %q: a [ without its ], or a \\ at the end", pattern)
	}
	return ok, nil
}

// choose picks scenarios by names and globs, each once, in the order of the
// arguments.
func choose(all []harness.Scenario, args []string) ([]harness.Scenario, error) {
	var (
		chosen  []harness.Scenario
		nothing error
	)
	taken := map[string]bool{}
	take := func(sc harness.Scenario) {
		if !taken[sc.Name] {
			taken[sc.Name] = true
			chosen = append(chosen, sc)
		}
	}
	for _, arg := range args {
		if !isGlob(arg) {
			sc, err := find(all, arg)
			if err != nil {
				return nil, err
			}
			take(sc)
			continue
		}
		found := false
		for _, sc := range all {
			ok, err := matchGlob(arg, sc.Name)
			if err != nil {
				return nil, err
			}
			if ok {
				found = true
				take(sc)
			}
		}
		if !found && nothing == nil {
			nothing = noMatch(arg)
		}
	}
	// A bad name counts more than a glob without a match, so this waits.
	if nothing != nil {
		return nil, nothing
	}
	return chosen, nil
}

func noMatch(what string) error {
	return &failure{statusNothing, fmt.Errorf("nothing matches %q; see lastack list", what)}
}

// find is the scenario of a name, or the complaint with the nearest one.
func find(all []harness.Scenario, name string) (harness.Scenario, error) {
	if name == "" {
		return harness.Scenario{}, fmt.Errorf("a scenario's name is empty; see lastack list")
	}
	var names []string
	for _, sc := range all {
		if sc.Name == name {
			return sc, nil
		}
		names = append(names, sc.Name)
	}
	for _, n := range names {
		if strings.HasPrefix(n, name+"/") {
			return harness.Scenario{}, fmt.Errorf("unknown scenario %q: it is a family, whose scenarios are '%s/*'; see lastack list", name, name)
		}
	}
	return harness.Scenario{}, fmt.Errorf("unknown scenario %q; the nearest is %q; see lastack list", name, nearestScenario(name, names))
}

// nearestScenario compares a name without a family with the names alone.
func nearestScenario(name string, names []string) string {
	if strings.Contains(name, "/") {
		return nearest(name, names)
	}
	best, least := "", -1
	for _, n := range names {
		if d := min(distance(name, path.Base(n)), distance(name, n)); least < 0 || d < least {
			best, least = n, d
		}
	}
	return best
}

// family is the part of a name before the slash.
func family(name string) string {
	before, _, _ := strings.Cut(name, "/")
	return before
}

// search keeps what any of the globs and all of the words match.
func search(all []harness.Scenario, args []string) ([]harness.Scenario, error) {
	var globs, words []string
	for _, arg := range args {
		if isGlob(arg) {
			globs = append(globs, arg)
		} else {
			words = append(words, strings.Fields(strings.ToLower(arg))...)
		}
	}
	var found []harness.Scenario
	for _, sc := range all {
		keep := len(globs) == 0
		for _, glob := range globs {
			ok, err := matchGlob(glob, sc.Name)
			if err != nil {
				return nil, err
			}
			keep = keep || ok
		}
		text := haystack(sc)
		for _, word := range words {
			keep = keep && strings.Contains(text, word)
		}
		if keep {
			found = append(found, sc)
		}
	}
	return found, nil
}

// haystack is all text of a scenario in which words are looked for.
func haystack(sc harness.Scenario) string {
	parts := append([]string{sc.Name, sc.Summary}, sc.Refs...)
	for _, c := range sc.Claims {
		parts = append(parts, c.Says)
	}
	return strings.ToLower(strings.Join(parts, "\n"))
}
