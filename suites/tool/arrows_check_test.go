package tool_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// goPackage is what go list says of a package.
type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// listPackages asks go for all packages of this module. What a package imports differs from system to system.
func listPackages(t *testing.T) []goPackage {
	t.Helper()
	var all []goPackage
	for _, system := range []string{"linux", "darwin", "windows"} {
		// -e: a package that does not compile still says what it imports.
		list := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
		list.Dir = top
		list.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		list.Stderr = t.Output()
		out, err := list.Output()
		if err != nil {
			t.Fatalf("%v: %v", list, err)
		}
		packages := json.NewDecoder(strings.NewReader(string(out)))
		for {
			var p goPackage
			err := packages.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v: %v", list, err)
			}
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}

// importBreaches returns a line for each import that goes against the tables, sorted.
func importBreaches(packages []goPackage, arrows []row, reserved []reservation) []string {
	var breaches []string
	for _, p := range packages {
		room := strings.TrimPrefix(p.ImportPath, module+"/")
		if rowOf(room, arrows) == nil {
			breaches = append(breaches, room+" has no row in the table of arrows")
			continue
		}
		for _, imported := range p.Imports {
			breaches = append(breaches, importBreach(room, imported, false, arrows, reserved)...)
		}
		for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
			breaches = append(breaches, importBreach(room, imported, true, arrows, reserved)...)
		}
	}
	slices.Sort(breaches)
	return slices.Compact(breaches)
}

func importBreach(room, imported string, test bool, arrows []row, reserved []reservation) []string {
	who := room
	if test {
		who += ", in a test,"
	}
	target, ours := strings.CutPrefix(imported, module+"/")
	if ours {
		return arrowBreach(room, who, target, test, arrows)
	}
	for _, r := range reserved {
		if !within(imported, r.what) || matchesAny(r.rooms, room) || test && r.anyTest {
			continue
		}
		only := strings.Join(r.rooms, ", ")
		if r.anyTest {
			only += " and tests"
		}
		return []string{fmt.Sprintf("%s imports %s, which is for %s only", who, imported, only)}
	}
	return nil
}

func arrowBreach(room, who, target string, test bool, arrows []row) []string {
	if support := rowOf(target, arrows); support != nil && support.testSupport {
		if test || target == room {
			return nil
		}
		return []string{fmt.Sprintf("%s imports %s, which is for tests only", who, target)}
	}
	direct := rowOf(room, arrows).to
	below := inTurn(direct, arrows)
	switch {
	case target == room: // the external tests of a package
		return nil
	case matchesAny(direct, target), matchesAny(below, target):
		return nil
	case len(direct) == 0:
		return []string{fmt.Sprintf("%s imports %s: it is a leaf and has no arrows", who, target)}
	case len(below) == 0:
		return []string{fmt.Sprintf("%s imports %s: it has arrows to %s", who, target, strings.Join(direct, ", "))}
	}
	return []string{fmt.Sprintf("%s imports %s: it has arrows to %s, and in turn to %s", who, target, strings.Join(direct, ", "), strings.Join(below, ", "))}
}

// inTurn returns what lies below the rooms, sorted: all that they lead to, but for themselves, netenv and internal packages.
func inTurn(rooms []string, arrows []row) []string {
	var below []string
	seen := map[string]bool{}
	var descend func(rooms []string)
	descend = func(rooms []string) {
		for _, room := range rooms {
			for _, r := range arrows {
				// A star leads to the rows of all that it stands for.
				if seen[r.room] || r.room != room && !matches(room, r.room) {
					continue
				}
				seen[r.room] = true
				below = append(below, r.room)
				descend(r.to)
			}
		}
	}
	descend(rooms)
	below = slices.DeleteFunc(below, func(room string) bool {
		return slices.Contains(rooms, room) || within(room, "netenv") || slices.Contains(strings.Split(room, "/"), "internal")
	})
	slices.Sort(below)
	return below
}

// rowOf returns the row of a room, or nil.
func rowOf(room string, arrows []row) *row {
	var found *row
	for i, r := range arrows {
		if r.room == room {
			return &arrows[i]
		}
		if found == nil && matches(r.room, room) {
			found = &arrows[i]
		}
	}
	return found
}

func matches(pattern, room string) bool {
	ok, err := path.Match(pattern, room)
	return ok && err == nil
}

func matchesAny(patterns []string, room string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, room) })
}

func within(name, top string) bool {
	return name == top || strings.HasPrefix(name, top+"/")
}

// goFiles returns the Go files of a directory that go itself would read: what lies under testdata is a user's.
func goFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if entry.IsDir() && entry.Name() == "testdata" {
			return fs.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(name, ".go") {
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sourceBreaches returns a line for each thing in a Go file that scenarios and suites do without, in the order of the file.
func sourceBreaches(name string, source []byte) ([]string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	called := map[string]string{} // what this file calls a package → the package
	var dotted []string           // the packages that it imports by dot
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		base := path.Base(imported)
		if within(imported, "github.com/onsi/ginkgo") {
			base = "ginkgo"
		}
		switch {
		case spec.Name == nil:
			called[base] = base
		case spec.Name.Name == ".":
			dotted = append(dotted, base)
		default:
			called[spec.Name.Name] = base
		}
	}

	var breaches []string
	report := func(at ast.Node, what, why string) {
		breaches = append(breaches, fmt.Sprintf("%s:%d: %s: %s", name, files.Position(at.Pos()).Line, what, why))
	}
	notOfPackage := map[*ast.Ident]bool{} // names of fields: they only look like what a dot imports
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			notOfPackage[n.Sel] = true
			if x, ok := n.X.(*ast.Ident); ok && forbidden(called[x.Name], n.Sel.Name) != "" {
				report(n, called[x.Name]+"."+n.Sel.Name, forbidden(called[x.Name], n.Sel.Name))
			} else if n.Sel.Name == "FlakeAttempts" {
				report(n.Sel, n.Sel.Name, forbidden("ginkgo", n.Sel.Name))
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok {
				notOfPackage[key] = true
			}
		case *ast.Field:
			for _, field := range n.Names {
				notOfPackage[field] = true
			}
		case *ast.Ident:
			for _, base := range dotted {
				if why := forbidden(base, n.Name); why != "" && !notOfPackage[n] {
					report(n, base+"."+n.Name, why)
				}
			}
		}
		return true
	})
	return breaches, nil
}

// forbidden returns why scenarios and suites do without a name of a package, or "".
func forbidden(base, name string) string {
	switch {
	case base == "time" && name == "Sleep":
		return "wait for an event, not for a duration"
	case base != "ginkgo":
		return ""
	case name == "FlakeAttempts":
		return "a spec that wavers is mended, not tried again"
	case name == "Focus", isSpec(strings.TrimPrefix(name, "F"), name):
		return "a focused spec leaves out all others"
	case name == "Pending", isSpec(strings.TrimPrefix(name, "P"), name), isSpec(strings.TrimPrefix(name, "X"), name):
		return "a pending spec is not run"
	}
	return ""
}

// isSpec says whether a name is a word of ginkgo's for specs with a letter put before it.
func isSpec(word, name string) bool {
	words := []string{"Describe", "Context", "When", "DescribeTable", "DescribeTableSubtree", "It", "Specify", "Entry"}
	return word != name && slices.Contains(words, word)
}
