package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spec is a source package of ours: an epoch, a sub-package, one without architecture,
// a licence, and files that language packages lie in.
const spec = `Name: shop
Epoch: 2
Version: 1.4.0
Release: 3.el9
Summary: a shop
License: MIT and ASL 2.0
%description
A shop.
%package libs
Summary: its libraries
License: LGPLv2+
%description libs
Libraries.
%package doc
Epoch: 0
Version: 1.4.1
Summary: its manual
BuildArch: noarch
%description doc
A manual.
%install
mkdir -p %{buildroot}/opt/shop/node_modules/left %{buildroot}/usr/share/shop %{buildroot}/usr/lib
echo '{"name":"left","version":"1.0.0"}' > %{buildroot}/opt/shop/node_modules/left/package.json
echo manual > %{buildroot}/usr/share/shop/manual
echo lib > %{buildroot}/usr/lib/shop.conf
%files
/opt/shop/node_modules/left/package.json
%files libs
/usr/lib/shop.conf
%files doc
/usr/share/shop/manual
`

// TestRPMSaysTheSame makes packages with rpmbuild and installs them with rpm; rpm -qa is
// the truth. A package that was erased again is not there. Debian's rpm writes sqlite
// only; of the other two kinds of database, ndb and Berkeley DB, internal/index reads
// real ones.
func TestRPMSaysTheSame(t *testing.T) {
	needTools(t, "rpm", "rpmbuild")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "shop.spec"), spec)
	write(t, filepath.Join(dir, "gone.spec"), "Name: gone\nVersion: 1\nRelease: 1\nSummary: gone\nLicense: MIT\nBuildArch: noarch\n%description\nGone.\n%files\n")
	for _, name := range []string{"shop.spec", "gone.spec"} {
		run(t.Context(), t, dir, "rpmbuild", "--quiet", "--define", "_topdir "+dir, "-bb", filepath.Join(dir, name))
	}
	built, err := filepath.Glob(filepath.Join(dir, "RPMS/*/*.rpm"))
	if err != nil || len(built) != 4 {
		t.Fatalf("%v, %v", built, err)
	}
	root := t.TempDir()
	write(t, filepath.Join(root, "etc/os-release"), "ID=rocky\nVERSION_ID=\"9.4\"\n")
	rpm := func(args ...string) string {
		return run(t.Context(), t, root, "rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm", "--define", "_db_backend sqlite"}, args...)...)
	}
	rpm(append([]string{"-i", "--nodeps", "--nosignature", "--ignorearch"}, built...)...)
	rpm("-e", "--nodeps", "gone")
	if _, err := os.Stat(filepath.Join(root, "var/lib/rpm/rpmdb.sqlite")); err != nil {
		t.Fatal(err)
	}
	want := lines(rpm("-qa", "--qf", `%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM} %{LICENSE}\n`))
	var got []string
	for _, p := range sbomOf(t, root).Packages {
		switch p.Ecosystem {
		case "Rocky Linux:9":
			version := p.Version
			if !strings.Contains(version, ":") {
				version = "0:" + version
			}
			got = append(got, strings.Join([]string{p.Name, version, p.Arch, p.SourceName + "-" + p.SourceVersion + ".src.rpm", strings.Join(p.Licenses, ", ")}, " "))
		default:
			if !strings.HasPrefix(p.OwnedBy, "pkg:rpm/rocky/shop@1.4.0-3.el9?") || p.Name != "left" {
				t.Errorf("%s %s owned by %q", p.Name, p.Version, p.OwnedBy)
			}
		}
	}
	missing, invented := compare(want, got)
	t.Logf("%d packages", len(got))
	if len(want) != 3 || len(missing)+len(invented) > 0 {
		t.Errorf("rpm says %q; missing %q, invented %q", want, missing, invented)
	}
}

// TestToolsOfLanguages holds what lies in a Debian root to the languages' own tools: pip
// on the wheels that python3-*-whl packages carry, installed into a virtual environment
// and a target directory, and gem on what gem itself installed.
func TestToolsOfLanguages(t *testing.T) {
	needTools(t, "mmdebstrap", "chroot", "tar")
	dir := t.TempDir()
	_, all := machineSources(t)
	_, root := bootstrap(t.Context(), t, dir, "tools", all, "python3", "python3-pip", "python3-venv", "python3-pip-whl", "python3-setuptools-whl", "python3-wheel-whl", "ruby")
	in := func(args ...string) string {
		return run(t.Context(), t, "/", "chroot", append([]string{root, "/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/root"}, args...)...)
	}
	in("python3", "-m", "venv", "/opt/venv")
	in("sh", "-c", "/opt/venv/bin/pip install --no-index --no-deps --quiet /usr/share/python-wheels/*.whl")
	write(t, filepath.Join(root, "opt/gem/shop.gemspec"), `Gem::Specification.new { |s| s.name = "shop"; s.version = "2.1.0"; s.summary = "shop"; s.authors = ["a"]; s.license = "MIT"; s.files = [] }`)
	in("sh", "-c", "cd /opt/gem && gem build --quiet shop.gemspec && gem install --local --no-document --quiet shop-2.1.0.gem && gem install --local --no-document --quiet --install-dir /opt/bundle shop-2.1.0.gem && rm -f shop.gemspec")
	doc := sbomOf(t, root)
	got := map[string][]string{}
	for _, p := range doc.Packages {
		got[p.Ecosystem] = append(got[p.Ecosystem], line(p))
	}
	var pips []string
	for _, out := range []string{in("/opt/venv/bin/pip", "list", "--format=freeze", "--disable-pip-version-check"), in("/usr/bin/pip", "list", "--format=freeze", "--disable-pip-version-check")} {
		for _, l := range lines(out) {
			name, version, _ := strings.Cut(strings.TrimSpace(l), "==")
			pips = append(pips, strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))+" "+version)
		}
	}
	var gems []string
	for _, l := range lines(in("gem", "list", "--local", "--quiet", "--no-verbose")) { // NAME (default: VERSION, VERSION)
		name, versions, ok := strings.Cut(strings.TrimSuffix(l, ")"), " (")
		for v := range strings.SplitSeq(versions, ", ") {
			if ok {
				gems = append(gems, name+" "+strings.Fields(strings.TrimPrefix(v, "default: "))[0])
			}
		}
	}
	for ecosystem, want := range map[string][]string{"PyPI": pips, "RubyGems": gems, "Debian:12": debs(t.Context(), t, root)} {
		missing, invented := compare(want, got[ecosystem])
		t.Logf("%s: %d packages", ecosystem, len(unique(got[ecosystem])))
		if diff := cmp.Diff([]string{}, append(missing, invented...)); diff != "" || len(want) == 0 {
			t.Errorf("%s: missing %q, invented %q", ecosystem, missing, invented)
		}
	}
}
