package store

import (
	"context"
	"fmt"
)

// OpenLimited opens a SQLite store whose file may not grow beyond so many pages.
func OpenLimited(ctx context.Context, o Options, pages int) (*Store, error) {
	s, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	_, err = s.write.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return s, err
}
