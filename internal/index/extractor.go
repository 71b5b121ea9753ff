package index

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strings"
)

// extractor finds packages in one kind of file. A file is read by the first of
// the list that wants it, so that nothing is listed twice from one file.
type extractor struct {
	name string
	why  string
	// wants decides by path, size and mode alone and must cost next to nothing: it
	// is asked for every file of every layer.
	wants func(candidate) bool
	// exec: only files that begin like an executable are spooled.
	exec bool
	// system: it finds what no distribution package can own.
	system bool
	read   func(context.Context, *input) (found, error)
}

// candidate is a file of which only the header is known.
type candidate struct {
	path, dir, base string
	size            int64
	exec            bool // any execute bit
}

func newCandidate(p string, size int64, mode int64) candidate {
	dir, base := path.Split(p)
	return candidate{path: p, dir: dir, base: base, size: size, exec: mode&0o111 != 0}
}

// input is a spooled file.
type input struct {
	path   string
	size   int64
	data   contents
	limits Limits
	dir    string // where temporary files go
}

// all reads the whole file; text files only, at most 64 MiB.
func (in *input) all() ([]byte, error) {
	const most = 64 << 20
	if in.size > most {
		return nil, fmt.Errorf("it has %d bytes; at most %d are read", in.size, most)
	}
	b := make([]byte, in.size)
	if _, err := in.data.ReadAt(b, 0); err != nil && (err != io.EOF || in.size > 0) { //nolint:errorlint // ReaderAt returns it bare
		return nil, err
	}
	return b, nil
}

// found is what an extractor found in one file.
type found struct {
	pkgs  []pkg
	owns  []owned
	text  string
	notes []string // problems that cost only part of the file
}

// extractors is the one list, in the order they are asked.
func extractors() []extractor {
	return []extractor{
		{name: "os-release", why: "names the distribution", system: true, wants: isOSRelease, read: readOSRelease},
		{name: "dpkg", why: "Debian, Ubuntu and distroless", system: true, wants: isDpkg, read: readDpkg},
		{name: "dpkg-files", why: "which files Debian packages own", system: true, wants: isDpkgFiles, read: readDpkgFiles},
		{name: "copyright", why: "licences of Debian packages, where they are written for machines", system: true, wants: isCopyright, read: readCopyright},
		{name: "chisel", why: "roots cut out of Ubuntu packages, which have no dpkg database", system: true, wants: isChisel, read: readChisel},
		{name: "apk", why: "Alpine, Wolfi, Chainguard; its database names the files too", system: true, wants: isApk, read: readApk},
		{name: "rpm", why: "Red Hat's family, SUSE, Amazon, Azure: sqlite, ndb and Berkeley DB", system: true, wants: isRpm, read: readRpm},
		{name: "pacman", why: "Arch and its kin, with the files of each package", system: true, wants: isPacman, read: readPacman},
		{name: "portage", why: "Gentoo, with the files of each package", system: true, wants: isPortage, read: readPortage},
		{name: "sandboxed", why: "snaps and flatpaks", wants: isSandboxed, read: readSandboxed},
		{name: "npm", why: "installed Node packages, by their package.json", wants: isNpm, read: readNpm},
		{name: "python", why: "installed wheels and eggs, by their metadata", wants: isPython, read: readPython},
		{name: "java", why: "jars, nested ones too, by pom.properties", wants: isJava, read: readJava},
		{name: "gem", why: "installed Ruby gems, by their specification", wants: isGemspec, read: readGemspec},
		{name: "composer", why: "installed PHP packages", wants: isComposer, read: readComposer},
		{name: "dotnet", why: "NuGet packages of a published .NET application", wants: isDepsJSON, read: readDepsJSON},
		{name: "conda", why: "what conda installed, C libraries too", wants: isConda, read: readConda},
		{name: "r", why: "installed R packages", wants: isR, read: readR},
		{name: "erlang", why: "applications in Erlang and Elixir releases", wants: isErlang, read: readErlang},
		{name: "luarocks", why: "installed Lua rocks", wants: isRockspec, read: readRockspec},
		{name: "cpan", why: "Perl distributions that cpanm installed; those unpacked to be built, as declared", wants: isCPAN, read: readCPAN},
		{name: "opam", why: "OCaml packages in a switch of opam", wants: isOpam, read: readOpam},
		{name: "brew", why: "Homebrew on Linux", wants: isBrew, read: readBrew},
		{name: "spack", why: "Spack, each package in a prefix of its own", wants: isSpack, read: readSpack},
		{name: "wordpress", why: "plugins of WordPress, which no package manager installs", wants: isPlugin, read: readPlugin},
		{name: "jvm", why: "a Java that was unpacked, not installed", wants: isRelease, read: readRelease},
		{name: "lock", why: "declared versions; lockFiles says of what", wants: isLockFile, read: readLockFile},
		{name: "binary", why: "Go modules, audited Rust crates and well-known programs inside executables", wants: isExecutable, exec: true, read: readBinary},
	}
}

