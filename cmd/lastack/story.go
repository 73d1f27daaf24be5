package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/internal/nearest"
	"github.com/lastack/lastack/internal/shell"
	"github.com/lastack/lastack/scenarios"
	"github.com/lastack/lastack/scenarios/stories"
)

// choice is one thing that run plays: a scenario of the catalogue, or one of a file.
type choice struct {
	scenario harness.Scenario
	// file is nil for the catalogue; name is then what results call it, and word what
	// plays it again.
	file       *file.Scenario
	name, word string
}

func catalogue(list []harness.Scenario) (chosen []choice) {
	for _, sc := range list {
		chosen = append(chosen, choice{scenario: sc})
	}
	return chosen
}

// storyFamily begins the names of stories.
const storyFamily = "stories/"

func story(s *file.Scenario) choice {
	return choice{file: s, name: storyFamily + s.Name, word: s.Name}
}

// one tells whether one variant is to be played for its own verdict.
func (f *runFlags) one() bool { return f.variant != "" || len(f.programs) > 0 }

// pick picks scenarios by names, globs, and files.
func (f *runFlags) pick(args []string) (chosen []choice, left int, err error) {
	var fromCatalogue []string
	taken := map[string]bool{}
	take := func(list ...choice) {
		for _, c := range list {
			if key := c.word + " " + c.name; !taken[key] {
				taken[key] = true
				chosen = append(chosen, c)
			}
		}
	}
	for _, arg := range args {
		if isFile(arg) {
			list, err := readFile(arg)
			if err != nil {
				return nil, 0, err
			}
			take(list...)
			continue
		}
		found, only, err := findStories(arg)
		if err != nil {
			return nil, 0, err
		}
		take(found...)
		if !only {
			fromCatalogue = append(fromCatalogue, arg)
		}
	}
	if fromCatalogue != nil {
		list, out, err := choose(scenarios.All(), fromCatalogue, f.slow)
		if err != nil && !(len(chosen) > 0 && isNothing(err)) {
			return nil, 0, nearStory(err, fromCatalogue)
		}
		chosen, left = append(chosen, catalogue(list)...), out
	}
	if f.one() {
		for _, c := range chosen {
			if c.file == nil {
				return nil, 0, fmt.Errorf("%s runs no programs: --variant, --client, --server and --host are for scenario files and stories", c.scenario.Name)
			}
		}
	}
	for _, c := range chosen {
		if c.file == nil {
			continue
		}
		if err := f.check(c.file); err != nil {
			return nil, 0, err
		}
	}
	return chosen, left, nil
}

func isNothing(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.status == statusNothing
}

// nearStory looks among the stories too for the name that was meant.
func nearStory(err error, words []string) error {
	for _, w := range words {
		if isGlob(w) {
			continue
		}
		if _, unknown := find(scenarios.All(), w); unknown == nil {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(w, storyFamily)); err == nil {
			return numbered(w, n)
		}
		var names []string
		for _, s := range stories.All() {
			names = append(names, s.Name)
		}
		if near := nearest.Of(strings.TrimPrefix(w, storyFamily), names); near != "" && nearest.Distance(w, near) <= max(2, len(w)/4) {
			return fmt.Errorf("unknown scenario %q; the nearest is %q; see lastack list", w, storyFamily+near)
		}
		break
	}
	return err
}

// storyNumbers is the comment of a story that says which published bugs it plays.
var storyNumbers = regexp.MustCompile(`(?m)^# Stor(?:y|ies) ([0-9][0-9, and]*)\.$`)

// numbered complains of a story's number in the place of a name.
func numbered(word string, n int) error {
	var found []string
	for _, s := range stories.All() {
		for _, m := range storyNumbers.FindAllStringSubmatch(s.Text, -1) {
			if slices.Contains(strings.FieldsFunc(m[1], func(r rune) bool { return r < '0' || r > '9' }), strconv.Itoa(n)) {
				found = append(found, s.Name)
			}
		}
	}
	if found == nil {
		return fmt.Errorf("unknown scenario %q: scenarios and stories go by name; see lastack list", word)
	}
	return fmt.Errorf("unknown scenario %q: stories go by name, and story %d is %s", word, n, strings.Join(found, " and "))
}

