package tool_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/harness/analyze"
	"github.com/lastack/lastack/harness/file"
	"github.com/lastack/lastack/harness/record"
	"github.com/lastack/lastack/scenarios"
	"github.com/lastack/lastack/scenarios/stories"
)

// Each file that the catalogue leaves behind shows the end that testdata/endings.txt has for it: what the wire saw, and what
// each host saw of the same connections.
func TestAnalyzeCatalogue(t *testing.T) {
	pool := newPool(t)
	out := t.TempDir()
	var jobs []harness.Job
	for _, sc := range scenarios.All() {
		if sc.Slow {
			continue
		}
		families := []int{4}
		if soak(0, 1) == 1 {
			families = []int{4, 6}
		}
		for _, ip := range families {
			jobs = append(jobs, harness.Job{Scenario: sc, Options: harness.Options{IP: ip, Out: out}})
		}
	}
	table := readEndings(t)
	seen := map[endingKey]bool{}
	looked := 0
	for _, r := range playAll(t, pool, jobs) {
		if r.Verdict != record.Pass {
			// Why it did not is for suites/kernel to say; its files show something else then.
			t.Logf("%s over IPv%d: %s: %s", r.Scenario, r.IP, r.Verdict, r.Why)
			for _, name := range captureFiles {
				seen[endingKey{r.Scenario, strings.TrimSuffix(name, ".pcapng")}] = true
			}
			continue
		}
		looked++
		for _, file := range captureFiles {
			key := endingKey{r.Scenario, strings.TrimSuffix(file, ".pcapng")}
			seen[key] = true
			got := endingsOf(t, filepath.Join(r.Evidence, file))
			want, ok := table[key]
			switch {
			case !ok:
				t.Errorf("testdata/endings.txt has no row for %s %s; over IPv%d it shows:\n%s\n%s", key.scenario, key.file, r.IP, got, r.Ladder())
			case !slices.Contains(want, got):
				t.Errorf("%s over IPv%d: %s shows\n  %s\nwant\n  %s\n%s", r.Scenario, r.IP, file, got, strings.Join(want, "\n  or "), r.Ladder())
			}
		}
	}
	if looked < len(jobs)/2 {
		t.Errorf("of %d runs only %d passed, and so were looked at", len(jobs), looked)
	}
	for key := range table {
		if !seen[key] {
			t.Errorf("testdata/endings.txt has a row for %s %s, which nothing left behind", key.scenario, key.file)
		}
	}
}

// A scenario that --save wrote, played, leaves a capture that shows the same end: what is saved makes it happen.
func TestAnalyzeSavesWhatMakesItHappen(t *testing.T) {
	pool := newPool(t)
	out := t.TempDir()
	var jobs []harness.Job
	for _, text := range analyze.Reproductions() {
		list, err := file.Parse("saved.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		for _, sc := range list {
			plays, err := sc.Plays(file.Default, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range plays {
				jobs = append(jobs, harness.Job{Scenario: p.Scenario, Options: harness.Options{IP: 4, Out: out}})
			}
		}
	}
	for _, r := range playAll(t, pool, jobs) {
		mustPass(t, r)
		var again []string
		for _, c := range connections(t, filepath.Join(r.Evidence, "client.pcapng")) {
			again = append(again, c.Scenario())
		}
		if !slices.ContainsFunc(again, func(text string) bool { return strings.Contains(text, "\nname: "+r.Scenario+"\n") }) {
			t.Errorf("%s: none of the ends in its capture would be saved as it\n%s", r.Scenario, r.Ladder())
		}
	}
}

// What the table of nearest scenarios names is in the catalogue.
func TestAnalyzeNamesScenariosOfTheCatalogue(t *testing.T) {
	names := map[string]bool{}
	for _, sc := range scenarios.All() {
		names[sc.Name] = true
	}
	for _, n := range analyze.Likenesses() {
		if !names[n.Scenario] {
			t.Errorf("there is no scenario %s", n.Scenario)
		}
	}
}

// A story that the table names leaves a capture in which the table finds it.
func TestAnalyzeNamesStoriesThatShowTheEnd(t *testing.T) {
	pool := newPool(t)
	out := t.TempDir()
	var jobs []harness.Job
	var names []string
	for _, n := range analyze.Likenesses() {
		name := string(n.Story)
		if name == "" || slices.Contains(names, name) {
			continue
		}
		at := slices.IndexFunc(stories.All(), func(s *file.Scenario) bool { return s.Name == name })
		if at < 0 {
			t.Errorf("there is no story %s", name)
			continue
		}
		plays, err := stories.All()[at].Plays(file.Default, nil)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		jobs = append(jobs, harness.Job{Scenario: plays[0].Scenario, Options: harness.Options{IP: 4, Out: out}})
	}
	for i, r := range playAll(t, pool, jobs) {
		var seen []string
		for _, file := range captureFiles {
			for _, c := range connections(t, filepath.Join(r.Evidence, file)) {
				if c.Nearest != nil {
					seen = append(seen, string(c.Nearest.Story))
				}
			}
		}
		if !slices.Contains(seen, names[i]) {
			t.Errorf("the captures of %s (%s) have the ends of %q\n%s", names[i], r.Verdict, seen, r.Ladder())
		}
	}
}

type endingKey struct{ scenario, file string }

// readEndings reads the table: a scenario in each line that is not indented, and below it a line for all files or for some of
// them, with the ends of the connections in their order. What may be one way or another is there in both, behind "or".
func readEndings(t *testing.T) map[endingKey][]string {
	t.Helper()
	f, err := os.Open("testdata/endings.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table := map[endingKey][]string{}
	scenario, files := "", []string(nil)
	for in := bufio.NewScanner(f); in.Scan(); {
		line := in.Text()
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case !strings.HasPrefix(line, " "):
			scenario = line
			continue
		}
		word, ends, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "all":
			files = []string{"client", "server", "wire"}
		case "or":
		default:
			files = strings.Split(word, ",")
		}
		for _, file := range files {
			key := endingKey{scenario, file}
			table[key] = append(table[key], strings.TrimSpace(ends))
		}
	}
	return table
}

// endingsOf is what a file shows, as the table has it.
func endingsOf(t *testing.T, name string) string {
	t.Helper()
	byConn := map[int]string{}
	for _, c := range connections(t, name) {
		byConn[c.Conn] = endingOf(c)
	}
	if len(byConn) == 0 {
		return "nothing"
	}
	var list []string
	for conn := 1; conn <= len(byConn); conn++ {
		end, n := byConn[conn], 1
		for conn < len(byConn) && byConn[conn+1] == end {
			conn++
			n++
		}
		if n > 1 {
			end = fmt.Sprintf("%d × %s", n, end)
		}
		list = append(list, end)
	}
	return strings.Join(list, "; ")
}

// connections are what a file shows.
func connections(t *testing.T, name string) (list []*analyze.Connection) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = analyze.Read(t.Context(), []analyze.Input{{Name: name, Reader: f}}, analyze.Options{Ended: func(c *analyze.Connection) { list = append(list, c) }})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// endingOf is a connection in the table's words: ENDED, then who closed first, then the reset as BY WHY IN_STATE.
func endingOf(c *analyze.Connection) string {
	text := string(c.Ended)
	if c.ClosedFirst != "" {
		text += ", first " + string(c.ClosedFirst)
	}
	if r := c.Reset; r != nil {
		text += fmt.Sprintf(", by %s: %s", r.By, r.Why)
		if r.InState != "" {
			text += " in " + string(r.InState)
		}
	}
	return text
}
