package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// Kinds of job that tell people.
const (
	JobNotify = "notify" // NotifyArgs: events into messages
	JobSend   = "send"   // SendArgs: one message to its channel
)

// NotifyArgs are the arguments of a notify job.
type NotifyArgs struct {
	Settled bool `json:"settled"` // what comes in swarms, once it has settled; else what cannot wait
}

// SendArgs are the arguments of a send job.
type SendArgs struct {
	ID string `json:"id"`
}

// NotifyJob is the job that makes messages of events at the given time; zero = now.
func NotifyJob(settled bool, at time.Time) queue.Job {
	unique := "now"
	if settled {
		unique = "settled"
	}
	return queue.Job{Kind: JobNotify, Args: NotifyArgs{settled}, Unique: unique, Priority: queue.Urgent, At: at}
}

func sendJob(id string) queue.Job {
	return queue.Job{Kind: JobSend, Args: SendArgs{id}, Unique: id, Priority: queue.Urgent}
}

// settle is how long what comes in swarms is given to be complete.
const settle = 3 * time.Second

// Kinds of event that a channel may be told of, by whether they come in swarms: one
// advisory hits many packages, one outage many images.
func swarms() map[string]string {
	return map[string]string{
		EventFindingAppeared: inventory.NewsNew, EventSeverityChanged: inventory.NewsSeverity, EventBecameFixable: inventory.NewsFixable,
		EventWithdrawn: inventory.NewsWithdrawn, EventEnteredKEV: inventory.NewsKEV, EventImageFailed: inventory.NewsImageFailed,
		EventWatchHit: inventory.NewsWatch,
	}
}

func singles() map[string]string {
	return map[string]string{
		EventImageIndexed: inventory.NewsNew, EventIntegrationBroken: inventory.NewsIntegrationBroken, EventFeedStale: inventory.NewsFeedStale,
	}
}

// listen says which of the events somebody may have to be told of, and queues the jobs
// for it in the same transaction. Without a channel nobody has: what happens before the
// first one is not news to it.
func listen(ctx context.Context, tx *tx, now time.Time, events []event) (news map[string]bool, err error) {
	swarm, single := swarms(), singles()
	news = map[string]bool{}
	var jobs []queue.Job
	for _, e := range events {
		switch {
		case swarm[e.kind] != "":
			jobs = append(jobs, NotifyJob(true, now.Add(settle)))
		case single[e.kind] != "":
			jobs = append(jobs, NotifyJob(false, time.Time{}))
		default:
			continue
		}
		news[e.kind] = true
	}
	if len(jobs) == 0 {
		return news, nil
	}
	var n int
	if err := tx.row(ctx, `SELECT count(*) FROM notify_channel`).Scan(&n); err != nil || n == 0 {
		return nil, err
	}
	_, err = tx.enqueue(ctx, jobs...)
	return news, err
}

// News returns events that no message was made of yet, oldest first: of those that come
// in swarms, or of the others.
func (s *Store) News(ctx context.Context, settled bool, limit int) ([]inventory.News, error) {
	kinds := singles()
	if settled {
		kinds = swarms()
	}
	all := []inventory.News{}
	err := s.view(ctx, "list news", func(r reader) error {
		return eachIn(ctx, r, `SELECT id, kind, at, integration_id, body FROM event WHERE told = 0 AND kind IN ({in}) ORDER BY id LIMIT `+fmt.Sprint(max(limit, 1)),
			nil, sortedKeys(kinds), func(rows *sql.Rows) error {
				var n inventory.News
				var at int64
				var kind, text string
				if err := rows.Scan(&n.ID, &kind, &at, &n.Integration, &text); err != nil {
					return err
				}
				var body EventBody
				if err := json.Unmarshal([]byte(text), &body); err != nil {
					return fmt.Errorf("decode event %d: %w", n.ID, err)
				}
				n.Kind, n.At = kinds[kind], fromMillis(at)
				n.Digest, n.Flaw, n.PURL, n.Severity, n.Was = body.Digest, body.Flaw, body.PURL, body.Severity, body.Was
				n.Reference, n.Problem, n.Remedy = body.Reference, body.Problem, body.Remedy
				n.Watch, n.Query = body.Watch, body.Query
				all = append(all, n)
				return nil
			})
	})
	return all, err
}

