package store

import (
	"strings"
	"time"
)

// past makes a query of tags speak of how they were at a time; nil = now. What a tag
// pointed to then is in its moves, unless it points there still.
type past struct{ at *time.Time }

// pastWhere keeps the tags that were there: those that moved since, and those that
// pointed to what they point to now.
const pastWhere = ` AND (m.id IS NOT NULL OR (t.since <= ? AND (t.gone = 0 OR t.gone > ?)))`

func (p past) tables(now string) string {
	if p.at == nil {
		return now
	}
	return strings.Replace(now, "tag t", "tag t LEFT JOIN tag_move m ON m.tag_id = t.id AND m.from_at <= ? AND m.to_at > ?", 1)
}

// args are those of tables.
func (p past) args() []any {
	if p.at == nil {
		return nil
	}
	return []any{millis(*p.at), millis(*p.at)}
}

func (p past) image() string {
	if p.at == nil {
		return "t.image_id"
	}
	return "COALESCE(m.image_id, t.image_id)"
}

func (p past) join() string { return strings.Replace(tagJoin, "t.image_id", p.image(), 1) }

// columns leave out what a tag says of the push that came later.
func (p past) columns() string {
	if p.at == nil {
		return tagColumns
	}
	return strings.NewReplacer(
		"t.pushed, t.first_seen, t.last_seen", "CASE WHEN m.id IS NOT NULL THEN 0 ELSE t.pushed END, t.first_seen, COALESCE(m.to_at, t.last_seen)",
	).Replace(tagColumns)
}
