package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// channelSettings are the parts of a channel that are kept and never asked about.
type channelSettings struct {
	Rules []inventory.Rule
	Mail  *inventory.Mail
}

func channelPurpose(id int64, what string) string { return fmt.Sprintf("%s of channel %d", what, id) }

// AddChannel saves a new channel, its address and secret sealed. It is told what
// happens from now on. host is what of its address may be shown.
func (s *Store) AddChannel(ctx context.Context, c inventory.ChannelChange, host string) error {
	text, err := settingsOfChannel(c)
	if err != nil {
		return err
	}
	return s.update(ctx, "add channel "+c.Name, func(tx *tx) error {
		var n int
		if err := tx.row(ctx, `SELECT count(*) FROM notify_channel WHERE name = ?`, c.Name).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return inventory.Errorf(inventory.ErrConflict, "there is a channel named %s already", c.Name).
				WithRemedy("choose another name, or change that one with --replace")
		}
		var id int64
		err := tx.row(ctx, `INSERT INTO notify_channel (name, kind, host, settings, address, secret, created_at) VALUES (?,?,?,?,?,?,?) RETURNING id`,
			c.Name, c.Kind, host, text, []byte{}, []byte{}, s.nowMS()).Scan(&id)
		if err != nil {
			return err
		}
		if err := s.sealChannel(ctx, tx, id, c); err != nil {
			return err
		}
		return s.noteChannel(ctx, tx, "channel added", nil, c)
	})
}

// noteChannel notes a change of a channel without its address, which is a secret.
func (s *Store) noteChannel(ctx context.Context, tx *tx, action string, old *inventory.Channel, c inventory.ChannelChange) error {
	now, err := channelWhere(ctx, tx.reader, `name = ?`, c.Name)
	if err != nil {
		return err
	}
	var before any
	if old != nil {
		before = *old
	}
	var replaced []string
	if c.URL != "" {
		replaced = append(replaced, "url")
	}
	if c.Secret != "" {
		replaced = append(replaced, "secret")
	}
	return tx.note(ctx, s.nowMS(), action, c.Name, before, now, replaced...)
}

// UpdateChannel saves a changed channel under the same name. A blank URL or secret
// keeps what is saved; host empty keeps what is shown.
func (s *Store) UpdateChannel(ctx context.Context, c inventory.ChannelChange, host string) error {
	text, err := settingsOfChannel(c)
	if err != nil {
		return err
	}
	return s.update(ctx, "update channel "+c.Name, func(tx *tx) error {
		old, err := channelWhere(ctx, tx.reader, `name = ?`, c.Name)
		if err != nil {
			return err
		}
		if host == "" {
			host = old.Host
		}
		if err := tx.exec(ctx, `UPDATE notify_channel SET kind = ?, host = ?, settings = ? WHERE id = ?`, c.Kind, host, text, old.ID); err != nil {
			return err
		}
		if err := s.sealChannel(ctx, tx, old.ID, c); err != nil {
			return err
		}
		return s.noteChannel(ctx, tx, "channel changed", &old, c)
	})
}

func settingsOfChannel(c inventory.ChannelChange) (string, error) {
	text, err := json.Marshal(channelSettings{c.Rules, c.Mail})
	if err != nil {
		return "", fmt.Errorf("encode the settings of channel %s: %w", c.Name, err)
	}
	return string(text), nil
}

// sealChannel saves what is not blank of the address and the secret.
func (s *Store) sealChannel(ctx context.Context, tx *tx, id int64, c inventory.ChannelChange) error {
	for _, one := range []struct{ column, secret string }{{"address", c.URL}, {"secret", c.Secret}} {
		if one.secret == "" {
			continue
		}
		box, err := s.key.Seal([]byte(one.secret), channelPurpose(id, one.column))
		if err != nil {
			return err
		}
		if err := tx.exec(ctx, `UPDATE notify_channel SET `+one.column+` = ? WHERE id = ?`, box, id); err != nil {
			return err
		}
	}
	return nil
}

