// Package shell writes commands as a shell reads them.
package shell

import "strings"

// Join is a command.
func Join(argv []string) string {
	words := make([]string, 0, len(argv))
	for _, word := range argv {
		words = append(words, Quote(word))
	}
	return strings.Join(words, " ")
}

// Quote is one word, in quotes where it needs them.
func Quote(word string) string {
	plain := !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("-_./:=,+@%", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if plain && word != "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
