package docs

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/lastack/lastack/harness"
)

// Catalogue is docs/catalogue.md.
func Catalogue(all []harness.Scenario) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# The catalogue

%s

One scenario is one behaviour. Play it with `+"`lastack run NAME -v`"+`, print it with `+"`lastack show NAME`"+`, find it by
any word with `+"`lastack list WORD`"+`. A scenario marked slow waits for a constant of the kernel of more than 15 s:
`+"`lastack run --all`"+` leaves it out unless `+"`--slow`"+` is given.

`, note)
	b.WriteString("| family | scenarios |\n|---|---|\n")
	for _, members := range families(all) {
		var names []string
		for _, sc := range members {
			_, own, _ := strings.Cut(sc.Name, "/")
			names = append(names, fmt.Sprintf("[%s](#%s)", escape(own), Anchor(sc.Name)))
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", family(members[0]), family(members[0]), strings.Join(names, ", "))
	}
	for _, members := range families(all) {
		fmt.Fprintf(&b, "\n## %s\n", family(members[0]))
		for _, sc := range members {
			entry(&b, sc)
		}
	}
	return b.String()
}

func entry(b *strings.Builder, sc harness.Scenario) {
	fmt.Fprintf(b, "\n<a id=%q></a>\n\n### %s\n\n%s\n", Anchor(sc.Name), escape(sc.Name), escape(sc.Summary))
	if doc := markdown(sc.Doc); doc != "" {
		fmt.Fprintf(b, "\n%s\n", doc)
	}
	list(b, "Claims", sc.Claims, func(c harness.Claim) string { return escape(c.Says) })
	list(b, "References", sc.Refs, reference)
	list(b, "Needs", sc.Needs, need)
	list(b, "Answers", sc.Answers, func(a harness.Answer) string {
		return fmt.Sprintf("[statement %d](textbook.md#statement-%d) **%s**: %s", a.Statement, a.Statement, a.Holds, escape(a.Says))
	})
	if sc.Slow {
		b.WriteString("\n**Slow**: played with `--slow`, or where it is named.\n")
	}
}

func list[T any](b *strings.Builder, title string, items []T, text func(T) string) {
	if len(items) == 0 {
		return
	}
	fmt.Fprintf(b, "\n**%s**\n\n", title)
	for _, item := range items {
		fmt.Fprintf(b, "- %s\n", strings.Join(strings.Fields(text(item)), " "))
	}
}

var (
	rfc      = regexp.MustCompile(`^RFC (\d+)(?: §([0-9.]*[0-9]))?`)
	function = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)
)

// reference is an RFC with a link to its text, or a function of the kernel.
func reference(text string) string {
	if function.MatchString(text) {
		return "`" + text + "`"
	}
	m := rfc.FindStringSubmatch(text)
	if m == nil {
		return escape(text)
	}
	page := "https://www.rfc-editor.org/rfc/rfc" + m[1]
	if m[2] != "" {
		page += "#section-" + m[2]
	}
	return fmt.Sprintf("[%s](%s)%s", m[0], page, escape(text[len(m[0]):]))
}

func need(n harness.Need) string {
	if n.Sysctl != "" {
		return "the sysctl `" + n.Sysctl + "`"
	}
	return "Linux ≥ " + n.Linux
}

// markdown is a scenario's explanation: what is indented stands as it was
// drawn, what is not is prose.
func markdown(doc string) string {
	lines := strings.Split(strings.ReplaceAll(doc, "\t", "    "), "\n")
	margin := -1
	for _, line := range lines {
		if words := strings.TrimLeft(line, " "); words != "" && (margin < 0 || len(line)-len(words) < margin) {
			margin = len(line) - len(words)
		}
	}
	var b strings.Builder
	drawn, blanks := false, 0
	for _, line := range lines {
		line = strings.TrimRight(line, " ")
		if line == "" {
			blanks++
			continue
		}
		line = line[margin:]
		indented := strings.HasPrefix(line, " ")
		if drawn && !indented {
			b.WriteString("```\n")
			blanks = max(blanks, 1)
		}
		if !drawn && indented && b.Len() > 0 {
			blanks = max(blanks, 1)
		}
		if b.Len() > 0 {
			b.WriteString(strings.Repeat("\n", blanks))
		}
		if !drawn && indented {
			b.WriteString("```text\n")
		}
		blanks, drawn = 0, indented
		if !indented {
			line = escape(line)
		}
		b.WriteString(line + "\n")
	}
	if drawn {
		b.WriteString("```\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
