package report

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Options say how a report is written. The zero value is plain text without extras.
type Options struct {
	Color     bool // colour in tables, for terminals only
	Locations bool // where each package lies, and in which layer
	Details   bool // summary, why, and links of each finding
	EPSS      bool // a column of exploit prediction scores
	Version   string
	// Time is when the report was made; zero is now.
	Time time.Time
	// SBOM gives CycloneDX all components; without it only those with findings are named.
	SBOM *inventory.SBOM
}

// Formats lists the formats that Write knows, as --format takes them.
func Formats() []string {
	return []string{"table", "json", "jsonl", "sarif", "markdown", "gitlab", "cyclonedx", "csv", "html"}
}

// Write writes a report in a format of Formats; another format is ErrInvalid.
func Write(w io.Writer, format string, r inventory.Report, o Options) error {
	switch format {
	case "table":
		return writeTable(w, r, o)
	case "json":
		return writeJSON(w, r)
	case "jsonl":
		return writeJSONLines(w, r)
	case "sarif":
		return writeSARIF(w, r, o)
	case "markdown":
		return writeMarkdown(w, r, o)
	case "gitlab":
		return writeGitLab(w, r, o)
	case "cyclonedx":
		return writeCycloneDX(w, r, o)
	case "csv":
		return writeCSV(w, r)
	case "html":
		return writeHTML(w, r, o)
	}
	return inventory.Errorf(inventory.ErrInvalid, "unknown format %q", format).
		WithRemedy("choose one of %s", strings.Join(Formats(), ", "))
}

func (o Options) time() time.Time {
	if o.Time.IsZero() {
		return time.Now().UTC()
	}
	return o.Time.UTC()
}

// bySeverity orders findings worst first, then by package and id.
func bySeverity(findings []inventory.Finding) []inventory.Finding {
	out := slices.Clone(findings)
	slices.SortStableFunc(out, func(a, b inventory.Finding) int {
		return cmp.Or(
			cmp.Compare(inventory.SeverityRank(a.Severity), inventory.SeverityRank(b.Severity)),
			cmp.Compare(a.Package, b.Package),
			cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.PURL, b.PURL),
		)
	})
	return out
}

// link is the page that tells more about a flaw.
func link(id string) string {
	switch {
	case strings.HasPrefix(id, "CVE-"):
		return "https://www.cve.org/CVERecord?id=" + id
	case strings.HasPrefix(id, "GHSA-"):
		return "https://github.com/advisories/" + id
	case strings.HasPrefix(id, "GO-"):
		return "https://pkg.go.dev/vuln/" + id
	}
	return "https://osv.dev/vulnerability/" + id
}

// plural writes "1 package", "2 packages".
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return itoa(n) + " " + one + "s"
}

// reasons groups what could not be assessed: how many packages for each reason, most first.
func reasons(unknown []inventory.Unknown) []reason {
	var out []reason
	for _, u := range unknown {
		i := slices.IndexFunc(out, func(r reason) bool { return r.text == u.Reason })
		if i < 0 {
			i = len(out)
			out = append(out, reason{text: u.Reason})
		}
		out[i].packages = append(out[i].packages, u.PURL)
	}
	slices.SortStableFunc(out, func(a, b reason) int { return cmp.Compare(len(b.packages), len(a.packages)) })
	return out
}

type reason struct {
	text     string
	packages []string
}
