package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// FeedState returns what was remembered of an advisory feed, the zero value if nothing was.
func (s *Store) FeedState(ctx context.Context, name string) (state inventory.FeedState, err error) {
	err = s.view(ctx, "read the state of feed "+name, func(r reader) error {
		return r.each(ctx, `SELECT body FROM feed_state WHERE name = ?`, []any{name}, func(rows *sql.Rows) error {
			state, err = scanFeedState(rows)
			return err
		})
	})
	return state, err
}

func scanFeedState(rows *sql.Rows, more ...any) (state inventory.FeedState, err error) {
	var body string
	if err := rows.Scan(append([]any{&body}, more...)...); err != nil {
		return state, err
	}
	if err := json.Unmarshal([]byte(body), &state); err != nil {
		return inventory.FeedState{}, nil //nolint:nilerr // a state that nobody can read means that the whole feed is read
	}
	return state, nil
}

// SaveFeedState remembers a feed until its next synchronisation.
func (s *Store) SaveFeedState(ctx context.Context, name string, state inventory.FeedState) error {
	body, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("encode the state of feed %s: %w", name, err)
	}
	return s.update(ctx, "save the state of feed "+name, func(tx *tx) error {
		return tx.exec(ctx, `INSERT INTO feed_state (name, body) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET body = excluded.body`,
			name, string(body))
	})
}

// FeedStates returns what is remembered of all feeds, by name.
func (s *Store) FeedStates(ctx context.Context) (all map[string]inventory.FeedState, err error) {
	err = s.view(ctx, "read the states of feeds", func(r reader) error {
		all, err = feedStates(ctx, r)
		return err
	})
	return all, err
}

func feedStates(ctx context.Context, r reader) (map[string]inventory.FeedState, error) {
	all := map[string]inventory.FeedState{}
	err := r.each(ctx, `SELECT body, name FROM feed_state`, nil, func(rows *sql.Rows) error {
		var name string
		state, err := scanFeedState(rows, &name)
		all[name] = state
		return err
	})
	return all, err
}

// Feeds returns the sources of advisories with when each was last taken in and how the
// last try went, the oldest first.
func (s *Store) Feeds(ctx context.Context) (all []inventory.Feed, err error) {
	err = s.view(ctx, "list the advisory feeds", func(r reader) error {
		all, err = s.feeds(ctx, r)
		return err
	})
	return all, err
}

func (s *Store) feeds(ctx context.Context, r reader) ([]inventory.Feed, error) {
	states, err := feedStates(ctx, r)
	if err != nil {
		return nil, err
	}
	all := []inventory.Feed{}
	err = r.each(ctx, `SELECT source, synced_at FROM feed`, nil, func(rows *sql.Rows) error {
		var name string
		var at int64
		err := rows.Scan(&name, &at)
		f := feedOf(name, states[name])
		f.Synced = fromMillis(at)
		delete(states, name)
		all = append(all, f)
		return err
	})
	for name, state := range states { // tried, and never taken in
		all = append(all, feedOf(name, state))
	}
	for i := range all {
		f := &all[i]
		if f.Synced.IsZero() {
			f.Stale = f.Status != inventory.FeedAbsent
			continue
		}
		age := max(0, s.nowMS()-millis(f.Synced)) / 1000
		f.AgeS, f.Stale = &age, age > int64(inventory.FeedStaleAfter.Seconds())
	}
	slices.SortFunc(all, func(a, b inventory.Feed) int { return cmp.Or(a.Synced.Compare(b.Synced), cmp.Compare(a.Name, b.Name)) })
	return all, err
}

// feedOf is what people should know of a state.
func feedOf(name string, state inventory.FeedState) inventory.Feed {
	f := inventory.Feed{
		Name: name, Source: state.SourceAddress, Malformed: state.Malformed,
		Status: state.Status, Tried: state.Tried, Problem: state.Problem, Remedy: state.Remedy,
	}
	if !state.Synchronised.IsZero() {
		f.Records = &state.Records
	}
	if !state.Newest.IsZero() {
		f.Newest = &state.Newest
	}
	return f
}

// HeldEcosystems returns the ecosystems, without their releases, that packages in the
// ledger are of: the feeds worth having.
func (s *Store) HeldEcosystems(ctx context.Context) ([]string, error) {
	all := []string{}
	err := s.view(ctx, "list the ecosystems of packages", func(r reader) error {
		return r.each(ctx, `SELECT DISTINCT ecosystem FROM package_key ORDER BY ecosystem`, nil, func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			all = append(all, name)
			return err
		})
	})
	return all, err
}
