package main

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/internal/nearest"
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
// arguments. A glob leaves slow ones out unless slow is set, and left counts
// them; a name means what it names.
func choose(all []harness.Scenario, args []string, slow bool) (chosen []harness.Scenario, left int, err error) {
	var nothing error
	taken, out := map[string]bool{}, map[string]bool{}
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
				return nil, 0, err
			}
			take(sc)
			continue
		}
		found, waits := false, false
		for _, sc := range all {
			ok, err := matchGlob(arg, sc.Name)
			if err != nil {
				return nil, 0, err
			}
			switch {
			case !ok:
			case sc.Slow && !slow:
				waits = true
				out[sc.Name] = true
			default:
				found = true
				take(sc)
			}
		}
		switch {
		case found || nothing != nil:
		case waits:
			nothing = &failure{statusNothing, fmt.Errorf("%q matches slow scenarios only; add --slow to play them", arg)}
		default:
			nothing = noMatch(arg)
		}
	}
	// A bad name counts more than a glob without a match, so this waits.
	if nothing != nil {
		return nil, 0, nothing
	}
	for name := range out {
		if !taken[name] {
			left++
		}
	}
	return chosen, left, nil
}

// quick is the catalogue without its slow scenarios, and how many these are.
func quick(all []harness.Scenario) (list []harness.Scenario, left int) {
	for _, sc := range all {
		if sc.Slow {
			left++
		} else {
			list = append(list, sc)
		}
	}
	return list, left
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
		return nearest.Of(name, names)
	}
	best, least := "", -1
	for _, n := range names {
		if d := min(nearest.Distance(name, path.Base(n)), nearest.Distance(name, n)); least < 0 || d < least {
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
	var (
		globs []string
		words []needle
	)
	for _, arg := range args {
		if isGlob(arg) {
			globs = append(globs, arg)
		} else if n := newNeedle(arg); n.spaced != "" {
			words = append(words, n)
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
		text := newHaystack(sc)
		for _, word := range words {
			keep = keep && text.holds(word)
		}
		if keep {
			found = append(found, sc)
		}
	}
	return found, nil
}

// haystack is all text of a scenario in which words are looked for, in two
// spellings, because one thing has many: TIME_WAIT, TIME-WAIT, time wait,
// timewait.
type haystack struct {
	spaced string // what joins words is a blank
	joined string // what joins words is left out; blanks are not
}

// needle is what is looked for, in the same spellings.
type needle struct {
	spaced, joined string
}

func newHaystack(sc harness.Scenario) haystack {
	parts := append([]string{sc.Name, sc.Summary, sc.Doc}, sc.Refs...)
	for _, c := range sc.Claims {
		parts = append(parts, c.Says)
	}
	parts = append(parts, needTexts(sc)...)
	for _, a := range sc.Answers {
		parts = append(parts, a.Says)
	}
	if sc.Slow {
		parts = append(parts, slowMark)
	}
	text := fold(strings.Join(parts, "\n"))
	return haystack{spaced: spread(text), joined: squeeze(joiners.Replace(text))}
}

func newNeedle(text string) needle {
	text = fold(text)
	return needle{spaced: spread(text), joined: strings.ReplaceAll(spread(text), " ", "")}
}

// holds finds a word where a word begins: "RST" is not in "first", but "ack"
// is in "acknowledged".
func (h haystack) holds(n needle) bool {
	return begins(h.spaced, n.spaced) || begins(h.spaced, n.joined) || begins(h.joined, n.joined)
}

var (
	joiners = strings.NewReplacer("_", "", "-", "")
	blanks  = strings.NewReplacer("_", " ", "-", " ")
	rfcs    = regexp.MustCompile(`\brfc *([0-9])`)
)

// fold leaves out how a text is written: case, the section sign, and whether
// RFC stands apart from its number.
func fold(text string) string {
	text = strings.ToLower(strings.ReplaceAll(text, "§", ""))
	return rfcs.ReplaceAllString(text, "rfc $1")
}

func spread(text string) string { return squeeze(blanks.Replace(text)) }

// squeeze makes every run of blanks and line breaks one blank.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// begins finds what stands at the beginning of a word. A number is found as a
// whole only: 3.6 is not in 3.61.
func begins(text, what string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], what)
		if i < 0 {
			return false
		}
		i += from
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(what):])
		first, _ := utf8.DecodeRuneInString(what)
		last, _ := utf8.DecodeLastRuneInString(what)
		starts := !wordly(first) || i == 0 || !wordly(before)
		if starts && !(unicode.IsDigit(last) && unicode.IsDigit(after)) {
			return true
		}
		from = i + max(1, utf8.RuneLen(first))
	}
}

func wordly(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
