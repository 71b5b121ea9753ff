package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func repositoryKeys(ctx context.Context, r reader, id int64) ([]inventory.RepositoryKey, error) {
	keys := []inventory.RepositoryKey{}
	err := r.each(ctx, `SELECT body FROM repository_key WHERE integration_id = ? ORDER BY key`, []any{id}, func(rows *sql.Rows) error {
		var body string
		if err := rows.Scan(&body); err != nil {
			return err
		}
		var key inventory.RepositoryKey
		if err := json.Unmarshal([]byte(body), &key); err != nil {
			return fmt.Errorf("decode a repository key: %w", err)
		}
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

// SaveKeys replaces what is known of an integration's repository keys. One that comes
// without a count of tags was tested, not listed, and keeps the count it had; its bytes
// are summed anew from the ledger.
func (s *Store) SaveKeys(ctx context.Context, id int64, keys []inventory.RepositoryKey) error {
	old, bytes, err := s.keyFigures(ctx, id)
	if err != nil {
		return err
	}
	rows := make([][]any, 0, len(keys))
	seen := map[string]bool{}
	for _, key := range keys {
		if seen[key.Key] {
			continue
		}
		seen[key.Key] = true
		if key.Tags == nil {
			key.Tags = old[key.Key]
		}
		key.Bytes = bytes[key.Key]
		body, err := json.Marshal(key)
		if err != nil {
			return fmt.Errorf("encode repository key %s: %w", key.Key, err)
		}
		rows = append(rows, []any{id, key.Key, string(body)})
	}
	return s.update(ctx, fmt.Sprintf("save the repository keys of integration %d", id), func(tx *tx) error {
		if err := tx.lock(ctx, lockIntegration, id); err != nil {
			return err
		}
		if err := tx.exec(ctx, `DELETE FROM repository_key WHERE integration_id = ?`, id); err != nil {
			return err
		}
		return tx.insert(ctx, `INSERT INTO repository_key (integration_id, key, body)`, "", rows)
	})
}

// analysedSizes are the images of the tags that exist, those that an index lists too,
// each once for each key.
const analysedSizes = `
	SELECT key, CAST(sum(size) AS BIGINT) FROM (
		SELECT r.key, i.id, i.size FROM repository r JOIN tag t ON t.repository_id = r.id JOIN image i ON i.id = t.image_id
		WHERE r.integration_id = ? AND t.gone = 0 AND i.state = 'analysed' AND i.kind = 'image'
		UNION
		SELECT r.key, i.id, i.size FROM repository r JOIN tag t ON t.repository_id = r.id
			JOIN index_member m ON m.index_id = t.image_id JOIN image i ON i.digest = m.digest
		WHERE r.integration_id = ? AND t.gone = 0 AND i.state = 'analysed' AND i.kind = 'image'
	) x GROUP BY key`

// keyFigures are the tags that each key of an integration had when it was saved last, and
// the bytes of what is analysed of it now.
func (s *Store) keyFigures(ctx context.Context, id int64) (tags map[string]*int, bytes map[string]int64, err error) {
	tags, bytes = map[string]*int{}, map[string]int64{}
	err = s.view(ctx, fmt.Sprintf("sum up the repository keys of integration %d", id), func(r reader) error {
		keys, err := repositoryKeys(ctx, r, id)
		if err != nil {
			return err
		}
		for _, k := range keys {
			tags[k.Key] = k.Tags
		}
		return r.each(ctx, analysedSizes, []any{id, id}, func(rows *sql.Rows) error {
			var key string
			var n int64
			err := rows.Scan(&key, &n)
			bytes[key] = n
			return err
		})
	})
	return tags, bytes, err
}