// readFor says which of the list reads what an extractor of osv-scalibr is for.
// Most are readers of ours, which are held to one file of one layer; a lock file's
// is always its own (lockFiles).
var readFor = map[string]string{
	"language/cpp/conanlock": "lock", "language/dart/pubspec": "lock", "language/dotnet/depsjson": "dotnet",
	"language/dotnet/packagesconfig": "lock", "language/dotnet/packageslockjson": "lock", "language/dotnet/paketlock": "lock",
	"language/dotnet/projectassetsjson": "lock", "language/elixir/mixlock": "lock", "language/erlang/mixlock": "lock",
	"language/golang/gobinary": "binary", "language/golang/gomod": "lock", "language/haskell/cabal": "lock",
	"language/haskell/stacklock": "lock", "language/java/archive": "java", "language/java/gradlelockfile": "lock",
	"language/javascript/bunlock": "lock", "language/javascript/packagejson": "npm", "language/javascript/packagelockjson": "lock",
	"language/javascript/pnpmlock": "lock", "language/javascript/yarnlock": "lock", "language/julia/manifesttoml": "lock",
	"language/lua/luarocks": "luarocks", "language/ocaml/opam": "opam", "language/perl/cpan": "cpan", "language/php/composerlock": "lock",
	"language/python/condameta": "conda", "language/python/pdmlock": "lock", "language/python/pipfilelock": "lock",
	"language/python/poetrylock": "lock", "language/python/pylock": "lock", "language/python/requirements": "lock",
	"language/python/uvlock": "lock", "language/python/wheelegg": "python", "language/r/renvlock": "lock", "language/ruby/gem": "gem",
	"language/ruby/gemfilelock": "lock", "language/ruby/gemspec": "gem", "language/rust/cargoauditable": "binary",
	"language/rust/cargolock": "lock", "language/swift/packageresolved": "lock", "misc/wordpress/plugins": "wordpress",
	"os/apk": "apk", "os/chisel": "chisel", "os/dpkg": "dpkg", "os/flatpak": "sandboxed", "os/homebrew": "brew", "os/nix": "nix",
	"os/pacman": "pacman", "os/portage": "portage", "os/rpm": "rpm", "os/snap": "sandboxed", "os/spack": "spack",
}

