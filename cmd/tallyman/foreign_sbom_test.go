package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// knowFlaws imports records for one package of each kind that documents of other tools name.
func knowFlaws(t *testing.T, p *program) {
	t.Helper()
	dir := t.TempDir()
	for id, affected := range map[string][3]string{
		"DEBIAN-CVE-2024-0001": {"Debian:12", "openssl", "3.0.13-1"},
		"ALPINE-CVE-2024-0002": {"Alpine:v3.19", "openssl", "3.1.5-r0"},
		"GHSA-aaaa-bbbb-cccc":  {"npm", "@scope/left-pad", "1.3.1"},
		"GHSA-dddd-eeee-ffff":  {"Maven", "org.example:lib", "2.0"},
		"GO-2024-0001":         {"Go", "stdlib", "1.22.2"},
		"PYSEC-2024-1":         {"PyPI", "foo-bar", "1.1"},
		"RLSA-2024:1":          {"Rocky Linux:9", "openssl", "1:3.0.7-25.el9"},
	} {
		record := fmt.Sprintf(`{"id":%q,"modified":"2024-01-02T03:04:05Z","affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`,
			id, affected[0], affected[1], affected[2])
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(id, ":", "-")+".json"), []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.run("", "advisories", "import", dir).want(t, 0)
}

