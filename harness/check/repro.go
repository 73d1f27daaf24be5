package check

import (
	"maps"
	"slices"
	"strings"
)

// again is the command that plays one cell alone.
func (w *sweep) again(c *Cell) string {
	line := w.config.Repro
	if line == "" {
		line = w.config.command()
	}
	before, client, found := strings.Cut(line, " -- ")
	if !found {
		return line + " --cell " + Quote(c.Name())
	}
	return before + " --cell " + Quote(c.Name()) + " -- " + client
}

// command is the command line of this check.
func (c *Config) command() string {
	words := []string{"lastack check --server", Quote(Join(c.Server))}
	if c.UnderTest != Client {
		words = append(words, "--under-test", c.UnderTest)
	}
	words = append(words, "--", Join(c.Client))
	return strings.Join(words, " ")
}

// Join is a command as a shell reads it.
func Join(argv []string) string {
	var words []string
	for _, word := range argv {
		words = append(words, Quote(word))
	}
	return strings.Join(words, " ")
}

// Quote makes a word fit for a shell.
func Quote(word string) string {
	plain := !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("-_./:=,+@%", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if plain && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
