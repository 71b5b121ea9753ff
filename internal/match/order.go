package match

import (
	"fmt"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const maxVersion = 512 // bytes; beyond, parsing costs more than any version is worth

// order is how an ecosystem sorts its versions.
type order struct {
	name string // as a verdict's Comparator says it
	// native is the ecosystem whose order semantic is asked for.
	native string
	// quick compares without allocating where it can; ok is false where it cannot.
	// It must agree with semantic wherever it answers.
	quick func(a, b string) (result int, ok bool)
}

// orderOf is the order of an ecosystem, which may be written with its release.
func orderOf(ecosystem string) (order, bool) {
	base, _ := split(ecosystem)
	switch base {
	case "Debian", "Ubuntu", "Echo":
		return order{"Debian", "Debian", quickDebian}, true
	case "Alpine", "Wolfi", "Chainguard", "MinimOS", "Alpaquita", "BellSoft Hardened Containers":
		return order{"apk", "Alpine", nil}, true
	case "Red Hat", "AlmaLinux", "Rocky Linux", "Oracle Linux", "Amazon Linux", "Azure Linux", "Photon OS", "Fedora",
		"CentOS", "SUSE", "openSUSE", "openEuler", "Mageia":
		return order{"RPM", "Red Hat", nil}, true
	case "npm", "Go", "crates.io", "Hex", "Julia", "SwiftURL", "Bitnami", "Bioconductor", "ConanCenter", "GHC",
		"GitHub Actions", "VSCode", "Docker Hardened Images":
		return order{"SemVer", "npm", quickSemver}, true
	case "PyPI":
		return order{"PEP 440", "PyPI", nil}, true
	case "RubyGems", "Maven", "NuGet", "Packagist", "Pub", "CRAN", "Hackage":
		return order{base, base, nil}, true
	}
	return order{}, false
}

// Compare says how versions a and b of an ecosystem (with or without its release)
// stand: negative when a is older, 0 when they are the same. An ecosystem whose order
// is not known is ErrUnsupported, a version that is none is ErrInvalid.
func Compare(ecosystem, a, b string) (int, error) {
	o, ok := orderOf(ecosystem)
	if !ok {
		return 0, inventory.Errorf(inventory.ErrUnsupported, "the order of versions of %q is not known", ecosystem)
	}
	v, err := o.parse(a)
	if err != nil {
		return 0, err
	}
	return v.compare(b)
}

// version is a package's version, made ready to be compared many times.
type version struct {
	order order
	text  string
	// parsed is what semantic made of text; nil until the quick way does not do.
	parsed semantic.Version
}

// parse refuses what is no version at all. What semantic alone would refuse is found
// when it is first compared.
func (o order) parse(text string) (*version, error) {
	if text == "" || len(text) > maxVersion {
		return nil, inventory.Errorf(inventory.ErrInvalid, "not a version: %q", text[:min(len(text), 40)])
	}
	return &version{order: o, text: text}, nil
}

// compare says how v stands to another version.
func (v *version) compare(other string) (result int, err error) {
	if v.order.quick != nil {
		if c, ok := v.order.quick(v.text, other); ok {
			return c, nil
		}
	}
	if other == "" || len(other) > maxVersion {
		return 0, inventory.Errorf(inventory.ErrInvalid, "not a version: %q", other[:min(len(other), 40)])
	}
	// semantic is fed with text from anywhere: should it ever panic, that version is
	// not comparable, and the process goes on.
	defer func() {
		if p := recover(); p != nil {
			err = inventory.Errorf(inventory.ErrInvalid, "compare %q with %q: %v", v.text, other, p)
		}
	}()
	if v.parsed == nil {
		if v.parsed, err = semantic.Parse(v.text, v.order.native); err != nil {
			return 0, invalid(v.text, err)
		}
	}
	if result, err = v.parsed.CompareStr(other); err != nil {
		return 0, invalid(other, err)
	}
	return result, nil
}

func invalid(text string, err error) error {
	return &inventory.Error{Kind: inventory.ErrInvalid, Msg: fmt.Sprintf("not a version: %q", text), Err: err}
}

// quickDebian is deb-version(7) without allocations, for plain ASCII.
func quickDebian(a, b string) (int, bool) {
	ea, ua, ra, ok := splitDebian(a)
	eb, ub, rb, ok2 := splitDebian(b)
	if !ok || !ok2 {
		return 0, false
	}
	if c := compareDigits(ea, eb); c != 0 {
		return c, true
	}
	if c := compareDebianPart(ua, ub); c != 0 {
		return c, true
	}
	return compareDebianPart(ra, rb), true
}

func splitDebian(s string) (epoch, upstream, revision string, ok bool) {
	if s == "" || len(s) > maxVersion {
		return "", "", "", false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return "", "", "", false
		}
	}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		if epoch = s[:i]; epoch == "" || !digits(epoch) {
			return "", "", "", false
		}
		s = s[i+1:]
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:], true
	}
	return epoch, s, "0", true
}

