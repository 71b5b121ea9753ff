package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TrendEvery is how often a point of the fleet's history is recorded.
const TrendEvery = 5 * time.Minute

const day = 24 * time.Hour

// trendAges says how points are thinned: what is older than age keeps one a slot.
func trendAges() [2]struct{ age, slot time.Duration } {
	return [2]struct{ age, slot time.Duration }{{2 * day, time.Hour}, {90 * day, day}}
}

// RecordTrend records what the fleet has now, unless another process just did, and
// thins what is old.
func (s *Store) RecordTrend(ctx context.Context) error {
	now, err := s.trendNow(ctx)
	if err != nil {
		return err
	}
	return s.update(ctx, "record the history of the fleet", func(tx *tx) error {
		if err := tx.lock(ctx, lockTrend, 0); err != nil {
			return err
		}
		last, at, err := lastTrend(ctx, tx.reader)
		if err != nil || now.At.Sub(at) < TrendEvery/2 {
			return err
		}
		newest, err := newsSince(ctx, tx.reader, last, at, &now.TrendNews)
		if err != nil {
			return err
		}
		body, err := json.Marshal(now)
		if err != nil {
			return fmt.Errorf("encode a point of history: %w", err)
		}
		if err := tx.exec(ctx, `INSERT INTO trend (at, last_event, body) VALUES (?,?,?)`, now.At.UnixMilli(), newest, string(body)); err != nil {
			return err
		}
		for _, old := range trendAges() {
			if err := thinTrend(ctx, tx, now.At.Add(-old.age), old.slot); err != nil {
				return err
			}
		}
		return nil
	})
}

// Trend returns the points of history from a time on, the oldest first, and what the
// fleet has now as the last.
func (s *Store) Trend(ctx context.Context, since time.Time) ([]inventory.TrendPoint, error) {
	now, err := s.trendNow(ctx)
	if err != nil {
		return nil, err
	}
	all := []inventory.TrendPoint{}
	err = s.view(ctx, "read the history of the fleet", func(r reader) error {
		err := r.each(ctx, `SELECT body FROM trend WHERE at >= ? ORDER BY at`, []any{since.UnixMilli()}, func(rows *sql.Rows) error {
			p, err := trendPoint(rows)
			all = append(all, p)
			return err
		})
		if err != nil {
			return err
		}
		last, at, err := lastTrend(ctx, r)
		if err != nil {
			return err
		}
		_, err = newsSince(ctx, r, last, at, &now.TrendNews)
		return err
	})
	return append(all, now), err
}

// trendNow is what the fleet has, without what happened before.
func (s *Store) trendNow(ctx context.Context) (p inventory.TrendPoint, err error) {
	p.At = fromMillis(s.nowMS())
	flaws, err := s.FleetFlaws(ctx, inventory.FlawFilter{Limit: 1})
	if err != nil {
		return p, err
	}
	p.Counts, p.FixableBy, p.KEV = flaws.Severity, flaws.Severity.FixableBy, flaws.KEV
	err = s.view(ctx, "count tags", func(r reader) error {
		return r.row(ctx, `SELECT count(*), COALESCE(sum(CASE WHEN i.state = ? THEN 1 ELSE 0 END), 0)
			FROM tag t JOIN image i ON i.id = t.image_id WHERE t.gone = 0`, inventory.StateAnalysed).Scan(&p.Tags, &p.Analysed)
	})
	return p, err
}

func lastTrend(ctx context.Context, r reader) (event int64, at time.Time, err error) {
	var ms int64
	err = r.each(ctx, `SELECT at, last_event FROM trend ORDER BY at DESC LIMIT 1`, nil, func(rows *sql.Rows) error {
		return rows.Scan(&ms, &event)
	})
	if ms > 0 {
		at = fromMillis(ms)
	}
	return event, at, err
}

// newsSince counts what happened after an event and a time; before the first point
// there is nothing to tell it from.
func newsSince(ctx context.Context, r reader, last int64, at time.Time, into *inventory.TrendNews) (newest int64, err error) {
	into.Advisories = []string{}
	if at.IsZero() {
		err := r.row(ctx, `SELECT COALESCE(max(id), 0) FROM event`).Scan(&newest)
		return newest, err
	}
	newest = last
	err = r.each(ctx, `SELECT kind, count(*), max(id) FROM event WHERE id > ? GROUP BY kind`, []any{last}, func(rows *sql.Rows) error {
		var kind string
		var n int
		var id int64
		err := rows.Scan(&kind, &n, &id)
		newest = max(newest, id)
		if counter := map[string]*int{
			EventFindingAppeared: &into.Appeared, EventBecameFixable: &into.Fixed, EventWithdrawn: &into.Withdrawn,
			EventEnteredKEV: &into.Exploited, EventImageIndexed: &into.Indexed,
		}[kind]; counter != nil {
			*counter = n
		}
		return err
	})
	if err != nil {
		return newest, err
	}
	return newest, r.each(ctx, `SELECT source FROM feed WHERE synced_at > ? ORDER BY source`, []any{at.UnixMilli()}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		into.Advisories = append(into.Advisories, name)
		return err
	})
}

func trendPoint(rows *sql.Rows) (p inventory.TrendPoint, err error) {
	var body string
	if err := rows.Scan(&body); err != nil {
		return p, err
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		return p, fmt.Errorf("decode a point of history: %w", err)
	}
	p.Counts.FixableBy = p.FixableBy
	return p, nil
}

// thinTrend keeps the last point of each slot before a time; what happened before it in
// the slot is added to it.
func thinTrend(ctx context.Context, tx *tx, before time.Time, slot time.Duration) error {
	var slots []int64
	width := slot.Milliseconds()
	err := tx.each(ctx, `SELECT at / ? FROM trend WHERE at < ? GROUP BY 1 HAVING count(*) > 1`, []any{width, before.UnixMilli()}, func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		slots = append(slots, n)
		return err
	})
	if err != nil {
		return err
	}
	for _, n := range slots {
		if err := mergeTrend(ctx, tx, n*width, min((n+1)*width, before.UnixMilli())); err != nil {
			return err
		}
	}
	return nil
}

func mergeTrend(ctx context.Context, tx *tx, from, to int64) error {
	var sum inventory.TrendNews
	var last inventory.TrendPoint
	err := tx.each(ctx, `SELECT body FROM trend WHERE at >= ? AND at < ? ORDER BY at`, []any{from, to}, func(rows *sql.Rows) (err error) {
		last, err = trendPoint(rows)
		sum = sum.Plus(last.TrendNews)
		return err
	})
	if err != nil {
		return err
	}
	last.TrendNews = sum
	body, err := json.Marshal(last)
	if err != nil {
		return fmt.Errorf("encode a point of history: %w", err)
	}
	if err := tx.exec(ctx, `DELETE FROM trend WHERE at >= ? AND at < ? AND at < ?`, from, to, last.At.UnixMilli()); err != nil {
		return err
	}
	return tx.exec(ctx, `UPDATE trend SET body = ? WHERE at = ?`, string(body), last.At.UnixMilli())
}
