package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Quickview is an image at a glance, and its base image when that is known.
type Quickview struct {
	Target  Side  `json:"target"`
	Base    *Side `json:"base,omitempty"`
	Unknown int   `json:"unknown"` // packages that are not assessed
	// FromBase is what of the target's findings the base brought.
	FromBase inventory.Counts `json:"from_base"`
	// What the base's own tag points to now, and the best newer base, where they are known.
	Refreshed *inventory.BaseImage `json:"refreshed_base,omitempty"`
	Updated   *inventory.BaseImage `json:"updated_base,omitempty"`
}

// QuickviewOf makes the quickview of an image. base may be nil.
func QuickviewOf(target inventory.Dossier, base *inventory.Dossier) Quickview {
	q := Quickview{Target: sideOf(target), Unknown: len(target.Report.Unknown)}
	var inherited []inventory.Finding
	for _, f := range target.Report.Findings {
		if f.Origin == "base" {
			inherited = append(inherited, f)
		}
	}
	q.FromBase = inventory.Count(inherited)
	switch {
	case base != nil:
		side := sideOf(*base)
		q.Base = &side
	case len(target.SBOM.Base) > 0:
		q.Base = &Side{Reference: target.SBOM.Base[0].Reference, Digest: target.SBOM.Base[0].Digest, Summary: q.FromBase}
	}
	return q
}

// WriteQuickview writes a quickview as text, markdown or json.
func WriteQuickview(out io.Writer, format string, q Quickview, o Options) error {
	switch format {
	case "json":
		return encode(out, q)
	case "text", "table", "markdown":
	default:
		return inventory.Errorf(inventory.ErrInvalid, "unknown format %q", format).WithRemedy("choose one of text, markdown, json")
	}
	w := bufio.NewWriter(out)
	s := sheet{w: w, markdown: format == "markdown", color: o.Color}
	rows := [][]cell{quickRow("target", q.Target)}
	if q.Base != nil {
		rows = append(rows, quickRow("base", *q.Base))
		rows = append(rows, append([]cell{text("  of it in target"), {}, {}, {}}, countCells(q.FromBase)...))
	}
	rows = append(rows, adviceRows("refreshed base", q.Refreshed)...)
	rows = append(rows, adviceRows("updated base", q.Updated)...)
	s.table([]string{"", "IMAGE", "DIGEST", "PACKAGES", "C", "H", "M", "L", "U", "FIXABLE"}, rows)
	if q.Unknown > 0 {
		s.title("Not assessed: " + plural(q.Unknown, "package"))
	}
	return w.Flush()
}

func quickRow(name string, side Side) []cell {
	packages := cell{}
	if side.Packages > 0 {
		packages = number(side.Packages)
	}
	return append([]cell{text(name), text(side.Reference), text(short(side.Digest)), packages}, countCells(side.Summary)...)
}

func countCells(c inventory.Counts) []cell {
	var row []cell
	for i, n := range severityCounts(c) {
		row = append(row, countCell(n, inventory.Severities[i]))
	}
	return append(row, number(c.Fixable))
}

// sheet writes titles and tables for a terminal or as Markdown.
type sheet struct {
	w        *bufio.Writer
	markdown bool
	color    bool
}

func (s *sheet) title(words string) {
	if s.markdown {
		fmt.Fprintf(s.w, "\n### %s\n\n", md(words))
		return
	}
	fmt.Fprintf(s.w, "\n%s\n", paint(inventory.Printable(words), bold, s.color))
}

func (s *sheet) table(head []string, rows [][]cell) {
	if len(rows) == 0 {
		return
	}
	if !s.markdown {
		g := grid{head: head, rows: rows, color: s.color}
		g.write(s.w)
		return
	}
	names := make([]string, len(head))
	for i, name := range head {
		names[i] = name
		if len(name) > 1 {
			names[i] = name[:1] + strings.ToLower(name[1:])
		}
	}
	mdHead(s.w, names...)
	for _, row := range rows {
		cells := make([]string, len(head))
		for i, c := range row {
			cells[i] = code(c.text)
		}
		mdRow(s.w, cells...)
	}
}
