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

// lookedThrough is how many of the newest events are looked through for those of a kind.
const lookedThrough = 20_000

// Happened returns the newest events that tell something of flaws, the newest first.
func (s *Store) Happened(ctx context.Context, limit int) ([]inventory.FleetEvent, error) {
	all := []inventory.FleetEvent{}
	err := s.view(ctx, "list what happened", func(r reader) error {
		return r.each(ctx, `
			SELECT kind, at, body FROM event WHERE id > (SELECT COALESCE(max(id), 0) FROM event) - ? AND kind IN (?,?,?,?,?)
			ORDER BY id DESC LIMIT ?`, []any{
			lookedThrough, EventFindingAppeared, EventBecameFixable, EventSeverityChanged, EventWithdrawn, EventEnteredKEV, limit,
		}, collectEvents(&all))
	})
	return all, err
}

// HappenedTo returns the newest events of images, by digest, and of findings in them,
// the newest first.
func (s *Store) HappenedTo(ctx context.Context, digests []string, findings []inventory.Finding, limit int) ([]inventory.FleetEvent, error) {
	all := []inventory.FleetEvent{}
	subjects := make([]string, 0, 2*len(findings)+len(digests))
	for _, f := range findings {
		subjects = append(subjects, f.ID+"|"+f.PURL, f.ID+"|"+f.PURL+"|"+f.Severity)
	}
	slices.Sort(subjects)
	subjects = slices.Compact(subjects)
	err := s.view(ctx, "list what happened to an image", func(r reader) error {
		err := eachIn(ctx, r, `SELECT kind, at, body FROM event WHERE kind IN (?,?,?) AND subject IN ({in})`,
			[]any{EventFindingAppeared, EventBecameFixable, EventSeverityChanged}, subjects, collectEvents(&all))
		if err != nil {
			return err
		}
		return eachIn(ctx, r, `SELECT kind, at, body FROM event WHERE kind IN (?,?) AND subject IN ({in})`,
			[]any{EventImageIndexed, EventImageFailed}, digests, collectEvents(&all))
	})
	slices.SortStableFunc(all, func(a, b inventory.FleetEvent) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Flaw, a.Flaw)) })
	return all[:min(len(all), limit)], err
}

func collectEvents(into *[]inventory.FleetEvent) func(rows *sql.Rows) error {
	return func(rows *sql.Rows) error {
		var e inventory.FleetEvent
		var at int64
		var text string
		if err := rows.Scan(&e.Kind, &at, &text); err != nil {
			return err
		}
		var body EventBody
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			return fmt.Errorf("decode an event: %w", err)
		}
		e.At = fromMillis(at)
		e.Reference, e.Digest, e.Flaw, e.PURL = body.Reference, body.Digest, body.Flaw, body.PURL
		e.Severity, e.Was, e.Problem, e.Advisory = body.Severity, body.Was, body.Problem, body.Advisory
		*into = append(*into, e)
		return nil
	}
}