// compareDebianPart compares runs of non-digits and of digits by turns.
func compareDebianPart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(a[0]) || b != "" && !digit(b[0]) {
			wa, wb := weighDebian(a), weighDebian(b)
			if wa != wb {
				return sign(wa - wb)
			}
			a, b = a[1:], b[1:]
		}
		na, nb := digitRun(a), digitRun(b)
		if c := compareDigits(a[:na], b[:nb]); c != 0 {
			return c
		}
		a, b = a[na:], b[nb:]
	}
	return 0
}

// weighDebian ranks the first character: tilde, then the end of the part, then letters,
// then the rest.
func weighDebian(s string) int {
	switch {
	case s == "" || digit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case letter(s[0]):
		return int(s[0])
	}
	return int(s[0]) + 256
}

// quickSemver compares versions of up to three plain numbers with an optional
// pre-release; build data does not count.
func quickSemver(a, b string) (int, bool) {
	na, pa, ok := splitSemver(a)
	nb, pb, ok2 := splitSemver(b)
	if !ok || !ok2 {
		return 0, false
	}
	for i := range na {
		if c := compareDigits(na[i], nb[i]); c != 0 {
			return c, true
		}
	}
	switch {
	case pa == "" && pb == "":
		return 0, true
	case pa == "":
		return 1, true
	case pb == "":
		return -1, true
	}
	return comparePrerelease(pa, pb), true
}

func splitSemver(s string) (numbers [3]string, prerelease string, ok bool) {
	if len(s) > maxVersion {
		return numbers, "", false
	}
	s = strings.TrimPrefix(s, "v")
	for i := range numbers {
		n := digitRun(s)
		if n == 0 {
			return numbers, "", false
		}
		numbers[i], s = s[:n], s[n:]
		if i < 2 && s != "" && s[0] == '.' {
			s = s[1:]
			continue
		}
		break
	}
	if i := strings.IndexByte(s, '+'); i >= 0 {
		s = s[:i]
	}
	switch {
	case s == "":
		return numbers, "", true
	case len(s) > 1 && s[0] == '-' && s[1] != '-' && !strings.Contains(s, ".."):
		return numbers, s[1:], true
	}
	return numbers, "", false
}

func comparePrerelease(a, b string) int {
	for {
		fieldA, restA, moreA := strings.Cut(a, ".")
		fieldB, restB, moreB := strings.Cut(b, ".")
		numA, numB := digits(fieldA), digits(fieldB)
		c := 0
		switch {
		case numA && numB:
			c = compareDigits(fieldA, fieldB)
		case numA:
			c = -1
		case numB:
			c = 1
		default:
			c = strings.Compare(fieldA, fieldB)
		}
		if c != 0 {
			return c
		}
		switch {
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = restA, restB
	}
}

// compareDigits compares runs of digits as numbers of any size; "" is 0.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

func digitRun(s string) int {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	return n
}

func digits(s string) bool { return s != "" && digitRun(s) == len(s) }
func digit(c byte) bool    { return c >= '0' && c <= '9' }
func letter(c byte) bool   { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
