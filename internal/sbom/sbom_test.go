package sbom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	spdxjson "github.com/spdx/tools-golang/json"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/sbom"
)

func document() inventory.SBOM {
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	diff := "sha256:" + strings.Repeat("a", 64)
	pkg := func(purl, name, version, eco string, layer int, lic ...string) inventory.Placed {
		return inventory.Placed{Package: inventory.Package{PURL: purl, Name: name, Version: version, Ecosystem: eco, Licenses: lic}, Layer: layer, LayerDiffID: diff, Locations: []string{"/x", "/y"}}
	}
	deb := pkg("pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl", "libssl3", "3.0.11-1~deb12u2", "Debian:12", 0)
	deb.SourceName, deb.SourceVersion = "openssl", "3.0.11-1~deb12u2"
	img := inventory.Image{
		Digest: "sha256:" + strings.Repeat("d", 64), Platform: "linux/amd64", Distro: inventory.Distro{ID: "debian", Version: "12"},
		Origin: inventory.Origin{Source: "https://git.test/app", Created: &at},
		Layers: []inventory.ImageLayer{{DiffID: diff}},
	}
	return sbom.Of("registry.test/team/app:1", img, []inventory.Placed{
		deb,
		pkg("pkg:npm/%40scope/a@1.0.0", "@scope/a", "1.0.0", "npm", 0, "MIT"),
		pkg("pkg:npm/%40scope/a@1.0.0", "@scope/a", "1.0.0", "npm", 1, "MIT OR apache-2.0"),
		pkg("pkg:maven/org.x/core@2.0", "org.x:core", "2.0", "Maven", 0, "The X Licence", "GPL-2.0+"),
	}, nil)
}

