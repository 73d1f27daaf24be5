package file_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/lastack/lastack/harness/file"
)

const page = "../../docs/scenario-files.md"

// TestPageNamesEveryKey: what the schema knows, the page tells.
func TestPageNamesEveryKey(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(file.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	keys := 0
	for name, d := range schema.Defs {
		for key := range d.Properties {
			keys++
			found := false
			for _, form := range []string{"`" + key + "`", "`" + key + ":", "- " + key + ":", " " + key + ":", " " + key + ",", " " + key + " }"} {
				found = found || strings.Contains(string(text), form)
			}
			if !found {
				t.Errorf("%s of %s is not on %s", key, name, page)
			}
		}
	}
	if keys < 80 {
		t.Errorf("the schema has %d keys", keys)
	}
}

// TestPageExamples: the first example of the page is a file.
func TestPageExamples(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no example")
	}
	list := parse(t, example)
	if list[0].Name != "half-a-file" {
		t.Errorf("it is %s", list[0].Name)
	}
}
