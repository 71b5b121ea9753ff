package index

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

func isArchiveName(base string) bool {
	switch strings.ToLower(path.Ext(base)) {
	case ".jar", ".war", ".ear", ".jpi", ".hpi", ".par", ".sar", ".lpkg", ".nar", ".kar":
		return true
	}
	return false
}

func isJava(c candidate) bool { return isArchiveName(c.base) && c.size > 22 } // an empty zip has 22 bytes

// javaReader walks an archive and the archives in it.
type javaReader struct {
	done   func() error
	limits Limits
	bytes  int64 // unpacked so far
	found  found
}

func readJava(ctx context.Context, in *input) (found, error) {
	r := &javaReader{done: ctx.Err, limits: in.limits}
	err := r.archive(in.data, in.size, path.Base(in.path), "", 1)
	return r.found, err
}

// archive reads one archive. inside is its path in the file, "" for the file itself.
func (r *javaReader) archive(data io.ReaderAt, size int64, base, inside string, depth int) error {
	zr, err := zip.NewReader(data, size)
	if err != nil {
		return fmt.Errorf("not a Java archive: %w", err)
	}
	var poms, manifest []*zip.File
	models := map[string]*zip.File{}
	for _, f := range zr.File {
		if err := r.done(); err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(f.Name, "META-INF/maven/") && strings.HasSuffix(f.Name, "/pom.properties"):
			poms = append(poms, f)
		case strings.HasPrefix(f.Name, "META-INF/maven/") && strings.HasSuffix(f.Name, "/pom.xml"):
			models[path.Dir(f.Name)] = f
		case f.Name == "META-INF/MANIFEST.MF":
			manifest = append(manifest, f)
		case isArchiveName(f.Name) && f.UncompressedSize64 > 22:
			if err := r.nested(f, inside, depth); err != nil {
				return err
			}
		}
	}
	return r.identify(poms, models, manifest, base, inside)
}

// errTooDeep and the like end the walk; what was found so far is kept.
var errTooDeep = errors.New("archives lie in archives deeper than the limit")

func (r *javaReader) nested(f *zip.File, inside string, depth int) error {
	if depth >= r.limits.ArchiveDepth {
		return errTooDeep
	}
	where := f.Name
	if inside != "" {
		where = inside + "!/" + f.Name
	}
	b, err := r.unpack(f, r.limits.SpoolFile)
	if err == nil {
		err = r.archive(bytes.NewReader(b), int64(len(b)), path.Base(f.Name), where, depth+1)
	}
	if errors.Is(err, errTooDeep) || errors.Is(err, errTooLarge) || r.done() != nil {
		return err
	}
	if err != nil && len(r.found.notes) < 20 {
		r.found.notes = append(r.found.notes, clipText(where, 300)+": "+err.Error())
	}
	return nil
}

var errTooLarge = errors.New("its archives unpack to more than the limit")

// maxExpansion bounds nested archives only: a jar in a jar compresses badly, a
// bomb does not.
const maxExpansion = 200

func (r *javaReader) unpack(f *zip.File, most int64) ([]byte, error) {
	rc, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if c := int64(f.CompressedSize64); c > 0 && c < most/maxExpansion {
		most = max(c*maxExpansion, 1<<20)
	}
	b, err := io.ReadAll(io.LimitReader(rc, most+1))
	r.bytes += int64(len(b))
	if int64(len(b)) > most || r.bytes > r.limits.ArchiveBytes {
		return nil, errTooLarge
	}
	return b, err
}

// identify names the archive: by each pom.properties in it (a fat jar has many),
// else by its manifest where that is reliable.
func (r *javaReader) identify(poms []*zip.File, models map[string]*zip.File, manifest []*zip.File, base, inside string) error {
	named := false
	for _, f := range poms {
		b, err := r.unpack(f, 1<<20)
		if err != nil {
			return err
		}
		if p, ok := pomProperties(b); ok {
			p.Inside, named = inside, true
			p.Licenses = r.licenses(models[path.Dir(f.Name)])
			r.found.pkgs = append(r.found.pkgs, p)
		}
	}
	if named || len(manifest) == 0 {
		return nil
	}
	b, err := r.unpack(manifest[0], 4<<20)
	if err != nil {
		return err
	}
	if p, ok := fromManifest(b, base); ok {
		p.Inside = inside
		r.found.pkgs = append(r.found.pkgs, p)
	}
	return nil
}

