package report

import (
	"bufio"
	"fmt"
	"io"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// adviceRows are a base that could be, and what it changes, for the table of a quickview.
func adviceRows(name string, b *inventory.BaseImage) [][]cell {
	if b == nil {
		return nil
	}
	rows := [][]cell{quickRow(name, Side{Reference: b.Reference, Digest: b.Digest, Packages: b.Packages, Summary: b.Findings})}
	if b.Delta != nil {
		row := []cell{text("  change"), {}, {}, {}}
		for _, n := range severityCounts(*b.Delta) {
			row = append(row, signed(n))
		}
		rows = append(rows, append(row, signed(b.Delta.Fixable)))
	}
	return rows
}

// signed writes a change; none is nothing. Fewer is good, more is not.
func signed(n int) cell {
	switch {
	case n == 0:
		return cell{right: true}
	case n < 0:
		return cell{text: fmt.Sprintf("%+d", n), color: green, right: true}
	}
	return cell{text: fmt.Sprintf("%+d", n), color: red, right: true}
}

// WriteAdvice writes what a base could be replaced by as text, markdown or json.
func WriteAdvice(out io.Writer, format string, a inventory.Advice, o Options) error {
	switch format {
	case "json":
		if a.Updates == nil {
			a.Updates = []inventory.BaseImage{}
		}
		return encode(out, a)
	case "text", "markdown":
	default:
		return inventory.Errorf(inventory.ErrInvalid, "unknown format %q", format).WithRemedy("choose one of text, markdown, json")
	}
	w := bufio.NewWriter(out)
	s := sheet{w: w, markdown: format == "markdown", color: o.Color}
	if a.Base == nil {
		s.title("No known image is the base of " + a.Reference)
		return w.Flush()
	}
	rows := [][]cell{baseRow("base", *a.Base)}
	if a.Refresh != nil {
		rows = append(rows, changedBase("refresh", *a.Refresh)...)
	}
	for _, b := range a.Updates {
		rows = append(rows, changedBase("update", b)...)
	}
	s.table([]string{"", "IMAGE", "DIGEST", "C", "H", "M", "L", "U", "FIXABLE", "PACKAGES", "SIZE", "AGE"}, rows)
	if a.Refresh == nil && len(a.Updates) == 0 {
		s.title("No newer base is known: this is the newest of its kind in the inventory")
	}
	return w.Flush()
}

func baseRow(name string, b inventory.BaseImage) []cell {
	old := cell{}
	if b.AgeDays != nil {
		old = text(plural(*b.AgeDays, "day"))
	}
	row := append([]cell{text(name), text(b.Reference), text(short(b.Digest))}, countCells(b.Findings)...)
	return append(row, number(b.Packages), cell{text: bytesOf(b.Size), right: true}, old)
}

func changedBase(name string, b inventory.BaseImage) [][]cell {
	change := []cell{text("  change"), {}, {}}
	if b.Delta != nil {
		for _, n := range severityCounts(*b.Delta) {
			change = append(change, signed(n))
		}
		change = append(change, signed(b.Delta.Fixable), cell{})
	}
	if b.SizeDelta != nil {
		change = append(change, cell{text: signedBytes(*b.SizeDelta), right: true})
	}
	return [][]cell{baseRow(name, b), change}
}
