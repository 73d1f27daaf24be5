package harness

import "github.com/lastack/lastack/harness/record"

// At says where the play stands, as bug.yaml:8:5, until it stands elsewhere: what
// ends it names that place instead of the line of Go that called the stage. It is
// for plays that are made of something else than Go. An empty place names nothing.
func (s *Stage) At(place string) { s.place = &place }

// Conclude ends the play with a verdict and the reason for it: it is for plays that
// are made of something else than Go.
func (s *Stage) Conclude(verdict record.Verdict, format string, args ...any) {
	s.stop(verdict, format, args...)
}
