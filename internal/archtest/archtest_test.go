package archtest

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "github.com/tallyman-dev/tallyman"
	root   = "../.."
)

type pkg struct {
	dir     string // slash-separated, relative to the module root
	doc     bool
	imports []string // of non-test files only
}

// TestImports holds each package of ours to its line in the "imports" table:
// no import that the line does not allow, no package without a line, no line
// without a package. cmd/ and client/ stand outside the table.
func TestImports(t *testing.T) {
	rules := readRules(t, "imports")
	used := map[string]bool{}
	for _, p := range readPackages(t) {
		from, internal := strings.CutPrefix(p.dir, "internal/")
		if !internal {
			continue
		}
		name, allowed := ruleFor(rules, from)
		if name == "" {
			t.Errorf("ARCHITECTURE.md has no line for %s", from)
			continue
		}
		used[name] = true
		for _, imp := range p.imports {
			to, ours := strings.CutPrefix(imp, module+"/internal/")
			if ours && !matchAny(allowed, to) {
				t.Errorf("%s imports %s; ARCHITECTURE.md allows %v", from, to, allowed)
			}
		}
	}
	for name := range rules {
		if !used[name] {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", name)
		}
	}
}

// TestDoors holds each outside package of the "doors" table to the packages
// that alone may import it.
func TestDoors(t *testing.T) {
	pkgs := readPackages(t)
	for door, holders := range readRules(t, "doors") {
		for _, p := range pkgs {
			from := strings.TrimPrefix(p.dir, "internal/")
			if p.importsUnder(door) && !matchAny(holders, from) {
				t.Errorf("%s imports %s; only %v may", p.dir, door, holders)
			}
		}
	}
}

// TestClient holds the public client to the nouns: whoever imports it must not
// pull in the rest of the house.
func TestClient(t *testing.T) {
	for _, p := range readPackages(t) {
		if p.dir != "client" {
			continue
		}
		for _, imp := range p.imports {
			if to, ours := strings.CutPrefix(imp, module+"/internal/"); ours && to != "inventory" {
				t.Errorf("client imports internal/%s; only inventory is allowed", to)
			}
		}
	}
}

// TestFileLength keeps each file to one noun or act.
func TestFileLength(t *testing.T) {
	const most = 500
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(name)
		if n := bytes.Count(b, []byte("\n")); n > most {
			t.Errorf("%s has %d lines; split it by noun or act (at most %d)", name, n, most)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range readPackages(t) {
		if !p.doc {
			t.Errorf("%s has no package comment", p.dir)
		}
	}
}

// readPackages reads the imports of every package of the module. It reads the
// files itself rather than asking "go list": the go command then knows what the
// test read, and runs it anew when one of those files changes.
func readPackages(t *testing.T) []*pkg {
	t.Helper()
	byDir := map[string]*pkg{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(rel)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir}
		}
		p := byDir[dir]
		p.doc = p.doc || f.Doc != nil
		for _, spec := range f.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			p.imports = append(p.imports, imp)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.SortedFunc(maps.Values(byDir), func(a, b *pkg) int { return strings.Compare(a.dir, b.dir) })
}

// readRules reads the fenced block of ARCHITECTURE.md that is marked kind.
func readRules(t *testing.T, kind string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```" + kind + "\n(.*?)```").FindSubmatch(b)
	if m == nil {
		t.Fatalf("ARCHITECTURE.md has no ```%s block", kind)
	}
	rules := map[string][]string{}
	for line := range strings.Lines(string(m[1])) {
		if name, list, ok := strings.Cut(line, ":"); ok {
			rules[strings.TrimSpace(name)] = strings.Fields(list)
		}
	}
	return rules
}

func ruleFor(rules map[string][]string, from string) (string, []string) {
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if ok, _ := path.Match(name, from); ok {
			return name, rules[name]
		}
	}
	return "", nil
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name)
		return ok
	})
}

// importsUnder reports whether p imports prefix or a package below it.
func (p *pkg) importsUnder(prefix string) bool {
	return slices.ContainsFunc(p.imports, func(imp string) bool {
		return imp == prefix || strings.HasPrefix(imp, prefix+"/")
	})
}
