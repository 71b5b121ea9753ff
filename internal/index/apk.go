package index

import (
	"bytes"
	"context"
	"strings"
)

func isApk(c candidate) bool {
	return c.base == "installed" && (c.path == "lib/apk/db/installed" || c.path == "usr/lib/apk/db/installed" || c.path == "var/lib/apk/db/installed")
}

// readApk reads the installed database: a line a field, an empty line between
// packages, F: a directory and R: a file in it.
func readApk(ctx context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	list := extractors()
	var f found
	for len(b) > 0 && ctx.Err() == nil {
		var para []byte
		para, b = nextParagraph(b)
		p, o := apkPackage(para, list)
		if p.Name == "" {
			continue
		}
		if p.Version == "" {
			f.notes = append(f.notes, "package "+p.Name+" has no version")
			continue
		}
		f.pkgs = append(f.pkgs, p)
		if len(o.Hashes) > 0 {
			f.owns = append(f.owns, o)
		}
	}
	return f, ctx.Err()
}

func apkPackage(b []byte, list []extractor) (pkg, owned) {
	p := pkg{Type: "apk"}
	var o owned
	dir := ""
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		if len(line) < 2 || line[1] != ':' {
			continue
		}
		value := strings.TrimSpace(string(line[2:]))
		switch line[0] {
		case 'P':
			p.Name = value
		case 'V':
			p.Version = value
		case 'A':
			p.Arch = value
		case 'o':
			p.SourceName = value
		case 'L':
			p.Licenses = oneLicense(value)
		case 'F':
			dir = value
		case 'R':
			if full := strings.TrimPrefix(dir+"/"+value, "/"); claimable(list, full) {
				o.Hashes = append(o.Hashes, pathHash(full))
			}
		}
	}
	if p.SourceName == "" {
		p.SourceName = p.Name
	}
	p.SourceVersion = p.Version
	o.Name, o.Arch, o.Hashes = p.Name, p.Arch, sortedHashes(o.Hashes)
	return p, o
}

// oneLicense is a licence expression as it was written; an empty one is none.
func oneLicense(s string) []string {
	s = strings.TrimSpace(s)
	if s == "" || strings.EqualFold(s, "unknown") || strings.EqualFold(s, "none") {
		return nil
	}
	return []string{s}
}
