package index_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

func zstdOf(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Files as the package managers write them, of packages nobody made.
func TestInstalledElsewhere(t *testing.T) {
	tests := []struct {
		name    string
		entries []ocitest.Entry
		want    []string
	}{
		{
			"pacman and what it owns",
			[]ocitest.Entry{
				ocitest.File("etc/os-release", "ID=arch\n"),
				ocitest.File("var/lib/pacman/local/python-yaml-6.0-1/desc", "%NAME%\npython-yaml\n\n%VERSION%\n6.0-1\n\n%BASE%\npython-yaml\n\n%ARCH%\nx86_64\n\n%LICENSE%\nMIT\n"),
				ocitest.File("var/lib/pacman/local/python-yaml-6.0-1/files", "%FILES%\nusr/\nusr/lib/PyYAML-6.0.dist-info/METADATA\n\n"),
				ocitest.File("var/lib/pacman/local/broken-1-1/desc", "%NAME%\nbroken\n"),
				ocitest.File("usr/lib/PyYAML-6.0.dist-info/METADATA", "Name: PyYAML\nVersion: 6.0\n"),
			},
			[]string{"installed pkg:alpm/arch/python-yaml@6.0-1?arch=x86_64&distro=arch", "installed pkg:pypi/pyyaml@6.0 owned"},
		},
		{
			"portage and what it owns",
			[]ocitest.Entry{
				ocitest.File("var/db/pkg/dev-ruby/rake-13.0.6-r2/PF", "rake-13.0.6-r2\n"),
				ocitest.File("var/db/pkg/dev-ruby/rake-13.0.6-r2/CONTENTS", "dir /usr\nobj /usr/lib/ruby/specifications/rake-13.0.6.gemspec d41d8cd98f00b204e9800998ecf8427e 1700000000\nsym /a -> b 17\n"),
				ocitest.File("usr/lib/ruby/specifications/rake-13.0.6.gemspec", "# stub: rake 13.0.6 ruby lib\n"),
				ocitest.File("var/db/pkg/virtual/nothing/PF", "nothing\n"),
			},
			[]string{"installed pkg:ebuild/dev-ruby/rake@13.0.6-r2", "installed pkg:gem/rake@13.0.6 owned"},
		},
		{
			"chisel",
			[]ocitest.Entry{
				ocitest.File("etc/os-release", "ID=ubuntu\nVERSION_ID=24.04\n"),
				ocitest.File("var/lib/chisel/manifest.wall", zstdOf(t, `{"jsonwall":"1.0","schema":"1.0","count":3}`+"\n"+
					`{"kind":"content","slice":"python3_core","path":"/usr/lib/python3/x.egg-info"}`+"\n"+
					`{"kind":"package","name":"python3","version":"3.12.3-0ubuntu2","sha256":"00","arch":"amd64"}`+"\n")),
				ocitest.File("usr/lib/python3/x.egg-info", "Name: x\nVersion: 1.0\n"),
			},
			[]string{"installed pkg:deb/ubuntu/python3@3.12.3-0ubuntu2?arch=amd64&distro=ubuntu-24.04", "installed pkg:pypi/x@1.0 owned"},
		},
		{
			"cpan: installed, and unpacked to be built",
			[]ocitest.Entry{
				ocitest.File("usr/local/lib/perl5/site_perl/5.36.0/x86_64-linux-gnu/.meta/JSON-PP-4.16/MYMETA.json", `{"name":"JSON-PP","version":"4.16","meta-spec":{"version":2}}`),
				ocitest.File("root/.cpanm/work/1700000000.7/JSON-PP-4.16/META.json", `{"name":"JSON-PP","version":"4.16"}`),
				ocitest.File("root/.cpanm/work/1700000000.7/JSON-PP-4.16/t/data/META.json", `{"name":"Trap","version":"1"}`),
				ocitest.File("root/.cpan/build/Try-Tiny-0.31-0/META.yml", "---\nname: Try-Tiny\nversion: '0.31'\n"),
				ocitest.File("root/.cpan/build/Try-Tiny-0.31-0/META.json", `{"name":"Try-Tiny","version":"0.31"}`),
				ocitest.File("usr/share/perl5/META.json", `{"name":"Other","version":"2"}`),
			},
			[]string{"installed pkg:cpan/JSON-PP@4.16", "declared pkg:cpan/Try-Tiny@0.31"},
		},
		{
			"opam",
			[]ocitest.Entry{
				ocitest.File("home/opam/.opam/5.1/.opam-switch/packages/lwt.5.7.0/opam", "opam-version: \"2.0\"\nlicense: \"MIT\"\ndepends: [ \"ocaml\" ]\n"),
				ocitest.File("home/opam/.opam/5.1/.opam-switch/packages/base-unix.base/opam", "opam-version: \"2.0\"\n"),
				ocitest.File("home/opam/.opam/repo/default/packages/lwt/lwt.5.6.0/opam", "opam-version: \"2.0\"\n"),
			},
			[]string{"installed pkg:opam/lwt@5.7.0"},
		},
		{
			"homebrew and spack",
			[]ocitest.Entry{
				ocitest.File("home/linuxbrew/.linuxbrew/Cellar/openssl@3/3.2.1/INSTALL_RECEIPT.json", `{"homebrew_version":"4.2"}`),
				ocitest.File("opt/spack/linux/zlib-1.3-abc/.spack/spec.json", `{"spec":{"_meta":{"version":4},"nodes":[{"name":"zlib","version":"1.3","arch":{"platform":"linux","platform_os":"debian12","target":"x86_64"},"hash":"abc"},{"name":"gmake","version":"4.4","hash":"def"}]}}`),
			},
			[]string{"installed pkg:brew/openssl%403@3.2.1", "installed pkg:spack/zlib@1.3"},
		},
		{
			"wordpress plugins",
			[]ocitest.Entry{
				ocitest.File("var/www/html/wp-content/plugins/akismet/akismet.php", "<?php\n/**\n * Plugin Name: Akismet Anti-spam: Spam Protection\n * Version: 5.3.1\n */\n"),
				ocitest.File("var/www/html/wp-content/plugins/akismet/class.akismet.php", "<?php\n// Version: 9\n"),
				ocitest.File("var/www/html/wp-content/plugins/akismet/empty.php", ""),
			},
			[]string{"installed pkg:wordpress/akismet@5.3.1"},
		},
		{
			"snap and flatpak",
			[]ocitest.Entry{
				ocitest.File("snap/core22/864/meta/snap.yaml", "name: core22\nsummary: x\nversion: '20230801'\n"),
				ocitest.File("var/lib/flatpak/app/org.gimp.GIMP/current/active/metadata/org.gimp.GIMP.metainfo.xml", `<component><id>org.gimp.GIMP</id><releases><release version="2.10.34"/><release version="2.10.32"/></releases></component>`),
				ocitest.File("usr/share/metainfo/org.x.metainfo.xml", `<component><id>x</id></component>`),
			},
			[]string{"installed pkg:flatpak/org.gimp.GIMP@2.10.34", "installed pkg:snap/core22@20230801"},
		},
		{
			"nix",
			[]ocitest.Entry{
				ocitest.Dir("nix/store/1ddf3x30m0z6kknmrmapsc7liz8npi1w-perl-5.38.2"),
				ocitest.Dir("nix/store/2ddf3x30m0z6kknmrmapsc7liz8npi1w-xz-utils-5.4.4-bin"),
				ocitest.Dir("nix/store/3ddf3x30m0z6kknmrmapsc7liz8npi1w-bash-5.2-p15"),
				ocitest.Dir("nix/store/4ddf3x30m0z6kknmrmapsc7liz8npi1w-source"),
				ocitest.File("nix/store/5ddf3x30m0z6kknmrmapsc7liz8npi1w-patch-1.0", "a file"),
			},
			[]string{"installed pkg:nix/bash@5.2-p15", "installed pkg:nix/perl@5.38.2", "installed pkg:nix/xz-utils@5.4.4"},
		},
		{
			"conda, R, Erlang and Elixir, Lua, Java",
			[]ocitest.Entry{
				ocitest.File("opt/conda/conda-meta/openssl-3.0.8-h0.json", `{"name":"openssl","version":"3.0.8","license":"Apache-2.0","files":[]}`),
				ocitest.File("opt/conda/conda-meta/history", "x"),
				ocitest.File("usr/local/lib/R/site-library/digest/DESCRIPTION", "Package: digest\nVersion: 0.6.31\nLicense: GPL (>= 2)\nBuilt: R 4.2.3; x86_64-pc-linux-gnu; 2023-01-01 00:00:00 UTC; unix\n"),
				ocitest.File("usr/local/lib/R/library/stats/DESCRIPTION", "Package: stats\nVersion: 4.2.3\nPriority: base\nBuilt: R 4.2.3\n"),
				ocitest.File("src/library/x/DESCRIPTION", "Package: x\nVersion: 1.0\n"),
				ocitest.File("app/lib/cowboy-2.10.0/ebin/cowboy.app", "{application, 'cowboy', [\n\t{description, \"x\"},\n\t{vsn, \"2.10.0\"},\n]}.\n"),
				ocitest.File("app/lib/kernel-9.0/ebin/kernel.app", "{application,kernel,[{vsn,\"9.0\"}]}."),
				ocitest.File("usr/local/lib/luarocks/rocks-5.1/lpeg/1.0.2-1/lpeg-1.0.2-1.rockspec", "package = \"lpeg\"\n"),
				ocitest.File("src/rocks/lpeg/trap-1.rockspec", "package = \"trap\"\n"),
				ocitest.File("opt/java/openjdk/release", "IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_RUNTIME_VERSION=\"17.0.9+9\"\nJAVA_VERSION=\"17.0.9\"\n"),
				ocitest.File("opt/old/jre/release", "JAVA_VERSION=\"1.8.0_392\"\n"),
				ocitest.File("opt/other/release", "1.0\n"),
			},
			[]string{
				"installed pkg:conda/openssl@3.0.8", "installed pkg:cran/digest@0.6.31", "installed pkg:generic/openjdk@1.8.0_392", "installed pkg:generic/openjdk@17.0.9%2B9",
				"installed pkg:hex/cowboy@2.10.0", "installed pkg:luarocks/lpeg@1.0.2-1", "installed pkg:otp/kernel@9.0",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := local(t, tt.entries...)
			got := declaredLines(res.Packages)
			for i, p := range res.Packages {
				if p.OwnedBy != "" {
					got[i] += " owned"
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s\nproblems %v", diff, res.Image.Problems)
			}
		})
	}
}

func TestLicences(t *testing.T) {
	dep5 := "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: a\n\nFiles: *\nLicense: GPL-2+\n\nFiles: x\nLicense: MIT\n text\n"
	res := local(t,
		ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("a", "1")+deb("liba", "1")+deb("prose", "1")),
		ocitest.File("usr/share/doc/a/copyright", dep5), ocitest.Symlink("usr/share/doc/liba", "a"),
		ocitest.File("usr/share/doc/prose/copyright", "License: this is free\n"),
		ocitest.File("app/x.jar", string(makeJar(t, "org.x", "x", "1.0", map[string][]byte{
			"META-INF/maven/org.x/x/pom.xml": []byte("<project><name>x</name><licenses>\n<license><name> Apache License 2.0 </name></license></licenses></project>"),
		}))),
		ocitest.File("app/y-2.0.jar", string(makeJar(t, "", "", "", map[string][]byte{
			"META-INF/MANIFEST.MF": []byte("Bundle-Version: 2.0\nBundle-License: https://example.com/mit;description=MIT\n"),
		}))))
	got := map[string]string{}
	for _, p := range res.Packages {
		got[p.Name] = strings.Join(p.Licenses, ",")
	}
	want := map[string]string{"a": "GPL-2+,MIT", "liba": "GPL-2+,MIT", "prose": "", "org.x:x": "Apache License 2.0", "y": "https://example.com/mit"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A package's file that was written over in a layer without a package manager is
// no more the distribution's: its package is one of its own.
func TestOwnershipEndsWhereSomebodyElseWrote(t *testing.T) {
	base := []ocitest.Entry{
		ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("python3-idna", "3.3")),
		ocitest.File("var/lib/dpkg/info/python3-idna.list", "/usr/lib/python3/dist-packages/idna-3.3.egg-info\n/usr/bin/tool\n"),
		ocitest.File("usr/lib/python3/dist-packages/idna-3.3.egg-info", "Name: idna\nVersion: 3.3\n"),
		ocitest.Exec("usr/bin/tool", "#!/bin/sh\n"),
	}
	changed := ocitest.File("usr/lib/python3/dist-packages/idna-3.3.egg-info", "Name: idna\nVersion: 3.4\n")
	again := ocitest.File("usr/lib/python3/dist-packages/idna-3.3.egg-info", "Name: idna\nVersion: 3.3\n")
	upgrade := ocitest.File("var/lib/dpkg/status", deb("python3-idna", "3.4"))
	tests := []struct {
		name   string
		layers [][]ocitest.Entry
		want   string
	}{
		{"as installed", [][]ocitest.Entry{base}, "idna 3.3 owned"},
		{"the same bytes again", [][]ocitest.Entry{base, {again}}, "idna 3.3 owned"},
		{"written over", [][]ocitest.Entry{base, {changed}}, "idna 3.4"},
		{"upgraded by the package manager", [][]ocitest.Entry{base, {changed, upgrade}}, "idna 3.4 owned"},
		{"written over, then another package installed", [][]ocitest.Entry{base, {changed}, {ocitest.File("var/lib/dpkg/status", deb("python3-idna", "3.3")+deb("other", "1"))}}, "idna 3.4"},
		{"written over, then installed again", [][]ocitest.Entry{base, {changed}, {again, upgrade}}, "idna 3.3 owned"},
		{"the database in a layer of its own", [][]ocitest.Entry{base[3:], base[:3]}, "idna 3.3 owned"},
		{"a program where no reader looked before", [][]ocitest.Entry{base, {ocitest.Exec("usr/bin/tool", string(selfBinary(t)))}}, "idna 3.3 owned, stdlib"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, p := range stacked(t, tt.layers...).Packages {
				s := p.Name + " " + p.Version
				if p.Name == "stdlib" {
					s = p.Name
				}
				if p.OwnedBy != "" {
					s += " owned"
				}
				if !strings.HasPrefix(p.PURL, "pkg:deb/") {
					got = append(got, s)
				}
			}
			want := strings.Split(tt.want, ", ")
			if diff := cmp.Diff(want, slices.Sorted(slices.Values(got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// moduleProxy is a directory that go reads modules from.
func moduleProxy(t *testing.T, modules map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for at, mod := range modules {
		name, version, _ := strings.Cut(at, "@")
		v := filepath.Join(dir, name, "@v")
		if err := os.MkdirAll(v, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, body := range map[string][]byte{
			version + ".info": []byte(`{"Version":"` + version + `"}`),
			version + ".mod":  []byte(mod),
			version + ".zip":  makeZip(t, map[string][]byte{at + "/go.mod": []byte(mod), at + "/p.go": []byte("package p\n\nvar V = 1\n")}),
		} {
			if err := os.WriteFile(filepath.Join(v, file), body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// What was built counts: a replacement under its own name, and nothing that has no
// version, which is what a directory and a program's own sources are.
func TestGoModulesAsTheyWereBuilt(t *testing.T) {
	proxy := moduleProxy(t, map[string]string{
		"example.com/plain@v1.0.0": "module example.com/plain\n", "example.com/fork@v1.2.3": "module example.com/fork\n",
		"example.com/odd@v0.0.0-20230101000000-abcdefabcdef": "module example.com/odd\n",
	})
	src := t.TempDir()
	files := map[string]string{
		"go.mod": "module example.com/app\n\ngo 1.21\n\nrequire (\n\texample.com/plain v1.0.0\n\texample.com/old v1.0.0\n\texample.com/local v1.0.0\n\texample.com/odd v0.0.0-20230101000000-abcdefabcdef\n)\n\n" +
			"replace example.com/old => example.com/fork v1.2.3\n\nreplace example.com/local => ./local\n",
		"main.go":      "package main\n\nimport (\n\t_ \"example.com/local\"\n\t_ \"example.com/odd\"\n\t_ \"example.com/old\"\n\t_ \"example.com/plain\"\n)\n\nfunc main() {}\n",
		"local/go.mod": "module example.com/local\n", "local/p.go": "package p\n",
	}
	if err := os.Mkdir(filepath.Join(src, "local"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(src, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", "app", ".")
	cmd.Dir = src
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod -modcacherw", "GOPROXY=file://"+proxy, "GOSUMDB=off", "GOPRIVATE=", "GOMODCACHE="+t.TempDir())
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building a Go program: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(filepath.Join(src, "app"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range local(t, ocitest.Exec("app", string(b))).Packages {
		if p.Name != "stdlib" {
			got = append(got, p.PURL+" "+p.Version)
		}
	}
	want := []string{
		"pkg:golang/example.com/fork@v1.2.3 1.2.3", "pkg:golang/example.com/odd@v0.0.0-20230101000000-abcdefabcdef 0.0.0-20230101000000-abcdefabcdef",
		"pkg:golang/example.com/plain@v1.0.0 1.0.0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
