package report

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// md writes hostile text into Markdown so that it shows as it is: everything that could
// be markup, a link or a mention becomes a character reference.
func md(s string) string {
	var out strings.Builder
	for _, r := range inventory.Printable(s) {
		switch {
		case r == '@':
			out.WriteString("&#64;\u200b")
		case strings.ContainsRune("\\`*_{}[]<>()#+!|~&\"':=$", r):
			fmt.Fprintf(&out, "&#%d;", r)
		default:
			out.WriteRune(r)
		}
	}
	return strings.ReplaceAll(strings.ReplaceAll(out.String(), "www.", "www&#46;"), "WWW.", "WWW&#46;")
}

// code writes names and versions. Inside of it no mention is followed.
func code(s string) string {
	if s == "" {
		return ""
	}
	return "<code>" + strings.ReplaceAll(md(s), "\u200b", "") + "</code>"
}

func mdLink(id string) string { return "[" + md(id) + "](" + link(url.PathEscape(id)) + ")" }

func mdRow(w io.Writer, cells ...string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

func mdHead(w io.Writer, names ...string) {
	mdRow(w, names...)
	mdRow(w, strings.Split(strings.TrimSuffix(strings.Repeat("---,", len(names)), ","), ",")...)
}

func writeMarkdown(out io.Writer, r inventory.Report, o Options) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "## %s\n\n", md(r.Reference))
	fmt.Fprintf(w, "%s %s\n\n", code(r.Digest), md(r.Platform))
	fmt.Fprintf(w, "%s; %d fixable", counts(r.Summary), r.Summary.Fixable)
	if r.AdvisoriesAsOf != nil {
		fmt.Fprintf(w, " (advisories as of %s UTC)", minute(*r.AdvisoriesAsOf))
	}
	fmt.Fprint(w, "\n")
	if len(r.Findings) > 0 {
		fmt.Fprint(w, "\n")
		mdHead(w, "Severity", "Flaw", "Package", "Version", "Fixed in", "Layer", "Origin", "EPSS", "Note")
	}
	for _, f := range bySeverity(r.Findings) {
		mdRow(w, md(f.Severity), mdLink(f.ID), code(f.Package), code(f.Version), code(strings.Join(f.FixedVersions, ", ")),
			itoa(f.Layer), md(f.Origin), predicted(f), md(note(f).text))
	}
	if o.Details {
		mdDetails(w, r)
	}
	mdUnknown(w, r.Unknown)
	return w.Flush()
}

func mdDetails(w io.Writer, r inventory.Report) {
	for _, f := range bySeverity(r.Findings) {
		fmt.Fprintf(w, "\n<details><summary>%s in %s %s</summary>\n\n", md(f.ID), md(f.Package), md(f.Version))
		fmt.Fprintf(w, "%s\n\n", md(f.Summary))
		fmt.Fprintf(w, "- severity: %s %s\n- affected: %s (%s order of versions)\n- advisory: %s of %s\n- aliases: %s\n- package: %s\n",
			md(f.Severity), md(sourced(f)), code(f.Why.Range), md(f.Why.Comparator), md(f.Advisory.ID), day(&f.Advisory.Modified),
			md(strings.Join(f.Aliases, ", ")), code(f.PURL))
		for _, path := range f.Locations {
			fmt.Fprintf(w, "- found in %s\n", code(path))
		}
		fmt.Fprint(w, "\n</details>\n")
	}
}

func mdUnknown(w io.Writer, unknown []inventory.Unknown) {
	if len(unknown) == 0 {
		return
	}
	fmt.Fprintf(w, "\n**Not assessed: %s**\n\n", plural(len(unknown), "package"))
	for _, r := range reasons(unknown) {
		fmt.Fprintf(w, "- %s: %s\n", plural(len(r.packages), "package"), md(strings.TrimPrefix(r.text, "not assessed: ")))
	}
}
