package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a file. What is beyond them is no scenario, and is refused before
// it costs anything.
const (
	maxSize      = 256 << 10 // bytes
	maxDepth     = 16        // lists and mappings within one another
	maxDocuments = 100
)

// kind is what a node of YAML is.
type kind int

const (
	null kind = iota
	text
	integer
	float
	boolean
	list
	mapping
)

// kindNames are for errors.
var kindNames = map[kind]string{
	null: "nothing", text: "text", integer: "a number", float: "a number with a fraction",
	boolean: "true or false", list: "a list", mapping: "a mapping",
}

// node is a value of YAML and where it stands. Anchors are not known, so it is a
// tree.
type node struct {
	src          *source
	line, column int
	kind         kind
	// word is the value of a text, and of every other scalar as it is typed.
	word string
	// inset is how many columns of the file stand before the word: a quote.
	inset int
	// exact: the word stands in the file as it is, with nothing escaped.
	exact bool
	items []*node // of a list
	pairs []pair  // of a mapping, in their order
}

// pair is a key of a mapping and its value.
type pair struct {
	key   *node
	value *node
}

func (n *node) fail(format string, args ...any) *Error {
	return n.src.fail(n.line, n.column, format, args...)
}

// get is the value of a key; nil where it is not there.
func (n *node) get(key string) *node {
	for _, p := range n.pairs {
		if p.key.word == key {
			return p.value
		}
	}
	return nil
}

// within is a place inside of a scalar, by the column of the word from 1.
func (n *node) within(column int) *node {
	if !n.exact {
		return n
	}
	inner := *n
	inner.column += n.inset + column - 1
	return &inner
}

// asText is a key as it is written, which may look like a number.
func (n *node) asText() *node {
	t := *n
	t.kind = text
	return &t
}

// says is what a node is, for errors.
func (n *node) says() string {
	switch n.kind {
	case text:
		return fmt.Sprintf("%q", shorten(n.word))
	case integer, float, boolean:
		return n.word
	}
	return kindNames[n.kind]
}

func shorten(word string) string {
	if r := []rune(word); len(r) > 40 {
		return string(r[:39]) + "…"
	}
	return word
}

// load reads a file that is small enough, and no device that never ends.
func load(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, errors.New("it is a directory; name the files in it")
	case info.Size() > maxSize:
		return nil, tooLarge()
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = tooLarge()
	}
	return data, err
}

func tooLarge() error {
	return fmt.Errorf("it is larger than %d KiB, and so no scenario file", maxSize>>10)
}

// read makes a tree of each document.
func read(src *source) (docs []*node, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *Error:
			docs, err = nil, p
		default:
			// A defect of the YAML library: the file is odd, and no reason to crash.
			docs, err = nil, &Error{File: src.name, What: fmt.Sprintf("this is no YAML that can be read (%v)", p)}
		}
	}()
	if i := strings.IndexFunc(src.text, func(r rune) bool { return r == 0 || r == '\uFFFD' }); i >= 0 {
		before := src.text[:i]
		line := strings.Count(before, "\n")
		panic(src.fail(line+1, len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))+1, "this is no text in UTF-8"))
	}
	tokens := join(lexer.Tokenize(src.text))
	src.admit(tokens)
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		var at *yaml.SyntaxError
		if errors.As(err, &at) && at.Token != nil {
			panic(src.fail(at.Token.Position.Line, at.Token.Position.Column, "%s", mended(at.Message)))
		}
		var twice *yaml.DuplicateKeyError
		if errors.As(err, &twice) && twice.Token != nil {
			panic(src.fail(twice.Token.Position.Line, twice.Token.Position.Column, "%s", twice.Message))
		}
		panic(src.fail(1, 1, "%v", err))
	}
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type() == ast.NullType || d.Body.Type() == ast.CommentType {
			continue
		}
		if len(docs) == maxDocuments {
			panic(src.node(d.Body).fail("a file holds at most %d scenarios", maxDocuments))
		}
		docs = append(docs, src.node(d.Body))
	}
	return docs, nil
}

// mended is the library's complaint, or a clearer one.
func mended(complaint string) string {
	if strings.Contains(complaint, "\t") {
		return "a tab cannot indent YAML: use blanks"
	}
	return complaint
}

