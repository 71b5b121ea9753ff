package api

import (
	"regexp"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Kinds of question to who-has.
const (
	askPackage = iota
	askFlaw
	askFile
)

// question is what somebody typed, taken apart.
type question struct {
	kind       int
	name       string // name of a package, or the id of a flaw, or a file's SHA-256
	purl       string // without version, qualifiers and subpath; instead of name
	exact      string // the purl in full, where it has qualifiers
	conditions []condition
}

// condition is one comparison of versions.
type condition struct{ op, version string }

const (
	maxQuestion   = 512
	maxConditions = 16
)

// Flaws are known by the ids of those who publish them; packages are not written so.
var flawForm = regexp.MustCompile(`^(?i:CVE-\d{4}-\d{1,19}|GHSA(-[0-9a-z]{4}){3})$|^[A-Z][A-Z0-9]*(-[A-Z0-9]+)*-(CVE-)?\d{4}[-:]\d+(-\d+)?$`)

// readQuestion takes a question apart: "NAME", "NAME RANGE", a purl with or without a
// range, the id of a flaw, or "sha256:" and the hash of a file.
func readQuestion(text string) (question, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return question{}, invalid("nothing is asked for").WithRemedy("name a package with a range ('openssl <3.0.12'), a CVE id, or sha256:… of a file")
	case len(text) > maxQuestion:
		return question{}, invalid("the question is longer than %d bytes", maxQuestion)
	case flawForm.MatchString(text):
		if upper := strings.ToUpper(text); strings.HasPrefix(upper, "CVE-") {
			text = upper
		} else if strings.HasPrefix(upper, "GHSA-") {
			text = "GHSA" + strings.ToLower(text[4:])
		}
		return question{kind: askFlaw, name: text}, nil
	case strings.HasPrefix(strings.ToLower(text), "sha256:"):
		sum := strings.ToLower(text[len("sha256:"):])
		if len(sum) != 64 || strings.Trim(sum, "0123456789abcdef") != "" {
			return question{}, invalid("%q is not the SHA-256 of a file", shorten(text)).WithRemedy("give sha256: and 64 hexadecimal digits")
		}
		return question{kind: askFile, name: sum}, nil
	}
	return readPackageQuestion(text)
}

func readPackageQuestion(text string) (q question, err error) {
	ends := " \t<>=!"
	isPURL := strings.HasPrefix(strings.ToLower(text), "pkg:")
	if isPURL {
		ends = " \t<>" // qualifiers are written with "="
	}
	name, rest := text, ""
	if i := strings.IndexAny(text, ends); i >= 0 {
		name, rest = text[:i], text[i:]
	}
	if i := strings.LastIndexByte(beforeQualifiers(name), '@'); i > 0 && name[i-1] != '/' {
		version := beforeQualifiers(name)[i+1:]
		if version == "" {
			return q, badRange(text)
		}
		q.conditions = append(q.conditions, condition{"=", version})
	}
	if isPURL {
		q.setPURL(name)
	} else if i := strings.LastIndexByte(name, '@'); i > 0 && name[i-1] != '/' {
		q.name = name[:i]
	} else {
		q.name = name
	}
	if q.name == "" && q.purl == "" {
		return q, badRange(text)
	}
	more, err := readConditions(rest)
	if err != nil {
		return q, err
	}
	if q.conditions = append(q.conditions, more...); len(q.conditions) > maxConditions {
		return q, invalid("a range has at most %d comparisons", maxConditions)
	}
	return q, nil
}

func beforeQualifiers(purl string) string {
	if i := strings.IndexAny(purl, "?#"); i >= 0 {
		return purl[:i]
	}
	return purl
}

// setPURL writes a purl as the ledger keeps them: type in small letters, a scope's "@"
// escaped.
func (q *question) setPURL(text string) {
	plain := beforeQualifiers(text)
	kind, rest, _ := strings.Cut(plain[len("pkg:"):], "/")
	if i := strings.LastIndexByte(rest, '@'); i > 0 && rest[i-1] != '/' {
		rest = rest[:i]
	}
	rest = strings.ReplaceAll(rest, "/@", "/%40")
	if strings.HasPrefix(rest, "@") {
		rest = "%40" + rest[1:]
	}
	q.purl = "pkg:" + strings.ToLower(kind) + "/" + rest
	if plain != text {
		q.exact = text
	}
}

func badRange(text string) error {
	return invalid("%q is not NAME RANGE", shorten(text)).
		WithRemedy("write for example 'openssl <3.0.12', 'pkg:npm/lodash >=4.0, <4.17.21' or 'lodash = 4.17.20'")
}

