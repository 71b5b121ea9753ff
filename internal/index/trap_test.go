package index_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// Node packages that Debian installs are Debian's: they are marked, so that they
// are not counted, or matched, a second time.
func TestTrapNpmPackagesOfTheDistribution(t *testing.T) {
	res := local(t,
		ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("node-semver", "7.3.5")),
		ocitest.File("var/lib/dpkg/info/node-semver.list", "/usr/share/nodejs/semver/package.json\n"),
		ocitest.File("usr/share/nodejs/semver/package.json", npm("semver", "7.3.5")),
		ocitest.File("app/node_modules/semver/package.json", npm("semver", "7.5.0")))
	owners := map[string]string{}
	for _, p := range res.Packages {
		owners[p.Name+" "+p.Version] = p.OwnedBy
	}
	delete(owners, "node-semver 7.3.5")
	for name, owner := range owners {
		if owned := name == "semver 7.3.5"; owned != (owner != "") {
			t.Errorf("%s is owned by %q", name, owner)
		}
	}
	if _, ok := owners["semver 7.5.0"]; !ok {
		t.Errorf("the application's own package is missing: %v", owners)
	}
}

// A jar whose manifest has no version that is one is no package without a version.
func TestTrapJarsWithoutAVersion(t *testing.T) {
	for _, manifest := range []string{
		"Implementation-Title: x\n", "Implementation-Title: x\nImplementation-Version: \n",
		"Implementation-Title: x\nImplementation-Version: UNKNOWN\n", "Bundle-SymbolicName: x\nBundle-Version: ${project.version}\n",
	} {
		res := local(t, ocitest.File("app/x.jar", string(makeJar(t, "", "", "", map[string][]byte{"META-INF/MANIFEST.MF": []byte(manifest)}))))
		if len(res.Packages) != 0 {
			t.Errorf("%q: %v", manifest, lines(res.Packages))
		}
	}
}

// dpkg writes its whole database in every layer that installs something. A package
// belongs to the layer that brought its version, not to the last.
func TestTrapAllDebsOnTheLastLayer(t *testing.T) {
	status := func(debs string) ocitest.Entry { return ocitest.File("var/lib/dpkg/status", debs) }
	res := stacked(t,
		[]ocitest.Entry{ocitest.File("etc/os-release", osRelease), status(deb("kept", "1") + deb("upgraded", "1"))},
		[]ocitest.Entry{status(deb("kept", "1") + deb("upgraded", "2") + deb("added", "1"))},
		[]ocitest.Entry{status(deb("kept", "1") + deb("upgraded", "2") + deb("added", "1") + deb("last", "1"))})
	got := map[string]int{}
	for _, p := range res.Packages {
		got[fmt.Sprintf("%s %s", p.Name, p.Version)] = p.Layer
	}
	if diff := cmp.Diff(map[string]int{"kept 1": 0, "upgraded 2": 1, "added 1": 1, "last 1": 2}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
