package index_test

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

const osRelease = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"

func npm(name, version string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q,"license":"MIT"}`, name, version)
}

func deb(name, version string) string {
	return "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n\n"
}

// indexed indexes layers as one image and lists "purl location layer=N [owner]".
func indexed(t *testing.T, layers ...[]ocitest.Entry) []string {
	t.Helper()
	var blobs [][]byte
	for _, l := range layers {
		blobs = append(blobs, ocitest.Gzip(ocitest.Tar(l...)))
	}
	s := ocitest.NewStore()
	d := s.AddImage("t", ocitest.Image{Layers: blobs})
	l := newLedger()
	img, err := index.New(l, index.Options{}).Image(context.Background(), s, d.Digest)
	if err != nil || img.Problem != "" {
		t.Fatalf("Image: %v %s", err, img.Problem)
	}
	var out []string
	for _, p := range index.Place(img.Layers, l.stack(img)) {
		for _, loc := range p.Locations {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s layer=%d %s", p.PURL, loc, p.Layer, p.OwnedBy)))
		}
	}
	sort.Strings(out)
	return out
}

type layers [][]ocitest.Entry

func TestSquash(t *testing.T) {
	goBinary := string(selfBinary(t))
	pkgAt := func(p string) ocitest.Entry { return ocitest.File(p+"/package.json", npm("left", "1.0.0")) }
	left := func(where string, layer int) string {
		return fmt.Sprintf("pkg:npm/left@1.0.0 %s/package.json layer=%d", where, layer)
	}
	tests := []struct {
		name   string
		layers layers
		want   []string
	}{
		{"plain", layers{{pkgAt("app/node_modules/left")}}, []string{left("/app/node_modules/left", 0)}},
		{"whiteout of the file", layers{{pkgAt("a")}, {ocitest.Whiteout("a/package.json")}}, nil},
		{"whiteout of a directory above", layers{{pkgAt("a/b/c")}, {ocitest.Whiteout("a")}}, nil},
		{"whiteout and written again", layers{{pkgAt("a")}, {ocitest.Whiteout("a"), pkgAt("a")}}, []string{left("/a", 0)}},
		{"a whiteout spares its own layer", layers{{pkgAt("a"), ocitest.Whiteout("a/package.json")}}, []string{left("/a", 0)}},
		{"opaque directory", layers{{pkgAt("a/x"), pkgAt("b")}, {ocitest.Dir("a"), ocitest.Opaque("a"), pkgAt("a/y")}}, []string{left("/a/y", 1), left("/b", 0)}},
		{"opaque root", layers{{pkgAt("a")}, {ocitest.Opaque(""), pkgAt("b")}}, []string{left("/b", 1)}},
		{"replaced by another version", layers{{pkgAt("a")}, {ocitest.File("a/package.json", npm("left", "2.0.0"))}}, []string{"pkg:npm/left@2.0.0 /a/package.json layer=1"}},
		{"replaced by a file without a package", layers{{pkgAt("a")}, {ocitest.File("a/package.json", `{"type":"module"}`)}}, nil},
		{"a Go binary replaced by a shell script", layers{{ocitest.Exec("usr/bin/tool", goBinary)}, {ocitest.Exec("usr/bin/tool", "#!/bin/sh\n")}}, nil},
		{"a directory replaced by a link", layers{{pkgAt("srv/app")}, {ocitest.Symlink("srv/app", "/opt/app")}}, nil},
		{"a directory replaced by a file", layers{{pkgAt("srv/app")}, {ocitest.File("srv/app", "x")}}, nil},
		{"a file replaced by a directory", layers{{pkgAt("a")}, {ocitest.Dir("a/package.json")}}, nil},
		{"a directory written again keeps its files", layers{{pkgAt("a")}, {ocitest.Dir("a")}}, []string{left("/a", 0)}},
		{
			"a file written through a linked parent",
			layers{{ocitest.Symlink("opt/app", "/srv/app"), pkgAt("srv/app")}, {ocitest.File("opt/app/package.json", npm("left", "2.0.0"))}},
			[]string{"pkg:npm/left@2.0.0 /srv/app/package.json layer=1"},
		},
		{"a whiteout through a linked parent", layers{{ocitest.Symlink("opt/app", "../srv/app"), pkgAt("srv/app")}, {ocitest.Whiteout("opt/app/package.json")}}, nil},
		{"a parent linked twice", layers{{ocitest.Symlink("a", "b"), ocitest.Symlink("b", "c"), pkgAt("c/d")}, {ocitest.File("a/d/package.json", "{}")}}, nil},
		{
			"a link that becomes a directory",
			layers{{ocitest.Symlink("opt/app", "/srv/app"), pkgAt("srv/app")}, {ocitest.Dir("opt/app"), pkgAt("opt/app")}},
			[]string{left("/opt/app", 1), left("/srv/app", 0)},
		},
		{
			"a database that is rewritten keeps the layer of what did not change",
			layers{
				{ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("libc6", "2.36")+deb("tzdata", "1"))},
				{ocitest.File("var/lib/dpkg/status", deb("libc6", "2.36")+deb("tzdata", "2")+deb("curl", "8"))},
				{ocitest.File("var/lib/dpkg/status", deb("libc6", "2.36")+deb("curl", "8"))},
			},
			[]string{
				"pkg:deb/debian/curl@8?arch=amd64&distro=debian-12 /var/lib/dpkg/status layer=1",
				"pkg:deb/debian/libc6@2.36?arch=amd64&distro=debian-12 /var/lib/dpkg/status layer=0",
			},
		},
		{
			"a package that belongs to the distribution, through its merged /usr",
			layers{
				{ocitest.Symlink("lib", "usr/lib"), ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("python3-yaml", "6"))},
				{
					ocitest.File("usr/lib/python3/PyYAML-6.0.egg-info/PKG-INFO", "Name: PyYAML\nVersion: 6.0\n"),
					ocitest.File("var/lib/dpkg/info/python3-yaml.list", "/.\n/lib\n/lib/python3/PyYAML-6.0.egg-info/PKG-INFO\n"),
				},
			},
			[]string{
				"pkg:deb/debian/python3-yaml@6?arch=amd64&distro=debian-12 /var/lib/dpkg/status layer=0",
				"pkg:pypi/pyyaml@6.0 /usr/lib/python3/PyYAML-6.0.egg-info/PKG-INFO layer=1 pkg:deb/debian/python3-yaml@6?arch=amd64&distro=debian-12",
			},
		},
		{
			"a list of files left behind by a removed package owns nothing",
			layers{{
				ocitest.File("var/lib/dpkg/status", "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n"),
				ocitest.File("var/lib/dpkg/info/gone.list", "/a/package.json\n"), pkgAt("a"),
			}},
			[]string{left("/a", 0)},
		},
		{
			"a hard link in the layer",
			layers{{pkgAt("store/left"), ocitest.Hard("app/node_modules/left/package.json", "store/left/package.json")}},
			[]string{left("/app/node_modules/left", 0), left("/store/left", 0)},
		},
		{
			"a hard link to a file whose own name is of no interest",
			layers{{ocitest.File("store/ab12", npm("left", "1.0.0")), ocitest.Hard("app/node_modules/left/package.json", "store/ab12")}},
			[]string{left("/app/node_modules/left", 0)},
		},
		{
			"a hard link into a lower layer outlives its target",
			layers{{pkgAt("a")}, {ocitest.Hard("b/package.json", "a/package.json"), ocitest.Whiteout("a/package.json")}},
			[]string{left("/b", 1)},
		},
		{"the same path twice in one layer", layers{{pkgAt("a"), ocitest.File("a/package.json", npm("left", "2.0.0"))}}, []string{"pkg:npm/left@2.0.0 /a/package.json layer=0"}},
		{"a directory replaced in its own layer", layers{{pkgAt("a/b"), ocitest.File("a/b", "")}}, nil},
		{"names that try to leave the root", layers{{ocitest.File("../../a/package.json", npm("left", "1.0.0"))}, {ocitest.File("./a/../a/package.json", "{}")}}, nil},
		{"links in a circle", layers{{ocitest.Symlink("a", "b"), ocitest.Symlink("b", "a"), pkgAt("c")}, {ocitest.File("a/x", "")}}, []string{left("/c", 0)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, indexed(t, tt.layers...)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestJarUnderALinkedParentIsReplaced(t *testing.T) {
	jar := func(version string) string { return string(makeJar(t, "org.x", "core", version, nil)) }
	got := indexed(t,
		[]ocitest.Entry{ocitest.Symlink("opt/app/lib", "/srv/lib"), ocitest.File("srv/lib/core.jar", jar("1.0"))},
		[]ocitest.Entry{ocitest.File("opt/app/lib/core.jar", jar("2.0"))})
	if diff := cmp.Diff([]string{"pkg:maven/org.x/core@2.0 /srv/lib/core.jar layer=1"}, got); diff != "" {
		t.Error(diff)
	}
}
