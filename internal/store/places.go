package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Places returns every tag that points to a digest, or pointed to it, at most limit:
// those that still do first, then the newest. An image that was promoted is in two.
func (s *Store) Places(ctx context.Context, d string, limit int) (all []inventory.Place, err error) {
	all = []inventory.Place{}
	err = s.view(ctx, "find the places of "+d, func(r reader) error {
		return r.each(ctx, `
			SELECT n.name, n.registry, n.subdomain_mode, r.key, r.image, x.name, x.from_at, x.to_at FROM (
				SELECT t.repository_id, t.name, t.since AS from_at, t.gone AS to_at FROM tag t JOIN image i ON i.id = t.image_id WHERE i.digest = ?
				UNION ALL
				SELECT t.repository_id, t.name, m.from_at, m.to_at FROM tag_move m JOIN tag t ON t.id = m.tag_id JOIN image i ON i.id = m.image_id WHERE i.digest = ?
			) x JOIN repository r ON r.id = x.repository_id JOIN integration n ON n.id = r.integration_id
			ORDER BY CASE WHEN x.to_at = 0 THEN 0 ELSE 1 END, x.from_at DESC, r.key, r.image, x.name LIMIT ?`,
			[]any{digest(d), digest(d), limit}, func(rows *sql.Rows) error {
				var p inventory.Place
				var registry string
				var subdomain int
				var from, to int64
				err := rows.Scan(&p.Integration, &registry, &subdomain, &p.Key, &p.Image, &p.Tag, &from, &to)
				p.Reference = repositoryReference(registry, subdomain != 0, p.Repository) + ":" + p.Tag
				p.From, p.To = fromMillis(from), timeOf(to)
				all = append(all, p)
				return err
			})
	})
	return all, err
}

// TagCounts counts, for each severity, the tags of a filter that have a finding of it,
// and those that have one with a fix; whatever severity the filter asks for. One
// question for all ten.
func (s *Store) TagCounts(ctx context.Context, f inventory.TagFilter) (c inventory.Counts, err error) {
	f.Severity = ""
	where, args, err := tagWhere(f)
	if err != nil {
		return c, err
	}
	err = s.view(ctx, "count tags by severity", func(r reader) error {
		question := fmt.Sprint("severities ", f.Fixable, where)
		c, err = remembered(ctx, s, r, question, args, func() (inventory.Counts, error) { return tagCounts(ctx, r, f.Fixable, where, args) })
		return err
	})
	return c, err
}

func tagCounts(ctx context.Context, r reader, fixable bool, where string, args []any) (c inventory.Counts, err error) {
	const some = `, COALESCE(sum(CASE WHEN i.`
	question := `SELECT count(*)`
	for _, severity := range inventory.Severities {
		question += some + severity + ` > 0 THEN 1 END), 0)` + some + `fix_` + severity + ` > 0 THEN 1 END), 0)`
	}
	question += ` FROM integration n CROSS JOIN repository r CROSS JOIN tag t CROSS JOIN image i
		WHERE r.integration_id = n.id AND t.repository_id = r.id AND i.id = t.image_id AND i.state = '` + inventory.StateAnalysed + `'`
	fix, all := &c.FixableBy, 0
	err = r.row(ctx, question+where, args...).Scan(&all, &c.Critical, &fix[0], &c.High, &fix[1], &c.Medium, &fix[2], &c.Low, &fix[3], &c.Unspecified, &fix[4])
	if fixable {
		c.Critical, c.High, c.Medium, c.Low, c.Unspecified = fix[0], fix[1], fix[2], fix[3], fix[4]
	}
	for _, n := range fix {
		c.Fixable += n
	}
	return c, err
}
