package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// replaced stands for a secret in the log of changes.
const replaced = "(replaced)"

// note records, in the transaction that makes a change, that the actor of ctx made it.
// before and after are the thing as it is shown, nil when there is none; only what
// differs is kept. secrets names those that were replaced. Nobody in the context means
// that Tallyman itself is at work, which events and states tell of.
func (t *tx) note(ctx context.Context, at int64, action, subject string, before, after any, secrets ...string) error {
	actor := inventory.ActorOf(ctx)
	if actor == nil {
		return nil
	}
	was, is, err := differing(before, after)
	if err != nil {
		return fmt.Errorf("note %s: %w", action, err)
	}
	for _, name := range secrets {
		is[name] = replaced
	}
	wasText, err := json.Marshal(was)
	if err != nil {
		return fmt.Errorf("note %s: %w", action, err)
	}
	isText, err := json.Marshal(is)
	if err != nil {
		return fmt.Errorf("note %s: %w", action, err)
	}
	actor.Note()
	return t.exec(ctx, `INSERT INTO audit (at, actor, via, address, action, subject, before, after) VALUES (?,?,?,?,?,?,?,?)`,
		at, actor.Name, actor.Via, actor.Address, action, subject, string(wasText), string(isText))
}

// differing is what two states of a thing do not share, field by field as in JSON.
func differing(before, after any) (was, is map[string]any, err error) {
	if was, err = fieldsOf(before); err != nil {
		return nil, nil, err
	}
	if is, err = fieldsOf(after); err != nil {
		return nil, nil, err
	}
	for name, old := range was {
		if now, both := is[name]; both && reflect.DeepEqual(old, now) {
			delete(was, name)
			delete(is, name)
		}
	}
	return was, is, nil
}

func fieldsOf(v any) (map[string]any, error) {
	fields := map[string]any{}
	if v == nil {
		return fields, nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return fields, json.Unmarshal(text, &fields)
}

// Audit records what the actor of ctx did where no change of the ledger tells it, such
// as a test of a connection.
func (s *Store) Audit(ctx context.Context, action, subject string, what any) error {
	return s.update(ctx, "note "+action, func(tx *tx) error {
		return tx.note(ctx, s.nowMS(), action, subject, nil, what)
	})
}

// AuditLog returns a page of the log of changes, the newest first.
func (s *Store) AuditLog(ctx context.Context, f inventory.AuditFilter) (page inventory.AuditPage, err error) {
	where, args := `1 = 1`, []any{}
	add := func(condition string, arg any) {
		where += ` AND ` + condition
		args = append(args, arg)
	}
	if f.Actor != "" {
		add(`actor = ?`, f.Actor)
	}
	if f.Subject != "" {
		add(`subject = ?`, f.Subject)
	}
	if f.Action != "" {
		add(`substr(action, 1, `+fmt.Sprint(len([]rune(f.Action)))+`) = ?`, f.Action)
	}
	if f.After > 0 {
		add(`id < ?`, f.After)
	}
	limit := f.Limit
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	page.Entries = []inventory.AuditEntry{}
	err = s.view(ctx, "read the log of changes", func(r reader) error {
		query := `SELECT id, at, actor, via, address, action, subject, before, after FROM audit WHERE ` + where + ` ORDER BY id DESC LIMIT ` + fmt.Sprint(limit+1)
		return r.each(ctx, query, args, func(rows *sql.Rows) error {
			e, err := scanAudit(rows)
			page.Entries = append(page.Entries, e)
			return err
		})
	})
	if len(page.Entries) > limit {
		page.Entries = page.Entries[:limit]
		page.Next = page.Entries[limit-1].ID
	}
	return page, err
}

func scanAudit(rows *sql.Rows) (e inventory.AuditEntry, err error) {
	var at int64
	var before, after string
	if err := rows.Scan(&e.ID, &at, &e.Actor, &e.Via, &e.Address, &e.Action, &e.Subject, &before, &after); err != nil {
		return e, err
	}
	e.At = fromMillis(at)
	if err := json.Unmarshal([]byte(before), &e.Before); err != nil {
		return e, fmt.Errorf("entry %d of the log of changes: %w", e.ID, err)
	}
	if err := json.Unmarshal([]byte(after), &e.After); err != nil {
		return e, fmt.Errorf("entry %d of the log of changes: %w", e.ID, err)
	}
	return e, nil
}