func write(t *testing.T, format string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := sbom.Write(&b, document(), format); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSameBytesEachTime(t *testing.T) {
	for _, f := range sbom.Formats() {
		if first := write(t, f); !bytes.Equal(first, write(t, f)) || len(first) == 0 {
			t.Errorf("%s differs from one writing to the next", f)
		}
	}
}

func TestCycloneDXIsValid(t *testing.T) {
	raw := write(t, "cyclonedx")
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(raw), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cdx.SpecVersion1_6 || bom.BOMFormat != "CycloneDX" || bom.Version < 1 {
		t.Errorf("spec %v, format %q, version %d", bom.SpecVersion, bom.BOMFormat, bom.Version)
	}
	if ok := regexp.MustCompile(`^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(bom.SerialNumber); !ok {
		t.Errorf("serial number %q", bom.SerialNumber)
	}
	refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, c := range *bom.Components {
		if c.Name == "" || c.Type == "" || c.BOMRef == "" || refs[c.BOMRef] {
			t.Errorf("component %+v lacks a name or type, or its reference is there twice", c)
		}
		refs[c.BOMRef] = true
		if c.Licenses != nil {
			for _, l := range *c.Licenses {
				if (l.Expression == "") == (l.License == nil) || l.Expression != "" && len(*c.Licenses) > 1 {
					t.Errorf("licences of %s: %+v", c.Name, *c.Licenses)
				}
			}
		}
	}
	for _, want := range []string{`"tallyman:layer"`, `"tallyman:layer_diff_id"`, `"tallyman:location"`, `"expression": "MIT OR Apache-2.0"`} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("no %s in\n%s", want, raw)
		}
	}
}

func TestSPDXIsValid(t *testing.T) {
	raw := write(t, "spdx")
	doc, err := spdxjson.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if doc.SPDXVersion != "SPDX-2.3" || doc.DataLicense != "CC0-1.0" || doc.DocumentNamespace == "" || doc.CreationInfo.Created != "2024-01-02T03:04:05Z" {
		t.Errorf("document %+v", doc)
	}
	refs := map[string]bool{}
	for _, l := range doc.OtherLicenses {
		refs[l.LicenseIdentifier] = true
	}
	for _, p := range doc.Packages {
		if p.PackageDownloadLocation == "" || p.PackageSPDXIdentifier == "" || p.PackageName == "" {
			t.Errorf("package %+v lacks a required field", p)
		}
		for _, word := range strings.Fields(p.PackageLicenseDeclared) {
			if strings.HasPrefix(word, "LicenseRef-") && !refs[word] {
				t.Errorf("%s is named and nowhere explained", word)
			}
		}
	}
}

func TestOwnDocumentsReadBack(t *testing.T) {
	want := []string{}
	for _, p := range document().Packages {
		if len(want) == 0 || want[len(want)-1] != p.PURL {
			want = append(want, p.PURL)
		}
	}
	for _, f := range []string{"cyclonedx", "spdx"} {
		ps, err := sbom.Read(bytes.NewReader(write(t, f)))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range ps {
			got = append(got, p.PURL)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", f, diff)
		}
		if p := ps[0]; p.Ecosystem != "Debian:12" || p.SourceName != "openssl" || p.Version != "3.0.11-1~deb12u2" {
			t.Errorf("%s: %+v", f, p)
		}
	}
}

func TestReadOtherTools(t *testing.T) {
	tests := []struct {
		purl string
		want inventory.Package
	}{
		{"pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12.5", inventory.Package{Name: "libssl3", Version: "3.0.11-1", Ecosystem: "Debian:12", SourceName: "libssl3", SourceVersion: "3.0.11-1", Arch: "amd64"}},
		{"pkg:deb/ubuntu/tar@1.34?distro=ubuntu-22.04&epoch=1", inventory.Package{Name: "tar", Version: "1:1.34", Ecosystem: "Ubuntu:22.04:LTS", SourceName: "tar", SourceVersion: "1:1.34"}},
		{"pkg:apk/alpine/libcrypto3@3.1.4-r0?distro=3.18.4&upstream=openssl", inventory.Package{Name: "libcrypto3", Version: "3.1.4-r0", Ecosystem: "Alpine:v3.18", SourceName: "openssl", SourceVersion: "3.1.4-r0"}},
		{"pkg:rpm/rocky/openssl@1.1.1k-7.el8?epoch=1&distro=rocky-8.9", inventory.Package{Name: "openssl", Version: "1:1.1.1k-7.el8", Ecosystem: "Rocky Linux:8", SourceName: "openssl", SourceVersion: "1:1.1.1k-7.el8"}},
		{"pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1?os_distro=bookworm&os_name=debian&os_version=12", inventory.Package{Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Ecosystem: "Debian:12", SourceName: "zlib1g", SourceVersion: "1:1.2.13.dfsg-1"}},
		{"pkg:deb/ubuntu/dash@0.5?distro=ubuntu-24.10", inventory.Package{Name: "dash", Version: "0.5", Ecosystem: "Ubuntu:24.10", SourceName: "dash", SourceVersion: "0.5"}},
		{"pkg:deb/debian/libc6@2.36-9?distro=debian-12&distro_name=bookworm&upstream=glibc%402.36-8", inventory.Package{Name: "libc6", Version: "2.36-9", Ecosystem: "Debian:12", SourceName: "glibc", SourceVersion: "2.36-8"}},
		{"pkg:deb/debian/a@1", inventory.Package{Name: "a", Version: "1", SourceName: "a", SourceVersion: "1"}},
		{"pkg:apk/alpine/musl@1.2.5-r9?distro=alpine-3.22_alpha20250108", inventory.Package{Name: "musl", Version: "1.2.5-r9", Ecosystem: "Alpine:edge", SourceName: "musl", SourceVersion: "1.2.5-r9"}},
		{"pkg:apk/alpine/musl@1.2.5-r9?os_name=alpine&os_version=3.21", inventory.Package{Name: "musl", Version: "1.2.5-r9", Ecosystem: "Alpine:v3.21", SourceName: "musl", SourceVersion: "1.2.5-r9"}},
		{"pkg:apk/wolfi/libssl3@3.3.0-r1?arch=x86_64&distro=wolfi-20230201&upstream=openssl", inventory.Package{Name: "libssl3", Version: "3.3.0-r1", Ecosystem: "Wolfi", SourceName: "openssl", SourceVersion: "3.3.0-r1", Arch: "x86_64"}},
		{"pkg:apk/chainguard/a@1-r0", inventory.Package{Name: "a", Version: "1-r0", Ecosystem: "Chainguard", SourceName: "a", SourceVersion: "1-r0"}},
		{"pkg:rpm/opensuse/libopenssl1_1@1.1.1l-150500.17.1?arch=x86_64&distro=opensuse-leap-15.5&upstream=openssl-1_1-1.1.1l-150500.17.1.src.rpm", inventory.Package{Name: "libopenssl1_1", Version: "1.1.1l-150500.17.1", Ecosystem: "openSUSE:Leap 15.5", SourceName: "openssl-1_1", SourceVersion: "1.1.1l-150500.17.1", Arch: "x86_64"}},
		{"pkg:rpm/opensuse/a@1-1?distro=opensuse-tumbleweed-20240101", inventory.Package{Name: "a", Version: "1-1", Ecosystem: "openSUSE:Tumbleweed", SourceName: "a", SourceVersion: "1-1"}},
		{"pkg:rpm/suse/a@1-1?distro=sles-15.5", inventory.Package{Name: "a", Version: "1-1", Ecosystem: "SUSE:Linux Enterprise Server 15 SP5", SourceName: "a", SourceVersion: "1-1"}},
		{"pkg:rpm/redhat/openssl-libs@3.0.7-24.el9?arch=x86_64&distro=rhel-9.3&epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm", inventory.Package{Name: "openssl-libs", Version: "1:3.0.7-24.el9", Ecosystem: "Red Hat:enterprise_linux:9", SourceName: "openssl", SourceVersion: "3.0.7-24.el9", Arch: "x86_64"}},
		{"pkg:rpm/mariner/a@1-1.cm2?distro=mariner-2.0", inventory.Package{Name: "a", Version: "1-1.cm2", Ecosystem: "Azure Linux:2", SourceName: "a", SourceVersion: "1-1.cm2"}},
		{"pkg:rpm/amzn/a@1-1.amzn2?distro=amzn-2", inventory.Package{Name: "a", Version: "1-1.amzn2", SourceName: "a", SourceVersion: "1-1.amzn2"}},
		{"pkg:golang/golang.org/x/Net@v0.36.0#html", inventory.Package{Name: "golang.org/x/Net", Version: "0.36.0", Ecosystem: "Go"}},
		{"pkg:golang/stdlib@v1.22.1", inventory.Package{Name: "stdlib", Version: "1.22.1", Ecosystem: "Go"}},
		{"pkg:npm/%40a/b@1?vcs_url=x", inventory.Package{Name: "@a/b", Version: "1", Ecosystem: "npm"}},
		{"PKG:NPM/odd but kept", inventory.Package{Name: "n", Version: "v"}},
	}
	for _, tt := range tests {
		doc, err := json.Marshal(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": []any{
			map[string]any{"type": "application", "name": "outer", "components": []any{map[string]any{"type": "library", "name": "n", "version": "v", "purl": tt.purl}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := sbom.Read(bytes.NewReader(doc))
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", tt.purl, got, err)
			continue
		}
		if tt.want.PURL, tt.want.Licenses = tt.purl, []string{}; !strings.Contains(tt.purl, "odd") || got[0].PURL != tt.purl {
			if diff := cmp.Diff(tt.want, got[0]); diff != "" {
				t.Errorf("%s: %s", tt.purl, diff)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for _, doc := range []string{"", "hello", "{}", `{"bomFormat":"CycloneDX","components":7}`, "<bom", `{"spdxVersion":"SPDX-2.3","packages":{}}`, "SPDXVersion: SPDX-2.3\nPackageName"} {
		if _, err := sbom.Read(strings.NewReader(doc)); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("Read(%q): error %v, want ErrInvalid", doc, err)
		}
	}
}

func TestListIsSafeForTerminals(t *testing.T) {
	doc := document()
	doc.Packages[0].Name = "evil\x1b[2J\n"
	var b bytes.Buffer
	if err := sbom.Write(&b, doc, "list"); err != nil || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%q, %v", b.String(), err)
	}
	if err := sbom.Write(&b, doc, "yaml"); !errors.Is(err, inventory.ErrInvalid) {
		t.Errorf("an unknown format: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"a","purl":"pkg:npm/a@1"}]}`))
	f.Add([]byte(`{"spdxVersion":"SPDX-2.3","packages":[{"externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:deb/debian/a@1?distro=debian-"}]}]}`))
	f.Add([]byte("SPDXVersion: SPDX-2.3\nPackageName: a\nExternalRef: PACKAGE-MANAGER purl pkg:npm/a@1\n"))
	f.Add([]byte(`<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><components><component type="library"><name>a</name><purl>pkg:a/b</purl></component></components></bom>`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		ps, err := sbom.Read(bytes.NewReader(doc))
		if err == nil && ps == nil {
			t.Error("no packages must be an empty list")
		}
	})
}
