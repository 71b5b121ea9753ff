package index

import (
	"context"
	"encoding/json"
	"sort"
	"strings"
)

// isComposer wants what Composer installed; composer.lock only declares.
func isComposer(c candidate) bool {
	return c.base == "installed.json" && strings.HasSuffix(c.dir, "vendor/composer/")
}

type composerPackage struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	License []string `json:"license"`
}

func readComposer(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	var list []composerPackage
	var doc struct{ Packages []composerPackage }
	if err := json.Unmarshal(b, &doc); err == nil {
		list = doc.Packages
	} else if err := json.Unmarshal(b, &list); err != nil { // Composer 1 writes a bare list
		return found{}, err
	}
	var f found
	for _, p := range list {
		if p.Name != "" && plainWord(p.Name) && plainVersion(p.Version) {
			f.pkgs = append(f.pkgs, pkg{Type: "composer", Name: p.Name, Version: p.Version, Licenses: p.License})
		}
	}
	return f, nil
}

func isDepsJSON(c candidate) bool { return strings.HasSuffix(c.base, ".deps.json") }

// readDepsJSON reads the libraries of a published application. Those of type
// "project" are the application itself and have no registry.
func readDepsJSON(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	var doc struct {
		Libraries map[string]struct{ Type string }
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(string(b), "\ufeff")), &doc); err != nil {
		return found{}, err
	}
	names := make([]string, 0, len(doc.Libraries))
	for n := range doc.Libraries {
		names = append(names, n)
	}
	sort.Strings(names)
	var f found
	for _, n := range names {
		name, version, ok := strings.Cut(n, "/")
		kind := doc.Libraries[n].Type
		if kind == "runtimepack" { // the runtime inside a self-contained application
			name, kind = strings.TrimPrefix(name, "runtimepack."), "package"
		}
		if ok && kind == "package" && plainWord(name) && plainVersion(version) {
			f.pkgs = append(f.pkgs, pkg{Type: "nuget", Name: name, Version: version})
		}
	}
	return f, nil
}
