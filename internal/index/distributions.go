package index

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/klauspost/compress/zstd"
)

const pacmanLocal = "var/lib/pacman/local/"

// isPacman wants the two files of each package of Arch's database that tell
// something: desc, and files.
func isPacman(c candidate) bool {
	return strings.HasPrefix(c.path, pacmanLocal) && (c.base == "desc" || c.base == "files")
}

// readPacman reads "%NAME%", its lines, and an empty line.
func readPacman(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	v := map[string][]string{}
	key := ""
	for _, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case len(line) > 2 && line[0] == '%' && line[len(line)-1] == '%':
			key = line[1 : len(line)-1]
		case line != "" && key != "":
			v[key] = append(v[key], line)
		}
	}
	if path.Base(in.path) == "files" {
		return ownedFiles(cutRelease(path.Base(path.Dir(in.path)), 2), v["FILES"]), nil
	}
	name, version := first(v["NAME"]), first(v["VERSION"])
	if name == "" || !plainWord(name) || !plainVersion(version) {
		return found{notes: []string{"the package has no name or no version"}}, nil
	}
	p := pkg{Type: "alpm", Name: name, Version: version, Arch: first(v["ARCH"]), Licenses: v["LICENSE"], SourceName: firstOf(first(v["BASE"]), name), SourceVersion: version}
	return found{pkgs: []pkg{p}}, nil
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// cutRelease takes n parts of a version off: "gcc-libs-13.2-1" is "gcc-libs".
func cutRelease(s string, n int) string {
	for range n {
		i := strings.LastIndexByte(s, '-')
		if i <= 0 {
			return s
		}
		s = s[:i]
	}
	return s
}

func ownedFiles(name string, paths []string) found {
	list := extractors()
	o := owned{Name: name}
	for _, p := range paths {
		if p = strings.TrimPrefix(p, "/"); claimable(list, p) {
			o.Hashes = append(o.Hashes, pathHash(p))
		}
	}
	if len(o.Hashes) == 0 {
		return found{}
	}
	o.Hashes = sortedHashes(o.Hashes)
	return found{owns: []owned{o}}
}

// isPortage wants Gentoo's two files of a package: what it is, and its files.
func isPortage(c candidate) bool {
	return strings.HasPrefix(c.path, "var/db/pkg/") && (c.base == "PF" || c.base == "CONTENTS") && strings.Count(c.path, "/") == 5
}

// ebuild is "name-1.2_p3-r4".
var ebuild = regexp.MustCompile(`^(.+?)-([0-9][A-Za-z0-9._]*(?:-r[0-9]+)?)$`)

func readPortage(_ context.Context, in *input) (found, error) {
	dir := path.Dir(in.path)
	category := path.Base(path.Dir(dir))
	m := ebuild.FindStringSubmatch(path.Base(dir))
	if m == nil || !plainWord(m[0]) || !plainWord(category) {
		return found{notes: []string{"the package's directory is not named after a version"}}, nil
	}
	name := category + "/" + m[1]
	if path.Base(in.path) == "PF" {
		return found{pkgs: []pkg{{Type: "ebuild", Name: name, Version: m[2], SourceName: name, SourceVersion: m[2]}}}, nil
	}
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	var paths []string
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "obj "); ok { // "obj /usr/bin/x <md5> <time>"
			paths = append(paths, cutFields(rest, 2))
		}
	}
	return ownedFiles(name, paths), nil
}

// cutFields takes n words off the end.
func cutFields(s string, n int) string {
	for range n {
		if i := strings.LastIndexByte(s, ' '); i >= 0 {
			s = s[:i]
		}
	}
	return s
}

func isChisel(c candidate) bool { return c.path == "var/lib/chisel/manifest.wall" }

// maxManifest bounds what a manifest unpacks to, in bytes.
const maxManifest = 64 << 20

// readChisel reads the manifest of a root that was cut out of Ubuntu packages:
// zstd of one JSON object a line.
func readChisel(ctx context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	zr, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxManifest))
	if err != nil {
		return found{}, fmt.Errorf("unpack the manifest: %w", err)
	}
	defer zr.Close()
	var f found
	paths := map[string][]string{}
	lines := bufio.NewScanner(zr)
	lines.Buffer(nil, 1<<20)
	for read := 0; lines.Scan() && ctx.Err() == nil; {
		if read += len(lines.Bytes()); read > maxManifest {
			return f, fmt.Errorf("the manifest unpacks to more than %d bytes", maxManifest)
		}
		var l struct{ Kind, Name, Version, Arch, Slice, Path string }
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue // a kind of line that is none of ours
		}
		switch name, _, _ := strings.Cut(l.Slice, "_"); {
		case l.Kind == "package" && plainWord(l.Name) && plainVersion(l.Version):
			f.pkgs = append(f.pkgs, pkg{Type: "deb", Name: l.Name, Version: l.Version, Arch: l.Arch, SourceName: l.Name, SourceVersion: l.Version})
		case l.Kind == "content":
			paths[name] = append(paths[name], l.Path)
		}
	}
	for _, p := range f.pkgs {
		f.owns = append(f.owns, ownedFiles(p.Name, paths[p.Name]).owns...)
	}
	return f, lines.Err()
}

// isSandboxed wants the metadata of snaps and flatpaks.
func isSandboxed(c candidate) bool {
	return c.base == "snap.yaml" && strings.HasSuffix(c.dir, "/meta/") && strings.Contains(c.dir, "snap/") ||
		strings.HasSuffix(c.base, ".metainfo.xml") && strings.Contains(c.dir, "flatpak/")
}

var (
	snapName    = regexp.MustCompile(`(?m)^name:\s*["']?([a-z0-9][a-z0-9-]*)["']?\s*$`)
	snapVersion = regexp.MustCompile(`(?m)^version:\s*["']?([^"'\s]+)["']?\s*$`)
)

func readSandboxed(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	if path.Base(in.path) == "snap.yaml" {
		return oneVersioned("snap", submatch(snapName, b), submatch(snapVersion, b)), nil
	}
	var doc struct {
		ID       string `xml:"id"`
		Releases []struct {
			Version string `xml:"version,attr"`
		} `xml:"releases>release"`
	}
	if err := xml.Unmarshal(b, &doc); err != nil {
		return found{}, fmt.Errorf("read the application's metadata: %w", err)
	}
	if len(doc.Releases) == 0 {
		return found{}, nil
	}
	return oneVersioned("flatpak", strings.TrimSpace(doc.ID), doc.Releases[0].Version), nil
}

// oneVersioned is a package without an ecosystem of advisories, listed under its
// name.
func oneVersioned(kind, name, version string) found {
	if name == "" || !plainWord(name) || !plainVersion(version) {
		return found{}
	}
	return found{pkgs: []pkg{{Type: kind, Name: name, Version: version}}}
}
