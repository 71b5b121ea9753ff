package dashboard

import (
	"bytes"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/report"
)

// exportFormat is one form in which what an image's page shows can be taken away.
type exportFormat struct {
	Name, Word, Type, Extension string
}

func exportFormats() []exportFormat {
	return []exportFormat{
		{"csv", "CSV, for a spreadsheet", "text/csv; charset=utf-8", "csv"},
		{"json", "JSON", "application/json", "json"},
		{"jsonl", "JSON, one finding a line", "application/jsonl", "jsonl"},
		{"sarif", "SARIF", "application/sarif+json", "sarif"},
		{"cyclonedx", "CycloneDX with findings", "application/vnd.cyclonedx+json", "cdx.json"},
		{"gitlab", "GitLab", "application/json", "gitlab.json"},
		{"markdown", "Markdown", "text/markdown; charset=utf-8", "md"},
		{"html", "HTML, one file", "text/html; charset=utf-8", "html"},
	}
}

// export sends the findings that the page shows, in the order that it has.
func (x reading) export(w http.ResponseWriter, name string) error {
	var format exportFormat
	for _, f := range exportFormats() {
		if f.Name == name {
			format = f
		}
	}
	if format.Name == "" {
		return inventory.Errorf(inventory.ErrInvalid, "there is no export as %q", name).WithRemedy("use csv, json, sarif, …")
	}
	if format.Name == "csv" {
		findingsCSV(w, x.dossier, x.shown())
		return nil
	}
	r := x.dossier.Report
	r.Findings = x.shown()
	r.Summary = inventory.Count(r.Findings)
	if x.f.Narrowed() {
		r.Unknown = nil // what could not be assessed is not among what was asked for
	}
	var b bytes.Buffer
	if err := report.Write(&b, format.Name, r, report.Options{Version: x.d.Version, Details: true, EPSS: true, Locations: true}); err != nil {
		return fmt.Errorf("export of %s: %w", x.dossier.Tag.Reference, err)
	}
	digest := strings.TrimPrefix(x.dossier.Image.Digest, "sha256:")
	h := w.Header()
	h.Set("Content-Type", format.Type)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "tallyman-findings-" + digest[:min(12, len(digest))] + "." + format.Extension}))
	_, _ = w.Write(b.Bytes())
	return nil
}

// exports are the addresses of all of them.
func (x reading) exports() []choice {
	var out []choice
	for _, f := range exportFormats() {
		q := x.f.query()
		q.Set("format", f.Name)
		out = append(out, choice{Word: f.Word, Link: x.d.Base + "/image?" + q.Encode()})
	}
	return out
}
