package vocabulary

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
)

//go:generate go test -count=1 -run ^TestDocument$ -update .

var update = flag.Bool("update", false, "write docs/vocabulary.md")

//go:embed vocabulary.md.tmpl
var text string

// row is one line of a table of words.
type row struct{ Word, Is, Shows, Test string }

func TestDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "vocabulary.md")
	want := document(t)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); d != "" {
		t.Errorf("docs/vocabulary.md is stale, go generate ./suites/vocabulary mends it (-want +got):\n%s", d)
	}
}

func document(t *testing.T) []byte {
	src := readSource(t)
	page := template.Must(template.New("").Funcs(template.FuncMap{
		"parts": func(table string) ([]part, error) {
			found, ok := tables()[table]
			if !ok {
				return nil, fmt.Errorf("there is no table %q", table)
			}
			return found.parts, nil
		},
		"verbs": func() []row {
			var list []row
			for _, name := range src.order {
				if word, ok := strings.CutPrefix(name, "inject."); ok && len(rules()[strings.ToLower(word)]) > 0 {
					list = append(list, row{Word: strings.ToLower(word), Is: src.says[name]})
				}
			}
			return list
		},
		"words": func(group string) []row { return words(src, group) },
		"acts":  func(group string) []row { return acts(src, group) },
		"code":  code,
		"cell":  cell,
	}).Parse(text))
	var b bytes.Buffer
	if err := page.Execute(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// words are the entries of a group that are typed.
func words(src *source, group string) []row {
	var list []row
	for _, e := range entries() {
		if e.group() != group || e.word == "" {
			continue
		}
		is := e.says
		if is == "" && len(e.of) > 0 {
			is = src.says[e.of[0]]
		}
		list = append(list, row{e.word, is, e.shows, e.name})
	}
	return list
}

// acts are the identifiers that a group's entries stand for, in the order of
// the code.
func acts(src *source, group string) []row {
	by := map[string]entry{}
	for _, e := range entries() {
		if e.group() == group {
			for _, name := range e.of {
				by[name] = e
			}
		}
	}
	var list []row
	for _, name := range src.order {
		if e, ok := by[name]; ok {
			list = append(list, row{name, src.says[name], e.shows, e.name})
		}
	}
	return list
}

// code sets a text in Markdown's code, within a table.
func code(text string) string {
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

// cell is a sentence as a table holds it.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }
