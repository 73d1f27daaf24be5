package check

import "github.com/lastack/lastack/internal/shell"

// again is the command that plays one cell alone.
func (w *sweep) again(c *Cell) string {
	line := w.config.Repro
	if line == "" {
		words := []string{"lastack", "check", "--server", shell.Join(w.config.Server)}
		if side := w.config.UnderTest; side != Client {
			words = append(words, "--under-test", side)
		}
		line = shell.Join(words)
	}
	return line + " --cell " + shell.Quote(c.Name()) + " -- " + shell.Join(w.config.Client)
}