// Settled says that no package waits for advisories that changed: then news of them is
// complete.
func (s *Store) Settled(ctx context.Context) (ok bool, err error) {
	err = s.view(ctx, "ask whether matching has settled", func(r reader) error {
		var n int
		err := r.row(ctx, `SELECT count(*) FROM (SELECT 1 FROM package WHERE matched = 0 AND touched > 0 LIMIT 1) AS waiting`).Scan(&n)
		ok = n == 0
		return err
	})
	return ok, err
}

// Told says which of the subjects a channel was told.
func (s *Store) Told(ctx context.Context, channel int64, subjects []string) (told map[string]bool, err error) {
	err = s.view(ctx, "read what was told", func(r reader) error {
		told, err = toldOf(ctx, r, channel, subjects)
		return err
	})
	return told, err
}

func toldOf(ctx context.Context, r reader, channel int64, subjects []string) (map[string]bool, error) {
	told := map[string]bool{}
	err := eachIn(ctx, r, `SELECT subject FROM notify_told WHERE channel_id = ? AND subject IN ({in})`, []any{channel}, subjects, func(rows *sql.Rows) error {
		var subject string
		err := rows.Scan(&subject)
		told[subject] = true
		return err
	})
	return told, err
}

// SaveNotices makes messages of drafts, queues their sending, and marks the events that
// they came from as told, in one transaction. A draft whose subjects the channel was
// told already, or whose channel is gone, is dropped.
func (s *Store) SaveNotices(ctx context.Context, events []int64, drafts []inventory.Draft) error {
	return s.update(ctx, fmt.Sprintf("save %d messages", len(drafts)), func(tx *tx) error {
		if err := tx.lock(ctx, lockNotices, 0); err != nil {
			return err
		}
		var jobs []queue.Job
		for _, d := range drafts {
			ok, err := s.saveNotice(ctx, tx, d)
			if err != nil {
				return err
			}
			if ok {
				jobs = append(jobs, sendJob(d.Notice.ID))
			}
		}
		if err := execIn(ctx, tx, `UPDATE event SET told = 1 WHERE id IN ({in})`, nil, events); err != nil {
			return err
		}
		_, err := tx.enqueue(ctx, jobs...)
		return err
	})
}

func (s *Store) saveNotice(ctx context.Context, tx *tx, d inventory.Draft) (bool, error) {
	if _, err := channelWhere(ctx, tx.reader, `id = ?`, d.Channel); err != nil {
		if errors.Is(err, inventory.ErrNotFound) {
			return false, nil
		}
		return false, err
	}
	subjects := slices.Compact(slices.Sorted(slices.Values(d.Subjects)))
	told, err := toldOf(ctx, tx.reader, d.Channel, subjects)
	if err != nil || len(subjects) > 0 && len(told) == len(subjects) {
		return false, err
	}
	rows := make([][]any, 0, len(subjects))
	for _, subject := range subjects {
		rows = append(rows, []any{d.Channel, subject, s.nowMS()})
	}
	if err := tx.insert(ctx, `INSERT INTO notify_told (channel_id, subject, at)`, `ON CONFLICT DO NOTHING`, rows); err != nil {
		return false, err
	}
	body, err := json.Marshal(d.Notice)
	if err != nil {
		return false, fmt.Errorf("encode message %s: %w", d.Notice.ID, err)
	}
	return true, tx.exec(ctx, `INSERT INTO notify_message (event_id, channel_id, at, body, state) VALUES (?,?,?,?,?)`,
		d.Notice.ID, d.Channel, millis(d.Notice.At), string(body), inventory.DeliveryWaiting)
}

// Delivery returns one message with its channel.
func (s *Store) Delivery(ctx context.Context, id string) (d inventory.Delivery, c inventory.Channel, err error) {
	err = s.view(ctx, "read message "+id, func(r reader) error {
		found, err := deliveries(ctx, r, `m.event_id = ?`, 1, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return inventory.Errorf(inventory.ErrNotFound, "there is no message %.80s", id).WithRemedy("see: tallyman notify list CHANNEL")
		}
		d = found[0]
		c, err = channelWhere(ctx, r, `id = ?`, d.ChannelID)
		return err
	})
	return d, c, err
}

// Deliveries lists messages, the newest first.
func (s *Store) Deliveries(ctx context.Context, f inventory.DeliveryFilter) (all []inventory.Delivery, err error) {
	err = s.view(ctx, "list messages", func(r reader) error {
		where, args := deliveryWhere(f)
		limit := f.Limit
		if limit <= 0 {
			limit = 100
		}
		all, err = deliveries(ctx, r, where, min(limit, 1000), args...)
		return err
	})
	return all, err
}

