package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Colours, as terminals take them.
const (
	plain  = ""
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	purple = "\x1b[35m"
	blue   = "\x1b[34m"
	green  = "\x1b[32m"
	reset  = "\x1b[0m"
)

// cell is one field of a table. Its text is made printable when the table is written.
type cell struct {
	text  string
	color string
	right bool // numbers stand on the right
}

// grid is a table whose columns are as wide as their widest cell. Nothing is cut: the
// last column may run on.
type grid struct {
	head  []string
	rows  [][]cell
	color bool
}

func (g *grid) add(row ...cell) { g.rows = append(g.rows, row) }

func text(s string) cell           { return cell{text: s} }
func number(n int) cell            { return cell{text: itoa(n), right: true} }
func colored(s, color string) cell { return cell{text: s, color: color} }

func itoa(n int) string { return strconv.Itoa(n) }

func (g *grid) write(w *bufio.Writer) {
	head := make([]cell, len(g.head))
	right := make([]bool, len(g.head))
	width := make([]int, len(g.head))
	for i, name := range g.head {
		head[i] = cell{text: name, color: bold}
	}
	all := append([][]cell{head}, g.rows...)
	for _, row := range all {
		for i := range row {
			row[i].text = inventory.Printable(row[i].text)
			width[i] = max(width[i], utf8.RuneCountInString(row[i].text))
			right[i] = right[i] || row[i].right
		}
	}
	for _, row := range all {
		g.line(w, row, width, right)
	}
}

func (g *grid) line(w *bufio.Writer, row []cell, width []int, right []bool) {
	blank := 0 // spaces that are only written when something follows
	for i, c := range row {
		pad := width[i] - utf8.RuneCountInString(c.text)
		if right[i] {
			blank, pad = blank+pad, 0
		}
		if c.text != "" {
			_, _ = w.WriteString(strings.Repeat(" ", blank))
			blank = 0
			_, _ = w.WriteString(paint(c.text, c.color, g.color))
		} else {
			pad += 0
		}
		blank += pad + 2
	}
	_ = w.WriteByte('\n')
}

func paint(s, color string, on bool) string {
	if !on || color == plain || s == "" {
		return s
	}
	return color + s + reset
}

// severityColor is never the only sign: the word stands there too.
func severityColor(severity string) string {
	switch severity {
	case inventory.Critical:
		return purple
	case inventory.High:
		return red
	case inventory.Medium:
		return yellow
	case inventory.Low:
		return blue
	}
	return dim
}

