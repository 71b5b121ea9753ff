package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// censusFlaw is one flaw and where it is.
type censusFlaw struct {
	inventory.Flaw
	rank     int
	first    int64
	packages []int64
	where    []stretch
	search   string
}

// takeFlaws counts every flaw that an image has now.
func (s *Store) takeFlaws(ctx context.Context, r reader, c *census) error {
	const judged = `SELECT package_id FROM verdict`
	names := map[int64]string{}
	err := r.each(ctx, `SELECT id, name FROM package WHERE id IN (`+judged+`)`, nil, func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		names[id] = name
		return err
	})
	if err != nil {
		return err
	}
	marks, err := marksOf(ctx, r, true, judged, nil)
	if err != nil {
		return err
	}
	where := make(map[int64][]stretch, len(marks))
	for pkg, m := range marks {
		where[pkg] = slices.DeleteFunc(c.stretches(m.brought, m.taken), func(s stretch) bool { return c.first[s.from] == c.first[s.to] })
	}
	flaws, err := readFlaws(ctx, r, names, where)
	if err != nil {
		return err
	}
	c.sum(flaws, where)
	return nil
}

// readFlaws reads the verdicts on packages that are somewhere.
func readFlaws(ctx context.Context, r reader, names map[int64]string, where map[int64][]stretch) (map[string]*censusFlaw, error) {
	flaws := map[string]*censusFlaw{}
	err := r.each(ctx, `
		SELECT v.package_id, v.flaw, v.aliases, v.severity, v.cvss_score, v.fixed, v.first_seen,
			COALESCE(e.score, -1), COALESCE(e.percentile, 0), COALESCE(k.added, -1), COALESCE(k.due, 0)
		FROM verdict v LEFT JOIN epss e ON e.cve = v.flaw LEFT JOIN kev k ON k.cve = v.flaw`, nil, func(rows *sql.Rows) error {
		var pkg, firstSeen, added, due int64
		var id, aliases, fixed string
		var rank int
		var cvss, score, percentile float64
		if err := rows.Scan(&pkg, &id, &aliases, &rank, &cvss, &fixed, &firstSeen, &score, &percentile, &added, &due); err != nil || len(where[pkg]) == 0 {
			return err
		}
		f := flaws[id]
		if f == nil {
			f = &censusFlaw{rank: len(inventory.Severities) - 1, first: firstSeen, search: strings.ToLower(id)}
			f.ID = id
			flaws[id] = f
		}
		f.rank, f.first = min(f.rank, max(rank, 0)), min(f.first, firstSeen)
		f.Fixable = f.Fixable || fixed != "[]"
		f.packages = append(f.packages, pkg)
		if name := names[pkg]; !slices.Contains(f.Packages, name) {
			f.Packages = append(f.Packages, name)
			f.search += "\n" + strings.ToLower(name)
		}
		if aliases != "[]" {
			f.search += "\n" + strings.ToLower(aliases)
		}
		if cvss > 0 && (f.CVSS == nil || cvss > f.CVSS.Score) {
			f.CVSS = &inventory.CVSS{Score: cvss}
		}
		if score >= 0 {
			f.EPSS = &inventory.EPSS{CVE: id, Score: score, Percentile: percentile}
		}
		if added >= 0 {
			f.KEV, f.KEVDue = true, timeOf(due)
		}
		return nil
	})
	return flaws, err
}

// sum counts how far each flaw reaches. Flaws of the same packages, as those of one
// source are, are counted once.
func (c *census) sum(flaws map[string]*censusFlaw, where map[int64][]stretch) {
	type reach struct {
		where        []stretch
		images, repo int
	}
	known := map[string]reach{}
	n := c.counter()
	c.byFlaw, c.where = flaws, where
	c.flaws = make([]*censusFlaw, 0, len(flaws))
	for _, f := range flaws {
		slices.Sort(f.packages)
		slices.Sort(f.Packages)
		key := fmt.Sprint(f.packages)
		got, ok := known[key]
		if !ok {
			for _, pkg := range f.packages {
				got.where = append(got.where, where[pkg]...)
			}
			got.images, got.repo = n.count(got.where)
			known[key] = got
		}
		f.where, f.Images, f.Repositories = got.where, got.images, got.repo
		f.Severity, f.FirstSeen = inventory.Severities[min(f.rank, len(inventory.Severities)-1)], timeOf(f.first)
		c.flaws = append(c.flaws, f)
	}
	slices.SortFunc(c.flaws, worstFlaw)
}

