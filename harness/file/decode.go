package file

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/lastack/lastack/internal/nearest"
)

// The types that a file is read into say by their tags what a file may hold: key
// is the word in the file, doc what it is for, and need marks what must be there.
// The parser and the JSON Schema are both made of them.

// reader is a type that reads itself from a node; what is wrong it panics with.
type reader interface{ read(n *node) }

// decode reads a node into a value.
func decode(n *node, into reflect.Value) {
	if r, ok := into.Addr().Interface().(reader); ok {
		r.read(n)
		return
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		decode(n, into.Elem())
	case reflect.Struct:
		decodeStruct(n, into)
	case reflect.Slice:
		n.want(list, "a list, as in [a, b]")
		for _, item := range n.items {
			v := reflect.New(into.Type().Elem()).Elem()
			decode(item, v)
			into.Set(reflect.Append(into, v))
		}
	default:
		panic("read scenario file: no way to read a " + into.Type().String()) // a defect of the types below
	}
}

// want panics where a node is not of a kind.
func (n *node) want(k kind, what string) {
	if n.kind != k {
		panic(n.fail("want %s, not %s", what, n.says()))
	}
}

// shape is what a struct says of itself in the tags of its field _.
type shape struct {
	noun    string // "a rule"
	example string
	one     string // of the fields with this mark in their tag "one" exactly one is there
	fields  []field
}

type field struct {
	index int
	key   string
	doc   string
	need  bool
	one   string
}

func shapeOf(t reflect.Type) shape {
	s := shape{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			s.noun, s.example, s.one = f.Tag.Get("noun"), f.Tag.Get("example"), f.Tag.Get("one")
			continue
		}
		if key := f.Tag.Get("key"); key != "" {
			s.fields = append(s.fields, field{i, key, f.Tag.Get("doc"), f.Tag.Get("need") != "", f.Tag.Get("one")})
		}
	}
	return s
}

func (s *shape) keys() (keys []string) {
	for _, f := range s.fields {
		keys = append(keys, f.key)
	}
	return keys
}

func decodeStruct(n *node, into reflect.Value) {
	s := shapeOf(into.Type())
	if n.kind != mapping {
		panic(n.fail("want %s, as in %s, not %s", s.noun, s.example, n.says()))
	}
	if at := into.FieldByName("Node"); at.IsValid() {
		at.Set(reflect.ValueOf(n))
	}
	chosen := ""
next:
	for _, p := range n.pairs {
		for _, f := range s.fields {
			if f.key != p.key.word {
				continue
			}
			if f.one != "" && chosen != "" {
				panic(p.key.fail("%s has one %s, and this one has %s already", s.noun, s.one, chosen))
			}
			if f.one != "" {
				chosen = f.key
			}
			if p.value.kind == null {
				panic(p.key.fail("%s has no value", f.key))
			}
			decode(p.value, into.Field(f.index))
			continue next
		}
		panic(unknown(p.key, s.noun, s.keys()))
	}
	var ones []string
	for _, f := range s.fields {
		if f.need && n.get(f.key) == nil {
			panic(n.fail("%s needs the key %s", s.noun, f.key))
		}
		if f.one != "" {
			ones = append(ones, f.key)
		}
	}
	if ones != nil && chosen == "" {
		panic(n.fail("%s needs one %s: %s", s.noun, s.one, strings.Join(ones, ", ")))
	}
}

// unknown is the complaint about a key.
func unknown(key *node, noun string, known []string) *Error {
	return key.fail("unknown key %q in %s; the nearest is %q", shorten(key.word), noun, nearest.Of(key.word, known))
}

// table is a mapping with any keys, in the order of the file.
type table[T any] []entry[T]

type entry[T any] struct {
	key   string
	at    *node // the key
	value T
}

func (t *table[T]) read(n *node) {
	n.want(mapping, "a mapping, as in { key: value }")
	*t = nil
	for _, p := range n.pairs {
		if p.value.kind == null {
			panic(p.key.fail("%s has no value", p.key.word))
		}
		var v T
		decode(p.value, reflect.ValueOf(&v).Elem())
		*t = append(*t, entry[T]{p.key.word, p.key, v})
	}
}

func (t table[T]) get(key string) (value T, ok bool) {
	for _, e := range t {
		if e.key == key {
			return e.value, true
		}
	}
	return value, false
}

