package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

//go:embed report.html.tmpl
var page string

// htmlPage is what the page shows; html/template escapes all of it.
type htmlPage struct {
	inventory.Report
	Made    string
	Counts  []htmlCount
	Rows    []htmlRow
	Reasons []htmlReason
	Details bool
}

type htmlCount struct {
	Name string
	N    int
}

type htmlRow struct {
	inventory.Finding
	Fixed, Link, Predicted, Note, Sourced string
}

type htmlReason struct{ Packages, Text string }

// writeHTML writes one page that needs nothing else: no script, no font, no picture.
func writeHTML(w io.Writer, r inventory.Report, o Options) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return fmt.Errorf("parse the page of reports: %w", err)
	}
	data := htmlPage{Report: r, Made: o.time().Format(time.RFC3339), Details: o.Details}
	for i, n := range [...]int{r.Summary.Critical, r.Summary.High, r.Summary.Medium, r.Summary.Low, r.Summary.Unspecified} {
		data.Counts = append(data.Counts, htmlCount{inventory.Severities[i], n})
	}
	for _, f := range bySeverity(r.Findings) {
		data.Rows = append(data.Rows, htmlRow{f, strings.Join(f.FixedVersions, ", "), link(f.ID), predicted(f), note(f).text, sourced(f)})
	}
	for _, one := range reasons(r.Unknown) {
		data.Reasons = append(data.Reasons, htmlReason{plural(len(one.packages), "package"), strings.TrimPrefix(one.text, "not assessed: ")})
	}
	var out strings.Builder
	if err := t.Execute(&out, data); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	// Marks that reorder text and control characters are no markup: escaping leaves them.
	for line := range strings.Lines(out.String()) {
		if _, err := fmt.Fprintln(w, inventory.Printable(strings.TrimSuffix(line, "\n"))); err != nil {
			return fmt.Errorf("write HTML: %w", err)
		}
	}
	return nil
}
