package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TokenPrefix begins every token, so that people and scanners of leaked secrets know one.
const TokenPrefix = "tally_"

// useStep is how exactly the last use of a token or session is known: reading must not
// write each time.
const useStep = time.Minute

// CreateToken makes a machine's credential. Its secret is returned this once; no
// expires = it never does. It is ErrConflict if the name is taken.
func (s *Store) CreateToken(ctx context.Context, name, scope string, expires *time.Time) (string, error) {
	if strings.TrimSpace(name) == "" {
		return "", inventory.Errorf(inventory.ErrInvalid, "the token has no name")
	}
	scopes := []string{inventory.ScopeIngest, inventory.ScopeRead, inventory.ScopeAdmin}
	if !slices.Contains(scopes, scope) {
		return "", inventory.Errorf(inventory.ErrInvalid, "there is no scope %q", scope).WithRemedy("use %s", strings.Join(scopes, ", "))
	}
	secret, err := newSecret(TokenPrefix)
	if err != nil {
		return "", err
	}
	return secret, s.update(ctx, "make token "+name, func(tx *tx) error {
		n, err := tx.changed(ctx, `INSERT INTO token (hash, name, scope, created, expires, last_used) VALUES (?,?,?,?,?,0) ON CONFLICT (name) DO NOTHING`,
			hashOf(secret), name, scope, s.nowMS(), millisOf(expires))
		if err != nil {
			return err
		}
		if n == 0 {
			secret = ""
			return inventory.Errorf(inventory.ErrConflict, "there is a token named %s already", name).WithRemedy("revoke it first, or choose another name")
		}
		return tx.note(ctx, s.nowMS(), "token created", name, nil, map[string]any{"scope": scope, "expires": timeOf(millisOf(expires))})
	})
}

func scanToken(scan func(dest ...any) error) (t inventory.Token, err error) {
	var created, expires, used int64
	err = scan(&t.Name, &t.Scope, &created, &expires, &used)
	t.Created, t.Expires, t.LastUsed = fromMillis(created), timeOf(expires), timeOf(used)
	return t, err
}

// Token returns whose a token is, and notes its use to the minute; ErrUnauthorized when
// it was revoked, has expired or never was.
func (s *Store) Token(ctx context.Context, secret string) (t inventory.Token, err error) {
	now := s.nowMS()
	err = s.view(ctx, "read a token", func(r reader) error {
		t, err = scanToken(r.row(ctx, `SELECT name, scope, created, expires, last_used FROM token WHERE hash = ? AND (expires = 0 OR expires > ?)`, hashOf(secret), now).Scan)
		return err
	})
	if errors.Is(err, inventory.ErrNotFound) {
		return inventory.Token{}, inventory.Errorf(inventory.ErrUnauthorized, "this token was revoked, has expired or never was").
			WithRemedy("make a new one with: tallyman token create")
	}
	if err != nil || t.LastUsed != nil && now-millisOf(t.LastUsed) < useStep.Milliseconds() {
		return t, err
	}
	t.LastUsed = timeOf(now)
	return t, s.update(ctx, "note the use of token "+t.Name, func(tx *tx) error {
		return tx.exec(ctx, `UPDATE token SET last_used = ? WHERE name = ?`, now, t.Name)
	})
}

// Tokens returns all tokens without their secrets, by name; expired ones too.
func (s *Store) Tokens(ctx context.Context) ([]inventory.Token, error) {
	all := []inventory.Token{}
	err := s.view(ctx, "list tokens", func(r reader) error {
		return r.each(ctx, `SELECT name, scope, created, expires, last_used FROM token ORDER BY name`, nil, func(rows *sql.Rows) error {
			t, err := scanToken(rows.Scan)
			all = append(all, t)
			return err
		})
	})
	return all, err
}

// RevokeToken ends a token at once.
func (s *Store) RevokeToken(ctx context.Context, name string) error {
	return s.update(ctx, "revoke token "+name, func(tx *tx) error {
		n, err := tx.changed(ctx, `DELETE FROM token WHERE name = ?`, name)
		if err == nil && n == 0 {
			return inventory.Errorf(inventory.ErrNotFound, "there is no token %s", name).WithRemedy("see: tallyman token list")
		}
		if err != nil {
			return err
		}
		return tx.note(ctx, s.nowMS(), "token revoked", name, nil, nil)
	})
}
