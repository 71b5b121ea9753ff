package sbom

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/spdx/tools-golang/tagvalue"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// MaxDocument is the largest document that is read, in bytes.
const MaxDocument = 512 << 20

// Read reads a CycloneDX (JSON, XML) or SPDX 2.x (JSON, tag-value) document of any
// tool. Every component that has a purl becomes a package, its purl kept byte for
// byte; the same purl twice is one package.
func Read(r io.Reader) ([]inventory.Package, error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxDocument {
		return nil, inventory.Errorf(inventory.ErrInvalid, "the bill of materials has more than %d bytes", MaxDocument)
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	head := bytes.TrimSpace(raw[:min(len(raw), 4096)])
	var c collector
	switch {
	case bytes.HasPrefix(head, []byte("{")):
		err = c.json(raw)
	case bytes.HasPrefix(head, []byte("<")):
		err = c.cycloneDX(raw, cdx.BOMFileFormatXML)
	case bytes.Contains(head, []byte("SPDXVersion:")):
		err = c.tagValue(raw)
	default:
		err = unknownForm()
	}
	if c.packages == nil {
		c.packages = []inventory.Package{}
	}
	return c.packages, err
}

func unknownForm() error {
	return inventory.Errorf(inventory.ErrInvalid, "the file is no bill of materials that can be read").
		WithRemedy("CycloneDX (JSON, XML) and SPDX 2.x (JSON, tag-value) are")
}

type collector struct {
	packages []inventory.Package
	seen     map[string]bool
}

func (c *collector) add(p inventory.Package) {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	if p.PURL == "" || c.seen[p.PURL] {
		return
	}
	c.seen[p.PURL] = true
	if p.Licenses == nil {
		p.Licenses = []string{}
	}
	c.packages = append(c.packages, p)
}

func (c *collector) json(raw []byte) error {
	var kind struct {
		BOMFormat   string `json:"bomFormat"`
		SPDXVersion string `json:"spdxVersion"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "the bill of materials is not valid JSON: %w", err)
	}
	switch {
	case strings.EqualFold(kind.BOMFormat, "CycloneDX"):
		return c.cycloneDX(raw, cdx.BOMFileFormatJSON)
	case strings.HasPrefix(kind.SPDXVersion, "SPDX-2"):
		return c.spdx(raw)
	}
	return unknownForm()
}

func (c *collector) cycloneDX(raw []byte, format cdx.BOMFileFormat) error {
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(raw), format).Decode(&bom); err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "the CycloneDX document is damaged: %w", err)
	}
	if bom.Components != nil {
		c.components(*bom.Components, 0)
	}
	return nil
}

// maxNesting bounds components in components.
const maxNesting = 32

func (c *collector) components(list []cdx.Component, depth int) {
	for i := range list {
		comp := &list[i]
		if comp.PackageURL != "" {
			p := fromPURL(comp.PackageURL, comp.Name, comp.Version)
			if comp.Licenses != nil {
				for _, l := range *comp.Licenses {
					p.Licenses = append(p.Licenses, cdxLicense(l)...)
				}
			}
			if comp.Properties != nil {
				sourceFromProperties(&p, *comp.Properties)
			}
			c.add(p)
		}
		if comp.Components != nil && depth < maxNesting {
			c.components(*comp.Components, depth+1)
		}
	}
}

func cdxLicense(l cdx.LicenseChoice) []string {
	switch {
	case l.Expression != "":
		return []string{l.Expression}
	case l.License != nil && l.License.ID != "":
		return []string{l.License.ID}
	case l.License != nil && l.License.Name != "":
		return []string{l.License.Name}
	}
	return nil
}

// sourceFromProperties takes source packages from where our own documents and
// Trivy's have them; a purl's upstream qualifier is read with the purl.
func sourceFromProperties(p *inventory.Package, props []cdx.Property) {
	v := map[string]string{}
	for _, prop := range props {
		v[prop.Name] = prop.Value
	}
	if name := v["tallyman:source_name"]; name != "" {
		p.SourceName, p.SourceVersion = name, v["tallyman:source_version"]
	}
	const trivy = "aquasecurity:trivy:"
	if name := v[trivy+"SrcName"]; name != "" {
		p.SourceName, p.SourceVersion = name, v[trivy+"SrcVersion"]
		if r := v[trivy+"SrcRelease"]; r != "" {
			p.SourceVersion += "-" + r
		}
		if e := v[trivy+"SrcEpoch"]; e != "" && e != "0" {
			p.SourceVersion = e + ":" + p.SourceVersion
		}
	}
}

// spdx reads the JSON form by its few fields that matter: other tools' documents
// often break the letter of the standard elsewhere.
func (c *collector) spdx(raw []byte) error {
	var doc struct {
		Packages []struct {
			Name     string `json:"name"`
			Version  string `json:"versionInfo"`
			Licence  string `json:"licenseDeclared"`
			External []struct {
				Type    string `json:"referenceType"`
				Locator string `json:"referenceLocator"`
			} `json:"externalRefs"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "the SPDX document is damaged: %w", err)
	}
	for _, pkg := range doc.Packages {
		for _, ref := range pkg.External {
			if ref.Type == "purl" {
				c.spdxPackage(ref.Locator, pkg.Name, pkg.Version, pkg.Licence)
			}
		}
	}
	return nil
}

func (c *collector) spdxPackage(purl, name, version, licence string) {
	p := fromPURL(purl, name, version)
	if licence != "" && licence != "NOASSERTION" && licence != "NONE" {
		p.Licenses = []string{licence}
	}
	c.add(p)
}

func (c *collector) tagValue(raw []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = inventory.Errorf(inventory.ErrInvalid, "the SPDX document is damaged: %v", v)
		}
	}()
	doc, err := tagvalue.Read(bufio.NewReader(bytes.NewReader(raw)))
	if err != nil {
		return inventory.Errorf(inventory.ErrInvalid, "the SPDX document is damaged: %w", err)
	}
	for _, pkg := range doc.Packages {
		for _, ref := range pkg.PackageExternalReferences {
			if ref.RefType == "purl" {
				c.spdxPackage(ref.Locator, pkg.PackageName, pkg.PackageVersion, pkg.PackageLicenseDeclared)
			}
		}
	}
	return nil
}
