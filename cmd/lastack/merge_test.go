package main

import (
	"strings"
	"testing"
)

func TestMergeSaysWhatIsMissing(t *testing.T) {
	empty := t.TempDir()
	for dir, says := range map[string]string{
		empty:           "there is no check.json in it: name a directory that check --out wrote",
		empty + "/none": "there is no check.json in it",
		"merge_test.go": "not a directory",
	} {
		got := lastack(t.Context(), "merge", dir)
		if got.Status != 2 || got.Stdout != "" || !strings.Contains(got.Stderr, says) {
			t.Errorf("%s: %+v, want %q", dir, got, says)
		}
	}
}