func readConditions(text string) ([]condition, error) {
	var out []condition
	rest := strings.TrimLeft(text, " \t,")
	for rest != "" {
		version := strings.TrimLeft(rest, "<>=!")
		op := rest[:len(rest)-len(version)]
		version = strings.TrimLeft(version, " \t")
		end := strings.IndexAny(version, " \t,<>=")
		if end < 0 {
			end = len(version)
		}
		one := condition{op, version[:end]}
		switch op {
		case "<", "<=", ">", ">=", "=", "!=":
		case "", "==":
			one.op = "="
		default:
			return nil, invalid("%q is no comparison of versions", shorten(op)).WithRemedy("use <, <=, >, >=, = or !=")
		}
		if one.version == "" || !strings.ContainsAny(one.version, "0123456789") || strings.ContainsAny(one.version[:1], "^~*") {
			return nil, invalid("%q in the range is no version", shorten(one.version)).
				WithRemedy("write comparisons such as '>=4.0, <4.17.21'; use <, <=, >, >=, = or !=")
		}
		out = append(out, one)
		rest = strings.TrimLeft(version[end:], " \t,")
		if len(out) > maxConditions {
			break
		}
	}
	return out, nil
}

// packages is what the ledger is asked for: the spellings that one name may have.
func (q question) packages() inventory.PackageQuery {
	if q.purl != "" {
		return inventory.PackageQuery{PURL: q.purl}
	}
	lower := strings.ToLower(q.name)
	out := inventory.PackageQuery{Names: []string{q.name}}
	if lower != q.name {
		out.Names = append(out.Names, lower)
	}
	out.Keys = []inventory.AffectedKey{{Ecosystem: pypi, Name: folded(lower)}}
	return out
}

// pypi takes "Foo_Bar" and "foo-bar" for one name.
const pypi = "PyPI"

func folded(lower string) string { return regexp.MustCompile(`[-_.]+`).ReplaceAllString(lower, "-") }

// named tells whether a package has the name that is asked for, as the ledger finds it by
// packages: in full, by its source package, or by the last part of a longer name.
func (q question) named(p inventory.Package) bool {
	if q.purl != "" {
		rest, ok := strings.CutPrefix(p.PURL, q.purl)
		return ok && (rest == "" || rest[0] == '@' || rest[0] == '?')
	}
	for _, name := range q.packages().Names {
		if p.Name == name || p.SourceName == name || strings.HasSuffix(p.Name, ":"+name) || strings.HasSuffix(p.Name, "/"+name) {
			return true
		}
	}
	return p.Ecosystem == pypi && folded(strings.ToLower(p.Name)) == folded(strings.ToLower(q.name))
}

// versionOf is the version of p that the question speaks of: a name may be that of the
// source package.
func (q question) versionOf(p inventory.Package) string {
	if q.purl == "" && p.SourceVersion != "" && p.SourceName == q.name && p.Name != q.name {
		return p.SourceVersion
	}
	return p.Version
}

// holds tells whether a package is meant. An error says that its version cannot be
// compared.
func (q question) holds(p inventory.Package, compare func(ecosystem, a, b string) (int, error)) (bool, error) {
	if q.exact != "" && strings.Contains(q.exact, "@") && p.PURL != q.exact {
		return false, nil
	}
	version := q.versionOf(p)
	for _, c := range q.conditions {
		ok, err := c.holds(p.Ecosystem, version, compare)
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (c condition) holds(ecosystem, version string, compare func(ecosystem, a, b string) (int, error)) (bool, error) {
	if version == c.version {
		return c.op == "=" || c.op == "<=" || c.op == ">=", nil
	}
	// Nobody types an epoch: "1:9.2p1" is below 9.3 to who asks so.
	if epoch, rest, ok := strings.Cut(version, ":"); ok && !strings.Contains(c.version, ":") && strings.Trim(epoch, "0123456789") == "" {
		version = rest
	}
	n, err := compare(ecosystem, version, c.version)
	if err != nil {
		if c.op == "=" {
			return false, nil
		}
		return false, err
	}
	switch c.op {
	case "<":
		return n < 0, nil
	case "<=":
		return n <= 0, nil
	case ">":
		return n > 0, nil
	case ">=":
		return n >= 0, nil
	case "!=":
		return n != 0, nil
	}
	return n == 0, nil
}

// inEcosystem takes an ecosystem by OSV's name, with or without its release, or by the
// type of its purls.
func inEcosystem(p inventory.Package, want string) bool {
	base, _, _ := strings.Cut(p.Ecosystem, ":")
	kind, _, _ := strings.Cut(strings.TrimPrefix(p.PURL, "pkg:"), "/")
	return want == "" || strings.EqualFold(want, p.Ecosystem) || strings.EqualFold(want, base) || strings.EqualFold(want, kind)
}
