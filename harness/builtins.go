package harness

import "github.com/lastack/lastack/harness/internal/builtin"

// Builtin is a stand-in: a program that needs no file, which Host.Run starts by
// the name "builtin:NAME".
type Builtin struct {
	// Name is what follows "builtin:".
	Name string
	// Summary is one line.
	Summary string
	// Usage is what it prints with --help: arguments, flags and exit statuses.
	Usage string
}

// Builtins are the stand-ins by name.
func Builtins() []Builtin {
	var all []Builtin
	for _, b := range builtin.All() {
		all = append(all, Builtin(b))
	}
	return all
}
