package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// ImagesTable writes rows of the inventory, one a tag. An image that is not analysed
// shows its state instead of numbers: unknown is not zero.
func ImagesTable(out io.Writer, rows []inventory.TagRow, color bool) error {
	w := bufio.NewWriter(out)
	g := &grid{head: []string{"REFERENCE", "DIGEST", "STATE", "PACKAGES", "C", "H", "M", "L", "U", "FIXABLE", "PUSHED", "NOTE"}, color: color}
	for _, r := range rows {
		row := []cell{text(r.Reference), text(short(r.Digest)), colored(r.State, stateColor(r.State))}
		if c := r.Findings; c != nil {
			row = append(row, number(r.Packages))
			for i, n := range [...]int{c.Critical, c.High, c.Medium, c.Low, c.Unspecified} {
				row = append(row, countCell(n, inventory.Severities[i]))
			}
			row = append(row, number(c.Fixable))
		} else {
			row = append(row, cell{}, cell{}, cell{}, cell{}, cell{}, cell{}, cell{})
		}
		g.add(append(row, text(day(r.Pushed)), text(rowNote(r)))...)
	}
	g.write(w)
	return w.Flush()
}

func rowNote(r inventory.TagRow) string {
	switch {
	case r.Gone != nil:
		return strings.TrimSuffix("gone since "+day(r.Gone)+"; "+r.Problem, "; ")
	case r.Problem != "":
		return r.Problem
	}
	return ""
}

func countCell(n int, severity string) cell {
	c := number(n)
	if n > 0 {
		c.color = severityColor(severity)
	}
	return c
}

func stateColor(state string) string {
	switch state {
	case inventory.StateAnalysed:
		return green
	case inventory.StateFailed:
		return red
	case inventory.StateUnsupported:
		return yellow
	}
	return dim
}

// short is the beginning of a digest, enough to tell it by.
func short(digest string) string {
	_, hex, ok := strings.Cut(digest, ":")
	if !ok {
		return digest
	}
	return hex[:min(len(hex), 12)]
}

// StatusTable writes the coverage ledger: a line an integration, the sums, what failed
// and why, and how fresh the advisories are.
func StatusTable(out io.Writer, s inventory.Status, color bool) error {
	w := bufio.NewWriter(out)
	g := &grid{head: []string{"INTEGRATION", "STATE", "TAGS", "ANALYSED", "FAILED", "UNSUPPORTED", "WAITING", "NOT SELECTED", "GONE", "LAYERS READ", "BYTES READ", "LAST POLL"}, color: color}
	for _, in := range s.Integrations {
		poll := ""
		if in.LastPoll != nil {
			poll = minute(*in.LastPoll)
		}
		g.add(append(append([]cell{text(in.Name), text(in.State)}, tally(in.Tally)...), text(poll))...)
	}
	if len(s.Integrations) != 1 {
		g.add(append([]cell{text("all"), {}}, tally(s.Tally)...)...)
	}
	g.write(w)
	for _, in := range s.Integrations {
		for _, p := range in.Problems {
			fmt.Fprintf(w, "%s %s: %s\n", paint("!", red, color), inventory.Printable(p.Reference), inventory.Printable(p.Problem))
		}
	}
	fmt.Fprintln(w, advisoriesLine(s.Advisories))
	return w.Flush()
}

func tally(t inventory.Tally) []cell {
	failed := number(t.Failed)
	if t.Failed > 0 {
		failed.color = red
	}
	return []cell{
		number(t.TagsSeen), number(t.Analysed), failed, number(t.Unsupported), number(t.Waiting),
		number(t.NotSelected), number(t.Gone),
		{text: fmt.Sprint(t.LayersRead), right: true},
		{text: bytesOf(t.LayerBytes), right: true},
	}
}

func advisoriesLine(a inventory.AdvisoryStatus) string {
	if a.Records == 0 {
		return "advisories: none; what is in the images is not assessed (run `tallyman advisories sync`)"
	}
	line := "advisories: " + itoa(a.Records) + " records"
	if a.Newest != nil {
		line += ", newest of " + minute(*a.Newest) + " UTC"
	}
	if a.AgeS != nil {
		line += ", synchronised " + age(*a.AgeS) + " ago"
	}
	return line
}

func age(seconds int64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 2*3600:
		return fmt.Sprintf("%d min", seconds/60)
	case seconds < 48*3600:
		return fmt.Sprintf("%d h", seconds/3600)
	}
	return fmt.Sprintf("%d days", seconds/86400)
}

// bytesOf writes a size with a unit of 1000s, as registries do.
func bytesOf(n int64) string {
	units := [...]string{"B", "kB", "MB", "GB", "TB", "PB"}
	value, i := float64(n), 0
	for value >= 1000 && i < len(units)-1 {
		value, i = value/1000, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}
