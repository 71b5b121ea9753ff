package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// writeCSV writes a line a finding, then a line for each package that is not assessed.
func writeCSV(w io.Writer, r inventory.Report) error {
	out := csv.NewWriter(w)
	_ = out.Write([]string{
		"reference", "digest", "platform", "id", "aliases", "severity", "severity_source", "cvss_score", "cvss_vector",
		"epss", "epss_percentile", "kev", "kev_due", "package", "version", "fixed_versions", "purl", "layer", "origin", "locations",
		"advisory", "range", "comparator", "first_seen", "published", "modified", "exception", "not_assessed",
	})
	for _, f := range bySeverity(r.Findings) {
		var score, vector, epss, percentile, exception string
		if f.CVSS != nil {
			score, vector = decimal(f.CVSS.Score), f.CVSS.Vector
		}
		if f.EPSS != nil {
			epss, percentile = decimal(f.EPSS.Score), decimal(f.EPSS.Percentile)
		}
		if f.Exception != nil {
			exception = f.Exception.Status
		}
		_ = out.Write(safe(r.Reference, r.Digest, r.Platform, f.ID, strings.Join(f.Aliases, " "), f.Severity, f.SeveritySource, score, vector,
			epss, percentile, strconv.FormatBool(f.KEV), day(f.KEVDue), f.Package, f.Version, strings.Join(f.FixedVersions, " "), f.PURL, itoa(f.Layer), f.Origin,
			strings.Join(f.Locations, " "), f.Advisory.ID, f.Why.Range, f.Why.Comparator, day(f.FirstSeen), day(f.Published), day(f.Modified), exception, ""))
	}
	for _, u := range r.Unknown {
		row := make([]string, 28)
		row[0], row[1], row[2], row[16], row[27] = r.Reference, r.Digest, r.Platform, u.PURL, u.Reason
		_ = out.Write(safe(row...))
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// safe keeps a spreadsheet from taking text of an image for a formula.
func safe(row ...string) []string {
	for i, s := range row {
		s = inventory.Printable(s)
		if first, _ := utf8.DecodeRuneInString(strings.TrimSpace(s)); strings.ContainsRune("=+-@|%＝＋－＠", first) {
			s = "'" + s
		}
		row[i] = s
	}
	return row
}
