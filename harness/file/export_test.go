package file

import "github.com/lastack/lastack/inject"

// Inside is what programs a scenario runs, and its rules.
func Inside(s *Scenario) (argv [][]string, rules []inject.Rule) {
	p := s.plays[Default][0]
	for _, h := range p.doc.Hosts {
		argv = append(argv, texts(h.value.Run.words))
	}
	return argv, p.rules
}
