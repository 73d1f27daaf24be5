package docs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lastack/lastack/harness"
)

// Textbook is docs/textbook.md.
func Textbook(all []harness.Scenario) string {
	given := answers(all)
	count := map[harness.Truth]int{}
	for _, list := range given {
		count[outcome(list)]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, `# What the textbook says, and what Linux does

%s

These are the %d statements from which most of us learned how a TCP connection ends. Each stands with the scenario that
shows what the kernel makes of it: %d hold, %d hold under a condition, and for %d Linux does something else.
Play a scenario with `+"`lastack run NAME -v`"+`.
`, note, Statements, count[harness.Holds], count[harness.HoldsWhen], count[harness.NotOnLinux])
	for _, c := range chapters {
		fmt.Fprintf(&b, "\n## %s\n", c.Title)
		for i, text := range c.Statements {
			n := c.First + i
			fmt.Fprintf(&b, "\n<a id=\"statement-%d\"></a>\n\n**%d.** %s\n\n", n, n, text)
			if len(given[n]) == 0 {
				b.WriteString("- no scenario shows it yet\n")
			}
			for _, a := range together(given[n]) {
				fmt.Fprintf(&b, "- **%s%s** %s (%s)\n", a.Holds, tails[a.Holds], escape(strings.Join(strings.Fields(a.Says), " ")), a.scenario)
			}
		}
	}
	return b.String()
}

// tails are what stands between an answer and its reason.
var tails = map[harness.Truth]string{harness.Holds: ".", harness.HoldsWhen: " …", harness.NotOnLinux: " …"}

// answered is an answer, and who gives it.
type answered struct {
	harness.Answer
	scenario string
}

// answers are those to each statement, sorted by scenario.
func answers(all []harness.Scenario) map[int][]answered {
	given := map[int][]answered{}
	for _, sc := range all {
		for _, a := range sc.Answers {
			given[a.Statement] = append(given[a.Statement], answered{a, sc.Name})
		}
	}
	for _, list := range given {
		slices.SortStableFunc(list, func(a, b answered) int { return strings.Compare(a.scenario, b.scenario) })
	}
	return given
}

// together is each answer once, with links to all scenarios that give it: the
// rows of a table of scenarios all say the same.
func together(list []answered) []answered {
	var once []answered
	for _, a := range list {
		i := slices.IndexFunc(once, func(o answered) bool { return o.Answer == a.Answer })
		if i < 0 {
			once = append(once, answered{a.Answer, link(a.scenario)})
			continue
		}
		once[i].scenario += ", " + link(a.scenario)
	}
	return once
}

// outcome is the one answer of many: what holds in one case only holds under a
// condition, and what Linux does otherwise in one case does not hold.
func outcome(list []answered) harness.Truth {
	worst := harness.Holds
	for _, a := range list {
		if a.Holds == harness.NotOnLinux || worst == harness.Holds {
			worst = a.Holds
		}
	}
	return worst
}

// Unanswered are the statements that no scenario answers.
func Unanswered(all []harness.Scenario) (missing []int) {
	given := answers(all)
	for n := 1; n <= Statements; n++ {
		if len(given[n]) == 0 {
			missing = append(missing, n)
		}
	}
	return missing
}

// Unfounded are the answers that cannot stand in the textbook, each in a line.
func Unfounded(all []harness.Scenario) (lines []string) {
	for _, sc := range all {
		for _, a := range sc.Answers {
			switch {
			case a.Statement < 1 || a.Statement > Statements:
				lines = append(lines, fmt.Sprintf("%s answers statement %d: there are %d", sc.Name, a.Statement, Statements))
			case tails[a.Holds] == "":
				lines = append(lines, fmt.Sprintf("%s answers statement %d with %q", sc.Name, a.Statement, a.Holds))
			case strings.TrimSpace(a.Says) == "":
				lines = append(lines, fmt.Sprintf("%s answers statement %d without saying why", sc.Name, a.Statement))
			}
		}
	}
	return lines
}
