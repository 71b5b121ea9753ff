package dashboard

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// A chart is drawn here, on the server: text in an SVG that is not stretched, areas in
// one within it that is. Positions across are per cent of the width, down pixels.
const (
	plotTop, plotHeight = 18, 190 // the marks stand above the plot
	plotLeft, plotRight = 9.0, 93.0
	canvas              = 600 // width of the stretched drawing
	mostPoints          = 90  // that a chart shows
	mostMarks           = 6
)

// chart is severity over time as a picture, a legend of its marks, and numbers.
type chart struct {
	Title string
	Areas []area
	Grid  []gridLine
	Ticks []tick
	Ends  []label
	Marks []chartMark
	Rows  []trendRow
	Box   string // viewBox of the stretched drawing
	Foot  int    // baseline of the times
	Base  int    // bottom of the plot
}

type area struct{ Class, Path string }

type gridLine struct {
	Y, TextY int
	Word     string
}

type tick struct{ X, Anchor, Word string }

type label struct {
	Y    int
	Word string
}

// chartMark is something that explains a step: a letter in the picture and a line below it.
type chartMark struct {
	Letter, X string
	At        time.Time
	Words     string
}

type trendRow struct {
	At     time.Time
	Counts [len(inventory.Severities)]int
	All    int
	Share  string
}

func countsOf(p inventory.TrendPoint) [len(inventory.Severities)]int {
	return [...]int{p.Critical, p.High, p.Medium, p.Low, p.Unspecified}
}

// thinned keeps so many points at most: of each stretch of time the last. What happened
// in those that are left out is added to the next.
func thinned(points []inventory.TrendPoint) []inventory.TrendPoint {
	if len(points) <= mostPoints {
		return points
	}
	first, last := points[0].At, points[len(points)-1].At
	width := last.Sub(first)/mostPoints + 1
	out := points[:0:0]
	var news inventory.TrendNews
	for i, p := range points {
		news = news.Plus(p.TrendNews)
		if i+1 < len(points) && points[i+1].At.Sub(first)/width == p.At.Sub(first)/width {
			continue
		}
		p.TrendNews, news = news, inventory.TrendNews{}
		out = append(out, p)
	}
	return out
}

// across is where a moment stands between the first and the last, from 0 to 1.
func across(points []inventory.TrendPoint, at time.Time) float64 {
	whole := points[len(points)-1].At.Sub(points[0].At)
	if whole <= 0 {
		return 1
	}
	return float64(at.Sub(points[0].At)) / float64(whole)
}

func percentAcross(f float64) string { return percent(plotLeft + f*(plotRight-plotLeft)) }

// severityChart stacks the chosen severities, the worst at the bottom.
func severityChart(points []inventory.TrendPoint, chosen [len(inventory.Severities)]bool) *chart {
	points = thinned(points)
	if len(points) < 2 {
		return nil
	}
	stacks := make([][len(inventory.Severities) + 1]int, len(points))
	most := 0
	for i, p := range points {
		for s, n := range countsOf(p) {
			stacks[i][s+1] = stacks[i][s]
			if chosen[s] {
				stacks[i][s+1] += n
			}
		}
		most = max(most, stacks[i][len(inventory.Severities)])
	}
	step := gridStep(most)
	top := max(step*((most+step-1)/step), step)
	c := &chart{Box: fmt.Sprintf("0 0 %d %d", canvas, plotHeight), Base: plotTop + plotHeight, Foot: plotTop + plotHeight + 18}
	for n := 0; n <= top; n += step {
		y := plotTop + plotHeight - n*plotHeight/top
		c.Grid = append(c.Grid, gridLine{y, y + 4, number(n)})
	}
	c.stack(points, stacks, chosen, top)
	c.Ticks = timeTicks(points)
	c.Marks = marksOf(points)
	first, last := stacks[0][len(inventory.Severities)], stacks[len(stacks)-1][len(inventory.Severities)]
	c.Title = fmt.Sprintf("Flaws over time, %s: %s on %s, %s now, %s at the most",
		strings.Join(chosenWords(chosen), ", "), number(first), day(points[0].At), number(last), number(most))
	for i := len(points) - 1; i >= 0; i-- {
		p := points[i]
		row := trendRow{At: p.At, Counts: countsOf(p), All: p.Total(), Share: "unknown"}
		if row.All > 0 {
			row.Share = share(p.Fixable, row.All)
		}
		c.Rows = append(c.Rows, row)
	}
	c.Rows = everyNth(c.Rows, 30)
	return c
}

func chosenWords(chosen [len(inventory.Severities)]bool) (words []string) {
	for s, on := range chosen {
		if on {
			words = append(words, inventory.Severities[s])
		}
	}
	return words
}

// everyNth keeps so many rows at most, the first and the last among them.
func everyNth[T any](rows []T, most int) []T {
	if len(rows) <= most {
		return rows
	}
	var out []T
	for i := range most {
		out = append(out, rows[i*(len(rows)-1)/(most-1)])
	}
	return out
}

// gridStep is a round number, so that about four steps make the height.
func gridStep(most int) int {
	for step := 1; ; step *= 10 {
		for _, s := range []int{step, 2 * step, 5 * step} {
			if s*4 >= most {
				return s
			}
		}
	}
}