// resealChannels seals again what an older key sealed, and tells how many.
func (s *Store) resealChannels(ctx context.Context, tx *tx) (n int, err error) {
	type sealed struct {
		id     int64
		column string
		box    []byte
	}
	var stale []sealed
	err = tx.each(ctx, `SELECT id, address, secret FROM notify_channel ORDER BY id`, nil, func(rows *sql.Rows) error {
		var id int64
		var address, secret []byte
		err := rows.Scan(&id, &address, &secret)
		for _, one := range []sealed{{id, "address", address}, {id, "secret", secret}} {
			if len(one.box) > 0 && s.key.Stale(one.box) {
				stale = append(stale, one)
			}
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, one := range stale {
		purpose := channelPurpose(one.id, one.column)
		plain, err := s.key.Open(one.box, purpose)
		if err != nil {
			return n, err
		}
		box, err := s.key.Seal(plain, purpose)
		if err != nil {
			return n, err
		}
		if err := tx.exec(ctx, `UPDATE notify_channel SET `+one.column+` = ? WHERE id = ?`, box, one.id); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// ChannelSecrets opens what a channel keeps sealed.
func (s *Store) ChannelSecrets(ctx context.Context, id int64) (secrets inventory.ChannelSecrets, err error) {
	err = s.view(ctx, fmt.Sprintf("read the secrets of channel %d", id), func(r reader) error {
		var address, secret []byte
		if err := r.row(ctx, `SELECT address, secret FROM notify_channel WHERE id = ?`, id).Scan(&address, &secret); err != nil {
			return err
		}
		for _, one := range []struct {
			column string
			box    []byte
			to     *string
		}{{"address", address, &secrets.URL}, {"secret", secret, &secrets.Secret}} {
			if len(one.box) == 0 {
				continue
			}
			plain, err := s.key.Open(one.box, channelPurpose(id, one.column))
			if err != nil {
				return err
			}
			*one.to = string(plain)
		}
		return nil
	})
	return secrets, err
}

// RemoveChannel forgets a channel with its messages, also those that wait.
func (s *Store) RemoveChannel(ctx context.Context, name string) error {
	return s.update(ctx, "remove channel "+name, func(tx *tx) error {
		c, err := channelWhere(ctx, tx.reader, `name = ?`, name)
		if err != nil {
			return err
		}
		for _, table := range []string{"notify_message", "notify_told"} {
			if err := tx.exec(ctx, `DELETE FROM `+table+` WHERE channel_id = ?`, c.ID); err != nil {
				return err
			}
		}
		if err := tx.exec(ctx, `DELETE FROM notify_channel WHERE id = ?`, c.ID); err != nil {
			return err
		}
		return tx.note(ctx, s.nowMS(), "channel removed", name, c, nil)
	})
}

// Channels returns all of them, by name, with how their messages fared.
func (s *Store) Channels(ctx context.Context) (all []inventory.Channel, err error) {
	err = s.view(ctx, "list channels", func(r reader) error {
		if all, err = channels(ctx, r, `1 = 1`); err != nil {
			return err
		}
		return fared(ctx, r, all)
	})
	return all, err
}

// Channel returns one by name.
func (s *Store) Channel(ctx context.Context, name string) (c inventory.Channel, err error) {
	err = s.view(ctx, "read channel "+name, func(r reader) error {
		if c, err = channelWhere(ctx, r, `name = ?`, name); err != nil {
			return err
		}
		one := []inventory.Channel{c}
		err := fared(ctx, r, one)
		c = one[0]
		return err
	})
	return c, err
}

func channelWhere(ctx context.Context, r reader, where string, arg any) (inventory.Channel, error) {
	found, err := channels(ctx, r, where, arg)
	if err != nil {
		return inventory.Channel{}, err
	}
	if len(found) == 0 {
		return inventory.Channel{}, inventory.Errorf(inventory.ErrNotFound, "there is no channel %v", arg).WithRemedy("see: tallyman notify list")
	}
	return found[0], nil
}

func channels(ctx context.Context, r reader, where string, args ...any) ([]inventory.Channel, error) {
	all := []inventory.Channel{}
	err := r.each(ctx, `SELECT id, name, kind, host, settings, length(secret), created_at FROM notify_channel WHERE `+where+` ORDER BY name`, args,
		func(rows *sql.Rows) error {
			var c inventory.Channel
			var text string
			var secret int
			var created int64
			if err := rows.Scan(&c.ID, &c.Name, &c.Kind, &c.Host, &text, &secret, &created); err != nil {
				return err
			}
			var more channelSettings
			if err := json.Unmarshal([]byte(text), &more); err != nil {
				return fmt.Errorf("decode the settings of channel %s: %w", c.Name, err)
			}
			c.Rules, c.Mail, c.HasSecret, c.Created = some(more.Rules), more.Mail, secret > 0, fromMillis(created)
			all = append(all, c)
			return nil
		})
	return all, err
}

// fared fills in how the messages of channels fared.
func fared(ctx context.Context, r reader, all []inventory.Channel) error {
	byID := map[int64]*inventory.Channel{}
	for i := range all {
		byID[all[i].ID] = &all[i]
	}
	err := r.each(ctx, `SELECT channel_id, state, count(*), max(sent_at) FROM notify_message GROUP BY channel_id, state`, nil, func(rows *sql.Rows) error {
		var id, sent int64
		var state string
		var n int
		if err := rows.Scan(&id, &state, &n, &sent); err != nil {
			return err
		}
		c := byID[id]
		if c == nil {
			return nil
		}
		switch state {
		case inventory.DeliverySent:
			c.Sent, c.LastSent = n, timeOf(sent)
		case inventory.DeliveryDead:
			c.Dead = n
		default:
			c.Waiting = n
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Waiting+all[i].Dead == 0 {
			continue
		}
		err := r.each(ctx, `SELECT problem FROM notify_message WHERE channel_id = ? AND state <> ? AND problem <> '' ORDER BY id DESC LIMIT 1`,
			[]any{all[i].ID, inventory.DeliverySent}, func(rows *sql.Rows) error { return rows.Scan(&all[i].Problem) })
		if err != nil {
			return err
		}
	}
	return nil
}
