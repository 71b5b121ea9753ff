package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
)

// SignIn starts a session of whoever has the name and password. It is ErrUnauthorized,
// and takes as long, whether the name is unknown, has no password, or another one.
func (s *Store) SignIn(ctx context.Context, name, password string, from inventory.Visitor) (session string, err error) {
	var who account
	err = s.view(ctx, "sign in", func(r reader) error {
		who, err = s.accountNamed(ctx, r, name)
		return err
	})
	if err != nil && !errors.Is(err, inventory.ErrNotFound) {
		return "", err
	}
	ok, stale := s.checkPassword(who.password, password)
	if !ok {
		return "", inventory.Errorf(inventory.ErrUnauthorized, "user name or password is wrong")
	}
	hash := who.password
	if stale {
		s.hashing <- struct{}{}
		hash, err = seal.HashPassword(password)
		<-s.hashing
		if err != nil {
			return "", err
		}
	}
	ctx = asSignin(ctx, who.Name, from)
	err = s.update(ctx, "sign in", func(tx *tx) error {
		// Whoever changed the password or removed the account meanwhile, wins.
		n, err := tx.changed(ctx, `UPDATE account SET password = ? WHERE id = ? AND password = ?`, hash, who.id, who.password)
		if err != nil {
			return err
		}
		if n == 0 {
			return inventory.Errorf(inventory.ErrUnauthorized, "user name or password is wrong")
		}
		if session, err = s.openSession(ctx, tx, who.id, from); err != nil {
			return err
		}
		return tx.note(ctx, s.nowMS(), "signed in", who.Name, nil, map[string]string{"with": inventory.SourcePassword})
	})
	return session, err
}

// SignInExternal starts a session of somebody whom an OpenID provider vouches for, with
// the role that it gives them now, if any. Whoever comes first gets an account; a name that
// somebody else has here is ErrConflict: a name proves nothing.
func (s *Store) SignInExternal(ctx context.Context, ext inventory.External, from inventory.Visitor) (session string, err error) {
	if ext.Issuer == "" || ext.Subject == "" || ext.Name == "" {
		return "", inventory.Errorf(inventory.ErrInvalid, "the OpenID provider does not say who signs in")
	}
	if err := checkRole(cmp.Or(ext.Role, ext.First)); err != nil {
		return "", err
	}
	err = s.update(ctx, "sign in", func(tx *tx) error {
		if err := tx.lock(ctx, lockAuth, 0); err != nil {
			return err
		}
		who, err := s.externalAccount(ctx, tx, ext, from)
		if err != nil {
			return err
		}
		if session, err = s.openSession(ctx, tx, who.id, from); err != nil {
			return err
		}
		return tx.note(asSignin(ctx, who.Name, from), s.nowMS(), "signed in", who.Name, nil, map[string]string{"with": inventory.SourceOIDC})
	})
	return session, err
}

func (s *Store) externalAccount(ctx context.Context, tx *tx, ext inventory.External, from inventory.Visitor) (account, error) {
	found, err := s.accounts(ctx, tx.reader, `a.issuer = ? AND a.subject = ?`, ext.Issuer, ext.Subject)
	if err != nil {
		return account{}, err
	}
	if len(found) == 1 {
		old := found[0]
		if ext.Role == "" || old.Role == ext.Role {
			return old, nil
		}
		if err := tx.exec(ctx, `UPDATE account SET role = ? WHERE id = ?`, ext.Role, old.id); err != nil {
			return old, err
		}
		if err := endSessions(ctx, tx, old.id, ""); err != nil {
			return old, err
		}
		now := old
		now.Role = ext.Role
		return now, tx.note(asSignin(ctx, old.Name, from), s.nowMS(), "user changed", old.Name, old.asNoted(), now.asNoted())
	}
	n, err := tx.changed(ctx, `INSERT INTO account (name, role, password, issuer, subject, created) VALUES (?,?,'',?,?,?) ON CONFLICT (name) DO NOTHING`,
		ext.Name, cmp.Or(ext.Role, ext.First), ext.Issuer, ext.Subject, s.nowMS())
	if err != nil {
		return account{}, err
	}
	if n == 0 {
		return account{}, inventory.Errorf(inventory.ErrConflict, "there is another user named %s here", ext.Name).
			WithRemedy("an administrator removes that user, or the provider gives you another name")
	}
	made, err := s.accountNamed(ctx, tx.reader, ext.Name)
	if err != nil {
		return made, err
	}
	return made, tx.note(asSignin(ctx, made.Name, from), s.nowMS(), "user added", made.Name, nil, made.asNoted())
}

// asSignin makes what follows the act of whoever signs in.
func asSignin(ctx context.Context, name string, from inventory.Visitor) context.Context {
	return inventory.WithActor(ctx, &inventory.Actor{Name: name, Via: inventory.ViaSignin, Address: from.Address})
}

// NeedsSetup says that nobody is an administrator yet.
func (s *Store) NeedsSetup(ctx context.Context) (needed bool, err error) {
	err = s.view(ctx, "look for an administrator", func(r reader) error {
		needed, err = needsSetup(ctx, r)
		return err
	})
	return needed, err
}

