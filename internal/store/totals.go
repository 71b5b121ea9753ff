package store

import (
	"context"
	"fmt"
	"sync"
)

// totals remembers what counting all tags found, until the fleet changes: a page is asked
// for again far more often than that, and its total costs more than its rows.
type totals struct {
	mu    sync.Mutex
	at    [2]int64
	found map[string]any
}

// mostTotals is how many answers are remembered.
const mostTotals = 1000

// remembered answers a question of which the answer hangs on tags and on what is known of
// images alone.
func remembered[T any](ctx context.Context, s *Store, r reader, question string, args []any, count func() (T, error)) (T, error) {
	// What is committed late has a number among the last.
	var at [2]int64
	err := r.row(ctx, `SELECT m, (SELECT count(*) FROM fleet_log WHERE seq > m - 1000) FROM (SELECT COALESCE(max(seq), 0) AS m FROM fleet_log) x`).Scan(&at[0], &at[1])
	if err != nil {
		var none T
		return none, err
	}
	key := fmt.Sprintf("%s %#v", question, args) // %q takes every large number for the same
	t := &s.totals
	t.mu.Lock()
	if t.at == at {
		if known, ok := t.found[key].(T); ok {
			t.mu.Unlock()
			return known, nil
		}
	}
	t.mu.Unlock()
	n, err := count()
	if err != nil {
		return n, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at != at || len(t.found) >= mostTotals {
		t.at, t.found = at, map[string]any{}
	}
	t.found[key] = n
	return n, nil
}