// refused are the other extractors of osv-scalibr, or whole groups of them, each
// with why it has no place here.
var refused = map[string]string{
	"bazel":                       "sources of a build; what it made is in the image",
	"containers":                  "names images, not packages in this one",
	"embeddedfs":                  "disks inside files; an image's own files are what runs",
	"ffa":                         "names files that nobody can name a version of",
	"language/dart/packageconfig": "paths to sources; pubspec.lock has the versions",
	"language/dotnet/csproj":      "asks for versions; what came is in packages.lock.json or .deps.json",
	"language/dotnet/dotnetpe": "takes the assemblies that a file refers to for packages, and an assembly's version for its package's " +
		"(Newtonsoft.Json 13.0.3 is assembly 13.0.0.0), which would match advisories that do not apply; wants a file by path, and " +
		"afterwards removes its name from the working directory",
	"language/dotnet/nugetcpm":                    "asks for versions, of sources",
	"language/dotnet/paketdependencies":           "asks for versions; paket.lock has them",
	"language/gleam/gleamtoml":                    "asks for versions, of sources",
	"language/golang/vendormodules":               "says again what go.mod says",
	"language/java/gradleverificationmetadataxml": "checksums of what a build may use, whether it does or not",
	"language/java/gradleversioncatalog":          "asks for versions, of sources",
	"language/java/pomxml":                        "asks for versions, of sources; a jar has its own pom.properties",
	"language/javascript/denojson":                "asks for versions, of sources",
	"language/javascript/denotssource":            "asks for versions, of sources",
	"language/javascript/electronasar":            "desktop programs",
	"language/javascript/vsix":                    "an editor's extension, packed and not installed",
	"language/julia/projecttoml":                  "asks for versions; Manifest.toml has them",
	"language/nim/nimble":                         "asks for versions, of sources",
	"language/python/ipythoninstall":              "a line in a notebook, which may never have run",
	"language/python/pyprojecttoml":               "asks for versions, of sources",
	"language/python/setup":                       "a program, of which only a guess can be read",
	"language/rust/cargotoml":                     "asks for versions; Cargo.lock has them",
	"language/swift/podfilelock":                  "programs of iOS and macOS",
	"misc/bazelmaven":                             "sources of a build; the jars are in the image",
	"misc/chrome":                                 "a person's browser",
	"misc/githubactions":                          "workflows of a repository, which run elsewhere",
	"misc/gitrepo":                                "a repository's commit, no package",
	"misc/netscaler":                              "an appliance, which is no image",
	"misc/vscodeextensions":                       "a person's editor",
	"os/chocolatey":                               "Windows",
	"os/cos":                                      "a host that runs containers",
	"os/kernel":                                   "the host's kernel runs, never an image's; a distribution's is listed by its package",
	"os/macapps":                                  "macOS",
	"os/macports":                                 "macOS",
	"os/winget":                                   "Windows",
	"runtime":                                     "asks a version manager for a program; the program itself is read",
	"sbom":                                        "what somebody said of an image is held beside what we found, and adds nothing",
	"secrets":                                     "no packages, and nothing that should be written down",
}

// choose returns the extractor for a file, or nil.
func choose(list []extractor, c candidate) *extractor {
	for i := range list {
		if list[i].wants(c) {
			return &list[i]
		}
	}
	return nil
}

// executableMagic says whether a file begins like ELF, PE or Mach-O.
func executableMagic(b []byte) bool {
	for _, m := range [...]string{"\x7fELF", "MZ", "\xfe\xed\xfa", "\xce\xfa\xed\xfe", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe"} {
		if bytes.HasPrefix(b, []byte(m)) {
			return true
		}
	}
	return false
}

// claimable says whether a path that a distribution package owns could be one
// that an extractor reads: only such paths are worth keeping.
func claimable(list []extractor, p string) bool {
	c := newCandidate(strings.TrimPrefix(p, "/"), 1<<10, 0o755)
	if c.base == "" || strings.Contains(c.base, ".so") && !isLibrary(c.base) {
		return false
	}
	e := choose(list, c)
	return e != nil && !e.system
}

func isOSRelease(c candidate) bool {
	return c.path == "etc/os-release" || c.path == "usr/lib/os-release" || c.path == "etc/redhat-release" || c.path == "etc/centos-release"
}

func readOSRelease(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	return found{text: releaseText(string(b[:min(len(b), 64<<10)]))}, nil
}
