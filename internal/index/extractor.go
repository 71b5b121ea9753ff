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
		{name: "jvm", why: "a Java that was unpacked, not installed", wants: isRelease, read: readRelease},
		{name: "lock", why: "declared versions; lockFiles says of what", wants: isLockFile, read: readLockFile},
		{name: "binary", why: "Go modules, audited Rust crates and well-known programs inside executables", wants: isExecutable, exec: true, read: readBinary},
	}
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
