package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// SessionTime is how long a session lasts.
const SessionTime = 7 * 24 * time.Hour

const maxAgent = 200

func (s *Store) openSession(ctx context.Context, tx *tx, accountID int64, from inventory.Visitor) (string, error) {
	secret, err := newSecret("")
	if err != nil {
		return "", err
	}
	now := s.now()
	if err := tx.exec(ctx, `DELETE FROM session WHERE expires <= ?`, millis(now)); err != nil {
		return "", err
	}
	if err := tx.exec(ctx, `UPDATE account SET last_signin = ? WHERE id = ?`, millis(now), accountID); err != nil {
		return "", err
	}
	if r := []rune(from.Agent); len(r) > maxAgent {
		from.Agent = string(r[:maxAgent])
	}
	return secret, tx.exec(ctx, `INSERT INTO session (hash, account_id, created, last_used, expires, address, agent) VALUES (?,?,?,?,?,?,?)`,
		hashOf(secret), accountID, millis(now), millis(now), millis(now.Add(SessionTime)), from.Address, inventory.Printable(from.Agent))
}

// Session returns who a session's secret belongs to, and notes its use to the minute;
// ErrUnauthorized when it ended.
func (s *Store) Session(ctx context.Context, secret string) (user inventory.User, err error) {
	var used int64
	now := s.nowMS()
	err = s.view(ctx, "read a session", func(r reader) error {
		return r.row(ctx, `SELECT a.name, a.role, s.last_used FROM session s JOIN account a ON a.id = s.account_id WHERE s.hash = ? AND s.expires > ?`,
			hashOf(secret), now).Scan(&user.Name, &user.Role, &used)
	})
	if errors.Is(err, inventory.ErrNotFound) {
		return inventory.User{}, inventory.Errorf(inventory.ErrUnauthorized, "not signed in").WithRemedy("sign in again")
	}
	if err != nil || now-used < useStep.Milliseconds() {
		return user, err
	}
	return user, s.update(ctx, "note the use of a session", func(tx *tx) error {
		return tx.exec(ctx, `UPDATE session SET last_used = ? WHERE hash = ?`, now, hashOf(secret))
	})
}

// EndSession signs out. A session that ended already is no error.
func (s *Store) EndSession(ctx context.Context, secret string) error {
	return s.update(ctx, "sign out", func(tx *tx) error {
		return tx.exec(ctx, `DELETE FROM session WHERE hash = ?`, hashOf(secret))
	})
}

// SessionID names the session of a secret without telling the secret: the beginning of
// its hash.
func SessionID(hash []byte) string { return hex.EncodeToString(hash[:8]) }

// SessionID names the session that a secret opens.
func (s *Store) SessionID(secret string) string { return SessionID(hashOf(secret)) }

// Sessions returns the open sessions of somebody, or of everybody, the last used first.
func (s *Store) Sessions(ctx context.Context, name string) ([]inventory.Session, error) {
	all := []inventory.Session{}
	err := s.view(ctx, "list sessions", func(r reader) error {
		return r.each(ctx, `
			SELECT s.hash, a.name, s.created, s.last_used, s.expires, s.address, s.agent FROM session s JOIN account a ON a.id = s.account_id
			WHERE s.expires > ? AND (? = '' OR a.name = ?) ORDER BY s.last_used DESC, s.hash`, []any{s.nowMS(), name, name}, func(rows *sql.Rows) error {
			var one inventory.Session
			var hash []byte
			var created, used, expires int64
			if err := rows.Scan(&hash, &one.User, &created, &used, &expires, &one.Address, &one.Agent); err != nil {
				return err
			}
			one.ID, one.Created, one.LastUsed, one.Expires = SessionID(hash), fromMillis(created), fromMillis(used), fromMillis(expires)
			all = append(all, one)
			return nil
		})
	})
	return all, err
}

// EndSessions ends the session of somebody that id names, or all but the one with the
// secret keep when id is empty, and tells how many.
func (s *Store) EndSessions(ctx context.Context, name, id, keep string) (n int, err error) {
	err = s.update(ctx, "end sessions of "+name, func(tx *tx) error {
		n = 0
		who, err := s.accountNamed(ctx, tx.reader, name)
		if err != nil {
			return err
		}
		var hashes [][]byte
		err = tx.each(ctx, `SELECT hash FROM session WHERE account_id = ?`, []any{who.id}, func(rows *sql.Rows) error {
			var hash []byte
			err := rows.Scan(&hash)
			if own := SessionID(hash); err == nil && (own == id || id == "" && own != s.SessionID(keep)) {
				hashes = append(hashes, hash)
			}
			return err
		})
		if err != nil {
			return err
		}
		if len(hashes) == 0 && id != "" {
			return inventory.Errorf(inventory.ErrNotFound, "%s has no such session", name)
		}
		if err := execIn(ctx, tx, `DELETE FROM session WHERE hash IN ({in})`, nil, hashes); err != nil {
			return err
		}
		if n = len(hashes); n == 0 {
			return nil
		}
		return tx.note(ctx, s.nowMS(), "sessions ended", name, nil, inventory.Ended{Sessions: n})
	})
	return n, err
}