// stack draws each severity between what lies under it and its own top.
func (c *chart) stack(points []inventory.TrendPoint, stacks [][len(inventory.Severities) + 1]int, chosen [len(inventory.Severities)]bool, top int) {
	last := stacks[len(stacks)-1]
	free := c.Base + 2 // letters at the end must not stand in each other
	for s, on := range chosen {
		if !on {
			continue
		}
		var upper, lower strings.Builder
		for i, p := range points {
			x := int(math.Round(canvas * across(points, p.At)))
			fmt.Fprintf(&upper, "%d %d ", x, plotHeight-stacks[i][s+1]*plotHeight/top)
			n := len(points) - 1 - i
			x = int(math.Round(canvas * across(points, points[n].At)))
			fmt.Fprintf(&lower, " %d %d", x, plotHeight-stacks[n][s]*plotHeight/top)
		}
		class, letter := severityClass(s)
		c.Areas = append(c.Areas, area{"a-" + class, "M" + strings.TrimSpace(upper.String()) + "L" + strings.TrimSpace(lower.String()) + "z"})
		if last[s+1] > last[s] {
			middle := c.Base - (last[s]+last[s+1])*plotHeight/(2*top) + 4
			free = min(middle, free-12)
			c.Ends = append(c.Ends, label{free, letter})
		}
	}
}

// timeTicks names the moments at the start, at two thirds, and now.
func timeTicks(points []inventory.TrendPoint) []tick {
	first, last := points[0].At, points[len(points)-1].At
	form := "2 Jan"
	if last.Sub(first) < 48*time.Hour {
		form = "15:04"
	}
	out := []tick{{X: percentAcross(0), Anchor: "from", Word: first.UTC().Format(form)}}
	for _, third := range []time.Duration{1, 2} {
		at := first.Add(last.Sub(first) * third / 3)
		out = append(out, tick{X: percentAcross(float64(third) / 3), Anchor: "at", Word: at.UTC().Format(form)})
	}
	return append(out, tick{X: percentAcross(1), Anchor: "end", Word: "now"})
}

// marksOf are the advisory updates that changed most, in the order of time.
func marksOf(points []inventory.TrendPoint) []chartMark {
	type step struct{ at, weight int }
	var steps []step
	for i, p := range points {
		weight := p.Appeared + p.Withdrawn + p.Fixed + p.Exploited
		if weight > 0 || len(p.Advisories) > 0 {
			steps = append(steps, step{i, weight})
		}
	}
	for len(steps) > mostMarks {
		least := 0
		for i, s := range steps {
			if s.weight < steps[least].weight {
				least = i
			}
		}
		steps = append(steps[:least], steps[least+1:]...)
	}
	var out []chartMark
	for i, s := range steps {
		p := points[s.at]
		out = append(out, chartMark{
			Letter: string(rune('A' + i)), X: percentAcross(across(points, p.At)), At: p.At, Words: newsWords(p.TrendNews),
		})
	}
	return out
}

// newsWords says what an advisory update brought.
func newsWords(n inventory.TrendNews) string {
	var parts []string
	for _, one := range []struct {
		n    int
		word string
	}{{n.Appeared, "new"}, {n.Withdrawn, "withdrawn"}, {n.Fixed, "can be fixed now"}, {n.Exploited, "known exploited now"}} {
		if one.n > 0 {
			parts = append(parts, number(one.n)+" "+one.word)
		}
	}
	what := "nothing that was known changed"
	if len(parts) > 0 {
		what = "in what was known: " + strings.Join(parts, ", ")
	}
	switch len(n.Advisories) {
	case 0:
		return "Advisories matched; " + what
	case 1, 2, 3:
		return strings.Join(n.Advisories, ", ") + " taken in; " + what
	}
	return number(len(n.Advisories)) + " feeds taken in; " + what
}

// line is one value over time.
type line struct {
	Title      string
	Path, Fill string
	Top        string // what the top of the drawing is
	From, Now  string
	Since      string
}

// shareLine is the share of flaws that have a fix.
func shareLine(points []inventory.TrendPoint) *line {
	var known []inventory.TrendPoint
	for _, p := range thinned(points) {
		if p.Total() > 0 {
			known = append(known, p)
		}
	}
	if len(known) == 0 {
		return nil
	}
	if len(known) == 1 { // one moment is drawn as a level
		before := known[0]
		before.At = before.At.Add(-time.Second)
		known = append([]inventory.TrendPoint{before}, known...)
	}
	first, last := known[0], known[len(known)-1]
	var path strings.Builder
	for _, p := range known {
		fmt.Fprintf(&path, "%d %d ", int(math.Round(canvas*across(known, p.At))), 200-200*p.Fixable/p.Total())
	}
	l := &line{Path: "M" + strings.TrimSpace(path.String()), Top: "100 %", From: share(first.Fixable, first.Total()), Now: share(last.Fixable, last.Total())}
	l.Fill = l.Path + fmt.Sprintf("L%d 200 0 200z", canvas)
	l.Since = first.At.UTC().Format("2 Jan")
	if last.At.Sub(first.At) < 48*time.Hour {
		l.Since = first.At.UTC().Format("15:04")
	}
	l.Title = fmt.Sprintf("Share of flaws with a fix: %s on %s, %s now", l.From, day(first.At), l.Now)
	return l
}
