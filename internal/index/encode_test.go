package index

import (
	"bytes"
	"context"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sample() *record {
	return &record{
		Files: []file{{
			Path: "var/lib/dpkg/status", Size: 12, SHA256: [32]byte{1, 2}, Reader: "dpkg", Text: "ID=x",
			Pkgs: []pkg{{Type: "deb", Name: "a", Version: "1", Arch: "amd64", Epoch: 3, SourceName: "a", SourceVersion: "1", Licenses: []string{"MIT"}, Declared: true, Inside: "x", Extra: "y"}},
			Owns: []owned{{Name: "a", Arch: "amd64", Hashes: []uint64{1, 1 << 63}}},
		}},
		Written: []uint64{5, 6, 1 << 60}, Dirs: []uint64{7}, Whiteouts: []string{"a"}, Opaque: []string{"b"},
		Links: []link{{"c", "d"}}, Hard: []link{{"e", "f"}}, Problems: []problem{{"g", "h"}},
	}
}

func TestRecordSurvivesEncoding(t *testing.T) {
	c := newCodec()
	for _, r := range []*record{sample(), {}} {
		got, err := c.decode(c.encode(r))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := c.decode([]byte{encoding + 1, 0}); err == nil {
		t.Error("a record of another form was read")
	}
}

// A damaged or hostile record is an error or a record, never a panic and never
// more memory than its bytes account for.
func FuzzDecode(f *testing.F) {
	c := newCodec()
	body := c.encode(sample())
	raw, err := c.zr.DecodeAll(body[1:], nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := c.decode(c.zw.EncodeAll(raw, []byte{encoding})); err == nil {
			s := newState()
			s.apply(r)
			s.apply(r)
			s.occurrences()
		}
	})
}

// Every reader of ours takes any bytes without a panic.
func FuzzReaders(f *testing.F) {
	f.Add("var/lib/dpkg/status", []byte("Package: a\nStatus: install ok installed\nVersion: 1\nSource: b (2)\n\n"))
	f.Add("var/lib/dpkg/info/a:amd64.list", []byte("/.\n/usr/bin/x\n"))
	f.Add("lib/apk/db/installed", []byte("P:a\nV:1\nF:usr\nR:bin\n\n"))
	f.Add("a/package.json", []byte(`{"name":"a","version":"1","license":{"type":["x"]}}`))
	f.Add("a.dist-info/METADATA", []byte("Name: a\nVersion: 1\nClassifier: License :: OSI Approved :: MIT\n\n"))
	f.Add("x/specifications/a.gemspec", []byte("# stub: a 1 ruby lib\n"))
	f.Add("vendor/composer/installed.json", []byte(`[{"name":"a","version":"1"}]`))
	f.Add("a.deps.json", []byte(`{"libraries":{"a/1":{"type":"package"}}}`))
	f.Add("a.jar", []byte("PK\x05\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add("usr/bin/node", []byte("\x7fELF\x02\x01\x01"+string(make([]byte, 100))))
	f.Add("etc/os-release", []byte("ID=debian\nVERSION_ID=\"12\"\nCPE_NAME=cpe:/o:redhat:x\n"))
	f.Add("usr/share/doc/a/copyright", []byte("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nLicense: MIT\n"))
	f.Add("var/lib/pacman/local/a-1-1/desc", []byte("%NAME%\na\n\n%VERSION%\n1-1\n"))
	f.Add("var/lib/pacman/local/a-1-1/files", []byte("%FILES%\nusr/bin/a\n"))
	f.Add("var/db/pkg/c/a-1/CONTENTS", []byte("obj /usr/bin/a 00 1\n"))
	f.Add("var/db/pkg/c/a-1/PF", []byte("a-1\n"))
	f.Add("var/lib/chisel/manifest.wall", []byte("\x28\xb5\x2f\xfd\x04\x00\x11\x00\x00{}\n"))
	f.Add("snap/a/1/meta/snap.yaml", []byte("name: a\nversion: 1\n"))
	f.Add("f/flatpak/a.metainfo.xml", []byte("<component><id>a</id><releases><release version=\"1\"/></releases></component>"))
	f.Add("opt/conda-meta/a.json", []byte(`{"name":"a","version":"1","license":"MIT"}`))
	f.Add("r/library/a/DESCRIPTION", []byte("Package: a\nVersion: 1\nBuilt: R\n"))
	f.Add("lib/a-1/ebin/a.app", []byte(`{application,a,[{vsn,"1"}]}.`))
	f.Add("opt/jdk/release", []byte("JAVA_VERSION=\"17.0.1\"\n"))
	f.Add("l/rocks-5.1/a/1-1/a-1-1.rockspec", []byte(""))
	f.Add("app/requirements.txt", []byte("a[b]==1 ; sys_platform == 'win32'\nc==2\\\n"))
	f.Add("app/yarn.lock", []byte("a@^1:\n  version \"1.0\"\n  optionalDependencies:\n    b \"1\"\n"))
	f.Add("app/pnpm-lock.yaml", []byte("lockfileVersion: '9.0'\npackages:\n  'a@1.0.0':\n    os: [win32]\n"))
	f.Add("app/bun.lock", []byte(`{"packages":{"a":["a@1.0.0","",{"os":"x"}]}}`))
	list := extractors()
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		c := newCandidate(cleanPath(name), int64(len(body)), 0o755)
		e := choose(list, c)
		if e == nil || e.name == "rpm" || e.name == "lock" && path.Ext(c.base) != ".txt" && path.Ext(c.base) != ".yaml" && c.base != "yarn.lock" && c.base != "bun.lock" {
			return // others' parsers, which are guarded
		}
		in := &input{path: c.path, size: c.size, data: bytes.NewReader(body), limits: DefaultLimits(), dir: t.TempDir()}
		got, err := e.read(context.Background(), in)
		if err != nil {
			return
		}
		d := parseOSRelease(got.text)
		for _, p := range got.pkgs {
			if p.Name == "" || p.Version == "" {
				t.Errorf("a package without a name or version: %+v", p)
			}
			if identify(p, d).PURL == "" {
				t.Errorf("no identity for %+v", p)
			}
		}
		ecosystem(d)
	})
}

func TestEcosystems(t *testing.T) {
	for osRelease, want := range map[string]string{
		"ID=debian\nVERSION_ID=\"12\"":                                                   "Debian:12",
		"ID=debian\nPRETTY_NAME=\"Debian sid\"":                                          "",
		"ID=ubuntu\nVERSION_ID=\"22.04\"":                                                "Ubuntu:22.04:LTS",
		"ID=ubuntu\nVERSION_ID=\"23.10\"":                                                "Ubuntu:23.10",
		"ID=ubuntu\nVERSION_ID=\"23.04\"":                                                "Ubuntu:23.04",
		"ID=alpine\nVERSION_ID=3.18.4":                                                   "Alpine:v3.18",
		"ID=alpine\nVERSION_ID=3.19_alpha2":                                              "",
		"ID=wolfi\nVERSION_ID=20230201":                                                  "Wolfi",
		"ID=chainguard\nVERSION_ID=2023":                                                 "Chainguard",
		"ID=\"rocky\"\nVERSION_ID=\"9.3\"":                                               "Rocky Linux:9",
		"ID=almalinux\nVERSION_ID=8.9":                                                   "AlmaLinux:8",
		"ID=rhel\nVERSION_ID=9.3\nCPE_NAME=\"cpe:/o:redhat:enterprise_linux:9::baseos\"": "Red Hat:enterprise_linux:9::baseos",
		"ID=rhel\nVERSION_ID=8.6\nCPE_NAME=\"cpe:/o:redhat:enterprise_linux:8.6\"":       "Red Hat:enterprise_linux:8",
		"ID=sles\nVERSION_ID=15.5\nPRETTY_NAME=\"SUSE Linux Enterprise Server 15 SP5\"":  "SUSE:Linux Enterprise Server 15 SP5",
		"ID=opensuse-leap\nVERSION_ID=15.5\nPRETTY_NAME=\"openSUSE Leap 15.5\"":          "openSUSE:Leap 15.5",
		"ID=azurelinux\nVERSION_ID=3.0":                                                  "Azure Linux:3",
		"ID=\"openEuler\"\nVERSION_ID=22.03\nPRETTY_NAME=\"openEuler 22.03 (LTS-SP1)\"":  "openEuler:22.03-LTS-SP1",
		"ID=mageia\nVERSION_ID=9":                                                        "Mageia:9",
		"ID=fedora\nVERSION_ID=39":                                                       "",
		"ID=amzn\nVERSION_ID=2023":                                                       "",
	} {
		if got := ecosystem(parseOSRelease(osRelease)); got != want {
			t.Errorf("%q: %q, want %q", osRelease, got, want)
		}
	}
	if got := parseReleaseFile("CentOS Linux release 7.9.2009 (Core)\n"); got.ID != "centos" || release(got) != "7" {
		t.Errorf("%+v", got)
	}
}
