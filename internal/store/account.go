package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
)

// account is a row of the table.
type account struct {
	id       int64
	password string // hash; empty = none
	issuer   string
	inventory.Account
}

const accountColumns = `a.id, a.name, a.role, a.password, a.issuer, a.created, a.last_signin,
	(SELECT count(*) FROM session s WHERE s.account_id = a.id AND s.expires > ?)`

func (s *Store) accounts(ctx context.Context, r reader, where string, args ...any) ([]account, error) {
	all := []account{}
	args = append([]any{s.nowMS()}, args...)
	err := r.each(ctx, `SELECT `+accountColumns+` FROM account a WHERE `+where+` ORDER BY a.name`, args, func(rows *sql.Rows) error {
		var a account
		var created, last int64
		if err := rows.Scan(&a.id, &a.Name, &a.Role, &a.password, &a.issuer, &created, &last, &a.Sessions); err != nil {
			return err
		}
		a.Created, a.LastSignin = fromMillis(created), timeOf(last)
		switch {
		case a.issuer != "":
			a.Source = inventory.SourceOIDC
		case a.password != "":
			a.Source = inventory.SourcePassword
		default:
			a.Source = inventory.SourceLink
		}
		all = append(all, a)
		return nil
	})
	return all, err
}

func (s *Store) accountNamed(ctx context.Context, r reader, name string) (account, error) {
	found, err := s.accounts(ctx, r, `a.name = ?`, name)
	if err != nil {
		return account{}, err
	}
	if len(found) == 0 {
		return account{}, inventory.Errorf(inventory.ErrNotFound, "there is no user %s", name).WithRemedy("see: tallyman user list")
	}
	return found[0], nil
}

// asNoted is what the log of changes tells of an account.
func (a account) asNoted() any {
	return map[string]any{"role": a.Role, "source": a.Source}
}

// Accounts returns everybody who may sign in, by name.
func (s *Store) Accounts(ctx context.Context) ([]inventory.Account, error) {
	all := []inventory.Account{}
	err := s.view(ctx, "list users", func(r reader) error {
		rows, err := s.accounts(ctx, r, `1 = 1`)
		for _, row := range rows {
			all = append(all, row.Account)
		}
		return err
	})
	return all, err
}

// Account returns one of them; ErrNotFound when there is none of that name.
func (s *Store) Account(ctx context.Context, name string) (a inventory.Account, err error) {
	err = s.view(ctx, "read user "+name, func(r reader) error {
		row, err := s.accountNamed(ctx, r, name)
		a = row.Account
		return err
	})
	return a, err
}

// AddAccount adds somebody who may sign in; ErrConflict when the name is taken.
func (s *Store) AddAccount(ctx context.Context, want inventory.NewAccount) (a inventory.Account, err error) {
	hash, err := s.hashNew(want)
	if err != nil {
		return a, err
	}
	err = s.update(ctx, "add user "+want.Name, func(tx *tx) error {
		made, err := s.addAccount(ctx, tx, want, hash)
		a = made.Account
		return err
	})
	return a, err
}

// hashNew checks what is asked for and hashes its password, "" for none.
func (s *Store) hashNew(want inventory.NewAccount) (string, error) {
	if strings.TrimSpace(want.Name) == "" {
		return "", inventory.Errorf(inventory.ErrInvalid, "the user has no name")
	}
	if err := checkRole(want.Role); err != nil {
		return "", err
	}
	if want.Password == "" {
		return "", nil
	}
	return s.hashPassword(want.Name, want.Password)
}

func checkRole(role string) error {
	if !slices.Contains(inventory.Roles[:], role) {
		return inventory.Errorf(inventory.ErrInvalid, "there is no role %q", role).WithRemedy("use %s", strings.Join(inventory.Roles[:], ", "))
	}
	return nil
}

// hashPassword lets a few hashes be made at a time: each takes its share of memory.
func (s *Store) hashPassword(name, password string) (string, error) {
	if err := seal.CheckNewPassword(name, password); err != nil {
		return "", err
	}
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	return seal.HashPassword(password)
}

func (s *Store) checkPassword(hash, password string) (ok, stale bool) {
	s.hashing <- struct{}{}
	defer func() { <-s.hashing }()
	return seal.CheckPassword(hash, password)
}

