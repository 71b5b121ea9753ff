package index

import (
	"cmp"
	"context"
	"slices"
	"strings"

	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	scalibr "github.com/google/osv-scalibr/extractor"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/cpp/conanlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dart/pubspec"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/packagesconfig"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/packageslockjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/paketlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/projectassetsjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/elixir/mixlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/golang/gomod"
	"github.com/google/osv-scalibr/extractor/filesystem/language/haskell/cabal"
	"github.com/google/osv-scalibr/extractor/filesystem/language/haskell/stacklock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/java/gradlelockfile"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/bunlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/packagelockjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/pnpmlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/yarnlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/julia/manifesttoml"
	"github.com/google/osv-scalibr/extractor/filesystem/language/php/composerlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/pdmlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/pipfilelock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/poetrylock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/pylock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/uvlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/r/renvlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/ruby/gemfilelock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/rust/cargolock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/swift/packageresolved"
	"github.com/google/osv-scalibr/extractor/filesystem/osv"
)

// lockFile is a file that names exact versions for somebody to install: what it
// lists is declared, and becomes a row only where it is not found installed.
type lockFile struct {
	why   string
	start func(*cpb.PluginConfig) (filesystem.Extractor, error)
	// elsewhere names what the file lists for other platforms only; nil: it does
	// not tell.
	elsewhere func(body []byte) map[nameVersion]bool
}

type nameVersion struct{ name, version string }

// lockFiles is the list of them, by file name. A requirements.txt has a reader of
// ours: most lines of most of them pin nothing.
var lockFiles = map[string]lockFile{
	"package-lock.json":           {why: "npm", start: packagelockjson.New},
	"npm-shrinkwrap.json":         {why: "npm, published with a package", start: packagelockjson.New},
	"yarn.lock":                   {why: "Yarn, classic and Berry", start: yarnlock.New, elsewhere: yarnOptional},
	"pnpm-lock.yaml":              {why: "pnpm", start: pnpmlock.New, elsewhere: pnpmOptional},
	"bun.lock":                    {why: "Bun", start: bunlock.New, elsewhere: bunOptional},
	"Gemfile.lock":                {why: "Bundler", start: gemfilelock.New},
	"gems.locked":                 {why: "Bundler, the other name", start: gemfilelock.New},
	"poetry.lock":                 {why: "Poetry", start: poetrylock.New},
	"Pipfile.lock":                {why: "Pipenv", start: pipfilelock.New},
	"uv.lock":                     {why: "uv", start: uvlock.New},
	"pdm.lock":                    {why: "PDM", start: pdmlock.New},
	"pylock.toml":                 {why: "Python's standard lock file", start: pylock.New},
	"requirements.txt":            {why: "pip; pinned lines only"},
	"Cargo.lock":                  {why: "Rust, where binaries carry no audit data", start: cargolock.New},
	"go.mod":                      {why: "Go sources", start: gomod.New},
	"composer.lock":               {why: "PHP", start: composerlock.New},
	"packages.lock.json":          {why: "NuGet", start: packageslockjson.New},
	"packages.config":             {why: "NuGet, of old", start: packagesconfig.New},
	"project.assets.json":         {why: "NuGet, as restored", start: projectassetsjson.New, elsewhere: nugetAssets},
	"paket.lock":                  {why: "NuGet by Paket", start: paketlock.New},
	"gradle.lockfile":             {why: "Gradle", start: gradlelockfile.New},
	"buildscript-gradle.lockfile": {why: "Gradle, of the build", start: gradlelockfile.New},
	"mix.lock":                    {why: "Elixir and Erlang", start: mixlock.New},
	"conan.lock":                  {why: "C and C++ with Conan", start: conanlock.New},
	"pubspec.lock":                {why: "Dart and Flutter", start: pubspec.New},
	"cabal.project.freeze":        {why: "Haskell with Cabal", start: cabal.New},
	"stack.yaml.lock":             {why: "Haskell with Stack", start: stacklock.New},
	"renv.lock":                   {why: "R", start: renvlock.New},
	"Package.resolved":            {why: "Swift", start: packageresolved.New},
	"Manifest.toml":               {why: "Julia", start: manifesttoml.New},
}

// isLockFile wants the lock file of an application. One in the tree of a package
// says what that package's authors worked with.
func isLockFile(c candidate) bool {
	if _, ok := lockFiles[c.base]; !ok {
		return false
	}
	for _, tree := range [...]string{
		"node_modules/", "site-packages/", "dist-packages/", "gems/", "vendor/", "pkg/mod/", "registry/src/", "git/checkouts/",
		"usr/share/", "usr/lib/", "usr/local/go/", "testdata/", ".cache/", "_cacache/", "deps/", "rocks-",
	} {
		if i := strings.Index(c.dir, tree); i == 0 || i > 0 && c.dir[i-1] == '/' {
			return false
		}
	}
	return true
}

func readLockFile(ctx context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	base := in.path[strings.LastIndex(in.path, "/")+1:]
	if base == "requirements.txt" {
		return found{pkgs: requirements(b)}, nil
	}
	kind := lockFiles[base]
	list, err := borrow(ctx, kind.start, in.path, b)
	var elsewhere map[nameVersion]bool
	if kind.elsewhere != nil {
		elsewhere = kind.elsewhere(b)
	}
	var f found
	for _, p := range list {
		if q, ok := declared(p); ok && !elsewhere[nameVersion{p.Name, p.Version}] {
			f.pkgs = append(f.pkgs, q)
		}
	}
	// Most of them come out of a map, and some twice.
	slices.SortFunc(f.pkgs, func(a, b pkg) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version)) })
	f.pkgs = slices.CompactFunc(f.pkgs, func(a, b pkg) bool { return a.Name == b.Name && a.Version == b.Version })
	return f, err
}

// declared takes over what a borrowed extractor found. Without a version, from a
// repository instead of a registry, or for development only: none of that can be
// said to be in an image that does not have it installed.
func declared(p *scalibr.Package) (pkg, bool) {
	if ecosystemOf(p.PURLType) == "" || p.Name == "" || !plainWord(p.Name) || !plainVersion(p.Version) || !production(p) {
		return pkg{}, false
	}
	if p.PURLType == "golang" && (p.Name == "stdlib" || strings.HasPrefix(p.Name, ".")) {
		return pkg{}, false // the least Go that would do, which is not the one that built it; a directory
	}
	if p.SourceCode != nil && p.SourceCode.Commit != "" && p.PURLType != "hex" { // there it is a checksum
		return pkg{}, false
	}
	return pkg{Type: p.PURLType, Name: p.Name, Version: p.Version, Declared: true}, true
}

// production says whether a dependency belongs to a group that is always
// installed, or to none.
func production(p *scalibr.Package) bool {
	g, ok := p.Metadata.(osv.DepGroups)
	if !ok || len(g.DepGroups()) == 0 {
		return true
	}
	return slices.ContainsFunc(g.DepGroups(), func(s string) bool { return s == "" || s == "main" || s == "default" || s == "requires" })
}
