package match

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// entriesFor are the entries of an advisory that speak of s: of its ecosystem, its
// release and its name. They are good until the next call.
func entriesFor(s *subject, a *inventory.Advisory) []*inventory.Affected {
	s.entries = s.entries[:0]
	whole := s.release.whole()
	for i := range a.Affected {
		if entry := &a.Affected[i]; s.named(entry) && (whole || s.release.is(entry.Ecosystem)) {
			s.entries = append(s.entries, entry)
		}
	}
	if len(s.entries) == 0 || !whole || s.release.any {
		return s.entries
	}
	return s.release.choose(s.entries, s.version(s.entries[0]))
}

// release is which release of a distribution a package belongs to.
type release struct {
	base string
	text string // as the package's ecosystem writes it
	norm string // as releases are compared
	any  bool   // the ecosystem has no releases
}

func releaseOf(ecosystem string) release {
	base, text := split(ecosystem)
	r := release{base: base, text: text, any: !familyOf(base).distro}
	r.norm = normalRelease(base, text)
	return r
}

// normalRelease writes a release so that two that mean the same are equal.
func normalRelease(base, text string) string {
	switch base {
	case "Debian":
		return debianRelease(text)
	case "Alpine", "Alpaquita":
		return alpineRelease(text)
	case "Ubuntu":
		return ubuntuNumber(text)
	case "AlmaLinux", "Rocky Linux", "Oracle Linux", "Azure Linux", "Photon OS", "CentOS", "Mageia", "Fedora", "Amazon Linux":
		major, _, _ := strings.Cut(text, ".")
		return major
	case "Red Hat":
		return redHatRelease(text)
	case "SUSE", "openSUSE":
		return suseRelease(text)
	}
	return text
}

// debianRelease is the major number; before Debian 4 the minor one told releases apart.
func debianRelease(text string) string {
	major, rest, _ := strings.Cut(text, ".")
	if n, err := strconv.Atoi(major); err == nil && n < 4 {
		minor, _, _ := strings.Cut(rest, ".")
		return major + "." + minor
	}
	return major
}

// alpineRelease is the branch: "v3.19" for "3.19.1".
func alpineRelease(text string) string {
	if text == "" || text == "edge" {
		return text
	}
	part := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	if len(part) < 2 {
		return text
	}
	return "v" + part[0] + "." + part[1]
}

// ubuntuNumber is the "22.04" of "22.04:LTS" and "Pro:FIPS:22.04:LTS".
func ubuntuNumber(text string) string {
	for part := range strings.SplitSeq(text, ":") {
		if part != "" && digit(part[0]) {
			return part
		}
	}
	return text
}

// ubuntuVariant is the "Pro:FIPS" of "Pro:FIPS:22.04:LTS", "" for the plain release.
func ubuntuVariant(text string) string {
	variant := text
	if i := strings.IndexFunc(text, func(r rune) bool { return r >= '0' && r <= '9' }); i >= 0 {
		variant = text[:i]
	}
	return strings.Trim(variant, ":")
}

// redHatRelease is product and version of the CPE's part: "enterprise_linux:9" for
// "enterprise_linux:9::baseos", and for a bare "9" or "9.4" too.
func redHatRelease(text string) string {
	if text == "" || digit(text[0]) {
		text = "enterprise_linux:" + text
	}
	product, rest, _ := strings.Cut(text, ":")
	number, _, _ := strings.Cut(rest, ":")
	if product == "enterprise_linux" || product == "rhel" {
		product = "enterprise_linux"
		number, _, _ = strings.Cut(number, ".")
	}
	return product + ":" + number
}

// suseRelease is "15.5" for "Linux Enterprise Server 15 SP5", its modules and its
// long-term support, "leap 15.5" and "tumbleweed" for openSUSE's. Products with package
// versions of their own keep their name.
func suseRelease(text string) string {
	low := strings.ToLower(text)
	if strings.Contains(low, "tumbleweed") {
		return "tumbleweed"
	}
	number := ""
	for word := range strings.FieldsSeq(low) {
		switch {
		case digit(word[0]) && number == "":
			number, _, _ = strings.Cut(word, "-")
		case strings.HasPrefix(word, "sp") && number != "" && len(word) > 2 && digit(word[2]):
			sp, _, _ := strings.Cut(word[2:], "-")
			number += "." + sp
		}
	}
	for _, own := range [...]string{"micro", "live patching", "real time", "manager", "package hub", "leap"} {
		if strings.Contains(low, own) {
			return own + " " + number
		}
	}
	return number
}

// whole tells that entries are chosen by looking at all of a record's, not one by one.
func (r release) whole() bool {
	return r.any || r.base == "Ubuntu" || r.base == "Alpine" && r.norm == "edge"
}

// choose keeps the entries that speak of release r. installed is the version that they
// would judge.
func (r release) choose(entries []*inventory.Affected, installed string) []*inventory.Affected {
	if r.base == "Ubuntu" {
		return r.chooseUbuntu(entries, installed)
	}
	return newestBranch(entries)
}

// is tells whether an entry's ecosystem is this release. An entry without a release
// speaks of all of them.
func (r release) is(ecosystem string) bool {
	_, text := split(ecosystem)
	if text == "" {
		return true
	}
	return r.text != "" && normalRelease(r.base, text) == r.norm
}

// chooseUbuntu prefers the entries of the package's own variant. A plain release whose
// record has only an entry of Ubuntu Pro is judged by that one: the flaw is there, and
// the fix is Pro's. Kernels and the like of other variants are not the package's.
func (r release) chooseUbuntu(entries []*inventory.Affected, installed string) []*inventory.Affected {
	own := ubuntuVariant(r.text)
	if own == "" && (strings.Contains(installed, "esm") || strings.Contains(installed, "fips")) {
		own = "Pro"
	}
	byVariant := map[string][]*inventory.Affected{}
	for _, e := range entries {
		_, text := split(e.Ecosystem)
		if text == "" || ubuntuNumber(text) == r.norm {
			variant := ubuntuVariant(text)
			byVariant[variant] = append(byVariant[variant], e)
		}
	}
	if strings.Contains(installed, "fips") {
		for _, variant := range []string{"Pro:FIPS-updates", "Pro:FIPS", "Pro:FIPS-preview"} {
			if found := byVariant[variant]; len(found) > 0 {
				return found
			}
		}
	}
	for _, variant := range []string{own, "", "Pro"} {
		if found := byVariant[variant]; len(found) > 0 {
			return found
		}
	}
	return nil
}

// newestBranch is what judges Alpine's edge: its own entries, else those of the newest
// branch, whose fixes edge had first.
func newestBranch(entries []*inventory.Affected) []*inventory.Affected {
	number := func(e *inventory.Affected) int {
		_, text := split(e.Ecosystem)
		if text == "edge" || text == "" {
			return 1 << 30
		}
		part := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
		if len(part) < 2 {
			return -1
		}
		major, err := strconv.Atoi(part[0])
		minor, err2 := strconv.Atoi(part[1])
		if err != nil || err2 != nil {
			return -1
		}
		return major*1000 + minor
	}
	newest := number(slices.MaxFunc(entries, func(a, b *inventory.Affected) int { return cmp.Compare(number(a), number(b)) }))
	return slices.DeleteFunc(slices.Clone(entries), func(e *inventory.Affected) bool { return number(e) != newest })
}