func needsSetup(ctx context.Context, r reader) (bool, error) {
	var n int
	err := r.row(ctx, `SELECT count(*) FROM account WHERE role = ?`, inventory.RoleAdmin).Scan(&n)
	return n == 0, err
}

// CreateSigninLink makes a secret that is good once, until expires: to sign in as the
// user of that name, or, with no name, to create the first administrator. The latter is
// ErrConflict when there is one.
func (s *Store) CreateSigninLink(ctx context.Context, user string, expires time.Time) (string, error) {
	secret, err := newSecret("")
	if err != nil {
		return "", err
	}
	err = s.update(ctx, "make a sign-in link", func(tx *tx) error {
		who := account{}
		needed, err := needsSetup(ctx, tx.reader)
		switch {
		case err != nil:
			return err
		case user != "":
			if who, err = s.accountNamed(ctx, tx.reader, user); err != nil {
				return err
			}
		case !needed:
			return inventory.Errorf(inventory.ErrConflict, "there is an administrator already").
				WithRemedy("name the user whom the link signs in")
		}
		if err := tx.exec(ctx, `DELETE FROM signin_link WHERE expires <= ?`, s.nowMS()); err != nil {
			return err
		}
		if err := tx.exec(ctx, `INSERT INTO signin_link (hash, account_id, expires) VALUES (?,?,?)`, hashOf(secret), who.id, millis(expires)); err != nil {
			return err
		}
		return tx.note(ctx, s.nowMS(), "sign-in link made", user, nil, map[string]any{"expires": expires.UTC()})
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// UseSigninLink takes the secret of a sign-in link and starts a session. It is
// ErrUnauthorized for one that was used, has expired or never was.
func (s *Store) UseSigninLink(ctx context.Context, secret string, from inventory.Visitor) (session string, err error) {
	err = s.update(ctx, "sign in", func(tx *tx) error {
		found, err := s.accounts(ctx, tx.reader, `a.id = (SELECT account_id FROM signin_link WHERE hash = ? AND expires > ?)`, hashOf(secret), s.nowMS())
		if err != nil {
			return err
		}
		n, err := tx.changed(ctx, `DELETE FROM signin_link WHERE hash = ? AND account_id <> 0`, hashOf(secret))
		if err != nil {
			return err
		}
		if n == 0 || len(found) == 0 {
			return errLink()
		}
		if session, err = s.openSession(ctx, tx, found[0].id, from); err != nil {
			return err
		}
		return tx.note(asSignin(ctx, found[0].Name, from), s.nowMS(), "signed in", found[0].Name, nil, map[string]string{"with": inventory.SourceLink})
	})
	return session, err
}

func errLink() error {
	return inventory.Errorf(inventory.ErrUnauthorized, "this link was used before or has expired").
		WithRemedy("make a new one with: tallyman token link")
}

// CheckSetupLink is ErrUnauthorized unless the secret is that of a setup link that SetUp
// would take.
func (s *Store) CheckSetupLink(ctx context.Context, secret string) error {
	return s.view(ctx, "check a setup link", func(r reader) error {
		var n int
		needed, err := needsSetup(ctx, r)
		if err != nil {
			return err
		}
		err = r.row(ctx, `SELECT count(*) FROM signin_link WHERE hash = ? AND account_id = 0 AND expires > ?`, hashOf(secret), s.nowMS()).Scan(&n)
		if err == nil && (n == 0 || !needed) {
			return errLink()
		}
		return err
	})
}

// SetUp takes the secret of a setup link, creates the first administrator and starts
// their session. It is ErrUnauthorized for a link that was used, has expired or never
// was, and when there is an administrator already.
func (s *Store) SetUp(ctx context.Context, secret, name, password string, from inventory.Visitor) (session string, err error) {
	// The link is looked at first: who has none shall not have us hash passwords.
	if err := s.CheckSetupLink(ctx, secret); err != nil {
		return "", err
	}
	if password == "" {
		return "", inventory.Errorf(inventory.ErrInvalid, "the administrator has no password").WithRemedy("choose one")
	}
	want := inventory.NewAccount{Name: name, Role: inventory.RoleAdmin, Password: password}
	hash, err := s.hashNew(want)
	if err != nil {
		return "", err
	}
	ctx = asSignin(ctx, name, from)
	err = s.update(ctx, "set up", func(tx *tx) error {
		if err := tx.lock(ctx, lockAuth, 0); err != nil {
			return err
		}
		needed, err := needsSetup(ctx, tx.reader)
		if err != nil {
			return err
		}
		n, err := tx.changed(ctx, `DELETE FROM signin_link WHERE hash = ? AND account_id = 0 AND expires > ?`, hashOf(secret), s.nowMS())
		if err != nil {
			return err
		}
		if n == 0 || !needed {
			return errLink()
		}
		if err := tx.exec(ctx, `DELETE FROM signin_link WHERE account_id = 0`); err != nil {
			return err
		}
		made, err := s.addAccount(ctx, tx, want, hash)
		if err != nil {
			return err
		}
		session, err = s.openSession(ctx, tx, made.id, from)
		return err
	})
	return session, err
}
