package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// settings are the parts of an integration that are kept and never asked about.
type settings struct {
	Repositories []string
	Include      []string
	Exclude      []string
	Tags         []string
	CAFile       string
	Proxy        string
	AuthHosts    []string
}

func settingsOf(in inventory.Integration) (string, error) {
	text, err := json.Marshal(settings{in.Repositories, in.Include, in.Exclude, in.Tags, in.CAFile, in.Proxy, in.AuthHosts})
	if err != nil {
		return "", fmt.Errorf("encode the settings of %s: %w", in.Name, err)
	}
	return string(text), nil
}

// AddIntegration saves a new integration, its secrets sealed, and queues its first
// look. It is ErrConflict if the name is taken.
func (s *Store) AddIntegration(ctx context.Context, in inventory.Integration, secrets inventory.Secrets) (id int64, err error) {
	if in.Name == "" {
		return 0, inventory.Errorf(inventory.ErrInvalid, "the integration has no name")
	}
	text, err := settingsOf(in)
	if err != nil {
		return 0, err
	}
	if in.State == "" {
		in.State = inventory.IntegrationConnected
	}
	err = s.update(ctx, "add integration "+in.Name, func(tx *tx) error {
		var n int
		if err := tx.row(ctx, `SELECT count(*) FROM integration WHERE name = ?`, in.Name).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return inventory.Errorf(inventory.ErrConflict, "there is an integration named %s already", in.Name).
				WithRemedy("choose another name, or update that one")
		}
		err := tx.row(ctx, `
			INSERT INTO integration (name, kind, url, registry, username, subdomain_mode, settings, password, webhook,
				state, problem, remedy, created_at, watcher)
			VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id`,
			in.Name, in.Kind, in.URL, in.Registry, in.Username, flag(in.SubdomainMode), text, []byte{}, []byte{},
			in.State, in.Problem, in.Remedy, s.nowMS(), in.Watcher).Scan(&id)
		if err != nil {
			return err
		}
		if err := s.sealSecrets(ctx, tx, id, secrets); err != nil {
			return err
		}
		if err := s.lookSoon(ctx, tx, id, in.Watcher); err != nil {
			return err
		}
		return s.noteIntegration(ctx, tx, "integration added", nil, id, secrets)
	})
	return id, err
}

// UpdateIntegration saves changed settings under the same name. No secrets, or a blank
// one, keeps what is saved. An integration that was disconnected is connected again.
func (s *Store) UpdateIntegration(ctx context.Context, in inventory.Integration, secrets *inventory.Secrets) error {
	text, err := settingsOf(in)
	if err != nil {
		return err
	}
	return s.update(ctx, "update integration "+in.Name, func(tx *tx) error {
		old, err := integrationWhere(ctx, tx.reader, `name = ?`, in.Name)
		if err != nil {
			return err
		}
		if in.State == "" {
			in.State, in.Problem, in.Remedy = old.State, old.Problem, old.Remedy
		}
		if in.State == inventory.IntegrationDisconnected && secrets != nil && secrets.Password != "" {
			in.State, in.Problem, in.Remedy = inventory.IntegrationConnected, "", ""
		}
		disconnected := int64(0)
		if in.State == inventory.IntegrationDisconnected {
			disconnected = millisOf(old.Disconnected)
		}
		err = tx.exec(ctx, `
			UPDATE integration SET kind = ?, url = ?, registry = ?, username = ?, subdomain_mode = ?, settings = ?,
				state = ?, problem = ?, remedy = ?, disconnected_at = ?, watcher = ? WHERE id = ?`,
			in.Kind, in.URL, in.Registry, in.Username, flag(in.SubdomainMode), text, in.State, in.Problem, in.Remedy, disconnected, in.Watcher, old.ID)
		if err != nil {
			return err
		}
		if secrets == nil {
			secrets = &inventory.Secrets{}
		}
		if err := s.sealSecrets(ctx, tx, old.ID, *secrets); err != nil {
			return err
		}
		if looked(in.State) {
			if err := s.lookSoon(ctx, tx, old.ID, in.Watcher); err != nil {
				return err
			}
		}
		return s.noteIntegration(ctx, tx, "integration changed", &old, old.ID, *secrets)
	})
}

// lookSoon queues a look at an integration, unless a far watcher looks at it.
func (s *Store) lookSoon(ctx context.Context, tx *tx, id int64, watcher string) error {
	if watcher != "" {
		return nil
	}
	_, err := tx.enqueue(ctx, LookJob(id, s.now()))
	return err
}

