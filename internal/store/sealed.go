package store

import "context"

// HasSealed tells whether the database keeps anything that only its key opens. It needs
// no key itself, and makes the tables if there are none.
func HasSealed(ctx context.Context, o Options) (is bool, err error) {
	s, err := Open(ctx, o)
	if err != nil {
		return false, err
	}
	defer s.Close() //nolint:errcheck // it was only read
	err = s.view(ctx, "look for sealed secrets", func(r reader) error {
		var n int
		err := r.row(ctx, `SELECT (SELECT count(*) FROM integration WHERE length(password) > 0 OR length(webhook) > 0)
			+ (SELECT count(*) FROM notify_channel WHERE length(address) > 0 OR length(secret) > 0)`).Scan(&n)
		is = n > 0
		return err
	})
	return is, err
}
