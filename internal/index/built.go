package index

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/google/osv-scalibr/extractor/filesystem/language/perl/cpan"
	"github.com/google/osv-scalibr/extractor/filesystem/os/spack"
)

// isCPAN wants what cpanm leaves of an installed distribution,
// …/.meta/<name>-<version>/MYMETA.json, and the metadata of one that was unpacked
// to be built: …/.cpan/build/<name>/META.json, …/.cpanm/work/<time>/<name>/META.json.
// Deeper ones are a distribution's own test data.
func isCPAN(c candidate) bool {
	up := func(n int) string {
		dir := strings.TrimSuffix(c.dir, "/")
		for range n {
			dir = path.Dir(dir)
		}
		return dir
	}
	switch c.base {
	case "MYMETA.json":
		return path.Base(up(1)) == ".meta"
	case "META.json", "META.yml":
		return strings.HasSuffix("/"+up(1), "/.cpan/build") || strings.HasSuffix("/"+up(2), "/.cpanm/work")
	}
	return false
}

// readCPAN lists a distribution as installed where cpanm says so. One that lies
// unpacked may have failed to build: it is declared.
func readCPAN(ctx context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	list, err := borrow(ctx, cpan.New, in.path, b)
	var f found
	for _, p := range list {
		one := oneVersioned("cpan", p.Name, p.Version)
		for i := range one.pkgs {
			one.pkgs[i].Declared = path.Base(in.path) != "MYMETA.json"
		}
		f.pkgs = append(f.pkgs, one.pkgs...)
	}
	return f, err
}

// isOpam wants what opam keeps of each package that it installed:
// …/.opam-switch/packages/<name>.<version>/opam.
func isOpam(c candidate) bool {
	return c.base == "opam" && strings.HasSuffix("/"+path.Dir(path.Dir(c.path)), "/.opam-switch/packages")
}

var opamLicense = regexp.MustCompile(`(?m)^license:\s*"([^"]+)"`)

func readOpam(_ context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	name, version, _ := strings.Cut(path.Base(path.Dir(in.path)), ".")
	f := oneVersioned("opam", name, version) // "base-unix.base" has no version, and is no more than a name
	for i := range f.pkgs {
		f.pkgs[i].Licenses = oneLicense(submatch(opamLicense, b))
	}
	return f, nil
}

// isBrew wants the receipt of a formula: …/Cellar/<name>/<version>/INSTALL_RECEIPT.json.
func isBrew(c candidate) bool {
	return c.base == "INSTALL_RECEIPT.json" && path.Base(path.Dir(path.Dir(path.Dir(c.path)))) == "Cellar"
}

func readBrew(_ context.Context, in *input) (found, error) {
	dir := path.Dir(in.path)
	return oneVersioned("brew", path.Base(path.Dir(dir)), path.Base(dir)), nil
}

// isSpack wants the specification that each package has in its own prefix.
func isSpack(c candidate) bool { return strings.HasSuffix(c.path, "/.spack/spec.json") }

// readSpack takes the package of this prefix. The specification names all that it
// was built with too, which have prefixes of their own if they are still there:
// the first is the one.
func readSpack(ctx context.Context, in *input) (found, error) {
	b, err := in.all()
	if err != nil {
		return found{}, err
	}
	list, err := borrow(ctx, spack.New, in.path, b)
	if err != nil || len(list) == 0 {
		return found{}, err
	}
	return oneVersioned("spack", list[0].Name, list[0].Version), nil
}

// isPlugin wants the PHP files in which a WordPress plugin may have its header.
func isPlugin(c candidate) bool {
	return strings.HasSuffix(c.base, ".php") && strings.HasSuffix("/"+path.Dir(path.Dir(c.path)), "/wp-content/plugins")
}

var (
	pluginName    = regexp.MustCompile(`(?m)^[ \t/*#@]*Plugin Name:[ \t]*(\S.*)$`)
	pluginVersion = regexp.MustCompile(`(?m)^[ \t/*#@]*Version:[ \t]*(\S+)`)
)

// readPlugin names a plugin after its directory, as WordPress' own directory of
// them does; the name in its header is for people.
func readPlugin(_ context.Context, in *input) (found, error) {
	b := make([]byte, min(in.size, 8<<10)) // WordPress looks no further
	if _, err := in.data.ReadAt(b, 0); err != nil {
		return found{}, fmt.Errorf("read the header: %w", err)
	}
	if submatch(pluginName, b) == "" {
		return found{}, nil
	}
	return oneVersioned("wordpress", path.Base(path.Dir(in.path)), submatch(pluginVersion, b)), nil
}

// nugetAssets drops from a restored project's list what the project asks for: the
// reader takes the versions that dependencies name, which are the least that would
// do, for packages.
func nugetAssets(body []byte) map[nameVersion]bool {
	var doc struct {
		Targets map[string]map[string]struct {
			Type         string            `json:"type"`
			Dependencies map[string]string `json:"dependencies"`
		} `json:"targets"`
	}
	if json.Unmarshal(body, &doc) != nil {
		return nil
	}
	asked, there := map[nameVersion]bool{}, map[nameVersion]bool{}
	for _, target := range doc.Targets {
		for key, p := range target {
			name, version, _ := strings.Cut(key, "/")
			there[nameVersion{name, version}] = p.Type == "package"
			for n, v := range p.Dependencies {
				asked[nameVersion{n, v}] = true
			}
		}
	}
	for k, ok := range there {
		if ok {
			delete(asked, k)
		}
	}
	return asked
}
