package index

import (
	"bytes"
	"context"
	"path"
	"strings"
)

const dpkgStatusD = "var/lib/dpkg/status.d/"

func isDpkg(c candidate) bool {
	if c.path == "var/lib/dpkg/status" || c.path == "usr/lib/opkg/status" {
		return true
	}
	return strings.HasPrefix(c.path, dpkgStatusD) && path.Ext(c.base) != ".md5sums"
}

// readDpkg reads the status database: what is there is what has "ok installed";
// removed packages leave entries behind. Distroless entries have no Status.
func readDpkg(ctx context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	kind := "deb"
	if in.path == "usr/lib/opkg/status" {
		kind = "opkg"
	}
	single := strings.HasPrefix(in.path, dpkgStatusD)
	var f found
	for len(b) > 0 && ctx.Err() == nil {
		var para []byte
		para, b = nextParagraph(b)
		h := paragraph(para, "Package", "Version", "Status", "Source", "Architecture")
		if h["Package"] == "" {
			continue
		}
		if status, has := h["Status"]; has && !strings.HasSuffix(status, " installed") || !has && !single {
			continue
		}
		if h["Version"] == "" {
			f.notes = append(f.notes, "package "+h["Package"]+" has no version")
			continue
		}
		p := pkg{Type: kind, Name: h["Package"], Version: h["Version"], Arch: h["Architecture"]}
		p.SourceName, p.SourceVersion = p.Name, p.Version
		if src := h["Source"]; src != "" {
			name, version, ok := strings.Cut(src, " (")
			p.SourceName = name
			if ok {
				p.SourceVersion = strings.TrimSuffix(version, ")")
			}
		}
		f.pkgs = append(f.pkgs, p)
	}
	return f, ctx.Err()
}

// nextParagraph cuts at the next empty line.
func nextParagraph(b []byte) (para, rest []byte) {
	for start := 0; ; {
		end := bytes.IndexByte(b[start:], '\n')
		if end < 0 {
			return b, nil
		}
		line := b[start : start+end]
		start += end + 1
		if len(bytes.TrimSpace(line)) == 0 {
			return b[:start], b[start:]
		}
	}
}

// paragraph picks fields of a control paragraph; continuation lines are not
// wanted. A line that is no field is passed over.
func paragraph(b []byte, fields ...string) map[string]string {
	out := make(map[string]string, len(fields))
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		if len(line) == 0 || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		key, value, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		for _, f := range fields {
			if strings.EqualFold(f, string(key)) {
				if _, twice := out[f]; !twice {
					out[f] = string(bytes.TrimSpace(value))
				}
			}
		}
	}
	return out
}

func isDpkgFiles(c candidate) bool {
	if strings.HasPrefix(c.path, "var/lib/dpkg/info/") {
		return path.Ext(c.base) == ".list"
	}
	return strings.HasPrefix(c.path, dpkgStatusD) && path.Ext(c.base) == ".md5sums"
}

// readDpkgFiles reads the list of one package's files: "/usr/bin/x" a line, or
// "<md5>  usr/bin/x" in distroless images.
func readDpkgFiles(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	base := path.Base(in.path)
	ext := path.Ext(base)
	o := owned{Name: strings.TrimSuffix(base, ext)}
	o.Name, o.Arch, _ = strings.Cut(o.Name, ":")
	list := extractors()
	for len(b) > 0 {
		var line []byte
		line, b, _ = bytes.Cut(b, []byte{'\n'})
		p := string(line)
		if ext == ".md5sums" {
			_, p, _ = strings.Cut(p, "  ")
		}
		p = strings.TrimPrefix(p, "/")
		if claimable(list, p) {
			o.Hashes = append(o.Hashes, pathHash(p))
		}
	}
	o.Hashes = sortedHashes(o.Hashes)
	if len(o.Hashes) == 0 {
		return found{}, nil
	}
	return found{owns: []owned{o}}, nil
}
