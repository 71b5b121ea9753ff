package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// Kinds of event.
const (
	EventTagMoved          = "tag_moved"
	EventTagGone           = "tag_gone"
	EventImageIndexed      = "image_indexed"
	EventImageFailed       = "image_failed"
	EventFindingAppeared   = "finding_appeared" // an advisory hits a package that was known before
	EventSeverityChanged   = "severity_changed"
	EventBecameFixable     = "became_fixable"
	EventWithdrawn         = "finding_withdrawn"
	EventEnteredKEV        = "entered_kev" // a flaw of the fleet is known to be exploited
	EventIntegrationBroken = "integration_broken"
	EventFeedStale         = "feed_stale"
	EventWatchHit          = "watch_hit" // a later image has what a saved question asks for
)

// EventBody is what an event says besides its kind.
type EventBody struct {
	Reference string `json:"reference,omitempty"`
	Digest    string `json:"digest,omitempty"`
	Problem   string `json:"problem,omitempty"`
	Flaw      string `json:"id,omitempty"`
	Advisory  string `json:"advisory,omitempty"`
	PURL      string `json:"purl,omitempty"`
	Severity  string `json:"severity,omitempty"`
	Was       string `json:"was,omitempty"` // the severity before
	Remedy    string `json:"remedy,omitempty"`
	Watch     string `json:"watch,omitempty"` // name of a saved question
	Query     string `json:"query,omitempty"` // and what it asks
}

// Event is something that changed. Each is recorded once.
type Event struct {
	ID          int64     `json:"id"`
	Kind        string    `json:"kind"`
	At          time.Time `json:"at"`
	Integration int64     `json:"-"` // 0 = none in particular
	EventBody
}

type event struct {
	kind, subject string
	at            int64
	integration   int64
	body          EventBody
}

// addEvent records events that were not recorded yet, and the jobs that tell people.
func addEvent(ctx context.Context, tx *tx, events ...event) error {
	news, err := listen(ctx, tx, time.Now(), events)
	if err != nil {
		return err
	}
	rows := make([][]any, 0, len(events))
	for _, e := range events {
		body, err := json.Marshal(e.body)
		if err != nil {
			return fmt.Errorf("encode event %s: %w", e.kind, err)
		}
		rows = append(rows, []any{e.kind, e.subject, e.at, e.integration, string(body), flag(!news[e.kind])})
	}
	return tx.insert(ctx, `INSERT INTO event (kind, subject, at, integration_id, body, told)`, `ON CONFLICT (kind, subject) DO NOTHING`, rows)
}

// Events returns events after an id, in the order they were recorded; limit is at most 10,000.
func (s *Store) Events(ctx context.Context, after int64, limit int) ([]Event, error) {
	events := []Event{}
	err := s.view(ctx, "list events", func(r reader) error {
		return r.each(ctx, `SELECT id, kind, at, integration_id, body FROM event WHERE id > ? ORDER BY id LIMIT ?`,
			[]any{after, min(max(limit, 1), 10000)}, func(rows *sql.Rows) error {
				var e Event
				var at int64
				var body string
				if err := rows.Scan(&e.ID, &e.Kind, &at, &e.Integration, &body); err != nil {
					return err
				}
				e.At = fromMillis(at)
				if err := json.Unmarshal([]byte(body), &e.EventBody); err != nil {
					return fmt.Errorf("decode event %d: %w", e.ID, err)
				}
				events = append(events, e)
				return nil
			})
	})
	return events, err
}