// readFile reads the scenarios of a file: FILE, or FILE#NAME for one of several.
func readFile(arg string) (chosen []choice, err error) {
	path, name, one := oneOfFile(arg)
	list, err := file.Read(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range list {
		word := path
		if len(list) > 1 {
			word += "#" + s.Name
		}
		if !one || s.Name == name {
			chosen = append(chosen, choice{file: s, name: s.Name, word: word})
		}
		names = append(names, s.Name)
	}
	if chosen == nil {
		return nil, fmt.Errorf("%s holds no scenario %q; the nearest is %q", path, name, nearest.Of(name, names))
	}
	return chosen, nil
}

// oneOfFile parts FILE#NAME; of anything else it is all the path.
func oneOfFile(arg string) (path, name string, one bool) {
	i := strings.LastIndexByte(arg, '#')
	if _, err := os.Stat(arg); err == nil || i < 0 || !isFile(arg[:i]) {
		return arg, "", false
	}
	return arg[:i], arg[i+1:], true
}

// isFile tells the name of a scenario file, or of a scenario in one.
func isFile(arg string) bool {
	if _, _, one := oneOfFile(arg); one || strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml") {
		return true
	}
	if isGlob(arg) || named(arg) {
		return false
	}
	_, err := os.Stat(arg)
	return err == nil || strings.ContainsRune(arg, '/') && !errors.Is(err, fs.ErrNotExist)
}

// named tells whether a word is a name of the catalogue or of a story.
func named(word string) bool {
	if slices.ContainsFunc(scenarios.All(), func(sc harness.Scenario) bool { return sc.Name == word || family(sc.Name) == word }) {
		return true
	}
	return slices.ContainsFunc(stories.All(), func(s *file.Scenario) bool { return s.Name == strings.TrimPrefix(word, storyFamily) })
}

// findStories are the stories that a word names; only tells that the catalogue need
// not be asked.
func findStories(word string) (found []choice, only bool, err error) {
	only = strings.HasPrefix(word, storyFamily)
	for _, s := range stories.All() {
		switch {
		case !isGlob(word):
			if s.Name == strings.TrimPrefix(word, storyFamily) {
				return []choice{story(s)}, true, nil
			}
		default:
			ok, err := matchGlob(word, storyFamily+s.Name)
			if err != nil {
				return nil, false, err
			}
			if ok {
				found = append(found, story(s))
			}
		}
	}
	if only && found == nil && isGlob(word) {
		return nil, false, noMatch(word)
	}
	return found, only && found != nil, nil
}

// check makes sure that what will be played of a file can be.
func (f *runFlags) check(s *file.Scenario) error {
	variants := f.variants(s)
	if !slices.Contains(s.Variants, variants[0]) {
		return fmt.Errorf("--variant %q: %s has no such variant; the nearest is %q", f.variant, s.Name, nearest.Of(variants[0], s.Variants))
	}
	for host, argv := range f.programs {
		for _, v := range variants {
			if hosts := s.Hosts(v); !slices.Contains(hosts, host) {
				return fmt.Errorf("%s: %s runs no program on %s, but on %s", f.programs.flag(host), s.Name, host, strings.Join(hosts, " and "))
			}
		}
		if err := harness.CheckProgram(argv[0]); err != nil {
			return fmt.Errorf("%s: %w", f.programs.flag(host), err)
		}
	}
	values := f.values()
	if strings.Contains(string(f.variant), "{") && (values == "" || !strings.HasSuffix(string(f.variant), "}")) {
		return fmt.Errorf("--variant %q: values stand in brackets behind it, as in default{keep=0}", f.variant)
	}
	if values != "" {
		plays, err := s.Plays(variants[0], nil)
		if err != nil {
			return err
		}
		var known []string
		for _, p := range plays {
			known = append(known, p.Values)
		}
		if slices.Equal(known, []string{""}) {
			return fmt.Errorf("--variant %q: %s has no values: say --variant %s", f.variant, s.Name, variants[0])
		}
		if !slices.Contains(known, values) {
			return fmt.Errorf("--variant %q: %s is not played with %s; the nearest is %q", f.variant, s.Name, values, nearest.Of(values, known))
		}
	}
	return s.Check(variants, f.programs)
}

