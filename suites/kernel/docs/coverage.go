package docs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/inject/tcp"
)

// Coverage is docs/coverage.md. It says what the tables say; the suite plays
// what stands in them.
func Coverage(all []harness.Scenario) string {
	var b strings.Builder
	reached := 0
	for _, t := range Transitions {
		if len(t.Scenarios) > 0 {
			reached++
		}
	}
	fmt.Fprintf(&b, `# What the catalogue covers

%s

`+"`go test ./suites/kernel`"+` plays every scenario over IPv4 and IPv6, and fails when one does not reach what it is listed with
here: the states are those that both hosts' kernels showed (sock_diag), each read while a segment waited; those of a
listener follow from its calls.

%d of the %d transitions of RFC 9293 that Linux has are reached. Other scenarios may reach them too; those listed do so
by construction.

## States

| state | entered in |
|---|---|
`, note, reached, len(Transitions))
	for _, state := range states {
		fmt.Fprintf(&b, "| %s | %s |\n", state, orNone(entering(state)))
	}
	b.WriteString("\n## Transitions of RFC 9293\n\n")
	transitions(&b, Transitions)
	b.WriteString("\n## Transitions that Linux adds\n\n")
	transitions(&b, Additions)
	b.WriteString("\n## Transitions of RFC 9293 that Linux lacks\n\n| from | to | by | see | instead |\n|---|---|---|---|---|\n")
	for _, l := range Lacks {
		instead := escape(l.Instead)
		if len(l.Scenarios) > 0 {
			instead += " (" + links(l.Scenarios) + ")"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", l.From, l.To, l.Event, reference(l.Ref), instead)
	}
	refutations(&b, all)
	return b.String()
}

func transitions(b *strings.Builder, list []Transition) {
	b.WriteString("| from | to | by | see | scenarios |\n|---|---|---|---|---|\n")
	for _, t := range list {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", t.From, t.To, t.Event, reference(t.Ref), orNone(t.Scenarios))
	}
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "**none**"
	}
	return links(names)
}

// entering are the scenarios that are listed with a transition into a state.
func entering(state tcp.State) []string {
	var names []string
	for _, t := range slices.Concat(Transitions, Additions) {
		if t.To == state {
			names = append(names, t.Scenarios...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Refutations counts how claims are refuted.
type Refutations struct {
	Plays, Edits int
	// None are claims that nothing refutes: a defect.
	None int
}

// Count counts the refutations of scenarios.
func Count(all []harness.Scenario) (n Refutations) {
	for _, sc := range all {
		for _, c := range sc.Claims {
			switch v := c.Refute; {
			case v.Edit != nil:
				n.Edits++
			case v.Play != nil || len(v.Sysctls) > 0:
				n.Plays++
			default:
				n.None++
			}
		}
	}
	return n
}

// Share is how many of a hundred refutations are plays.
func (n Refutations) Share() int {
	if n.Plays+n.Edits == 0 {
		return 100
	}
	return 100 * n.Plays / (n.Plays + n.Edits)
}

func refutations(b *strings.Builder, all []harness.Scenario) {
	b.WriteString(`
## Refutations

Every claim carries a change under which it fails while the run is conclusive: another play or other sysctls, or, where no
play can break it, an edit of the record. The suite plays them all. At least 80 % are to be plays.

| family | scenarios | claims | refuted by a play | by an edit | plays |
|---|--:|--:|--:|--:|--:|
`)
	for _, members := range families(all) {
		counted(b, "["+family(members[0])+"](catalogue.md#"+family(members[0])+")", members)
	}
	counted(b, "**all**", all)
}

func counted(b *strings.Builder, title string, members []harness.Scenario) {
	n := Count(members)
	fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d %% |\n", title, len(members), n.Plays+n.Edits+n.None, n.Plays, n.Edits, n.Share())
}
