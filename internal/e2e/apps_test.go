package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// npmApp installs a small application from the npm registry into root/app.
func npmApp(ctx context.Context, t *testing.T, root string) {
	t.Helper()
	app := filepath.Join(root, "app")
	write(t, filepath.Join(app, "package.json"), `{
  "name": "storefront",
  "version": "1.0.0",
  "private": true,
  "dependencies": {
    "@babel/core": "7.23.2",
    "axios": "1.5.1",
    "express": "4.18.2",
    "glob": "10.3.10",
    "lodash": "4.17.20",
    "semver": "7.5.4"
  }
}
`)
	run(ctx, t, app, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
}

// npms is what npm itself says is installed below root/app, the application with it.
func npms(ctx context.Context, t *testing.T, root string) []string {
	t.Helper()
	app := filepath.Join(root, "app")
	var list []string
	for _, line := range lines(run(ctx, t, app, "npm", "ls", "--all", "--parseable", "--long", "--loglevel=error")) {
		// PATH:NAME@VERSION, or PATH:ALIAS@npm:NAME@VERSION for a package that was
		// installed under another name.
		_, id, _ := strings.Cut(line, ":")
		if _, target, ok := strings.Cut(id, "@npm:"); ok {
			id = target
		}
		at := strings.LastIndex(id, "@")
		if at <= 0 || strings.Contains(id, ":") {
			t.Fatalf("npm ls says %q", line)
		}
		list = append(list, id[:at]+" "+id[at+1:])
	}
	return list
}

// goPrograms builds programs whose modules this module's cache already holds: one
// of our own, and a tool of another module.
func goPrograms(ctx context.Context, t *testing.T, dir, bin string) {
	t.Helper()
	module := filepath.Join(dir, "module")
	write(t, filepath.Join(module, "main.go"), `package main

import (
	"fmt"
	"os"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/klauspost/compress/zstd"
	"github.com/package-url/packageurl-go"
)

func main() {
	p, err := packageurl.FromString("pkg:npm/left-pad@1.3.0")
	fmt.Println(p, err, doublestar.MatchUnvalidated("**", "a"))
	w, _ := zstd.NewWriter(os.Stdout)
	w.Close()
}
`)
	// Our own requirements under another name: every sum is known, nothing is resolved anew.
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, requirements, ok := strings.Cut(string(mod), "\n")
	if !ok {
		t.Fatal("go.mod has one line")
	}
	write(t, filepath.Join(module, "go.mod"), "module example.com/shop/pricing\n"+requirements)
	sums, err := os.ReadFile("../../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(module, "go.sum"), string(sums))
	run(ctx, t, module, "go", "build", "-mod=mod", "-trimpath", "-o", filepath.Join(bin, "pricing"), ".")
	run(ctx, t, module, "go", "build", "-mod=mod", "-trimpath", "-o", filepath.Join(bin, "crane"), "github.com/google/go-containerregistry/cmd/crane")
}

// gos is what go version -m says of the programs in a directory: every module and
// the standard library, versions without their v.
func gos(ctx context.Context, t *testing.T, bin string) []string {
	t.Helper()
	var list []string
	entries, err := os.ReadDir(bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, modules(t, run(ctx, t, bin, "go", "version", "-m", e.Name()))...)
	}
	return list
}

// modules reads what go version -m printed of one program.
func modules(t *testing.T, out string) []string {
	t.Helper()
	var list []string
	for i, line := range lines(out) {
		fields := strings.Fields(line)
		switch {
		case i == 0: // FILE: go1.26.8
			list = append(list, "stdlib "+strings.TrimPrefix(fields[1], "go"))
		case fields[0] == "mod" && fields[2] == "(devel)":
			// The program's own module, built from a directory: no version, so no package version.
		case fields[0] == "mod" || fields[0] == "dep":
			list = append(list, fields[1]+" "+strings.TrimPrefix(fields[2], "v"))
		case fields[0] == "=>":
			list[len(list)-1] = fields[1] + " " + strings.TrimPrefix(fields[2], "v")
		}
	}
	return list
}