// variants are what is played of a file.
func (f *runFlags) variants(s *file.Scenario) (names []string) {
	if f.one() || len(s.Verdicts) == 0 {
		name, _, _ := strings.Cut(string(f.variant), "{")
		if name == "" {
			name = file.Default
		}
		return []string{name}
	}
	for _, v := range s.Verdicts {
		names = append(names, v.Variant)
	}
	return names
}

// values are those in the brackets of --variant, as in default{keep=0}.
func (f *runFlags) values() string {
	_, values, _ := strings.Cut(string(f.variant), "{")
	return strings.TrimSuffix(values, "}")
}

// addFile adds the runs of a file's scenario.
func (p *playing) addFile(c choice, repetition int) {
	f := &p.flags
	groups := map[int]*group{}
	for _, variant := range f.variants(c.file) {
		plays, err := c.file.Plays(variant, f.programs)
		if err != nil {
			panic(err) // check has asked for it
		}
		want := record.Verdict("")
		for _, v := range c.file.Verdicts {
			if v.Variant == variant {
				want = v.Verdict
			}
		}
		for _, play := range plays {
			if values := f.values(); values != "" && values != play.Values {
				continue
			}
			families := f.ip
			if play.IP != 0 {
				families = []int{play.IP}
			}
			again := variant
			if play.Values != "" {
				again += "{" + play.Values + "}"
			}
			sc := play.Scenario
			sc.Name = strings.TrimSuffix(c.name, c.file.Name) + sc.Name
			for _, ip := range families {
				job := p.job(sc, ip, repetition, f.repro(c.word, again, ip))
				var g *group
				if want != "" && !f.one() {
					if g = groups[ip]; g == nil {
						g = &group{name: c.name, word: c.word, summary: c.file.Summary, ip: ip}
						groups[ip] = g
					}
					g.add(variant, want, play.Values)
					several := len(plays) > 1
					job.Options.Expected = func(r *record.Run) bool {
						return r.Verdict == want || several && r.Verdict == record.Pass
					}
				}
				p.jobs, p.groups = append(p.jobs, job), append(p.groups, g)
			}
		}
	}
}

// group is all that is played of a file's scenario over one address family, and
// whether it came out as the file has it.
type group struct {
	name, word, summary string
	ip                  int
	variants            []*written
	left                int // runs that have not ended
}

// written is a variant with the verdict that the file has for it.
type written struct {
	variant string
	want    record.Verdict
	several bool // values of variables
	runs    []*record.Run
}

func (g *group) add(variant string, want record.Verdict, values string) {
	g.left++
	if n := len(g.variants); n == 0 || g.variants[n-1].variant != variant {
		g.variants = append(g.variants, &written{variant: variant, want: want, several: values != ""})
	}
}

// wants is the verdict that the file has for a variant.
func (g *group) wants(variant string) record.Verdict {
	for _, v := range g.variants {
		if v.variant == variant {
			return v.want
		}
	}
	return ""
}

// gather takes a run that has ended, and gives that of the whole group where it was
// the last.
func (p *playing) gather(g *group, r *record.Run) *record.Run {
	for _, v := range g.variants {
		if v.variant == r.Play {
			v.runs = append(v.runs, r)
		}
	}
	p.terminal.Leave(r)
	if p.flags.verbose {
		p.terminal.Note(r)
	}
	if g.left--; g.left > 0 {
		return nil
	}
	r = g.whole()
	g.variants = nil
	return r
}

// gave is the verdict of a variant: the worst of its runs. One that tested nothing
// counts first: it might have given another.
func (w *written) gave() record.Verdict {
	var all, nothing []record.Verdict
	for _, r := range w.runs {
		all = append(all, r.Verdict)
		if r.Verdict != record.Pass && r.Verdict != record.Fail {
			nothing = append(nothing, r.Verdict)
		}
	}
	if nothing != nil {
		return record.Worst(true, nothing...)
	}
	return record.Worst(true, all...)
}