func day(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// minute writes a time for tables.
func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// counts writes "1 critical, 2 high, 0 medium, 0 low, 3 unspecified".
func counts(c inventory.Counts) string {
	var part []string
	for i, n := range [...]int{c.Critical, c.High, c.Medium, c.Low, c.Unspecified} {
		part = append(part, itoa(n)+" "+inventory.Severities[i])
	}
	return strings.Join(part, ", ")
}

// writeTable is the report for people at a terminal.
func writeTable(out io.Writer, r inventory.Report, o Options) error {
	w := bufio.NewWriter(out)
	facts := &grid{head: []string{"", ""}}
	facts.add(text("Image"), text(r.Reference))
	facts.add(text("Digest"), text(r.Digest))
	if r.Platform != "" {
		facts.add(text("Platform"), text(r.Platform))
	}
	if r.AdvisoriesAsOf != nil {
		facts.add(text("Advisories"), text("as of "+minute(*r.AdvisoriesAsOf)+" UTC"))
	}
	facts.add(text("Findings"), text(counts(r.Summary)+"; "+itoa(r.Summary.Fixable)+" fixable"))
	facts.body(w)
	if len(r.Findings) > 0 {
		_ = w.WriteByte('\n')
		findingsGrid(r.Findings, o).write(w)
	}
	if o.Details || o.Locations {
		writeDetails(w, r, o)
	}
	writeUnknown(w, r.Unknown, o.Color)
	return w.Flush()
}

// body writes the rows without the head.
func (g *grid) body(w *bufio.Writer) {
	width := make([]int, len(g.head))
	for _, row := range g.rows {
		for i := range row {
			row[i].text = inventory.Printable(row[i].text)
			width[i] = max(width[i], utf8.RuneCountInString(row[i].text))
		}
	}
	for _, row := range g.rows {
		g.line(w, row, width, make([]bool, len(g.head)))
	}
}

func findingsGrid(findings []inventory.Finding, o Options) *grid {
	g := &grid{head: []string{"SEVERITY", "ID", "PACKAGE", "VERSION", "FIXED IN", "LAYER", "ORIGIN"}, color: o.Color}
	if o.EPSS {
		g.head = append(g.head, "EPSS")
	}
	g.head = append(g.head, "NOTE")
	for _, f := range bySeverity(findings) {
		row := []cell{
			colored(f.Severity, severityColor(f.Severity)), text(f.ID), text(f.Package), text(f.Version),
			text(strings.Join(f.FixedVersions, ", ")), number(f.Layer), text(f.Origin),
		}
		if o.EPSS {
			row = append(row, cell{text: predicted(f), right: true})
		}
		g.add(append(row, note(f))...)
	}
	return g
}

// predicted is how likely a flaw is to be exploited, and how many are less likely.
func predicted(f inventory.Finding) string {
	if f.EPSS == nil {
		return ""
	}
	return fmt.Sprintf("%.4f (above %.1f %%)", f.EPSS.Score, f.EPSS.Percentile*100)
}

// note is what must not be overlooked.
func note(f inventory.Finding) cell {
	switch {
	case f.Exception != nil:
		return colored("excepted: "+f.Exception.Status, dim)
	case f.KEV && f.KEVDue != nil:
		return colored("known exploited, due "+day(f.KEVDue), red)
	case f.KEV:
		return colored("known exploited", red)
	}
	return cell{}
}

func writeDetails(w *bufio.Writer, r inventory.Report, o Options) {
	for _, f := range bySeverity(r.Findings) {
		_, _ = w.WriteString("\n" + paint(inventory.Printable(f.ID), bold, o.Color) + " " + inventory.Printable(f.Package+" "+f.Version) + "\n")
		line := func(name, value string) {
			if value != "" {
				_, _ = w.WriteString("  " + name + strings.Repeat(" ", max(12-len(name), 1)) + inventory.Printable(value) + "\n")
			}
		}
		if o.Details {
			line("summary", f.Summary)
			line("severity", strings.TrimSpace(f.Severity+" "+sourced(f)))
			line("aliases", strings.Join(f.Aliases, ", "))
			line("why", f.Why.Range+" by the "+f.Why.Comparator+" order of versions")
			line("advisory", f.Advisory.ID+", "+day(&f.Advisory.Modified))
			line("more", link(f.ID))
		}
		if o.Locations {
			line("purl", f.PURL)
			line("layer", itoa(f.Layer)+" "+f.LayerDiffID)
			for _, path := range f.Locations {
				line("path", path)
			}
		}
	}
}

func sourced(f inventory.Finding) string {
	s := f.SeveritySource
	if f.CVSS != nil {
		if s != "" {
			s += ", "
		}
		s += strconv.FormatFloat(f.CVSS.Score, 'f', 1, 64) + " " + f.CVSS.Vector
	}
	if s == "" {
		return ""
	}
	return "(" + strings.TrimSpace(s) + ")"
}

// writeUnknown says what was not assessed: it is never clean.
func writeUnknown(w *bufio.Writer, unknown []inventory.Unknown, color bool) {
	if len(unknown) == 0 {
		return
	}
	_, _ = w.WriteString("\n" + paint("Not assessed: "+plural(len(unknown), "package"), yellow, color) + "\n")
	for _, r := range reasons(unknown) {
		_, _ = w.WriteString("  " + inventory.Printable(plural(len(r.packages), "package")+": "+strings.TrimPrefix(r.text, "not assessed: ")) + "\n")
	}
}