// TestForeignSBOMs: documents in the shape of other tools' are matched, and their purls
// come back byte for byte.
func TestForeignSBOMs(t *testing.T) {
	p := newProgram(t)
	knowFlaws(t, p)
	for name, tc := range map[string]struct {
		document string
		want     []string // id purl
		unknown  []string // purl
	}{
		"Syft, CycloneDX": {
			`{"$schema":"http://cyclonedx.org/schema/bom-1.6.schema.json","bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79","version":1,
			"metadata":{"timestamp":"2024-05-01T00:00:00Z","tools":{"components":[{"type":"application","author":"anchore","name":"syft","version":"1.4.1"}]},"component":{"bom-ref":"a","type":"container","name":"alpine"}},
			"components":[
			{"bom-ref":"1","type":"library","publisher":"x","name":"libssl3","version":"3.1.4-r5","cpe":"cpe:2.3:a:libssl3:libssl3:3.1.4-r5:*:*:*:*:*:*:*","purl":"pkg:apk/alpine/libssl3@3.1.4-r5?arch=x86_64&upstream=openssl&distro=alpine-3.19.1","properties":[{"name":"syft:package:type","value":"apk"},{"name":"syft:metadata:originPackage","value":"openssl"}]},
			{"bom-ref":"2","type":"library","name":"stdlib","version":"go1.22.1","purl":"pkg:golang/stdlib@1.22.1","properties":[{"name":"syft:package:language","value":"go"}]},
			{"bom-ref":"os:alpine@3.19.1","type":"operating-system","name":"alpine","version":"3.19.1"}]}`,
			[]string{"CVE-2024-0002 pkg:apk/alpine/libssl3@3.1.4-r5?arch=x86_64&upstream=openssl&distro=alpine-3.19.1", "GO-2024-0001 pkg:golang/stdlib@1.22.1"},
			nil,
		},
		"Trivy, CycloneDX": {
			`{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"metadata":{"tools":{"components":[{"type":"application","group":"aquasecurity","name":"trivy","version":"0.50.1"}]}},
			"components":[
			{"bom-ref":"os","type":"operating-system","name":"debian","version":"12.5"},
			{"bom-ref":"pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12.5","type":"library","supplier":{"name":"x"},"name":"libssl3","version":"3.0.11-1~deb12u2","purl":"pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12.5",
			 "properties":[{"name":"aquasecurity:trivy:LayerDiffID","value":"sha256:aa"},{"name":"aquasecurity:trivy:PkgType","value":"debian"},{"name":"aquasecurity:trivy:SrcName","value":"openssl"},{"name":"aquasecurity:trivy:SrcVersion","value":"3.0.11"},{"name":"aquasecurity:trivy:SrcRelease","value":"1~deb12u2"}]},
			{"bom-ref":"lock","type":"application","name":"package-lock.json","components":[]},
			{"bom-ref":"n","type":"library","group":"@scope","name":"left-pad","version":"1.3.0","purl":"pkg:npm/%40scope/left-pad@1.3.0"}]}`,
			[]string{"CVE-2024-0001 pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12.5", "GHSA-aaaa-bbbb-cccc pkg:npm/%40scope/left-pad@1.3.0"},
			nil,
		},
		"cdxgen, CycloneDX": {
			`{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[
			{"group":"org.example","name":"lib","version":"1.9","scope":"required","hashes":[{"alg":"SHA-512","content":"00"}],"purl":"pkg:maven/org.example/lib@1.9?type=jar","type":"library","bom-ref":"m","evidence":{"identity":{"field":"purl","confidence":1}}},
			{"group":"","name":"Foo_Bar","version":"1.0","purl":"pkg:pypi/foo-bar@1.0","type":"library","bom-ref":"p"},
			{"group":"debian","name":"libssl3","version":"3.0.11-1","purl":"pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&distro_name=bookworm&upstream=openssl","type":"library","bom-ref":"d"}]}`,
			[]string{"CVE-2024-0001 pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12&distro_name=bookworm&upstream=openssl", "GHSA-dddd-eeee-ffff pkg:maven/org.example/lib@1.9?type=jar", "PYSEC-2024-1 pkg:pypi/foo-bar@1.0"},
			nil,
		},
		"Docker Scout, SPDX": {
			`{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":"sbom","documentNamespace":"https://docker.com/docker-scout/x","creationInfo":{"created":"2024-05-01T00:00:00Z","creators":["Organization: Docker, Inc","Tool: docker-scout-1.8.0"]},
			"packages":[
			{"name":"openssl","SPDXID":"SPDXRef-1","versionInfo":"3.0.11-1","downloadLocation":"NOASSERTION","filesAnalyzed":false,"licenseDeclared":"NOASSERTION","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/openssl@3.0.11-1?os_distro=bookworm&os_name=debian&os_version=12"}]},
			{"name":"mystery","SPDXID":"SPDXRef-2","versionInfo":"1","downloadLocation":"NOASSERTION","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:rpm/amzn/mystery@1-1.amzn2?os_name=amzn&os_version=2"}]}]}`,
			[]string{"CVE-2024-0001 pkg:deb/debian/openssl@3.0.11-1?os_distro=bookworm&os_name=debian&os_version=12"},
			[]string{"pkg:rpm/amzn/mystery@1-1.amzn2?os_name=amzn&os_version=2"},
		},
		"Syft, SPDX": {
			`{"spdxVersion":"SPDX-2.3","name":"rocky","packages":[{"name":"openssl-libs","SPDXID":"SPDXRef-a","versionInfo":"1:3.0.7-24.el9","supplier":"NOASSERTION","externalRefs":[
			{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a:openssl-libs:openssl-libs:1:*:*:*:*:*:*:*"},
			{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:rpm/rocky/openssl-libs@3.0.7-24.el9?arch=x86_64&epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm&distro=rocky-9.3"}]},
			{"name":"openssl-libs","SPDXID":"SPDXRef-b","versionInfo":"1:3.0.7-27.el9","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:rpm/rocky/openssl-libs@3.0.7-27.el9?arch=x86_64&epoch=1&upstream=openssl-3.0.7-27.el9.src.rpm&distro=rocky-9.3"}]}]}`,
			[]string{"RLSA-2024:1 pkg:rpm/rocky/openssl-libs@3.0.7-24.el9?arch=x86_64&epoch=1&upstream=openssl-3.0.7-24.el9.src.rpm&distro=rocky-9.3"},
			nil,
		},
		"without a release": {
			`{"bomFormat":"CycloneDX","specVersion":"1.4","version":1,"components":[{"type":"library","name":"openssl","version":"3.0.11-1","purl":"pkg:deb/debian/openssl@3.0.11-1"}]}`,
			nil,
			[]string{"pkg:deb/debian/openssl@3.0.11-1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.assessed(t, tc.document)
			var found, unknown []string
			for _, f := range got.Findings {
				found = append(found, f.ID+" "+f.PURL)
			}
			for _, u := range got.Unknown {
				unknown = append(unknown, u.PURL)
			}
			slices.Sort(found)
			if !slices.Equal(found, tc.want) || !slices.Equal(unknown, tc.unknown) {
				t.Errorf("found %q, want %q; not assessed %q, want %q", found, tc.want, unknown, tc.unknown)
			}
		})
	}
}

func (p *program) assessed(t *testing.T, document string) (r inventory.Report) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sbom.json")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	ran := p.run("", "cves", "sbom:"+file, "--format", "json")
	ran.want(t, 0)
	if err := json.Unmarshal([]byte(ran.stdout), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLargeSBOM: thousands of components at once, and none is lost.
func TestLargeSBOM(t *testing.T) {
	p := newProgram(t)
	knowFlaws(t, p)
	var components []string
	for i := range 10_000 {
		components = append(components, fmt.Sprintf(`{"type":"library","name":"left-pad","version":"0.0.%d","purl":"pkg:npm/%%40scope/left-pad@0.0.%d"}`, i, i),
			fmt.Sprintf(`{"type":"library","name":"a%d","version":"1.0.0","purl":"pkg:npm/a%d@1.0.0"}`, i, i))
	}
	got := p.assessed(t, `{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[`+strings.Join(components, ",")+`]}`)
	if len(got.Findings) != 10_000 || got.Summary.Total() != 1 || len(got.Unknown) != 0 {
		t.Errorf("%d findings, %d flaws, %d not assessed", len(got.Findings), got.Summary.Total(), len(got.Unknown))
	}
}
