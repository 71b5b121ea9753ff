package sbom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/sbom"
)

// schemas are JSON schemas by file name; they know as much of the language as
// CycloneDX uses.
type schemas map[string]map[string]any

func loadSchemas(t *testing.T) schemas {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Skipf("the module with the schemas is not there: %v", err)
	}
	s := schemas{}
	for _, name := range []string{"bom-1.6.schema.json", "spdx.schema.json"} {
		raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "schema", name))
		if err != nil {
			t.Skip(err)
		}
		doc := map[string]any{}
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		s[name] = doc
	}
	return s
}

// check says what is wrong with a value; nothing is a valid one.
func (s schemas) check(file string, schema map[string]any, v any, at string) []string {
	if ref, ok := schema["$ref"].(string); ok {
		in, name, _ := strings.Cut(ref, "#/definitions/")
		if in != "" {
			file = in
		}
		target := s[file]
		if target == nil {
			return []string{at + ": signatures are not checked here"}
		}
		if name != "" {
			target, _ = target["definitions"].(map[string]any)[name].(map[string]any)
		}
		return s.check(file, target, v, at)
	}
	var bad []string
	if kind, ok := schema["type"].(string); ok && !isKind(kind, v) {
		return []string{fmt.Sprintf("%s: %v is no %s", at, v, kind)}
	}
	if enum, ok := schema["enum"].([]any); ok && !hasValue(enum, v) {
		bad = append(bad, fmt.Sprintf("%s: %v is not among the values", at, v))
	}
	for _, many := range []string{"oneOf", "anyOf"} {
		alternatives, ok := schema[many].([]any)
		if !ok {
			continue
		}
		fit := 0
		var why []string
		for _, a := range alternatives {
			problems := s.check(file, a.(map[string]any), v, at)
			if why = append(why, problems...); len(problems) == 0 {
				fit++
			}
		}
		if fit == 0 || many == "oneOf" && fit > 1 {
			bad = append(bad, fmt.Sprintf("%s: fits %d of %s: %v", at, fit, many, why))
		}
	}
	switch v := v.(type) {
	case map[string]any:
		bad = append(bad, s.object(file, schema, v, at)...)
	case []any:
		bad = append(bad, s.array(file, schema, v, at)...)
	case string:
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			bad = append(bad, fmt.Sprintf("%s: %q is not of the form %s", at, v, p))
		}
		if n, ok := schema["minLength"].(float64); ok && len(v) < int(n) {
			bad = append(bad, at+": too short")
		}
	}
	return bad
}

func (s schemas) object(file string, schema, v map[string]any, at string) []string {
	var bad []string
	required, _ := schema["required"].([]any)
	for _, r := range required {
		if _, ok := v[r.(string)]; !ok {
			bad = append(bad, fmt.Sprintf("%s: no %s", at, r))
		}
	}
	properties, _ := schema["properties"].(map[string]any)
	for k, e := range v {
		p, ok := properties[k].(map[string]any)
		if ok {
			bad = append(bad, s.check(file, p, e, at+"."+k)...)
		} else if schema["additionalProperties"] == false {
			bad = append(bad, fmt.Sprintf("%s: %s is not known", at, k))
		}
	}
	return bad
}

func (s schemas) array(file string, schema map[string]any, v []any, at string) []string {
	var bad []string
	if n, ok := schema["minItems"].(float64); ok && len(v) < int(n) {
		bad = append(bad, at+": too few")
	}
	items, _ := schema["items"].(map[string]any)
	tuple, isTuple := schema["items"].([]any)
	if isTuple && schema["additionalItems"] == false && len(v) > len(tuple) {
		bad = append(bad, at+": too many")
	}
	for i, e := range v {
		if i < len(tuple) {
			bad = append(bad, s.check(file, tuple[i].(map[string]any), e, fmt.Sprintf("%s[%d]", at, i))...)
		}
		if items != nil {
			bad = append(bad, s.check(file, items, e, fmt.Sprintf("%s[%d]", at, i))...)
		}
		if schema["uniqueItems"] == true && hasValue(v[:i], e) {
			bad = append(bad, fmt.Sprintf("%s[%d]: is there twice", at, i))
		}
	}
	return bad
}

func hasValue(list []any, v any) bool {
	for _, e := range list {
		if reflect.DeepEqual(e, v) {
			return true
		}
	}
	return false
}

func isKind(kind string, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return kind == "object"
	case []any:
		return kind == "array"
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case float64:
		return kind == "number" || kind == "integer" && v == float64(int64(v))
	}
	return false
}

// The document obeys CycloneDX's own schema, whatever the packages say of
// themselves.
func TestCycloneDXObeysItsSchema(t *testing.T) {
	s := loadSchemas(t)
	doc := document()
	odd := inventory.Placed{
		Package:  inventory.Package{PURL: "pkg:generic/a%20b@1", Name: "a b", Version: "1", Licenses: []string{"GPL-2.0+ WITH x", "MIT", "mit", "see file"}},
		Declared: true, OwnedBy: "pkg:deb/debian/b@1", Locations: []string{"/a\"b", "/ü"},
	}
	doc.Packages = append(doc.Packages, odd, inventory.Placed{Package: inventory.Package{PURL: "pkg:npm/x@1", Name: "x", Version: "1", Licenses: []string{"(MIT OR Apache-2.0) AND BSD-3-Clause"}}})
	for name, d := range map[string]inventory.SBOM{"full": doc, "empty": sbom.Of("", inventory.Image{}, nil, nil)} {
		var b bytes.Buffer
		if err := sbom.Write(&b, d, "cyclonedx"); err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(b.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		for _, bad := range s.check("bom-1.6.schema.json", s["bom-1.6.schema.json"], v, name) {
			t.Error(bad)
		}
	}
	// The check itself finds what is wrong.
	broken := map[string]any{"bomFormat": "x", "version": 0.5, "components": []any{map[string]any{"type": "library", "odd": true}}}
	if bad := s.check("bom-1.6.schema.json", s["bom-1.6.schema.json"], broken, ""); len(bad) < 4 {
		t.Errorf("only %v", bad)
	}
}
