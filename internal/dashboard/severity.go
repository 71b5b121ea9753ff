package dashboard

import (
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// chip is one severity with its count and the share of it that has a fix.
type chip struct {
	Class   string // c h md l u
	Letter  string
	Word    string
	Count   int
	Fixable int
	Known   bool   // Fixable is known
	Fill    string // f1 to f10, or "" for none
	Href    string // as a filter; "" = only a count
	On      bool
}

func severityClass(rank int) (class, letter string) {
	return [...]string{"c", "h", "md", "l", "u"}[rank], [...]string{"C", "H", "M", "L", "U"}[rank]
}

// chips shows counts of all five severities, zeros too, always in this order.
func chips(c inventory.Counts) []chip {
	counts := [...]int{c.Critical, c.High, c.Medium, c.Low, c.Unspecified}
	out := make([]chip, len(counts))
	for i, n := range counts {
		class, letter := severityClass(i)
		out[i] = chip{Class: class, Letter: letter, Word: inventory.Severities[i], Count: n}
	}
	// The store may not tell the fixable share by severity: then the chips say nothing
	// of it, rather than none.
	sum := 0
	for _, n := range c.FixableBy {
		sum += n
	}
	if sum == c.Fixable {
		for i := range out {
			out[i].Known, out[i].Fixable, out[i].Fill = true, c.FixableBy[i], fill(c.FixableBy[i], counts[i])
		}
	}
	return out
}

// minis is chips without the zeros, for narrow places.
func minis(c inventory.Counts) []chip {
	var out []chip
	for _, one := range chips(c) {
		if one.Count > 0 {
			out = append(out, one)
		}
	}
	return out
}

// fill is a share in tenths: empty only for none, full only for all.
func fill(part, whole int) string {
	switch {
	case part <= 0 || whole <= 0:
		return ""
	case part >= whole:
		return "f10"
	}
	tenths := min(max((10*part+whole/2)/whole, 1), 9)
	return [...]string{"", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"}[tenths]
}

// bar is a share of states as parts of a line.
type bar struct {
	Parts []part
	Label string
}

type part struct {
	Class string
	Word  string
	Count int
	X, W  string // per cent
}

// coverageBar shows a tally; a part that is not zero is wide enough to be seen.
func coverageBar(t inventory.Tally) bar {
	parts := []part{
		{Class: "x-ok", Word: "analysed", Count: t.Analysed},
		{Class: "x-fail", Word: "failed", Count: t.Failed},
		{Class: "x-uns", Word: "unsupported", Count: t.Unsupported},
		{Class: "x-wait", Word: "waiting", Count: t.Waiting},
	}
	return layBar(parts)
}

func layBar(parts []part) bar {
	const least, gap = 1.2, 0.15
	total, room := 0, 100.0
	for _, p := range parts {
		total += p.Count
	}
	if total == 0 {
		return bar{Label: "nothing yet"}
	}
	small := 0
	for _, p := range parts {
		if w := 100 * float64(p.Count) / float64(total); p.Count > 0 && w < least {
			room -= least
			small += p.Count
		}
	}
	var b bar
	x := 0.0
	for _, p := range parts {
		if p.Count == 0 {
			continue
		}
		w := least
		if 100*float64(p.Count)/float64(total) >= least {
			w = room * float64(p.Count) / float64(total-small)
		}
		p.X, p.W = percent(x), percent(w-gap)
		x += w
		b.Parts = append(b.Parts, p)
		if b.Label != "" {
			b.Label += ", "
		}
		b.Label += number(p.Count) + " " + p.Word
	}
	return b
}