// noteIntegration notes a change of an integration, without what is known of its keys.
func (s *Store) noteIntegration(ctx context.Context, tx *tx, action string, old *inventory.Integration, id int64, secrets inventory.Secrets) error {
	now, err := integrationWhere(ctx, tx.reader, `id = ?`, id)
	if err != nil {
		return err
	}
	var before any
	if old != nil {
		was := *old
		was.Keys = now.Keys
		before = was
	} else {
		now.Keys = nil
	}
	var replaced []string
	if secrets.Password != "" {
		replaced = append(replaced, "secret")
	}
	if secrets.Webhook != "" {
		replaced = append(replaced, "webhook_secret")
	}
	return tx.note(ctx, s.nowMS(), action, now.Name, before, now, replaced...)
}

// looked says that integrations in this state are looked at.
func looked(state string) bool {
	return state != inventory.IntegrationPaused && state != inventory.IntegrationDisconnected
}

func purpose(id int64, what string) string { return fmt.Sprintf("%s of integration %d", what, id) }

// sealSecrets saves the secrets that are not blank.
func (s *Store) sealSecrets(ctx context.Context, tx *tx, id int64, secrets inventory.Secrets) error {
	for _, one := range []struct{ column, secret string }{{"password", secrets.Password}, {"webhook", secrets.Webhook}} {
		if one.secret == "" {
			continue
		}
		box, err := s.key.Seal([]byte(one.secret), purpose(id, one.column))
		if err != nil {
			return err
		}
		if err := tx.exec(ctx, `UPDATE integration SET `+one.column+` = ? WHERE id = ?`, box, id); err != nil {
			return err
		}
	}
	return nil
}

// Secrets opens the sealed secrets of an integration.
func (s *Store) Secrets(ctx context.Context, id int64) (inventory.Secrets, error) {
	var secrets inventory.Secrets
	err := s.view(ctx, fmt.Sprintf("read the secrets of integration %d", id), func(r reader) error {
		var password, webhook []byte
		if err := r.row(ctx, `SELECT password, webhook FROM integration WHERE id = ?`, id).Scan(&password, &webhook); err != nil {
			return err
		}
		for _, one := range []struct {
			column string
			box    []byte
			to     *string
		}{{"password", password, &secrets.Password}, {"webhook", webhook, &secrets.Webhook}} {
			if len(one.box) == 0 {
				continue
			}
			secret, err := s.key.Open(one.box, purpose(id, one.column))
			if err != nil {
				return err
			}
			*one.to = string(secret)
		}
		return nil
	})
	return secrets, err
}

