package vex

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"time"

	openvex "github.com/openvex/go-vex/pkg/vex"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

var errContext = errors.New("it has another @context")

func timeOf(doc *openvex.VEX) time.Time {
	if doc.Timestamp == nil {
		return time.Time{}
	}
	return *doc.Timestamp
}

// Options say how a document is written.
type Options struct {
	Author  string
	Time    time.Time
	Tooling string
	// Products are the purls that an exception without package and place speaks of.
	Products map[int64][]string
}

// Write writes exceptions as one OpenVEX document. An exception that expired is left out.
func Write(w io.Writer, list []inventory.Exception, o Options) error {
	at := o.Time.UTC()
	doc := openvex.New()
	doc.Author, doc.Timestamp, doc.LastUpdated, doc.Version, doc.Tooling = cmp.Or(o.Author, "unknown"), &at, nil, 1, o.Tooling
	for _, e := range list {
		if e.Expired || e.CVE == "" && e.Package == "" {
			continue
		}
		doc.Statements = append(doc.Statements, statement(e, o.Products[e.ID], at))
	}
	if _, err := doc.GenerateCanonicalID(); err != nil {
		return fmt.Errorf("name the document: %w", err)
	}
	if err := doc.ToJSON(w); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

func statement(e inventory.Exception, known []string, at time.Time) openvex.Statement {
	when := at
	if e.Created != nil {
		when = e.Created.UTC()
	}
	s := openvex.Statement{Timestamp: &when, Vulnerability: openvex.Vulnerability{Name: openvex.VulnerabilityID(cmp.Or(e.CVE, "*"))}}
	for _, alias := range e.Aliases {
		s.Vulnerability.Aliases = append(s.Vulnerability.Aliases, openvex.VulnerabilityID(alias))
	}
	s.Status = openvex.Status(e.Status)
	switch e.Status {
	case inventory.VEXNotAffected:
		s.Justification, s.ImpactStatement = openvex.Justification(e.Justification), e.Reason
	case inventory.VEXAffected:
		s.ActionStatement, s.ActionStatementTimestamp = e.Reason, &when
	default:
		s.StatusNotes = e.Reason
	}
	s.Products = products(e, known)
	return s
}

func products(e inventory.Exception, known []string) []openvex.Product {
	named := func(id string) openvex.Component { return openvex.Component{ID: id} }
	var within string // the image or repository
	switch {
	case e.Image != "":
		within = "pkg:oci/image@" + url.PathEscape(e.Image)
	case e.Repository != "":
		within = "pkg:oci/" + url.PathEscape(path.Base(e.Repository)) + "?repository_url=" + url.QueryEscape(e.Repository)
	case e.Product != "":
		within = e.Product
	}
	switch {
	case within == "" && e.Package != "":
		return []openvex.Product{{Component: named(e.Package)}}
	case within == "":
		var out []openvex.Product
		for _, purl := range known {
			out = append(out, openvex.Product{Component: named(purl)})
		}
		return out
	case e.Package == "":
		return []openvex.Product{{Component: named(within)}}
	}
	return []openvex.Product{{Component: named(within), Subcomponents: []openvex.Subcomponent{{Component: named(e.Package)}}}}
}
