package match

import (
	"fmt"

	"github.com/google/osv-scalibr/semantic"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const maxVersion = 512 // bytes; beyond, parsing costs more than any version is worth

const rpmOrder = "RPM" // as a verdict's Comparator names it

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
		return order{"apk", "Alpine", quickAlpine}, true
	case "Red Hat", "AlmaLinux", "Rocky Linux", "Oracle Linux", "Amazon Linux", "Azure Linux", "Photon OS", "Fedora",
		"CentOS", "SUSE", "openSUSE", "openEuler", "Mageia":
		return order{rpmOrder, "Red Hat", nil}, true
	case "npm", "Go", "crates.io", "Hex", "Julia", "SwiftURL", "Bitnami", "Bioconductor", "ConanCenter", "GHC",
		"GitHub Actions", "VSCode", "Docker Hardened Images":
		return order{"SemVer", "npm", quickSemver}, true
	case "PyPI":
		return order{"PEP 440", "PyPI", quickNumbers}, true
	case "RubyGems", "Maven":
		return order{base, base, quickNumbers}, true
	case "NuGet", "Packagist", "Pub", "CRAN", "Hackage":
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
	return o.compare(a, b)
}

func (o order) compare(a, b string) (int, error) {
	if o.quick != nil {
		if c, ok := o.quick(a, b); ok {
			return c, nil
		}
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