func (s *Store) addAccount(ctx context.Context, tx *tx, want inventory.NewAccount, hash string) (account, error) {
	n, err := tx.changed(ctx, `INSERT INTO account (name, role, password, issuer, subject, created) VALUES (?,?,?,'','',?) ON CONFLICT (name) DO NOTHING`,
		want.Name, want.Role, hash, s.nowMS())
	if err != nil {
		return account{}, err
	}
	if n == 0 {
		return account{}, inventory.Errorf(inventory.ErrConflict, "there is a user named %s already", want.Name).WithRemedy("choose another name")
	}
	made, err := s.accountNamed(ctx, tx.reader, want.Name)
	if err != nil {
		return made, err
	}
	return made, tx.note(ctx, s.nowMS(), "user added", made.Name, nil, made.asNoted())
}

// ChangeAccount sets the role, the password or both of somebody, and ends all their
// sessions but the one with the secret keep. The last administrator stays one.
func (s *Store) ChangeAccount(ctx context.Context, name string, change inventory.AccountChange, keep string) (a inventory.Account, err error) {
	if change.Role != "" {
		if err := checkRole(change.Role); err != nil {
			return a, err
		}
	}
	hash := ""
	if change.Password != "" {
		if hash, err = s.hashPassword(name, change.Password); err != nil {
			return a, err
		}
	}
	err = s.update(ctx, "change user "+name, func(tx *tx) error {
		row, err := s.changeAccount(ctx, tx, name, change.Role, hash, keep)
		a = row.Account
		return err
	})
	return a, err
}

func (s *Store) changeAccount(ctx context.Context, tx *tx, name, role, hash, keep string) (account, error) {
	old, err := s.lockedAccount(ctx, tx, name)
	if err != nil {
		return old, err
	}
	if hash != "" && old.issuer != "" {
		return old, inventory.Errorf(inventory.ErrInvalid, "%s signs in at the OpenID provider and has no password here", name)
	}
	if role != "" && role != inventory.RoleAdmin {
		if err := s.keepsAdmin(ctx, tx, old); err != nil {
			return old, err
		}
	}
	err = tx.exec(ctx, `UPDATE account SET role = CASE WHEN ? <> '' THEN ? ELSE role END, password = CASE WHEN ? <> '' THEN ? ELSE password END WHERE id = ?`,
		role, role, hash, hash, old.id)
	if err != nil {
		return old, err
	}
	if hash != "" || role != "" && role != old.Role {
		if err := endSessions(ctx, tx, old.id, keep); err != nil {
			return old, err
		}
	}
	now, err := s.accountNamed(ctx, tx.reader, name)
	if err != nil {
		return now, err
	}
	var secrets []string
	if hash != "" {
		secrets = append(secrets, "password")
	}
	return now, tx.note(ctx, s.nowMS(), "user changed", name, old.asNoted(), now.asNoted(), secrets...)
}

// endSessions also ends the one-time links of the account.
func endSessions(ctx context.Context, tx *tx, id int64, keep string) error {
	if err := tx.exec(ctx, `DELETE FROM signin_link WHERE account_id = ?`, id); err != nil {
		return err
	}
	return tx.exec(ctx, `DELETE FROM session WHERE account_id = ? AND hash <> ?`, id, hashOf(keep))
}

// lockedAccount reads an account that nobody else changes until the transaction ends.
func (s *Store) lockedAccount(ctx context.Context, tx *tx, name string) (account, error) {
	if err := tx.lock(ctx, lockAuth, 0); err != nil {
		return account{}, err
	}
	return s.accountNamed(ctx, tx.reader, name)
}

// keepsAdmin refuses what would leave no administrator.
func (s *Store) keepsAdmin(ctx context.Context, tx *tx, leaving account) error {
	if leaving.Role != inventory.RoleAdmin {
		return nil
	}
	var others int
	if err := tx.row(ctx, `SELECT count(*) FROM account WHERE role = ? AND id <> ?`, inventory.RoleAdmin, leaving.id).Scan(&others); err != nil {
		return err
	}
	if others == 0 {
		return inventory.Errorf(inventory.ErrConflict, "%s is the last administrator", leaving.Name).WithRemedy("make somebody else an administrator first")
	}
	return nil
}

// RemoveAccount removes somebody and ends their sessions. The last administrator stays.
func (s *Store) RemoveAccount(ctx context.Context, name string) error {
	return s.update(ctx, "remove user "+name, func(tx *tx) error {
		old, err := s.lockedAccount(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := s.keepsAdmin(ctx, tx, old); err != nil {
			return err
		}
		if err := endSessions(ctx, tx, old.id, ""); err != nil {
			return err
		}
		if err := tx.exec(ctx, `DELETE FROM account WHERE id = ?`, old.id); err != nil {
			return err
		}
		return tx.note(ctx, s.nowMS(), "user removed", name, old.asNoted(), nil)
	})
}