func worstFlaw(a, b *censusFlaw) int {
	return cmp.Or(
		cmp.Compare(a.rank, b.rank), -cmp.Compare(flag(a.KEV), flag(b.KEV)), -cmp.Compare(scoreOf(a), scoreOf(b)),
		-cmp.Compare(chanceOf(a), chanceOf(b)), cmp.Compare(b.ID, a.ID),
	)
}

func scoreOf(f *censusFlaw) float64 {
	if f.CVSS == nil {
		return 0
	}
	return f.CVSS.Score
}

func chanceOf(f *censusFlaw) float64 {
	if f.EPSS == nil {
		return 0
	}
	return f.EPSS.Score
}

// flawOrder is how a listing is sorted: the census has them the worst first already.
func flawOrder(name string) (func(a, b *censusFlaw) int, error) {
	switch name {
	case "", "severity":
		return worstFlaw, nil
	case "images":
		return func(a, b *censusFlaw) int { return cmp.Or(cmp.Compare(b.Images, a.Images), worstFlaw(a, b)) }, nil
	case "since":
		return func(a, b *censusFlaw) int { return cmp.Or(cmp.Compare(b.first, a.first), worstFlaw(a, b)) }, nil
	}
	return nil, inventory.Errorf(inventory.ErrInvalid, "flaws cannot be sorted by %q", name).WithRemedy("use severity, images or since")
}

// FleetFlaws returns one page of the flaws that images have now. Counts are as of the newest
// census: seconds old in a small fleet, minutes in one of 100,000 images.
func (s *Store) FleetFlaws(ctx context.Context, f inventory.FlawFilter) (page inventory.FlawPage, err error) {
	page.Rows = []inventory.Flaw{}
	order, err := flawOrder(f.Sort)
	if err != nil {
		return page, err
	}
	c, err := s.census(ctx)
	if err != nil {
		return page, err
	}
	text, all := strings.ToLower(f.Text), []*censusFlaw{}
	for _, one := range c.flaws {
		if one.Images == 0 || f.Fixable && !one.Fixable || f.KEV && !one.KEV || !strings.Contains(one.search, text) {
			continue
		}
		tallyFlaw(&page.Severity, one)
		if f.Severity != "" && one.Severity != f.Severity {
			continue
		}
		if one.KEV {
			page.KEV++
		}
		all = append(all, one)
	}
	page.Total = len(all)
	if f.Sort != "" && f.Sort != "severity" {
		slices.SortFunc(all, order)
	}
	if f.After != "" {
		from, err := parseCursor(f.After, f.Sort, 1)
		if err != nil {
			return page, err
		}
		// The last row of the page before may have gone since: its neighbour is then
		// where it would stand.
		if last := c.byFlaw[fmt.Sprint(from.At[0])]; last != nil {
			at, found := slices.BinarySearchFunc(all, last, order)
			if found {
				at++
			}
			all = all[at:]
		}
	}
	if f.Limit > 0 && len(all) > f.Limit {
		all = all[:f.Limit]
		page.Next = cursor{Sort: f.Sort, At: []any{all[f.Limit-1].ID}, Total: page.Total}.String()
	}
	for _, one := range all {
		page.Rows = append(page.Rows, one.Flaw)
	}
	return page, s.describeFlaws(ctx, page.Rows)
}

func tallyFlaw(n *inventory.Counts, f *censusFlaw) {
	*[...]*int{&n.Critical, &n.High, &n.Medium, &n.Low, &n.Unspecified}[inventory.SeverityRank(f.Severity)]++
	if f.Fixable {
		n.Fixable++
		n.FixableBy[inventory.SeverityRank(f.Severity)]++
	}
}

// describeFlaws adds the words: the summary of the worst verdict, and who rated it.
func (s *Store) describeFlaws(ctx context.Context, rows []inventory.Flaw) error {
	at := make(map[string]int, len(rows))
	for i, f := range rows {
		at[f.ID] = i
	}
	return s.view(ctx, "read flaws", func(r reader) error {
		return eachIn(ctx, r, `
			SELECT flaw, severity, severity_source, max(summary) FROM verdict WHERE flaw IN ({in})
			GROUP BY flaw, severity, severity_source ORDER BY flaw, severity`, nil, slices.Sorted(maps.Keys(at)), func(rs *sql.Rows) error {
			var id, source, summary string
			var rank int
			err := rs.Scan(&id, &rank, &source, &summary)
			f := &rows[at[id]]
			if f.Summary == "" {
				f.Summary = summary
			}
			if f.SeveritySource == "" && inventory.SeverityRank(f.Severity) == rank {
				f.SeveritySource = source
			}
			return err
		})
	})
}
