package api

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

type object = map[string]any

// describe makes the OpenAPI 3.1 document from the table of routes and the types that
// they send, so that it cannot say anything else than the code does.
func describe(table []route, version inventory.Version) object {
	s := schemas{}
	paths := object{}
	for _, rt := range table {
		at, ok := paths[rt.path].(object)
		if !ok {
			at = object{}
			paths[rt.path] = at
		}
		at[strings.ToLower(rt.method)] = s.operation(rt)
	}
	problem := s.of(reflect.TypeFor[Problem]())
	return object{
		"openapi": "3.1.0",
		"info":    object{"title": "Tallyman", "version": orDefault(version.Version, "dev"), "license": object{"name": "Apache-2.0"}},
		"paths":   paths,
		"components": object{
			"schemas": object(s),
			"responses": object{"Problem": object{
				"description": "What went wrong, and what to do about it",
				"content":     object{"application/problem+json": object{"schema": problem}},
			}},
			"securitySchemes": object{
				"token":   object{"type": "http", "scheme": "bearer"},
				"session": object{"type": "apiKey", "in": "cookie", "name": "tallyman_session"},
			},
		},
		"security": []any{object{"token": []any{}}, object{"session": []any{}}},
	}
}

func orDefault(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// schemas collects the named types as components.
type schemas object

func (s schemas) operation(rt route) object {
	op := object{
		"summary": rt.summary, "operationId": operationID(rt),
		"description": "Asks for: " + map[Permission]string{SignedIn: "any token", Read: "read", Edit: "edit", Admin: "admin", Ingest: "ingest"}[rt.need] + ".",
	}
	var parameters []any
	for _, name := range pathParameters(rt.path) {
		parameters = append(parameters, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range rt.query {
		parameters = append(parameters, object{
			"name": p.name, "in": "query", "required": p.required,
			"description": p.summary, "schema": object{"type": p.kind},
		})
	}
	if parameters != nil {
		op["parameters"] = parameters
	}
	switch {
	case rt.body != nil:
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(reflect.TypeOf(rt.body))}}}
	case rt.upload != "":
		op["requestBody"] = object{"required": true, "content": object{rt.upload: object{}}}
	}
	done := object{"description": "Done"}
	if rt.reply != nil {
		content := object{"application/json": object{"schema": s.of(reflect.TypeOf(rt.reply))}}
		if rt.lines {
			content = object{"application/jsonl": object{"itemSchema": s.of(reflect.TypeOf(rt.reply).Elem())}}
		}
		for _, other := range rt.others {
			content[other] = object{}
		}
		done["content"] = content
	}
	op["responses"] = object{
		strconv.Itoa(rt.status): done,
		"default":               object{"$ref": "#/components/responses/Problem"},
	}
	return op
}

// operationID is the method and the path in one word: getImagesDigest.
func operationID(rt route) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(rt.method))
	rest := strings.NewReplacer("{", "", "}", "", ".", "-").Replace(strings.TrimPrefix(rt.path, "/api/v1/"))
	for _, part := range strings.FieldsFunc(rest, func(r rune) bool { return r == '/' || r == '-' }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func pathParameters(path string) []string {
	var names []string
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, "{") {
			names = append(names, strings.Trim(part, "{}"))
		}
	}
	return names
}

// of is the schema of a type; a struct becomes a component.
func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem())
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Interface:
		return object{} // anything
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float64, reflect.Float32:
		return object{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return object{"type": "integer"}
	case reflect.Struct:
		if _, known := s[t.Name()]; !known {
			s[t.Name()] = object{} // before its fields: types may hold themselves
			properties, required := s.fields(t)
			s[t.Name()] = object{"type": "object", "properties": properties, "required": required}
		}
		return object{"$ref": "#/components/schemas/" + t.Name()}
	default:
		return object{"type": "string"}
	}
}

// fields flattens embedded structs, as encoding/json does.
func (s schemas) fields(t reflect.Type) (properties object, required []string) {
	properties, required = object{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			inner, needed := s.fields(f.Type)
			for k, v := range inner {
				properties[k] = v
			}
			required = append(required, needed...)
		case name == "-" || !f.IsExported():
		default:
			properties[orDefault(name, f.Name)] = s.of(f.Type)
			if !strings.Contains(rest, "omitempty") {
				required = append(required, orDefault(name, f.Name))
			}
		}
	}
	return properties, required
}