// oneOrMany is a list that may be written as its only item.
type oneOrMany[T any] []T

func (l *oneOrMany[T]) read(n *node) {
	items := []*node{n}
	if n.kind == list {
		items = n.items
		if len(items) == 0 {
			panic(n.fail("the list is empty"))
		}
	}
	*l = nil
	for _, item := range items {
		var v T
		decode(item, reflect.ValueOf(&v).Elem())
		*l = append(*l, v)
	}
}

// copyNode is a deep copy, so that what is merged into it changes nothing else.
func copyNode(n *node) *node {
	c := *n
	c.items = nil
	for _, item := range n.items {
		c.items = append(c.items, copyNode(item))
	}
	c.pairs = nil
	for _, p := range n.pairs {
		c.pairs = append(c.pairs, pair{p.key, copyNode(p.value)})
	}
	return &c
}

// merge lays a variant over what is there: mappings key by key, all else in the
// other's place; nothing (~) takes a key away.
func merge(base, over *node) *node {
	if base.kind != mapping || over.kind != mapping {
		return copyNode(over)
	}
	out := copyNode(base)
	for _, p := range over.pairs {
		at := -1
		for i := range out.pairs {
			if out.pairs[i].key.word == p.key.word {
				at = i
			}
		}
		switch {
		case p.value.kind == null && at < 0:
			panic(p.key.fail("there is no %s that could be taken away", p.key.word))
		case p.value.kind == null:
			out.pairs = append(out.pairs[:at:at], out.pairs[at+1:]...)
		case at < 0:
			out.pairs = append(out.pairs, pair{p.key, copyNode(p.value)})
		default:
			out.pairs[at].value = merge(out.pairs[at].value, p.value)
		}
	}
	return out
}

// substitute puts values in the place of ${name}, in a copy. A text that is
// nothing else becomes what the value is, a number for one; $${ is ${.
func substitute(n *node, values map[string]*node, used map[string]bool) *node {
	c := *n
	switch n.kind {
	case text:
		c = *expand(n, values, used)
	case list:
		c.items = nil
		for _, item := range n.items {
			c.items = append(c.items, substitute(item, values, used))
		}
	case mapping:
		c.pairs = nil
		for _, p := range n.pairs {
			c.pairs = append(c.pairs, pair{expand(p.key, values, used), substitute(p.value, values, used)})
		}
	}
	return &c
}

func expand(n *node, values map[string]*node, used map[string]bool) *node {
	if !strings.Contains(n.word, "${") {
		return n
	}
	c := *n
	var b strings.Builder
	for rest := n.word; ; {
		begin := strings.Index(rest, "${")
		if begin < 0 {
			b.WriteString(rest)
			break
		}
		if begin > 0 && rest[begin-1] == '$' {
			b.WriteString(rest[:begin-1] + "${")
			rest = rest[begin+2:]
			continue
		}
		at := n.within(len([]rune(n.word[:len(n.word)-len(rest)+begin])) + 1)
		length := strings.IndexByte(rest[begin:], '}')
		if length < 0 {
			panic(at.fail("want a closing } after ${"))
		}
		name := rest[begin+2 : begin+length]
		value := values[name]
		if value == nil {
			panic(at.fail("%s", noVariable(name, values)))
		}
		used[name] = true
		if n.word == rest && begin == 0 && length == len(rest)-1 {
			v := *value
			v.src, v.line, v.column, v.exact = n.src, n.line, n.column, false
			return &v
		}
		b.WriteString(rest[:begin] + value.word)
		rest = rest[begin+length+1:]
	}
	c.word, c.exact = b.String(), false
	return &c
}

func noVariable(name string, values map[string]*node) string {
	if len(values) == 0 {
		return fmt.Sprintf("there is no ${%s}: the scenario has no for; write $${ for ${ itself", shorten(name))
	}
	var names []string
	for v := range values {
		names = append(names, v)
	}
	slices.Sort(names)
	return fmt.Sprintf("there is no ${%s} in for; the nearest is ${%s}; write $${ for ${ itself", shorten(name), nearest.Of(name, names))
}

func valueOf[T any](p *T) reflect.Value { return reflect.ValueOf(p).Elem() }

// keysOf are the keys of a struct.
func keysOf[T any](p *T) []string {
	s := shapeOf(reflect.TypeFor[T]())
	return s.keys()
}