func deliveryWhere(f inventory.DeliveryFilter) (where string, args []any) {
	parts := []string{"1 = 1"}
	for _, one := range []struct{ column, value string }{{"m.event_id", f.ID}, {"c.name", f.Channel}, {"m.state", f.State}} {
		if one.value != "" {
			parts, args = append(parts, one.column+" = ?"), append(args, one.value)
		}
	}
	return strings.Join(parts, " AND "), args
}

func deliveries(ctx context.Context, r reader, where string, limit int, args ...any) ([]inventory.Delivery, error) {
	all := []inventory.Delivery{}
	err := r.each(ctx, `SELECT c.name, m.channel_id, m.body, m.state, m.attempts, m.problem, m.receipt, m.sent_at
		FROM notify_message m JOIN notify_channel c ON c.id = m.channel_id WHERE `+where+` ORDER BY m.id DESC LIMIT `+fmt.Sprint(limit), args,
		func(rows *sql.Rows) error {
			var d inventory.Delivery
			var body string
			var sent int64
			if err := rows.Scan(&d.Channel, &d.ChannelID, &body, &d.State, &d.Attempts, &d.Problem, &d.Receipt, &sent); err != nil {
				return err
			}
			d.Sent = timeOf(sent)
			if err := json.Unmarshal([]byte(body), &d.Notice); err != nil {
				return fmt.Errorf("decode a message: %w", err)
			}
			all = append(all, d)
			return nil
		})
	return all, err
}

// DeliverySent records that a receiver took a message, and what it said.
func (s *Store) DeliverySent(ctx context.Context, id, receipt string) error {
	return s.update(ctx, "record the receipt of message "+id, func(tx *tx) error {
		return tx.exec(ctx, `UPDATE notify_message SET state = ?, receipt = ?, problem = '', attempts = attempts + 1, sent_at = ? WHERE event_id = ?`,
			inventory.DeliverySent, receipt, s.nowMS(), id)
	})
}

// DeliveryFailed records an attempt that failed; dead says that there will be no other.
func (s *Store) DeliveryFailed(ctx context.Context, id, problem string, dead bool) error {
	return s.update(ctx, "record the failure of message "+id, func(tx *tx) error {
		state, tries := inventory.DeliveryWaiting, 1
		if dead {
			state, tries = inventory.DeliveryDead, 0
		}
		return tx.exec(ctx, `UPDATE notify_message SET state = ?, problem = ?, attempts = attempts + ? WHERE event_id = ? AND state <> ?`,
			state, problem, tries, id, inventory.DeliverySent)
	})
}

// Replay puts messages back to be sent, with the ids they have, and tells how many.
func (s *Store) Replay(ctx context.Context, f inventory.DeliveryFilter) (n int, err error) {
	err = s.update(ctx, "replay messages", func(tx *tx) error {
		where, args := deliveryWhere(f)
		var jobs []queue.Job
		var ids []string
		err := tx.each(ctx, `SELECT m.event_id FROM notify_message m JOIN notify_channel c ON c.id = m.channel_id WHERE `+where+` ORDER BY m.id LIMIT 10000`, args,
			func(rows *sql.Rows) error {
				var id string
				err := rows.Scan(&id)
				job := sendJob(id)
				job.Sooner = true
				ids, jobs = append(ids, id), append(jobs, job)
				return err
			})
		if err != nil {
			return err
		}
		n = len(ids)
		if err := execIn(ctx, tx, `UPDATE notify_message SET state = ?, problem = '' WHERE event_id IN ({in})`, []any{inventory.DeliveryWaiting}, ids); err != nil {
			return err
		}
		if _, err = tx.enqueue(ctx, jobs...); err != nil || n == 0 {
			return err
		}
		return tx.note(ctx, s.nowMS(), "messages sent again", cmp.Or(f.ID, f.Channel), nil, inventory.Replayed{Messages: n})
	})
	return n, err
}

// PruneNotices forgets messages that were sent before a time. What was told stays told.
func (s *Store) PruneNotices(ctx context.Context, before time.Time) error {
	return s.update(ctx, "forget old messages", func(tx *tx) error {
		return tx.exec(ctx, `DELETE FROM notify_message WHERE state = ? AND sent_at < ?`, inventory.DeliverySent, millis(before))
	})
}
