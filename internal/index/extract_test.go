package index_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// local indexes one layer and gives its packages.
func local(t *testing.T, entries ...ocitest.Entry) index.Result {
	t.Helper()
	return stacked(t, entries)
}

// stacked indexes layers on top of each other.
func stacked(t *testing.T, layers ...[]ocitest.Entry) index.Result {
	t.Helper()
	var blobs [][]byte
	for _, l := range layers {
		blobs = append(blobs, ocitest.Tar(l...))
	}
	s := ocitest.NewStore()
	s.AddImage("t", ocitest.Image{Layers: blobs})
	res, err := index.Local(context.Background(), s, "t", "", index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func lines(ps []inventory.Placed) []string {
	var out []string
	for _, p := range ps {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s | %s %s %s | %s %s", p.PURL, p.Ecosystem, p.Name, p.Version, p.SourceName, strings.Join(p.Licenses, ","))))
	}
	sort.Strings(out)
	return out
}

const alpine = "ID=alpine\nVERSION_ID=3.18.4\n"

// Each case is a way in which scanners go wrong.
func TestExtractors(t *testing.T) {
	tests := []struct {
		name    string
		entries []ocitest.Entry
		want    []string
	}{
		{
			"dpkg counts what is installed",
			[]ocitest.Entry{ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", `Package: libssl3
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: same
Source: openssl (3.0.11-1~deb12u2)
Version: 3.0.11-1~deb12u2+b1
Description: not a field
 Package: trap
 .
 Version: 9

Package: removed
Status: deinstall ok config-files
Version: 1

Package: half
Status: install ok half-configured
Version: 1

Package: held
Status: hold ok installed
Version: 1:2-3
Architecture: all

garbage without a colon
Package: last
Status: install ok installed
Version: 7`)},
			[]string{
				"pkg:deb/debian/held@1:2-3?arch=all&distro=debian-12 | Debian:12 held 1:2-3 | held",
				"pkg:deb/debian/last@7?distro=debian-12 | Debian:12 last 7 | last",
				"pkg:deb/debian/libssl3@3.0.11-1~deb12u2%2Bb1?arch=amd64&distro=debian-12&upstream=openssl%403.0.11-1~deb12u2 | Debian:12 libssl3 3.0.11-1~deb12u2+b1 | openssl",
			},
		},
		{
			"distroless has a file a package",
			[]ocitest.Entry{
				ocitest.File("usr/lib/os-release", osRelease), ocitest.Symlink("etc/os-release", "../usr/lib/os-release"),
				ocitest.File("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"),
				ocitest.File("var/lib/dpkg/status.d/base.md5sums", "d41d8cd98f00b204e9800998ecf8427e  etc/x\n"),
			},
			[]string{"pkg:deb/debian/base-files@12.4?arch=amd64&distro=debian-12 | Debian:12 base-files 12.4 | base-files"},
		},
		{
			"apk and what it owns",
			[]ocitest.Entry{
				ocitest.File("etc/os-release", alpine),
				ocitest.File("lib/apk/db/installed", "C:Q1\nP:libcrypto3\nV:3.1.4-r0\nA:x86_64\no:openssl\nL:Apache-2.0\nF:lib\nR:libcrypto.so.3\n\nP:py3-yaml\nV:6.0-r1\nA:x86_64\no:py3-yaml\nL:MIT\nF:usr/lib/PyYAML-6.0.egg-info\nR:PKG-INFO\n"),
				ocitest.File("usr/lib/PyYAML-6.0.egg-info/PKG-INFO", "Name: PyYAML\nVersion: 6.0\nLicense: MIT\n\nVersion: 9\n"),
			},
			[]string{
				"pkg:apk/alpine/libcrypto3@3.1.4-r0?arch=x86_64&distro=alpine-3.18&upstream=openssl | Alpine:v3.18 libcrypto3 3.1.4-r0 | openssl Apache-2.0",
				"pkg:apk/alpine/py3-yaml@6.0-r1?arch=x86_64&distro=alpine-3.18 | Alpine:v3.18 py3-yaml 6.0-r1 | py3-yaml MIT",
				"pkg:pypi/pyyaml@6.0 | PyPI PyYAML 6.0 |  MIT",
			},
		},
		{
			"npm: installed, once, with a version",
			[]ocitest.Entry{
				ocitest.File("app/node_modules/@s/a/package.json", `{"name":"@s/a","version":"1.0.0","licenses":[{"type":"MIT"},{"type":"ISC"}]}`),
				ocitest.File("app/node_modules/@s/a/errors/package.json", `{"name":"@s/a/errors","version":"1.0.0"}`),
				ocitest.File("app/node_modules/b/package.json", `{"name":"b","license":"MIT"}`),
				ocitest.File("app/node_modules/c/test/fixture/package.json", npm("fixture", "1.0.0")),
				ocitest.File("app/node_modules/c/node_modules/d/package.json", npm("d", "2.0.0")),
				ocitest.File("app/node_modules/.bin/package.json", npm("bin", "2.0.0")),
				ocitest.File("app/node_modules/tpl/package.json", npm("${name}", "1.0.0")),
				ocitest.File("app/package-lock.json", `{"packages":{"node_modules/win32-only":{"version":"1.0.0","optional":true}}}`),
				ocitest.File("app/node_modules/.package-lock.json", `{"packages":{"node_modules/d":{"version":"2.0.0"}}}`),
			},
			[]string{"pkg:npm/%40s/a@1.0.0 | npm @s/a 1.0.0 |  ISC,MIT", "pkg:npm/d@2.0.0 | npm d 2.0.0 |  MIT"},
		},
		{
			"python: metadata, not what lies about",
			[]ocitest.Entry{
				ocitest.File("v/Flask_Thing-2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: Flask_Thing\nVersion: 2.0\nClassifier: License :: OSI Approved :: BSD License\nClassifier: Topic :: X\n\nName: trap\n"),
				ocitest.File("v/requirements.txt", "sphinx\ndjango>=1.0\n"),
				ocitest.File("v/old.egg-info", "Name: old\nVersion: 1.0\nLicense: UNKNOWN\n"),
				ocitest.File("v/none.egg-info/PKG-INFO", "Name: none\nVersion:\n"),
				ocitest.File("usr/share/python-wheels/pip-23.0-py3-none-any.whl", "PK"),
			},
			[]string{"pkg:pypi/flask-thing@2.0 | PyPI Flask_Thing 2.0 |  BSD License", "pkg:pypi/old@1.0 | PyPI old 1.0 |"},
		},
		{
			"java: pom.properties first, no guessed groups",
			[]ocitest.Entry{
				ocitest.File("app/fat.jar", string(makeZip(t, map[string][]byte{
					"BOOT-INF/lib/core-1.0.jar": makeJar(t, "org.x", "core", "1.0", map[string][]byte{"META-INF/MANIFEST.MF": []byte("Bundle-SymbolicName: com.wrong\n")}),
					"BOOT-INF/lib/h2-2.1.jar":   makeJar(t, "", "", "", map[string][]byte{"META-INF/MANIFEST.MF": []byte("Implementation-Version: 2.1\nAutomatic-Module-Name: com.h2database\n")}),
					"META-INF/MANIFEST.MF":      []byte("Main-Class: x\n"),
				}))),
				ocitest.File("app/commons-io-2.11.jar", string(makeJar(t, "", "", "", map[string][]byte{"META-INF/MANIFEST.MF": []byte("Implementation-Vendor-Id: com\r\n mons-io.x\r\nImplementation-Version: 2.11.0\r\n")}))),
				ocitest.File("app/nothing.jar", string(makeJar(t, "", "", "", map[string][]byte{"x": nil}))),
			},
			[]string{
				"pkg:generic/h2@2.1 |  h2 2.1 |",
				"pkg:maven/commons-io.x/commons-io@2.11 | Maven commons-io.x:commons-io 2.11 |",
				"pkg:maven/org.x/core@1.0 | Maven org.x:core 1.0 |",
			},
		},
		{
			"gems by their specification, once",
			[]ocitest.Entry{
				ocitest.File("usr/share/rubygems-integration/all/specifications/rake-13.0.6.gemspec", "# -*- encoding: utf-8 -*-\n# stub: rake 13.0.6 ruby lib\n\nGem::Specification.new do |s|\n  s.name = \"rake\".freeze\n  s.version = \"13.0.6\"\n  s.licenses = [\"MIT\".freeze, \"Ruby\"]\nend\n"),
				ocitest.File("gems/gems/rake-13.0.6/rake.gemspec", "Gem::Specification.new do |s|\n s.name='rake'\n s.version = Rake::VERSION\nend"),
				ocitest.File("gems/specifications/nokogiri-1.15-x86_64-linux.gemspec", "# stub: nokogiri 1.15 x86_64-linux lib\nGem::Specification.new do |s|\nend"),
			},
			[]string{"pkg:gem/nokogiri@1.15?platform=x86_64-linux | RubyGems nokogiri 1.15 |", "pkg:gem/rake@13.0.6 | RubyGems rake 13.0.6 |  MIT,Ruby"},
		},
		{
			"PHP and .NET",
			[]ocitest.Entry{
				ocitest.File("app/vendor/composer/installed.json", `{"packages":[{"name":"monolog/monolog","version":"2.9.1","license":["MIT"]}]}`),
				ocitest.File("app/composer.lock", `{"packages-dev":[{"name":"only/declared","version":"1.0"}]}`),
				ocitest.File("app/App.deps.json", "\ufeff"+`{"libraries":{"App/1.0.0":{"type":"project"},"Newtonsoft.Json/13.0.1":{"type":"package"}}}`),
			},
			[]string{"pkg:composer/monolog/monolog@2.9.1 | Packagist monolog/monolog 2.9.1 |  MIT", "pkg:nuget/Newtonsoft.Json@13.0.1 | NuGet Newtonsoft.Json 13.0.1 |"},
		},
		{
			"programs without a package manager",
			[]ocitest.Entry{
				ocitest.Exec("usr/local/bin/node", elfStub("node.js/v18.17.1 ")),
				ocitest.Exec("usr/local/sbin/nginx", elfStub("nginx version: nginx/1.25.3\x00")),
				ocitest.Exec("usr/local/bin/python3.11", elfStub("\x002.0.0\x00junk\x003.11.4\x00")),
				ocitest.Exec("usr/local/bin/node.sh", "#!/bin/sh\n# node.js/v1.2.3 "+strings.Repeat(" ", 100)),
			},
			[]string{"pkg:generic/nginx@1.25.3 |  nginx 1.25.3 |", "pkg:generic/node@18.17.1 |  node 18.17.1 |", "pkg:generic/python@3.11.4 |  python 3.11.4 |"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, lines(local(t, tt.entries...).Packages)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func elfStub(content string) string {
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 300_000) + content + strings.Repeat("\x00", 100)
}

func TestGoBinary(t *testing.T) {
	got := lines(local(t, ocitest.Exec("usr/local/bin/tool", string(selfBinary(t)))).Packages)
	version := strings.TrimPrefix(runtime.Version(), "go")
	want := []string{fmt.Sprintf("pkg:golang/stdlib@%s | Go stdlib %s |", version, version)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestOwnedProgramsAreNotListedTwice(t *testing.T) {
	res := local(t, ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("nodejs", "18.13")),
		ocitest.File("var/lib/dpkg/info/nodejs.list", "/usr/bin/node\n"), ocitest.Exec("usr/bin/node", elfStub("node.js/v18.13.0 ")))
	if len(res.Packages) != 1 || res.Packages[0].Name != "nodejs" {
		t.Errorf("%v", lines(res.Packages))
	}
}

// npm reads a version with a v as the one without it; so do advisories.
func TestNpmVersionsHaveNoV(t *testing.T) {
	res := local(t, ocitest.File("a/node_modules/left/package.json", npm("left", "v1.0.0")))
	if got := lines(res.Packages); len(got) != 1 || !strings.HasPrefix(got[0], "pkg:npm/left@1.0.0 ") {
		t.Errorf("%q", got)
	}
}

// A distribution's own libraries are its packages' and no programs of their own, with
// an execute bit, as the rpm family has them, or without.
func TestOwnedLibrariesAreNotListedTwice(t *testing.T) {
	library := elfStub("\x00OpenSSL 3.0.22 25 Aug 2026\x00")
	owned := local(t, ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("libssl3", "3.0.22-1")),
		ocitest.File("var/lib/dpkg/info/libssl3.list", "/usr/lib/libcrypto.so.3\n/usr/lib/libssl.so.3\n"), ocitest.File("usr/lib/libcrypto.so.3", library), ocitest.Exec("usr/lib/libssl.so.3", library))
	if len(owned.Packages) != 1 || owned.Packages[0].Name != "libssl3" {
		t.Errorf("%v", lines(owned.Packages))
	}
	free := local(t, ocitest.File("opt/lib/libcrypto.so.3", library), ocitest.File("opt/lib/libother.so.3", library))
	if len(free.Packages) != 1 || free.Packages[0].Name != "openssl" || free.Packages[0].Version != "3.0.22" {
		t.Errorf("%v", lines(free.Packages))
	}
}

// The databases of real distributions lie in the rpm reader's own module.
func TestRpmDatabases(t *testing.T) {
	out, err := exec.Command("go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", "github.com/erikvarga/go-rpmdb").Output()
	if err != nil {
		t.Skipf("the rpm reader's module is not there: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "pkg", "testdata")
	tests := []struct {
		dir, file, at, osRelease string
		count                    int
		has                      string
	}{
		{"centos7-plain", "Packages", "var/lib/rpm/Packages", "ID=centos\nVERSION_ID=7\n", 144, "bash@4.2.46-30.el7"},
		{"sle15-bci", "Packages.db", "usr/lib/sysimage/rpm/Packages.db", "ID=sles\nVERSION_ID=15.3\nPRETTY_NAME=\"SUSE Linux Enterprise Server 15 SP3\"\n", 35, "bash@4.4-"},
		{"fedora35", "rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite", "ID=fedora\nVERSION_ID=35\n", 137, "bash@5.1.8-2.fc35"},
	}
	for _, tt := range tests {
		t.Run(tt.dir, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join(dir, tt.dir, tt.file))
			if err != nil {
				t.Skip(err)
			}
			res := local(t, ocitest.File("etc/os-release", tt.osRelease), ocitest.File(tt.at, string(b)))
			all := strings.Join(lines(res.Packages), "\n")
			if len(res.Packages) != tt.count || !strings.Contains(all, tt.has) || strings.Contains(all, "gpg-pubkey") {
				t.Errorf("%d packages, want %d with %s; problems %v\n%.2000s", len(res.Packages), tt.count, tt.has, res.Image.Problems, all)
			}
		})
	}
}
