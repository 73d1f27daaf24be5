// The command lastack breaks TCP connections at the exact segment, between
// real programs on the real Linux kernel, and says what became of them.
//
// `lastack help` lists its verbs. Its exit status is the same for every verb:
// 0 held, 1 did not hold, 2 could not work, 3 nothing was tested, 130
// interrupted.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
