package report

import (
	"bufio"
	"io"
	"iter"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ReachLine says how far something goes.
func ReachLine(h inventory.Holders) string {
	line := inventory.Printable(h.Query) + ": " + plural(h.Tags, "tag") + ", " + plural(h.Images, "image") + ", " + plural(h.Packages, "package version")
	if h.Packages == 0 && h.Tags == 0 {
		line = inventory.Printable(h.Query) + ": in no tag"
	}
	if h.Note != "" {
		line += " (" + inventory.Printable(h.Note) + ")"
	}
	return line
}

// tableStep is how many rows are as wide as their widest: memory stays bounded.
const tableStep = 1000

// HoldersTable writes rows as they come.
func HoldersTable(out io.Writer, rows iter.Seq2[inventory.Holding, error], color bool) error {
	w := bufio.NewWriter(out)
	head := []string{"REFERENCE", "PACKAGE", "LAYER", "STATE", "SINCE", "DIGEST"}
	g := &grid{head: head, color: color}
	for h, err := range rows {
		if err != nil {
			return err
		}
		what := h.PURL
		if h.Location != "" {
			what = h.Location
		}
		state := text(h.State)
		if h.State == inventory.HoldingGone {
			state.color = dim
		}
		g.add(text(h.Reference), text(what), number(h.Layer), state, text(minute(h.Since)), text(short(h.Digest)))
		if len(g.rows) == tableStep {
			g.write(w)
			g.rows = g.rows[:0]
		}
	}
	if len(g.rows) > 0 {
		g.write(w)
	}
	return w.Flush()
}

// WatchesTable writes a row a saved question.
func WatchesTable(out io.Writer, all []inventory.Watch, color bool) error {
	w := bufio.NewWriter(out)
	g := &grid{head: []string{"NAME", "QUESTION", "ECOSYSTEM", "IMAGES", "LAST", "SAVED", "BY"}, color: color}
	for _, one := range all {
		last := ""
		if one.Last != nil {
			last = minute(*one.Last)
		}
		g.add(text(one.Name), text(one.Query), text(one.Ecosystem), number(one.Images), text(last), text(minute(one.Created)), text(one.Author))
	}
	g.write(w)
	return w.Flush()
}
