package store

import (
	"context"
	"database/sql"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const exportStep = 500 // rows read at a time, so that an export holds nobody up

// EachAdvisory gives every record as it came, withdrawn ones too, in the order of ids.
func (s *Store) EachAdvisory(ctx context.Context, do func(raw []byte) error) error {
	after := ""
	for {
		var page [][]byte
		err := s.view(ctx, "export advisories", func(r reader) error {
			return r.each(ctx, `SELECT a.name, w.raw FROM advisory a JOIN advisory_raw w ON w.advisory_id = a.id
				WHERE a.name > ? ORDER BY a.name LIMIT ?`, []any{after, exportStep}, func(rows *sql.Rows) error {
				var packed []byte
				if err := rows.Scan(&after, &packed); err != nil {
					return err
				}
				raw, err := unpack(packed)
				page = append(page, raw)
				return err
			})
		})
		if err != nil {
			return err
		}
		for _, raw := range page {
			if err := do(raw); err != nil {
				return err
			}
		}
		if len(page) < exportStep {
			return nil
		}
	}
}

// EachEPSS gives every exploit prediction score, in the order of CVE ids.
func (s *Store) EachEPSS(ctx context.Context, do func(inventory.EPSS) error) error {
	after := ""
	for {
		var page []inventory.EPSS
		err := s.view(ctx, "export exploit predictions", func(r reader) error {
			return r.each(ctx, `SELECT cve, score, percentile FROM epss WHERE cve > ? ORDER BY cve LIMIT ?`, []any{after, 10 * exportStep},
				func(rows *sql.Rows) error {
					var e inventory.EPSS
					err := rows.Scan(&e.CVE, &e.Score, &e.Percentile)
					page = append(page, e)
					return err
				})
		})
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := do(e); err != nil {
				return err
			}
			after = e.CVE
		}
		if len(page) < 10*exportStep {
			return nil
		}
	}
}

// AllKEV returns CISA's catalogue, in the order of CVE ids.
func (s *Store) AllKEV(ctx context.Context) ([]inventory.KEV, error) {
	all := []inventory.KEV{}
	err := s.view(ctx, "export known exploited vulnerabilities", func(r reader) error {
		return r.each(ctx, `SELECT cve, added, due FROM kev ORDER BY cve`, nil, func(rows *sql.Rows) error {
			var k inventory.KEV
			var added, due int64
			err := rows.Scan(&k.CVE, &added, &due)
			k.Added, k.Due = timeOf(added), timeOf(due)
			all = append(all, k)
			return err
		})
	})
	return all, err
}
