package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// listed is how many rows a list on a summary page has.
const listed = 8

type overviewPage struct {
	Bar      bar
	Tally    inventory.Tally
	Coverage string
	Bigs     []chip
	Total    int // distinct flaws
	KEV      int
	Fixable  string // share
	Chart    *chart
	Share    *line
	Series   []chip
	Periods  []choice
	Begins   *time.Time // of the history, when it is too short to draw
	Worst    []imageRow
	Newest   []imageRow
	New      []fleetFlaw
	Happened []happening
	Feeds    []feedRow
	Known    bool // something is analysed
	Cards    []card
}

// feedRow is one source of advisories.
type feedRow struct {
	inventory.Feed
	Stale bool
}

func (d *Dashboard) overview(w http.ResponseWriter, r *http.Request, v visit) error {
	st, _, err := d.status(r.Context())
	if err != nil {
		return err
	}
	list, err := d.Hub.List(r.Context())
	if err != nil {
		return fmt.Errorf("integrations: %w", err)
	}
	if len(list) == 0 {
		return d.show(w, r, v, http.StatusOK, "empty", frame{Title: "Welcome", Menu: "overview"}, st.Advisories)
	}
	p := overviewPage{Tally: st.Tally, Bar: coverageBar(st.Tally), Coverage: share(st.Analysed, st.TagsSeen), Known: st.Analysed > 0}
	for _, fill := range []func(context.Context, url.Values, visit, *overviewPage) error{d.fillTrend, d.fillImages, d.fillFlaws, d.fillFeeds} {
		if err := fill(r.Context(), r.URL.Query(), v, &p); err != nil {
			return err
		}
	}
	p.Cards = d.cards(list, st)
	return d.show(w, r, v, http.StatusOK, "overview", frame{Title: "Overview", Menu: "overview"}, p)
}

// periods are how far back the history can be looked at, in days.
func periods() []int { return []int{1, 7, 30, 90, 365} }

// fillTrend draws the history of counts.
func (d *Dashboard) fillTrend(ctx context.Context, q url.Values, v visit, p *overviewPage) error {
	days, _ := strconv.Atoi(one(q.Get("d"), "1", "7", "30", "90", "365"))
	if days == 0 {
		days = 90
	}
	points, err := d.Store.Trend(ctx, v.at.Add(-time.Duration(days)*24*time.Hour))
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	here := url.Values{}
	if days != 90 {
		here.Set("d", strconv.Itoa(days))
	}
	if q.Get("s") != "" {
		here.Set("s", q.Get("s"))
	}
	for _, n := range periods() {
		word := some(n, "day", "days")
		if n == 365 {
			word = "1 year"
		}
		p.Periods = append(p.Periods, choice{Word: word, Link: d.with("/", here, "d", map[bool]string{false: strconv.Itoa(n)}[n == 90]), On: n == days})
	}
	now := points[len(points)-1]
	chosen := seriesOf(q.Get("s"))
	p.Series = d.seriesChips(now, chosen, here)
	p.Bigs = chips(now.Counts)
	for i := range p.Bigs {
		p.Bigs[i].Href = d.with("/vulnerabilities", url.Values{}, "severity", inventory.Severities[i])
	}
	p.Total, p.KEV = now.Total(), now.KEV
	if p.Total > 0 {
		p.Fixable = share(now.Fixable, p.Total)
	}
	p.Chart, p.Share = severityChart(points, chosen), shareLine(points)
	return nil
}

// seriesOf reads which severities the chart stacks: critical, high and medium unless
// the address says otherwise.
func seriesOf(s string) (chosen [len(inventory.Severities)]bool) {
	if s == "" {
		s = "c,h,md"
	}
	for i := range chosen {
		class, _ := severityClass(i)
		chosen[i] = slices.Contains(strings.Split(s, ","), class)
	}
	if chosen == [len(inventory.Severities)]bool{} {
		chosen[0] = true
	}
	return chosen
}

func (d *Dashboard) seriesChips(now inventory.TrendPoint, chosen [len(inventory.Severities)]bool, here url.Values) []chip {
	out := chips(now.Counts)
	for i := range out {
		out[i].On = chosen[i]
		other := chosen
		other[i] = !other[i]
		var classes []string
		for s, on := range other {
			if on {
				class, _ := severityClass(s)
				classes = append(classes, class)
			}
		}
		out[i].Href = d.with("/", here, "s", strings.Join(classes, ","))
	}
	return out
}

func (d *Dashboard) fillImages(ctx context.Context, _ url.Values, _ visit, p *overviewPage) error {
	for order, into := range map[string]*[]imageRow{"severity": &p.Worst, "pushed": &p.Newest} {
		page, err := d.Store.Tags(ctx, inventory.TagFilter{Sort: order, Newest: order == "severity", Limit: listed})
		if err != nil {
			return fmt.Errorf("images by %s: %w", order, err)
		}
		for _, row := range page.Rows {
			if order == "severity" && (row.Findings == nil || row.Findings.Total() == 0) {
				continue
			}
			*into = append(*into, d.imageRow(row))
		}
	}
	return nil
}

// fillFlaws lists what is new: flaws by when the fleet had them first, and what changed
// about those that it had.
func (d *Dashboard) fillFlaws(ctx context.Context, _ url.Values, _ visit, p *overviewPage) error {
	flaws, err := d.Store.FleetFlaws(ctx, inventory.FlawFilter{Sort: "since", Limit: listed})
	if err != nil {
		return fmt.Errorf("newest flaws: %w", err)
	}
	for _, one := range flaws.Rows {
		p.New = append(p.New, d.fleetFlaw(one))
	}
	events, err := d.Store.Happened(ctx, 500)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	p.Happened = d.happenings(events)
	p.Happened = p.Happened[:min(len(p.Happened), listed)]
	return nil
}

func (d *Dashboard) fillFeeds(ctx context.Context, _ url.Values, v visit, p *overviewPage) error {
	feeds, err := d.Store.Feeds(ctx)
	if err != nil {
		return fmt.Errorf("feeds: %w", err)
	}
	for _, f := range feeds {
		p.Feeds = append(p.Feeds, rowOf(f, v.at))
	}
	return nil
}
