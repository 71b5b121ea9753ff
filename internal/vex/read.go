package vex

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	openvex "github.com/openvex/go-vex/pkg/vex"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// MaxDocument is the largest document that is read, in bytes.
const MaxDocument = 64 << 20

// maxExceptions bounds what one document may say.
const maxExceptions = 200_000

// Result is what a document says.
type Result struct {
	Exceptions []inventory.Exception
	// Kept out: statements that a product is affected or under investigation, and those
	// that name no flaw or no product that can be read.
	Affected, Unreadable int
}

// Read reads an OpenVEX document. Where one product and flaw are stated twice the later
// statement counts. name is what the document is called, for Source.
func Read(r io.Reader, name string) (res Result, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxDocument+1))
	if err != nil {
		return res, fmt.Errorf("read %s: %w", name, err)
	}
	if len(raw) > MaxDocument {
		return res, inventory.Errorf(inventory.ErrInvalid, "%s has more than %d bytes", name, MaxDocument)
	}
	defer func() {
		if v := recover(); v != nil { // the parser is another's, and the text is anybody's
			err = inventory.Errorf(inventory.ErrInvalid, "%s is no OpenVEX document: %v", name, v)
		}
	}()
	doc, err := openvex.Parse(raw)
	if err != nil || !strings.Contains(doc.Context, "openvex") {
		return res, inventory.Errorf(inventory.ErrInvalid, "%s is no OpenVEX document: %w", name, orContext(err)).
			WithRemedy("OpenVEX in JSON is read: its @context is https://openvex.dev/ns/v0.2.0")
	}
	source := cmp.Or(doc.ID, name)
	byScope := map[[4]string]int{}
	statements := slices.Clone(doc.Statements)
	openvex.SortStatements(statements, timeOf(doc))
	for i := range statements {
		list := res.take(&statements[i])
		for _, e := range list {
			e.Author, e.Source = doc.Author, source
			scope := [4]string{e.CVE, e.Package + " in " + e.Product, e.Repository, e.Image}
			if at, ok := byScope[scope]; ok {
				res.Exceptions[at] = e
				continue
			}
			byScope[scope] = len(res.Exceptions)
			res.Exceptions = append(res.Exceptions, e)
		}
		if len(res.Exceptions) > maxExceptions {
			return res, inventory.Errorf(inventory.ErrInvalid, "%s speaks of more than %d products", name, maxExceptions)
		}
	}
	// A later statement may take back what an earlier one said.
	res.Exceptions = slices.DeleteFunc(res.Exceptions, func(e inventory.Exception) bool { return e.Status == "" })
	return res, nil
}

// take makes exceptions of one statement; those of a statement that hides nothing have
// no status, and only take back earlier ones.
func (res *Result) take(s *openvex.Statement) []inventory.Exception {
	base := inventory.Exception{
		CVE: flawID(s.Vulnerability), Justification: string(s.Justification),
		Reason: cmp.Or(s.ImpactStatement, s.StatusNotes, s.ActionStatement),
	}
	for _, alias := range s.Vulnerability.Aliases {
		if alias := string(alias); alias != "" && alias != base.CVE {
			base.Aliases = append(base.Aliases, alias)
		}
	}
	switch s.Status {
	case openvex.StatusNotAffected:
		base.Status = inventory.VEXNotAffected
	case openvex.StatusFixed:
		base.Status, base.Justification = inventory.VEXFixed, ""
	default:
		res.Affected++
		base.Justification = ""
	}
	if base.Status == inventory.VEXNotAffected && base.Justification == "" && base.Reason == "" {
		base.Reason = "the document says so and gives no justification"
	}
	var out []inventory.Exception
	for i := range s.Products {
		out = append(out, ofProduct(base, &s.Products[i])...)
	}
	if base.CVE == "" || len(out) == 0 {
		res.Unreadable++
		return nil
	}
	return out
}

func flawID(v openvex.Vulnerability) string {
	if v.Name != "" {
		return string(v.Name)
	}
	return v.ID[strings.LastIndexAny(v.ID, "/=")+1:]
}

// ofProduct says where a statement holds: in an image, in repositories, or wherever the
// product is installed.
func ofProduct(base inventory.Exception, p *openvex.Product) []inventory.Exception {
	purl := purlOf(p.Component)
	if purl == "" {
		return nil
	}
	subs := make([]string, 0, len(p.Subcomponents))
	for _, s := range p.Subcomponents {
		if sub := purlOf(s.Component); sub != "" {
			subs = append(subs, sub)
		}
	}
	if len(p.Subcomponents) > 0 && len(subs) == 0 {
		return nil // it speaks of a part that we cannot tell: the whole would be too much
	}
	switch kind, _, _ := strings.Cut(strings.TrimPrefix(purl, "pkg:"), "/"); kind {
	case "oci", "docker":
		if !place(&base, purl) {
			return nil
		}
	default:
		base.All = true
		if len(subs) == 0 {
			base.Package = purl
		} else {
			base.Product = purl
		}
	}
	if len(subs) == 0 {
		return []inventory.Exception{base}
	}
	out := make([]inventory.Exception, len(subs))
	for i, sub := range subs {
		out[i] = base
		out[i].Package = sub
	}
	return out
}

func purlOf(c openvex.Component) string {
	for _, id := range []string{c.Identifiers[openvex.PURL], c.ID} {
		if strings.HasPrefix(id, "pkg:") {
			return id
		}
	}
	return ""
}

// place reads pkg:oci/NAME@DIGEST?repository_url=HOST/PATH&tag=… and pkg:docker/PATH@….
func place(e *inventory.Exception, purl string) bool {
	rest, _, _ := strings.Cut(purl, "#")
	rest, query, _ := strings.Cut(rest, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(rest, "pkg:"), "/")
	name, version, _ := strings.Cut(name, "@")
	if version, err = url.PathUnescape(version); err != nil {
		return false
	}
	if name, err = url.PathUnescape(name); err != nil {
		return false
	}
	if strings.HasPrefix(version, "sha256:") {
		e.Image = version
		return true
	}
	if version != "" {
		return false // a tag moves: what was said of it may not be true of what it is now
	}
	if u := q.Get("repository_url"); u != "" {
		name = u
		if host, path, ok := strings.Cut(u, "/"); ok && strings.ContainsAny(host, ".:") {
			name = path
		}
		if kind == "oci" && name == "" {
			return false
		}
	}
	e.Repository = name
	return name != ""
}

func orContext(err error) error {
	if err == nil {
		return errContext
	}
	return err
}
