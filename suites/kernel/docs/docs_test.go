package docs

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lastack/lastack/harness"
	"github.com/lastack/lastack/scenarios"
)

var update = flag.Bool("update", false, "write the documents")

func TestDocumentsAreUpToDate(t *testing.T) {
	all := scenarios.All()
	for name, want := range map[string]string{
		"catalogue.md": Catalogue(all), "textbook.md": Textbook(all), "coverage.md": Coverage(all),
	} {
		file := filepath.Join("..", "..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("docs/%s is stale: go generate ./... (-want +got):\n%s", name, cmp.Diff(want, string(got)))
		}
	}
}

// TestDocumentsDoNotDependOnOrder: they are the same whoever lists the
// scenarios, and however often.
func TestDocumentsDoNotDependOnOrder(t *testing.T) {
	all := scenarios.All()
	turned := slices.Clone(all)
	slices.Reverse(turned)
	for name, make := range map[string]func([]harness.Scenario) string{"catalogue": Catalogue, "textbook": Textbook, "coverage": Coverage} {
		if diff := cmp.Diff(make(all), make(turned)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestEveryStatementIsAnswered(t *testing.T) {
	all := scenarios.All()
	for _, n := range Unanswered(all) {
		t.Errorf("no scenario answers statement %d: %s", n, statement(n))
	}
	for _, line := range Unfounded(all) {
		t.Error(line)
	}
}

// statement is the text under a number.
func statement(n int) string {
	for _, c := range chapters {
		if i := n - c.First; i >= 0 && i < len(c.Statements) {
			return c.Statements[i]
		}
	}
	return ""
}

// TestStatementNumbers: numbers are names, so a statement that is put in or
// taken out must not move the others without being seen.
func TestStatementNumbers(t *testing.T) {
	if Statements != 42 {
		t.Errorf("there are %d statements", Statements)
	}
	next := 1
	for _, c := range chapters {
		if c.First != next {
			t.Errorf("%q begins with %d, want %d", c.Title, c.First, next)
		}
		next += len(c.Statements)
	}
	for n, begins := range map[int]string{
		1: "Each direction", 7: "TIME_WAIT lasts", 14: "A restarted server", 15: "The FIN bit", 21: "Very many",
		22: "RST is sent", 30: "shutdown()", 31: "Dead right after its FIN", 42: "Watching",
	} {
		if got := statement(n); !strings.HasPrefix(got, begins) {
			t.Errorf("statement %d is %q, want %q …", n, got, begins)
		}
	}
}

func TestRefutations(t *testing.T) {
	all := scenarios.All()
	n := Count(all)
	if n.None > 0 {
		for _, sc := range all {
			for _, c := range sc.Claims {
				if one := Count([]harness.Scenario{{Claims: []harness.Claim{c}}}); one.None > 0 {
					t.Errorf("%s: nothing refutes %q", sc.Name, c.Says)
				}
			}
		}
	}
	if n.Share() < 80 {
		t.Errorf("%d of %d refutations are plays: %d %%, want at least 80 %%", n.Plays, n.Plays+n.Edits, n.Share())
	}
}

// TestAnchorsAreUnique: each link leads to one scenario.
func TestAnchorsAreUnique(t *testing.T) {
	owner := map[string]string{}
	for _, sc := range scenarios.All() {
		anchor := Anchor(sc.Name)
		if other := owner[anchor]; other != "" {
			t.Errorf("%s and %s have the anchor %s", other, sc.Name, anchor)
		}
		owner[anchor] = sc.Name
	}
	for name, want := range map[string]string{
		"close/four-way": "close-four-way", "wait/assassination{tcp_rfc1337=1}": "wait-assassination-tcp_rfc1337-1",
	} {
		if got := Anchor(name); got != want {
			t.Errorf("the anchor of %s is %s, want %s", name, got, want)
		}
	}
}

// TestLinks: each link of a page of this repository to another leads to what is
// there, and each into the catalogue to a scenario.
func TestLinks(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	var pages []string
	for _, pattern := range []string{"*.md", filepath.Join("docs", "*.md")} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no page %s: %v", pattern, err)
		}
		pages = append(pages, found...)
	}
	known := map[string]bool{}
	for _, sc := range scenarios.All() {
		known[Anchor(sc.Name)], known[family(sc)] = true, true
	}
	into := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range dead(string(text), func(target string) (string, bool) {
			if target == "" {
				return string(text), true
			}
			other, err := os.ReadFile(filepath.Join(filepath.Dir(page), filepath.FromSlash(target)))
			return string(other), err == nil
		}) {
			t.Errorf("%s: the link %s leads nowhere", filepath.Base(page), link)
		}
		for _, link := range linked.FindAllStringSubmatch(string(text), -1) {
			if filepath.Base(link[1]) != "catalogue.md" || link[2] == "" {
				continue
			}
			into++
			if !known[strings.TrimPrefix(link[2], "#")] {
				t.Errorf("%s: %s is no scenario of the catalogue, and no family", filepath.Base(page), link[2])
			}
		}
	}
	if into == 0 {
		t.Error("no page links a scenario")
	}
}

