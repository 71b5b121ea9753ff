package dashboard

import (
	"encoding/csv"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// csvFile starts an answer that is a file for a spreadsheet.
func csvFile(w http.ResponseWriter, name string) *csv.Writer {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	return csv.NewWriter(w)
}

// cell keeps a spreadsheet from taking text of an image for a formula.
func cell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n|", rune(s[0])) {
		return "'" + s
	}
	return s
}

func cells(row ...string) []string {
	for i := range row {
		row[i] = cell(row[i])
	}
	return row
}

// imagesCSV sends every row that the filter leaves, on whatever page somebody is.
func (d *Dashboard) imagesCSV(w http.ResponseWriter, r *http.Request, f imagesFilter) error {
	tags := f.TagFilter
	tags.After, tags.Limit = "", 1000
	page, err := d.Store.Tags(r.Context(), tags)
	if err != nil {
		return err
	}
	out := csvFile(w, "tallyman-images.csv")
	_ = out.Write([]string{
		"integration", "repository_key", "image", "tag", "reference", "digest", "state", "problem",
		"critical", "high", "medium", "low", "unspecified", "fixable", "packages", "base", "pushed", "first_seen", "gone",
	})
	for {
		for _, row := range page.Rows {
			_ = out.Write(imageCells(row))
		}
		if page.Next == "" {
			break
		}
		tags.After = page.Next
		if page, err = d.Store.Tags(r.Context(), tags); err != nil {
			d.Log.ErrorContext(r.Context(), "export of images cut off", "error", err)
			panic(http.ErrAbortHandler) // half a file must not pass for a whole one
		}
	}
	out.Flush()
	return nil
}

// imageCells leaves the counts of an image that is not analysed empty: unknown is not 0.
func imageCells(row inventory.TagRow) []string {
	counts := make([]string, 6)
	packages := ""
	if c := row.Findings; c != nil {
		for i, n := range []int{c.Critical, c.High, c.Medium, c.Low, c.Unspecified, c.Fixable} {
			counts[i] = strconv.Itoa(n)
		}
		packages = strconv.Itoa(row.Packages)
	}
	out := cells(row.Integration, row.RepositoryKey, row.Image, row.Tag, row.Reference, row.Digest, row.State, row.Problem)
	out = append(out, counts...)
	return append(out, packages, cell(row.Base), stamp(row.Pushed), stamp(row.FirstSeen), stamp(row.Gone))
}

// findingsCSV sends the findings that the page of an image shows.
func findingsCSV(w http.ResponseWriter, d inventory.Dossier, list []inventory.Finding) {
	out := csvFile(w, fmt.Sprintf("tallyman-findings-%s.csv", strings.TrimPrefix(d.Image.Digest, "sha256:")[:min(12, len(strings.TrimPrefix(d.Image.Digest, "sha256:")))]))
	_ = out.Write([]string{
		"reference", "digest", "platform", "id", "aliases", "severity", "severity_source", "cvss", "epss", "kev",
		"package", "version", "purl", "fixed_versions", "layer", "layer_diff_id", "origin", "first_seen", "advisory", "range", "comparator",
	})
	for _, f := range list {
		cvss, epss := scores(f.CVSS, f.EPSS)
		_ = out.Write(cells(d.Tag.Reference, d.Image.Digest, d.Image.Platform, f.ID, strings.Join(f.Aliases, " "), f.Severity, f.SeveritySource,
			cvss, epss, strconv.FormatBool(f.KEV), f.Package, f.Version, f.PURL, strings.Join(f.FixedVersions, " "),
			strconv.Itoa(f.Layer), f.LayerDiffID, f.Origin, stamp(f.FirstSeen), f.Advisory.ID, f.Why.Range, f.Why.Comparator))
	}
	out.Flush()
}

// scores writes what is known of two scores.
func scores(c *inventory.CVSS, e *inventory.EPSS) (cvss, epss string) {
	if c != nil {
		cvss = strconv.FormatFloat(c.Score, 'f', 1, 64)
	}
	if e != nil {
		epss = strconv.FormatFloat(e.Score, 'f', -1, 64)
	}
	return cvss, epss
}
