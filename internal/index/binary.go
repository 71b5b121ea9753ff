package index

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"path"
	"runtime/debug"
	"strings"

	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/rust/cargoauditable"
)

// isExecutable wants files with an execute bit that do not say by their name that
// they are text or data, and the shared libraries that the table recognises.
func isExecutable(c candidate) bool {
	if c.size < 64 {
		return false
	}
	if !c.exec {
		return strings.HasSuffix(c.base, ".exe") || isLibrary(c.base)
	}
	ext := path.Ext(c.base)
	if ext == "" || len(ext) > 6 {
		return true
	}
	switch ext {
	case ".py", ".pyc", ".pl", ".pm", ".sh", ".rb", ".js", ".mjs", ".cjs", ".ts", ".map", ".json", ".md", ".txt", ".html", ".css", ".c", ".h",
		".yml", ".yaml", ".toml", ".xml", ".conf", ".cfg", ".ini", ".png", ".svg", ".gif", ".jpg", ".gz", ".xz", ".zip", ".a", ".o", ".la",
		".list", ".log", ".lock", ".php", ".tcl", ".lua", ".go", ".rs", ".java", ".class", ".properties", ".pem", ".crt", ".service", ".bat", ".ps1":
		return false
	}
	return true
}

// readBinary opens an executable once and looks for what its build left in it.
func readBinary(ctx context.Context, in *input) (found, error) {
	hasGo, hasRust := true, true
	if e, err := elf.NewFile(in.data); err == nil {
		hasGo, hasRust = e.Section(".go.buildinfo") != nil, e.Section(".dep-v0") != nil
		if len(e.Sections) == 0 { // sections stripped: the slower search decides
			hasGo, hasRust = true, false
		}
	}
	if hasGo {
		if f, ok := goModules(in); ok {
			return f, nil
		}
	}
	if hasRust {
		if f, err := rustCrates(ctx, in); err != nil || len(f.pkgs) > 0 {
			return f, err
		}
	}
	return classify(in)
}

// goModules reads what the Go linker wrote: the standard library under the name
// that advisories use, modules as they were built (the replacement where one was
// replaced). Main modules and local replacements without a version, "(devel)",
// cannot be matched and are left out.
func goModules(in *input) (found, bool) {
	info, err := buildinfo.Read(in.data)
	if err != nil {
		return found{}, false
	}
	var f found
	add := func(name, version string) {
		version = strings.TrimPrefix(version, "v")
		if name != "" && version != "" && version != "(devel)" && plainWord(name) && plainWord(version) {
			f.pkgs = append(f.pkgs, pkg{Type: "golang", Name: name, Version: version})
		}
	}
	add("stdlib", goVersion(info.GoVersion))
	add(info.Main.Path, info.Main.Version)
	for _, m := range info.Deps {
		mod := replaced(m)
		add(mod.Path, mod.Version)
	}
	return f, true
}

func replaced(m *debug.Module) *debug.Module {
	if m.Replace != nil && m.Replace.Path != "" {
		return m.Replace
	}
	return m
}

// goVersion turns "go1.22.3 X:boringcrypto" or "go1.26rc1" into a version. A
// development version ("devel go1.24-abc") has none.
func goVersion(s string) string {
	v, ok := strings.CutPrefix(s, "go")
	if !ok {
		return ""
	}
	v, _, _ = strings.Cut(v, " ")
	v, _, _ = strings.Cut(v, "-") // vendors' suffixes
	for _, pre := range []string{"rc", "beta"} {
		if i := strings.Index(v, pre); i > 0 {
			base := v[:i]
			for strings.Count(base, ".") < 2 {
				base += ".0"
			}
			return base + "-" + v[i:]
		}
	}
	return v
}

// rustCrates reads the list that cargo-auditable puts into a binary.
func rustCrates(ctx context.Context, in *input) (found, error) {
	ex, err := cargoauditable.New(nil)
	if err != nil {
		return found{}, fmt.Errorf("start the cargo-auditable reader: %w", err)
	}
	inv, err := ex.Extract(ctx, &filesystem.ScanInput{Path: in.path, Info: fileInfo{name: in.path, size: in.size}, Reader: in.data})
	if err != nil {
		return found{}, err
	}
	var f found
	for _, p := range inv.Packages {
		if p.Name != "" && plainVersion(p.Version) {
			f.pkgs = append(f.pkgs, pkg{Type: "cargo", Name: p.Name, Version: p.Version})
		}
	}
	return f, nil
}

var errNotFound = errors.New("not found")

// search runs over a file in blocks until fn has seen what it wants. Blocks
// overlap, so that a match on an edge is not lost.
func search(in *input, most int64, fn func([]byte) bool) error {
	const block, overlap = 256 << 10, 256
	buf := make([]byte, block)
	for off := int64(0); off < min(in.size, most); off += block - overlap {
		n, err := in.data.ReadAt(buf, off)
		if n == 0 && err != nil {
			return errNotFound
		}
		if fn(buf[:n]) {
			return nil
		}
	}
	return errNotFound
}

// classify recognises well-known programs that were installed without a package
// manager, by their name and the version that they print.
func classify(in *input) (found, error) {
	base := path.Base(in.path)
	for _, c := range classifiers() {
		named := c.name.FindStringSubmatch(base)
		if named == nil {
			continue
		}
		version := ""
		err := search(in, 256<<20, func(b []byte) bool {
			if len(named) > 1 && !bytes.Contains(b, []byte(named[1]+".")) {
				return false // cheaper than the pattern
			}
			for _, m := range c.version.FindAllSubmatch(b, -1) {
				if len(named) < 2 || strings.HasPrefix(string(m[1]), named[1]+".") {
					version = string(m[1])
					return true
				}
			}
			return false
		})
		if err == nil && plainVersion(version) {
			return found{pkgs: []pkg{{Type: "generic", Name: c.pkg, Version: version}}}, nil
		}
	}
	return found{}, nil
}