var (
	pomLicenses = regexp.MustCompile(`(?s)<licenses>(.*?)</licenses>`)
	pomLicense  = regexp.MustCompile(`<name>\s*([^<]+?)\s*</name>`)
)

// licenses reads what a project's own model says; what it inherits is elsewhere.
func (r *javaReader) licenses(model *zip.File) []string {
	if model == nil {
		return nil
	}
	b, err := r.unpack(model, 1<<20)
	if err != nil {
		return nil // the package is known without it
	}
	var out []string
	if m := pomLicenses.FindSubmatch(b); m != nil {
		for _, n := range pomLicense.FindAllSubmatch(m[1], 16) {
			out = append(out, oneLicense(string(n[1]))...)
		}
	}
	return out
}

func pomProperties(b []byte) (pkg, bool) {
	v := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		key, value, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(line, "#") {
			v[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	g, a, ver := v["groupId"], v["artifactId"], v["version"]
	if g == "" || a == "" || !plainWord(g) || !plainWord(a) || !plainVersion(ver) {
		return pkg{}, false
	}
	return pkg{Type: "maven", Name: g + ":" + a, Version: ver}, true
}

// jarName is "artifact-1.2.3-classifier.jar".
var jarName = regexp.MustCompile(`^(.+?)-([0-9][A-Za-z0-9.+_-]*)\.[A-Za-z]+$`)

// fromManifest names an archive that has no pom.properties. A group is taken only
// from Implementation-Vendor-Id, which is where Maven writes it; a guessed group
// would never match an advisory, or match a wrong one. Without a group the
// archive is recorded under its name, which nothing is matched against.
func fromManifest(b []byte, base string) (pkg, bool) {
	h := manifestFields(b)
	artifact, version := "", ""
	if m := jarName.FindStringSubmatch(base); m != nil {
		artifact, version = m[1], m[2]
	}
	stated := firstOf(h["Implementation-Version"], h["Bundle-Version"], h["Specification-Version"])
	stated, _, _ = strings.Cut(stated, " ")
	if version == "" {
		artifact, version = strings.TrimSuffix(base, path.Ext(base)), stated
	}
	group := h["Implementation-Vendor-Id"]
	if !plainVersion(version) || !plainWord(artifact) || artifact == "" {
		return pkg{}, false
	}
	agrees := sameRelease(version, stated)
	if strings.Contains(group, ".") && plainWord(group) && agrees {
		return pkg{Type: "maven", Name: group + ":" + artifact, Version: version, Licenses: bundleLicense(h)}, true
	}
	if !agrees && plainVersion(stated) {
		version = stated // "spring3-core-3.x.jar" knows less than its manifest
	}
	if stated == "" {
		return pkg{}, false
	}
	return pkg{Type: "generic", Name: artifact, Version: version, Licenses: bundleLicense(h)}, true
}

// bundleLicense reads OSGi's header: names or addresses, with attributes.
func bundleLicense(h map[string]string) []string {
	var out []string
	for _, l := range strings.Split(h["Bundle-License"], ",") {
		l, _, _ = strings.Cut(l, ";")
		out = append(out, oneLicense(strings.Trim(strings.TrimSpace(l), `"`))...)
	}
	return out
}

// sameRelease says whether a file name and a manifest mean the same version:
// bundles write 1.2.0.RELEASE or 1.2.0 for 1.2.
func sameRelease(a, b string) bool {
	return b != "" && (a == b || strings.HasPrefix(b, a+".") || strings.HasPrefix(a, b+".") || strings.HasPrefix(a, b+"-"))
}

// manifestFields reads the main section; a line that begins with a space goes on.
func manifestFields(b []byte) map[string]string {
	h := map[string]string{}
	last := ""
	for _, line := range strings.Split(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n") {
		if line == "" {
			break
		}
		if more, ok := strings.CutPrefix(line, " "); ok {
			h[last] += more
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if ok {
			last = key
			h[key] = strings.TrimSpace(value)
		}
	}
	return h
}

func firstOf(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// clipText shortens hostile text for a sentence.
func clipText(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}
