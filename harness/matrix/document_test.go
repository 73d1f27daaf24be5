package matrix

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/json.md has a row for every field of the matrix, and none besides.
func TestEveryFieldIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for section, typ := range map[string]reflect.Type{
		"document": reflect.TypeFor[Document](), "cells[]": reflect.TypeFor[Cell](), "cells[].answers[]": reflect.TypeFor[Answer](),
	} {
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			want[section+" "+key] = true
		}
	}
	got := map[string]bool{}
	section := ""
	row := regexp.MustCompile("^\\| `([^`]+)` \\|")
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			_, section, _ = strings.Cut(strings.TrimSpace(line), "The matrix: ")
		} else if m := row.FindStringSubmatch(line); m != nil && section != "" {
			got[section+" "+m[1]] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documented fields (-want +got):\n%s", diff)
	}
}