// join mends what the lexer cuts: a colon without a blank behind it parts nothing
// in a list, but a list within a flow mapping, as { run: [builtin:http] }, comes
// as a key and a value.
func join(tokens token.Tokens) token.Tokens {
	var out token.Tokens
	var open []token.Type
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			open = append(open, t.Type)
		case token.SequenceEndType, token.MappingEndType:
			open = open[:max(len(open)-1, 0)]
		}
		inList := len(open) > 0 && open[len(open)-1] == token.SequenceStartType
		for inList && i+2 < len(tokens) && isPlain(t) && tokens[i+1].Type == token.MappingValueType && isPlain(tokens[i+2]) &&
			follows(t, tokens[i+1]) && follows(tokens[i+1], tokens[i+2]) {
			t = token.String(t.Value+":"+tokens[i+2].Value, t.Origin+":"+tokens[i+2].Origin, t.Position)
			i += 2
		}
		out.Add(t)
	}
	return out
}

func isPlain(t *token.Token) bool {
	return t.Indicator == token.NotIndicator && t.Type != token.ImplicitNullType && t.Type != token.CommentType && t.Type != token.InvalidType
}

// follows tells whether a token stands right behind another.
func follows(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line && a.Position.Column+len([]rune(a.Value)) == b.Position.Column
}

// admit refuses what the format leaves out of YAML, and depth that would cost
// the parser its stack, before anything is parsed.
func (s *source) admit(tokens token.Tokens) {
	depth, line, entries := 0, 0, 0
	for _, t := range tokens {
		fail := func(format string, args ...any) { panic(s.fail(t.Position.Line, t.Position.Column, format, args...)) }
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		switch t.Type {
		case token.AnchorType, token.AliasType:
			fail("anchors and aliases are not known here: write the value where it is meant; for and variants repeat what is played again")
		case token.TagType:
			fail("tags are not known here: leave out %q", shorten(t.Value))
		case token.MergeKeyType:
			fail("<< is not known here: write the keys where they are meant")
		case token.MappingKeyType:
			fail("a key is written before its colon, without ?")
		case token.DirectiveType:
			fail("directives are not known here: leave out the line")
		case token.InvalidType:
			if t.Error != "" {
				fail("%s", mended(t.Error))
			}
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType:
			entries++
		}
		if depth > maxDepth || entries > maxDepth || t.Position.IndentNum > 8*maxDepth {
			fail("this is nested too deeply: no scenario needs more than %d levels", maxDepth)
		}
	}
}

func (s *source) node(n ast.Node) *node { return s.at(n, nil, 0) }

// at makes a node of what the parser found. What is not there stands behind its
// key.
func (s *source) at(n ast.Node, key *node, depth int) *node {
	t := n.GetToken()
	out := &node{src: s, line: t.Position.Line, column: t.Position.Column, word: t.Value, exact: true}
	if depth > maxDepth {
		panic(out.fail("this is nested too deeply: no scenario needs more than %d levels", maxDepth))
	}
	switch x := n.(type) {
	case *ast.MappingNode:
		out.kind = mapping
		for _, v := range x.Values {
			out.pairs = append(out.pairs, s.pair(v, depth))
		}
		if len(out.pairs) > 0 && !x.IsFlowStyle {
			out.line, out.column = out.pairs[0].key.line, out.pairs[0].key.column
		}
	case *ast.MappingValueNode:
		out.kind = mapping
		out.pairs = []pair{s.pair(x, depth)}
		out.line, out.column = out.pairs[0].key.line, out.pairs[0].key.column
	case *ast.SequenceNode:
		out.kind = list
		for _, v := range x.Values {
			out.items = append(out.items, s.at(v, out, depth+1))
		}
	case *ast.StringNode:
		out.kind, out.word = text, x.Value
		if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
			out.inset = 1
			out.exact = !strings.ContainsAny(strings.Trim(strings.TrimSpace(t.Origin), `"'`), "\\\n'")
		}
		out.exact = out.exact && !strings.Contains(strings.TrimSpace(t.Origin), "\n")
	case *ast.LiteralNode:
		out.kind, out.exact = text, false
		out.word = x.Value.Value
	case *ast.IntegerNode:
		out.kind = integer
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		out.kind = float
	case *ast.BoolNode:
		out.kind = boolean
	case *ast.NullNode:
		out.kind = null
		if t.Type == token.ImplicitNullType && key != nil {
			out.line, out.column = key.line, key.column
		}
	default:
		panic(out.fail("this has no place in a scenario"))
	}
	return out
}

func (s *source) pair(v *ast.MappingValueNode, depth int) pair {
	key := s.at(v.Key, nil, depth+1)
	switch key.kind {
	case text:
	case list, mapping, null:
		panic(key.fail("a key is a word"))
	}
	return pair{key, s.at(v.Value, key, depth+1)}
}