// whole is the run that stands for a group: its claims are that each variant gives
// its verdict.
func (g *group) whole() *record.Run {
	out := &record.Run{Scenario: g.name, Summary: g.summary, Play: defaultPlay, IP: g.ip, Repro: fmt.Sprintf("lastack run %s --ip %d -v", shell.Quote(g.word), g.ip)}
	var verdicts []record.Verdict
	deviates := false
	for _, w := range g.variants {
		gave := w.gave()
		claim := record.Claim{Sentence: fmt.Sprintf("%s gives %s%s", w.variant, w.want, w.how()), Verdict: record.Pass}
		if gave != w.want {
			claim.Verdict = record.Fail
			if gave != record.Pass && gave != record.Fail {
				claim.Verdict = gave
			}
			claim.Why = fmt.Sprintf("it gave %s", gave)
			told := 0
			for _, r := range w.runs {
				if r.Verdict != gave {
					continue
				}
				if told++; told <= maxReasons {
					claim.Why += "\n" + reasons(r)
				}
				if !deviates {
					out.Evidence = r.Evidence
					out.Segments, out.States, out.Calls, out.Programs, out.Hosts, out.Attempts = r.Segments, r.States, r.Calls, r.Programs, r.Hosts, r.Attempts
					out.Repro, out.Kernel, deviates = r.Repro, r.Kernel, true
				}
			}
			if told > maxReasons {
				claim.Why += fmt.Sprintf("\nand %d more", told-maxReasons)
			}
			if out.Why == "" {
				out.Why = fmt.Sprintf("%s gave %s, and not %s", w.variant, gave, w.want)
				if claim.Verdict != record.Fail {
					out.Why += claim.Why[strings.IndexByte(claim.Why, '\n'):]
				}
			}
		}
		verdicts = append(verdicts, claim.Verdict)
		out.Claims = append(out.Claims, claim)
		for _, r := range w.runs {
			if out.Kernel == "" {
				out.Kernel = r.Kernel
			}
			if out.Started.IsZero() || r.Started.Before(out.Started) {
				out.Started = r.Started
			}
			out.Duration += r.Duration
		}
	}
	out.Verdict = record.Worst(true, verdicts...)
	return out
}

// maxReasons is for how many values of a variant the reasons are told.
const maxReasons = 3

// how says that a verdict is the worst of several: always in the same words, for a
// report knows its cases by them.
func (w *written) how() string {
	if !w.several {
		return ""
	}
	return fmt.Sprintf(", the worst of %d values", len(w.runs))
}

// reasons are why a run has its verdict.
func reasons(r *record.Run) string {
	text := r.Scenario
	if r.Why != "" {
		text += ": " + r.Why
	}
	for _, c := range r.Claims {
		if c.Verdict != record.Pass && c.Why != r.Why {
			return text + "\n" + c.Why
		}
	}
	return text
}

// storyScenarios are the stories as list looks for them.
func storyScenarios() (list []harness.Scenario) {
	for _, s := range stories.All() {
		list = append(list, harness.Scenario{Name: storyFamily + s.Name, Summary: s.Summary, Doc: s.Text, Refs: s.Sources})
	}
	return list
}

// storyDescription is what show prints of a story.
func storyDescription(s *file.Scenario) string {
	var b strings.Builder
	fmt.Fprintln(&b, storyFamily+s.Name)
	for _, line := range record.Wrap(s.Summary, columns) {
		fmt.Fprintln(&b, line)
	}
	var verdicts []string
	for _, v := range s.Verdicts {
		verdicts = append(verdicts, fmt.Sprintf("%s gives %s", v.Variant, v.Verdict))
	}
	bullets(&b, "Verdicts", verdicts)
	bullets(&b, "Sources", s.Sources)
	fmt.Fprintf(&b, "\nThe file:\n\n%s", s.Text)
	fmt.Fprintf(&b, "\nPlay it, or play it against a program of yours:\n  lastack run %s\n", s.Name)
	for _, host := range s.Hosts(file.Default) {
		if host == hosts[0] || host == hosts[1] {
			fmt.Fprintf(&b, "  lastack run %s --%s CMD -v\n", s.Name, host)
		} else {
			fmt.Fprintf(&b, "  lastack run %s --host %s=CMD -v\n", s.Name, host)
		}
	}
	return b.String()
}
