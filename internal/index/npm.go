package index

import (
	"context"
	"encoding/json"
	"strings"
)

// isNpm wants the package.json of a package and not those inside one: right under
// node_modules (and a scope), or outside any node_modules.
func isNpm(c candidate) bool {
	if c.base != "package.json" || c.size > 8<<20 {
		return false
	}
	i := strings.LastIndex(c.dir, "node_modules/")
	if i < 0 || i > 0 && c.dir[i-1] != '/' {
		return true
	}
	inside := strings.TrimSuffix(c.dir[i+len("node_modules/"):], "/")
	if strings.HasPrefix(inside, "@") {
		return strings.Count(inside, "/") == 1
	}
	return inside != "" && !strings.Contains(inside, "/") && inside[0] != '.'
}

func readNpm(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	var p struct {
		Name     any `json:"name"`
		Version  any `json:"version"`
		License  any `json:"license"`
		Licenses any `json:"licenses"`
		Engines  any `json:"engines"`
		Contrib  any `json:"contributes"`
		Unity    any `json:"unity"`
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return found{}, err
	}
	name, _ := p.Name.(string)
	version, _ := p.Version.(string)
	if v := strings.TrimPrefix(version, "v"); v != "" && v[0] >= '0' && v[0] <= '9' {
		version = v // as npm itself reads it
	}
	if !npmName(name) || !plainVersion(version) || p.Unity != nil {
		return found{}, nil // "type": "module" markers and the like
	}
	if engines, ok := p.Engines.(map[string]any); ok && engines["vscode"] != nil && p.Contrib != nil {
		return found{}, nil // an editor's extension
	}
	licenses := npmLicenses(p.License)
	if licenses == nil {
		licenses = npmLicenses(p.Licenses)
	}
	return found{pkgs: []pkg{{Type: "npm", Name: name, Version: version, Licenses: licenses}}}, nil
}

func npmName(s string) bool {
	if strings.HasPrefix(s, "@") {
		scope, name, ok := strings.Cut(s, "/")
		return ok && len(scope) > 1 && name != "" && !strings.Contains(name, "/") && plainWord(s)
	}
	return s != "" && !strings.Contains(s, "/") && plainWord(s)
}

// npmLicenses reads all forms that were ever in use: "MIT", {"type": "MIT"}, and
// lists of both.
func npmLicenses(v any) []string {
	switch l := v.(type) {
	case string:
		return oneLicense(l)
	case map[string]any:
		return npmLicenses(l["type"])
	case []any:
		var out []string
		for _, e := range l {
			if _, nested := e.([]any); !nested {
				out = append(out, npmLicenses(e)...)
			}
		}
		return out
	}
	return nil
}

// plainVersion refuses what is no version: nothing, placeholders, words with
// spaces. An entry without a version can never be matched.
func plainVersion(s string) bool {
	return s != "" && len(s) <= 256 && strings.ContainsAny(s, "0123456789") && plainWord(s)
}

// plainWord refuses spaces, control characters and template placeholders.
func plainWord(s string) bool {
	if len(s) > 512 {
		return false
	}
	for _, r := range s {
		if r <= ' ' || r == 0x7f || r == '$' || r == '{' || r == '}' || r == '<' || r == '>' || r == '"' || r == 0xfffd {
			return false
		}
	}
	return true
}
