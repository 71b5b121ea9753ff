package store

import (
	"context"
	"encoding/hex"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// saveFiles records which files that were read a stack has and its parent has not, and
// the other way round.
func (sv *saver) saveFiles(ctx context.Context, chain int64, rec inventory.ChainRecord) error {
	var rows [][]any
	for removed, list := range [...][]inventory.File{rec.Files, rec.FilesGone} {
		for _, f := range list {
			raw, err := hex.DecodeString(f.SHA256)
			if err != nil || len(raw) != 32 {
				return inventory.Errorf(inventory.ErrInvalid, "file %.200q has no SHA-256", f.Path)
			}
			rows = append(rows, []any{raw, chain, f.Path, removed})
		}
	}
	return sv.tx.insert(ctx, `INSERT INTO chain_file (sha256, chain_id, path, removed)`, `ON CONFLICT DO NOTHING`, rows)
}
