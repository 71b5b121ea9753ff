package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TokenPrefix begins every token, so that people and scanners of leaked secrets know one.
const TokenPrefix = "tally_"

// SessionTime is how long a session lasts.
const SessionTime = 7 * 24 * time.Hour

// tokenUseStep is how exactly the last use of a token is known: reading must not write each time.
const tokenUseStep = time.Minute

// newSecret makes 256 random bits. Only their hash is kept; there is nothing to guess,
// so a fast hash will do.
func newSecret(prefix string) (string, error) {
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return prefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// CreateSigninLink makes a secret that signs in the administrator once, until expires.
func (s *Store) CreateSigninLink(ctx context.Context, expires time.Time) (string, error) {
	secret, err := newSecret("")
	if err != nil {
		return "", err
	}
	return secret, s.update(ctx, "make a sign-in link", func(tx *tx) error {
		if err := tx.exec(ctx, `DELETE FROM signin_link WHERE expires <= ?`, s.nowMS()); err != nil {
			return err
		}
		return tx.exec(ctx, `INSERT INTO signin_link (hash, expires) VALUES (?,?)`, hashOf(secret), millis(expires))
	})
}

// UseSigninLink takes the secret of a sign-in link and starts a session. It is
// ErrUnauthorized for one that was used, has expired or never was.
func (s *Store) UseSigninLink(ctx context.Context, secret string) (session string, err error) {
	if session, err = newSecret(""); err != nil {
		return "", err
	}
	err = s.update(ctx, "sign in", func(tx *tx) error {
		n, err := tx.changed(ctx, `DELETE FROM signin_link WHERE hash = ? AND expires > ?`, hashOf(secret), s.nowMS())
		if err != nil {
			return err
		}
		if n == 0 {
			return inventory.Errorf(inventory.ErrUnauthorized, "this sign-in link was used before or has expired").
				WithRemedy("make a new one with: tallyman token link")
		}
		if err := tx.exec(ctx, `DELETE FROM session WHERE expires <= ?`, s.nowMS()); err != nil {
			return err
		}
		now := s.now()
		return tx.exec(ctx, `INSERT INTO session (hash, name, role, created, expires) VALUES (?,?,?,?,?)`,
			hashOf(session), "admin", "admin", millis(now), millis(now.Add(SessionTime)))
	})
	if err != nil {
		return "", err
	}
	return session, nil
}

// Session returns who a session's secret belongs to; ErrUnauthorized when it ended.
func (s *Store) Session(ctx context.Context, secret string) (user inventory.User, err error) {
	err = s.view(ctx, "read a session", func(r reader) error {
		return r.row(ctx, `SELECT name, role FROM session WHERE hash = ? AND expires > ?`, hashOf(secret), s.nowMS()).Scan(&user.Name, &user.Role)
	})
	if errors.Is(err, inventory.ErrNotFound) {
		return inventory.User{}, inventory.Errorf(inventory.ErrUnauthorized, "not signed in").WithRemedy("sign in again")
	}
	return user, err
}

// EndSession signs out. A session that ended already is no error.
func (s *Store) EndSession(ctx context.Context, secret string) error {
	return s.update(ctx, "sign out", func(tx *tx) error {
		return tx.exec(ctx, `DELETE FROM session WHERE hash = ?`, hashOf(secret))
	})
}

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
		return nil
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
	if err != nil || t.LastUsed != nil && now-millisOf(t.LastUsed) < tokenUseStep.Milliseconds() {
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
		return err
	})
}