// linked is a link to a place in the repository: the file, which is empty for the
// page itself, and the anchor.
var linked = regexp.MustCompile(`\]\(([^)#\s:]*)(#[^)\s]*)?\)`)

// dead are the links of a page that lead to no file, or to no anchor or heading of
// it. read gives the text of a file.
func dead(page string, read func(target string) (string, bool)) (links []string) {
	for _, link := range linked.FindAllStringSubmatch(page, -1) {
		if link[1] == "" && link[2] == "" {
			continue
		}
		text, ok := read(link[1])
		if anchor := strings.TrimPrefix(link[2], "#"); ok && anchor != "" {
			ok = strings.Contains(text, `<a id="`+anchor+`">`) || slices.Contains(headings(text), anchor)
		}
		if !ok {
			links = append(links, link[1]+link[2])
		}
	}
	return links
}

// headings are the anchors that a page's headings make.
func headings(page string) (anchors []string) {
	for line := range strings.Lines(page) {
		if title := strings.TrimLeft(line, "#"); title != line && strings.HasPrefix(title, " ") {
			anchors = append(anchors, strings.ReplaceAll(unlinkable.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-"))
		}
	}
	return anchors
}

// unlinkable is what a heading's anchor leaves out.
var unlinkable = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

func TestDead(t *testing.T) {
	files := map[string]string{"": "# Top\n", "a.md": "<a id=\"here\"></a>\n## `lab` and Others: all\n"}
	page := "[1](a.md) [2](a.md#here) [3](a.md#lab-and-others-all) [4](#top) [5](https://example.org/#x) [6](b.md) [7](a.md#there) [8](#bottom)"
	got := dead(page, func(target string) (string, bool) { text, ok := files[target]; return text, ok })
	if diff := cmp.Diff([]string{"b.md", "a.md#there", "#bottom"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

var sample = []harness.Scenario{
	{
		Name: "wait/timer", Summary: "TIME_WAIT is shown by its *timer*.",
		Doc: `
A constant of <Linux>.

  client
   ── ACK ──►

After it, nothing.
`,
		Refs:    []string{"RFC 9293 §3.6.1", "tcp_time_wait", "RFC 6191"},
		Claims:  []harness.Claim{{Says: "it will\nlast 60 s", Refute: harness.Variant{Play: func(*harness.Stage) {}}}},
		Needs:   []harness.Need{{Linux: "6.14"}, {Sysctl: "net.ipv4.tcp_tw_reuse_delay"}},
		Answers: []harness.Answer{{Statement: 7, Holds: harness.NotOnLinux, Says: "60 s, a constant."}},
		Slow:    true,
	},
	{
		Name: "close/plain", Summary: "Plain.",
		Claims: []harness.Claim{
			{Says: "a", Refute: harness.Variant{Sysctls: []harness.Sysctl{{Key: "net.x", Value: "1"}}}},
			{Says: "b"},
		},
		Answers: []harness.Answer{{Statement: 7, Holds: harness.Holds, Says: "Yes."}, {Statement: 43, Holds: harness.Holds, Says: "No."}, {Statement: 1, Holds: "maybe", Says: "Hm."}, {Statement: 2, Holds: harness.HoldsWhen}},
	},
}

func TestCatalogueEntry(t *testing.T) {
	const want = "\n## wait\n\n<a id=\"wait-timer\"></a>\n\n### wait/timer\n\nTIME_WAIT is shown by its \\*timer\\*.\n\n" +
		"A constant of &lt;Linux>.\n\n```text\n  client\n   ── ACK ──►\n```\n\nAfter it, nothing.\n\n" +
		"**Claims**\n\n- it will last 60 s\n\n" +
		"**References**\n\n- [RFC 9293 §3.6.1](https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1)\n- `tcp_time_wait`\n" +
		"- [RFC 6191](https://www.rfc-editor.org/rfc/rfc6191)\n\n" +
		"**Needs**\n\n- Linux ≥ 6.14\n- the sysctl `net.ipv4.tcp_tw_reuse_delay`\n\n" +
		"**Answers**\n\n- [statement 7](textbook.md#statement-7) **not on Linux, instead**: 60 s, a constant.\n\n" +
		"**Slow**: played with `--slow`, or where it is named.\n"
	_, got, _ := strings.Cut(Catalogue(sample), "\n## wait")
	if diff := cmp.Diff(want, "\n## wait"+got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTextbookEntry(t *testing.T) {
	const want = "**7.** TIME_WAIT lasts 2 MSL, two to four minutes as a rule.\n\n" +
		"- **holds.** Yes. ([close/plain](catalogue.md#close-plain))\n" +
		"- **not on Linux, instead …** 60 s, a constant. ([wait/timer](catalogue.md#wait-timer))\n\n"
	if got := Textbook(sample); !strings.Contains(got, want) || !strings.Contains(got, "**42.** Watching socket states and how they change finds what is not normal.\n\n- no scenario shows it yet\n") {
		t.Errorf("got:\n%s", got)
	}
	if got := outcome(answers(sample)[7]); got != harness.NotOnLinux {
		t.Errorf("the outcome is %q", got)
	}
	wantUnfounded := []string{
		"close/plain answers statement 43: there are 42",
		`close/plain answers statement 1 with "maybe"`,
		"close/plain answers statement 2 without saying why",
	}
	if diff := cmp.Diff(wantUnfounded, Unfounded(sample)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := Unanswered(sample); len(got) != 39 || got[0] != 3 {
		t.Errorf("unanswered: %v", got)
	}
	if diff := cmp.Diff(Refutations{Plays: 2, None: 1}, Count(sample)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTables: what is listed exists, once, and each transition is known by its
// text.
func TestTables(t *testing.T) {
	known := map[string]bool{}
	for _, sc := range scenarios.All() {
		known[sc.Name] = true
	}
	check := func(what string, names []string) {
		for i, name := range names {
			if !known[name] {
				t.Errorf("%s lists %s, which is not in the catalogue", what, name)
			}
			if slices.Contains(names[:i], name) {
				t.Errorf("%s lists %s twice", what, name)
			}
		}
	}
	seen := map[string]bool{}
	for _, tr := range slices.Concat(Transitions, Additions) {
		check(tr.String(), tr.Scenarios)
		if seen[tr.String()] {
			t.Errorf("%s stands there twice", tr)
		}
		seen[tr.String()] = true
	}
	for _, l := range Lacks {
		check(l.From.String()+" → "+l.To.String(), l.Scenarios)
	}
}

// TestEveryStateIsEntered: by a scenario that is listed with it.
func TestEveryStateIsEntered(t *testing.T) {
	for _, state := range states {
		if len(entering(state)) == 0 {
			t.Errorf("no scenario is listed with a transition to %s", state)
		}
	}
}
