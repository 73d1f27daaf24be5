package stories_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lastack/lastack/scenarios/stories"
)

// published is how many bugs there are: each has a row, with a file or a reason.
const published = 47

// row is a line of the table in README.md: number, symptom, and a link to a file
// or why there is none.
var row = regexp.MustCompile(`(?m)^\| (\d+) \| .+ \| (.*?) ?\|$`)

// link is one of a row's files.
var link = regexp.MustCompile(`^\[([a-z0-9-]+)\]\(([a-z0-9-]+)\.yaml\)$`)

// numbers is the comment of a file that says which bugs it plays.
var numbers = regexp.MustCompile(`(?m)^# (?:Story|Stories) ([0-9][0-9, and]*)\.`)

// TestReadme: the table has every published bug in order, every file, and no other;
// and each file says the same numbers.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	table := map[string][]string{} // by file, its numbers
	var order, want []int
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, n)
		if m[2] == "" {
			t.Errorf("story %d has neither a file nor a reason", n)
		}
		for _, part := range strings.Split(m[2], ", ") {
			switch l := link.FindStringSubmatch(part); {
			case l != nil && l[1] != l[2]:
				t.Errorf("story %d: the link %s leads to %s.yaml", n, l[1], l[2])
			case l != nil:
				table[l[1]] = append(table[l[1]], m[1])
			}
		}
	}
	for n := 1; n <= published; n++ {
		want = append(want, n)
	}
	if d := cmp.Diff(want, order); d != "" {
		t.Errorf("rows of the table (-want +got):\n%s", d)
	}
	var names []string
	for _, s := range stories.All() {
		names = append(names, s.Name)
		text, err := os.ReadFile(s.Name + ".yaml")
		if err != nil {
			t.Errorf("%s: a story has its name from its file: %v", s.Name, err)
			continue
		}
		var says []string
		for _, m := range numbers.FindAllStringSubmatch(string(text), -1) {
			says = append(says, regexp.MustCompile(`\d+`).FindAllString(m[1], -1)...)
		}
		if !slices.Equal(says, table[s.Name]) {
			t.Errorf("%s plays, by its comment, %s; by README.md %s", s.Name, strings.Join(says, ", "), strings.Join(table[s.Name], ", "))
		}
		delete(table, s.Name)
	}
	for name := range table {
		t.Errorf("README.md links to %s, of %v", name, names)
	}
}
