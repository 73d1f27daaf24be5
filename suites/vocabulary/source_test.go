package vocabulary

import (
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// source is what the code says of itself: the identifiers that can be words of
// the vocabulary, in the order of the code, and their comments.
type source struct {
	order []string
	says  map[string]string // the first sentence
}

// readSource reads the packages: constants as inject.Drop, methods as Host.Kill, and
// the fields of structs as HostSpec.MTU.
func readSource(t *testing.T) *source {
	t.Helper()
	s := &source{says: map[string]string{}}
	s.constants(t, "inject", "Verb", "ConditionKind")
	s.types(t, "harness", "Host", "HostSpec", "Peer", "Socket", "Pending", "Program", "Stage", "Wire")
	return s
}

func (s *source) add(name, comment string) {
	s.order = append(s.order, name)
	s.says[name] = sentence(comment)
}

// constants adds those of these types.
func (s *source) constants(t *testing.T, pkg string, types ...string) {
	p := parse(t, pkg)
	for _, name := range types {
		for _, group := range typeOf(t, p, name).Consts {
			for _, spec := range group.Decl.Specs {
				v := spec.(*ast.ValueSpec)
				comment := v.Doc.Text()
				if comment == "" {
					comment = v.Comment.Text()
				}
				s.add(pkg+"."+v.Names[0].Name, comment)
			}
		}
	}
}

// types adds the exported methods of these types, and the exported fields where
// they are what is written in a scenario.
func (s *source) types(t *testing.T, pkg string, types ...string) {
	p := parse(t, pkg)
	for _, name := range types {
		typ := typeOf(t, p, name)
		for _, m := range typ.Methods {
			s.add(name+"."+m.Name, m.Doc)
		}
		if name != "HostSpec" {
			continue
		}
		for _, f := range typ.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType).Fields.List {
			for _, field := range f.Names {
				s.add(name+"."+field.Name, f.Doc.Text())
			}
		}
	}
}

func typeOf(t *testing.T, p *doc.Package, name string) *doc.Type {
	t.Helper()
	i := slices.IndexFunc(p.Types, func(x *doc.Type) bool { return x.Name == name })
	if i < 0 {
		t.Fatalf("package %s has no type %s", p.Name, name)
	}
	return p.Types[i]
}

func parse(t *testing.T, pkg string) *doc.Package {
	t.Helper()
	dir := filepath.Join("..", "..", filepath.FromSlash(pkg))
	linux := build.Default
	linux.GOOS = "linux"
	listed, err := linux.ImportDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range listed.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(fset, files, "github.com/lastack/lastack/"+pkg, doc.PreserveAST)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sentence is the first one of a comment, in one line.
func sentence(comment string) string {
	text := strings.Join(strings.Fields(comment), " ")
	if first, _, more := strings.Cut(text, ". "); more {
		text = first + "."
	}
	return text
}
