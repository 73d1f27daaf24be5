package file

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// Schema is the JSON Schema of a scenario file, for editors. It is made of the
// types that the parser reads into.
func Schema() []byte {
	g := &generator{defs: map[string]any{}}
	top := g.of(reflect.TypeFor[document]())
	out := ordered{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "lastack scenario file"},
		{"$ref", top["$ref"]},
		{"$defs", g.defs},
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		panic(fmt.Sprintf("make schema: %v", err)) // of plain maps
	}
	return b.Bytes()
}

// ordered is a JSON object whose keys keep their order.
type ordered []member

type member struct {
	key   string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, _ := json.Marshal(p.key)
		var value bytes.Buffer
		e := json.NewEncoder(&value)
		e.SetEscapeHTML(false)
		if err := e.Encode(p.value); err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(value.Bytes()))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

type generator struct {
	defs map[string]any
}

type schema = map[string]any

// schemer is a type that reads itself, and so says itself what it reads.
type schemer interface{ schema(g *generator) schema }

// of is the schema of a type; that of a struct stands among the definitions.
func (g *generator) of(t reflect.Type) schema {
	if t.Kind() == reflect.Pointer {
		return g.of(t.Elem())
	}
	if s, ok := reflect.New(t).Interface().(schemer); ok {
		return s.schema(g)
	}
	switch t.Kind() {
	case reflect.Slice:
		return schema{"type": "array", "items": g.of(t.Elem())}
	case reflect.Struct:
		g.define(t)
		return schema{"$ref": "#/$defs/" + t.Name()}
	}
	panic("make schema: " + t.String() + " says nothing of itself") // a defect of the types
}

func (g *generator) define(t reflect.Type) {
	if _, ok := g.defs[t.Name()]; ok {
		return
	}
	g.defs[t.Name()] = nil // it may hold itself
	s := shapeOf(t)
	properties := ordered{}
	var needed, ones []string
	for _, f := range s.fields {
		p := schema{}
		for key, value := range g.of(t.Field(f.index).Type) {
			p[key] = value
		}
		p["description"] = f.doc
		properties = append(properties, member{f.key, p})
		if f.need {
			needed = append(needed, f.key)
		}
		if f.one != "" {
			ones = append(ones, f.key)
		}
	}
	out := ordered{{"type", "object"}, {"additionalProperties", false}, {"properties", properties}}
	if needed != nil {
		out = append(out, member{"required", needed})
	}
	if ones != nil {
		var alternatives []schema
		for _, key := range ones {
			alternatives = append(alternatives, schema{"required": []string{key}})
		}
		out = append(out, member{"oneOf", alternatives})
	}
	g.defs[t.Name()] = out
}

// variable lets ${name} stand where something else than text is wanted.
func variable(s schema) schema {
	return schema{"anyOf": []schema{s, {"type": "string", "pattern": `\$\{[^}]+\}`}}}
}

func words(list ...string) schema { return schema{"enum": list} }

func (t table[T]) schema(g *generator) schema {
	return schema{"type": "object", "additionalProperties": g.of(reflect.TypeFor[T]())}
}

func (l oneOrMany[T]) schema(g *generator) schema {
	item := g.of(reflect.TypeFor[T]())
	return schema{"anyOf": []schema{item, {"type": "array", "items": item, "minItems": 1}}}
}

const durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$|^0$`

func (phrase) schema(*generator) schema { return schema{"type": []string{"string", "integer"}} }
func (name) schema(*generator) schema {
	return schema{"type": "string", "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$", "maxLength": 80}
}
func (span) schema(*generator) schema {
	return variable(schema{"type": "string", "pattern": durationPattern})
}
func (number) schema(*generator) schema { return variable(schema{"type": "integer"}) }
func (size) schema(*generator) schema {
	return variable(schema{"anyOf": []schema{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB)?$"}}})
}
func (flag) schema(*generator) schema      { return variable(schema{"type": "boolean"}) }
func (match) schema(*generator) schema     { return schema{"type": "string"} }
func (segment) schema(*generator) schema   { return schema{"type": "string"} }
func (condition) schema(*generator) schema { return schema{"type": "string"} }
func (pattern) schema(*generator) schema   { return schema{"type": "string", "format": "regex"} }
func (state) schema(*generator) schema {
	return schema{"type": "string", "pattern": "^[A-Z_0-9]+$|[$]"}
}
func (amount) schema(*generator) schema {
	return variable(schema{"anyOf": []schema{{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^at (least|most) [0-9]+$"}}})
}
func (bound) schema(*generator) schema   { return schema{"type": "string"} }
func (version) schema(*generator) schema { return schema{"const": 1} }
func (family) schema(*generator) schema  { return variable(schema{"enum": []int{4, 6}}) }
func (verdict) schema(*generator) schema { return words("PASS", "FAIL") }
func (plain) schema(*generator) schema {
	return schema{"type": []string{"string", "number", "boolean"}}
}
func (deed) schema(*generator) schema   { return words(deeds...) }
func (yes) schema(*generator) schema    { return variable(schema{"const": true}) }
func (ending) schema(*generator) schema { return variable(words("fin", "rst")) }
func (forget) schema(*generator) schema { return variable(words("silently", "rst")) }
func (times) schema(*generator) schema {
	return variable(schema{"anyOf": []schema{{"type": "integer", "minimum": 1}, {"const": "always"}}})
}
func (place) schema(*generator) schema { return schema{"type": "string"} }
func (exit) schema(*generator) schema {
	status := schema{"type": "integer", "minimum": 0, "maximum": 255}
	return variable(schema{"anyOf": []schema{status, {"type": "string", "pattern": "^not [0-9]+$"}, {"type": "array", "items": status, "minItems": 1}}})
}

func (command) schema(*generator) schema {
	return schema{"type": "array", "items": schema{"type": []string{"string", "integer"}}, "minItems": 1}
}

func (duplicate) schema(g *generator) schema {
	return schema{"anyOf": []schema{g.of(reflect.TypeFor[number]()), g.of(reflect.TypeFor[copies]())}}
}

func (fileClaim) schema(g *generator) schema {
	return schema{"anyOf": []schema{words("absent", "present"), g.of(reflect.TypeFor[fileContent]())}}
}

// schema of expect: its own words, and a host under every other key.
func (expects) schema(g *generator) schema {
	properties := ordered{}
	t := reflect.TypeFor[expectKeys]()
	for _, f := range shapeOf(t).fields {
		p := g.of(t.Field(f.index).Type)
		p["description"] = f.doc
		properties = append(properties, member{f.key, p})
	}
	return schema{"type": "object", "properties": properties, "additionalProperties": g.of(reflect.TypeFor[hostClaims]())}
}

// schema of a variant: what it may change, of which anything may be left out.
func (variant) schema(*generator) schema {
	properties := ordered{}
	for _, key := range variantKeys {
		properties = append(properties, member{key, schema{}})
	}
	return schema{"type": "object", "additionalProperties": false, "properties": properties}
}
