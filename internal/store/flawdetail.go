package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Flaw returns what is known of one flaw, which may be named by an alias or an advisory.
func (s *Store) Flaw(ctx context.Context, id string) (d inventory.FlawDetail, err error) {
	c, err := s.census(ctx)
	if err != nil {
		return d, err
	}
	err = s.view(ctx, "read flaw "+id, func(r reader) error {
		id, err = flawNamed(ctx, r, id)
		if err != nil {
			return err
		}
		d.ID = id
		if f := c.byFlaw[id]; f != nil {
			d.Flaw = f.Flaw
		}
		if err := flawVerdicts(ctx, r, c, &d); err != nil {
			return err
		}
		if err := flawScores(ctx, r, &d); err != nil {
			return err
		}
		return flawWords(ctx, r, &d)
	})
	return d, err
}

// flawNamed finds the id under which verdicts are kept.
func flawNamed(ctx context.Context, r reader, name string) (string, error) {
	id := ""
	for _, question := range []string{
		`SELECT flaw FROM verdict WHERE flaw = ? LIMIT 1`, `SELECT name FROM advisory WHERE name = ?`,
	} {
		err := r.each(ctx, question, []any{name}, func(rows *sql.Rows) error { return rows.Scan(&id) })
		if err != nil || id != "" {
			return id, err
		}
	}
	return "", inventory.Errorf(inventory.ErrNotFound, "no image has %.80s, and no advisory of that name is here", name).
		WithRemedy("a flaw that no advisory names is unknown, not absent: see when the advisories were imported")
}

func flawVerdicts(ctx context.Context, r reader, c *census, d *inventory.FlawDetail) error {
	n := c.counter()
	advisories := map[string]bool{}
	type row struct {
		id int64
		k  kept
	}
	var rows []row
	err := r.each(ctx, `SELECT `+verdictColumns+` FROM verdict v WHERE v.flaw = ?`, []any{d.ID}, func(rs *sql.Rows) error {
		id, k, err := scanVerdict(rs)
		rows = append(rows, row{id, k})
		return err
	})
	if err != nil {
		return err
	}
	ids := make([]int64, len(rows))
	for i, one := range rows {
		ids[i] = one.id
	}
	packages, err := packagesByID(ctx, r, ids)
	if err != nil {
		return err
	}
	for _, one := range rows {
		k := one.k
		p := inventory.FlawPackage{
			Package: packages[one.id], Severity: k.Severity, SeveritySource: k.SeveritySource, Fixed: k.Fixed, FirstSeen: timeOf(k.firstSeen),
			Advisory: inventory.AdvisoryRef{ID: k.AdvisoryID, Modified: k.Modified}, Why: inventory.Why{Range: k.Range, Comparator: k.Comparator},
		}
		if k.CVSSVector != "" || k.CVSSScore != 0 {
			p.CVSS = &inventory.CVSS{Vector: k.CVSSVector, Score: k.CVSSScore}
		}
		p.Images, _ = n.count(c.where[one.id])
		d.Affected = append(d.Affected, p)
		advisories[k.AdvisoryID] = true
		d.Aliases = append(d.Aliases, k.Aliases...)
		if d.Severity == "" || inventory.SeverityRank(k.Severity) < inventory.SeverityRank(d.Severity) || d.SeveritySource == "" && k.Severity == d.Severity {
			d.Severity, d.SeveritySource = k.Severity, k.SeveritySource
		}
		if d.Summary == "" {
			d.Summary = k.Summary
		}
		if p.CVSS != nil && (d.CVSS == nil || d.CVSS.Vector == "" || p.CVSS.Score > d.CVSS.Score) {
			d.CVSS = p.CVSS
		}
	}
	slices.SortFunc(d.Affected, func(a, b inventory.FlawPackage) int {
		return cmp.Or(cmp.Compare(b.Images, a.Images), cmp.Compare(a.Name, b.Name), cmp.Compare(a.PURL, b.PURL))
	})
	d.Aliases = append(d.Aliases, slices.Sorted(maps.Keys(advisories))...)
	return nil
}

func flawScores(ctx context.Context, r reader, d *inventory.FlawDetail) error {
	err := r.each(ctx, `SELECT score, percentile FROM epss WHERE cve = ?`, []any{d.ID}, func(rows *sql.Rows) error {
		d.EPSS = &inventory.EPSS{CVE: d.ID}
		return rows.Scan(&d.EPSS.Score, &d.EPSS.Percentile)
	})
	if err != nil {
		return err
	}
	return r.each(ctx, `SELECT added, due FROM kev WHERE cve = ?`, []any{d.ID}, func(rows *sql.Rows) error {
		var added, due int64
		err := rows.Scan(&added, &due)
		d.KEV, d.KEVAdded, d.KEVDue = true, timeOf(added), timeOf(due)
		return err
	})
}

// flawWords adds what the advisories say, the one that is named like the flaw first.
func flawWords(ctx context.Context, r reader, d *inventory.FlawDetail) error {
	slices.Sort(d.Aliases)
	d.Aliases = slices.Compact(d.Aliases)
	names := append([]string{d.ID}, d.Aliases...)
	found := map[string]inventory.Advisory{}
	err := eachIn(ctx, r, `SELECT name, parsed FROM advisory WHERE name IN ({in})`, nil, names, func(rows *sql.Rows) error {
		var name string
		var packed []byte
		if err := rows.Scan(&name, &packed); err != nil {
			return err
		}
		var adv inventory.Advisory
		err := unpackJSON(packed, &adv)
		found[name] = adv
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		adv, ok := found[name]
		if !ok {
			continue
		}
		d.Aliases = append(append(d.Aliases, adv.Aliases...), adv.Upstream...)
		d.Links = append(d.Links, adv.Links...)
		if len(adv.Details) > len(d.Details) {
			d.Details = adv.Details
		}
		if d.Summary == "" {
			d.Summary = adv.Summary
		}
		if adv.Published != nil && (d.Published == nil || adv.Published.Before(*d.Published)) {
			d.Published = adv.Published
		}
		if at := adv.Modified; !at.IsZero() && (d.Modified == nil || at.After(*d.Modified)) {
			d.Modified = &at
		}
	}
	slices.Sort(d.Aliases)
	d.Aliases = slices.DeleteFunc(slices.Compact(d.Aliases), func(s string) bool { return s == d.ID })
	slices.Sort(d.Links)
	d.Links = slices.Compact(d.Links)
	return nil
}