// ResealSecrets seals every secret again that an older key sealed, and tells how many.
func (s *Store) ResealSecrets(ctx context.Context) (n int, err error) {
	err = s.update(ctx, "seal secrets again", func(tx *tx) error {
		n = 0
		type box struct {
			id     int64
			column string
			sealed []byte
		}
		var stale []box
		err := tx.each(ctx, `SELECT id, password, webhook FROM integration ORDER BY id`, nil, func(rows *sql.Rows) error {
			var id int64
			var password, webhook []byte
			if err := rows.Scan(&id, &password, &webhook); err != nil {
				return err
			}
			for _, b := range []box{{id, "password", password}, {id, "webhook", webhook}} {
				if len(b.sealed) > 0 && s.key.Stale(b.sealed) {
					stale = append(stale, b)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, b := range stale {
			secret, err := s.key.Open(b.sealed, purpose(b.id, b.column))
			if err != nil {
				return err
			}
			fresh, err := s.key.Seal(secret, purpose(b.id, b.column))
			if err != nil {
				return err
			}
			if err := tx.exec(ctx, `UPDATE integration SET `+b.column+` = ? WHERE id = ?`, fresh, b.id); err != nil {
				return err
			}
			n++
		}
		more, err := s.resealChannels(ctx, tx)
		if n += more; err != nil {
			return err
		}
		return tx.note(ctx, s.nowMS(), "key rotated", "", nil, map[string]int{"sealed_again": n})
	})
	return n, err
}

// Integrations returns all of them, by name.
func (s *Store) Integrations(ctx context.Context) (all []inventory.Integration, err error) {
	err = s.view(ctx, "list integrations", func(r reader) error {
		all, err = integrations(ctx, r, `1 = 1`)
		return err
	})
	return all, err
}

// Integration returns one by name.
func (s *Store) Integration(ctx context.Context, name string) (in inventory.Integration, err error) {
	err = s.view(ctx, "read integration "+name, func(r reader) error {
		in, err = integrationWhere(ctx, r, `name = ?`, name)
		return err
	})
	return in, err
}

// IntegrationByID returns one by its id.
func (s *Store) IntegrationByID(ctx context.Context, id int64) (in inventory.Integration, err error) {
	err = s.view(ctx, fmt.Sprintf("read integration %d", id), func(r reader) error {
		in, err = integrationWhere(ctx, r, `id = ?`, id)
		return err
	})
	return in, err
}

func integrationWhere(ctx context.Context, r reader, where string, arg any) (inventory.Integration, error) {
	found, err := integrations(ctx, r, where, arg)
	if err != nil {
		return inventory.Integration{}, err
	}
	if len(found) == 0 {
		return inventory.Integration{}, inventory.Errorf(inventory.ErrNotFound, "there is no integration %v", arg).
			WithRemedy("see: tallyman integration list")
	}
	return found[0], nil
}

func integrations(ctx context.Context, r reader, where string, args ...any) ([]inventory.Integration, error) {
	all := []inventory.Integration{}
	err := r.each(ctx, `
		SELECT id, name, kind, url, registry, username, subdomain_mode, settings, length(password), length(webhook),
			state, problem, remedy, created_at, last_poll, last_reconcile, disconnected_at, watcher
		FROM integration WHERE `+where+` ORDER BY name`, args, func(rows *sql.Rows) error {
		in, err := scanIntegration(rows)
		all = append(all, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Keys, err = repositoryKeys(ctx, r, all[i].ID); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func scanIntegration(rows *sql.Rows) (in inventory.Integration, err error) {
	var subdomain, password, webhook int
	var created, poll, reconcile, disconnected int64
	var text string
	err = rows.Scan(&in.ID, &in.Name, &in.Kind, &in.URL, &in.Registry, &in.Username, &subdomain, &text, &password, &webhook,
		&in.State, &in.Problem, &in.Remedy, &created, &poll, &reconcile, &disconnected, &in.Watcher)
	if err != nil {
		return in, err
	}
	var more settings
	if err := json.Unmarshal([]byte(text), &more); err != nil {
		return in, fmt.Errorf("decode the settings of %s: %w", in.Name, err)
	}
	in.SubdomainMode, in.HasSecret, in.HookSecret = subdomain != 0, password > 0, webhook > 0
	in.CreatedAt, in.LastPoll, in.LastReconcile, in.Disconnected = fromMillis(created), timeOf(poll), timeOf(reconcile), timeOf(disconnected)
	in.Repositories, in.Include, in.Exclude = some(more.Repositories), some(more.Include), some(more.Exclude)
	in.Tags, in.AuthHosts, in.CAFile, in.Proxy = some(more.Tags), some(more.AuthHosts), more.CAFile, more.Proxy
	in.Keys = []inventory.RepositoryKey{}
	return in, nil
}

// some makes nil an empty list: arrays are never null.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// SetIntegrationState records how an integration fares. Resuming a paused one queues a look.
func (s *Store) SetIntegrationState(ctx context.Context, id int64, state, problem, remedy string) error {
	return s.update(ctx, fmt.Sprintf("set the state of integration %d", id), func(tx *tx) error {
		old, err := integrationWhere(ctx, tx.reader, `id = ?`, id)
		if err != nil {
			return err
		}
		if old.State == state && old.Problem == problem && old.Remedy == remedy {
			return nil
		}
		// The verdict of a look that was still running must not undo what somebody decided.
		if old.State == inventory.IntegrationDisconnected {
			return nil
		}
		if err := tx.exec(ctx, `UPDATE integration SET state = ?, problem = ?, remedy = ? WHERE id = ?`, state, problem, remedy, id); err != nil {
			return err
		}
		if err := s.noteIntegration(ctx, tx, "integration changed", &old, id, inventory.Secrets{}); err != nil {
			return err
		}
		if !looked(old.State) && looked(state) {
			if err := s.lookSoon(ctx, tx, id, old.Watcher); err != nil {
				return err
			}
		}
		if old.State == state || state != inventory.IntegrationError && state != inventory.IntegrationDegraded {
			return nil
		}
		return addEvent(ctx, tx, event{
			kind: EventIntegrationBroken, subject: fmt.Sprintf("%d %s@%d", id, state, s.nowMS()), at: s.nowMS(), integration: id,
			body: EventBody{Reference: old.Name, Problem: problem, Remedy: remedy},
		})
	})
}

// Disconnect erases an integration's secrets and stops looking. What it brought is
// kept: its tags stay as they were seen last.
func (s *Store) Disconnect(ctx context.Context, name string) error {
	return s.update(ctx, "disconnect "+name, func(tx *tx) error {
		in, err := integrationWhere(ctx, tx.reader, `name = ?`, name)
		if err != nil {
			return err
		}
		if in.State == inventory.IntegrationDisconnected {
			return nil
		}
		// Whoever connects it again is not told what was pushed meanwhile.
		for _, table := range []string{"hint", "notify_baseline"} {
			if err := tx.exec(ctx, `DELETE FROM `+table+` WHERE integration_id = ?`, in.ID); err != nil {
				return err
			}
		}
		err = tx.exec(ctx, `
			UPDATE integration SET password = ?, webhook = ?, state = ?, problem = '', remedy = '', disconnected_at = ? WHERE id = ?`,
			[]byte{}, []byte{}, inventory.IntegrationDisconnected, s.nowMS(), in.ID)
		if err != nil {
			return err
		}
		return s.noteIntegration(ctx, tx, "integration disconnected", &in, in.ID, inventory.Secrets{})
	})
}
