package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// RecordLook records what one look saw, in one transaction with the index jobs it
// calls for. A sighting older than what is known of its tag changes nothing, so looks
// may be recorded in any order, and twice.
func (s *Store) RecordLook(ctx context.Context, look inventory.Look) (res inventory.LookResult, err error) {
	sightings, err := newest(look.Sightings)
	if err != nil {
		return res, err
	}
	err = s.update(ctx, fmt.Sprintf("record a look at integration %d", look.Integration), func(tx *tx) error {
		res = inventory.LookResult{}
		if err := tx.lock(ctx, lockIntegration, look.Integration); err != nil {
			return err
		}
		in, err := integrationWhere(ctx, tx.reader, `id = ?`, look.Integration)
		if err != nil {
			return err
		}
		if in.State == inventory.IntegrationDisconnected {
			return nil // its tags are frozen; a look that was still running comes too late
		}
		l := &ledger{tx: tx, look: look, in: in, now: s.nowMS(), res: &res}
		if err := l.see(ctx, sightings); err != nil {
			return err
		}
		if err := l.miss(ctx); err != nil {
			return err
		}
		if err := l.settle(ctx, sightings); err != nil {
			return err
		}
		return l.finish(ctx)
	})
	return res, err
}

// newest keeps one sighting a tag, in the order of the tags. What is in that order
// already, as a listing is, is not copied.
func newest(all []inventory.Sighting) ([]inventory.Sighting, error) {
	byName := func(a, b inventory.Sighting) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Image, b.Image), cmp.Compare(a.Tag, b.Tag))
	}
	ordered := true
	for i, sg := range all {
		if err := digest(sg.Digest).check(); err != nil {
			return nil, fmt.Errorf("sighting of %s/%s:%s: %w", sg.Key, sg.Image, sg.Tag, err)
		}
		ordered = ordered && (i == 0 || byName(all[i-1], sg) < 0)
	}
	if ordered {
		return all, nil
	}
	out := slices.Clone(all)
	slices.SortStableFunc(out, func(a, b inventory.Sighting) int { return cmp.Or(byName(a, b), b.At.Compare(a.At)) })
	return slices.CompactFunc(out, func(a, b inventory.Sighting) bool { return byName(a, b) == 0 }), nil
}

// ledger is one look on its way into the tables.
type ledger struct {
	tx   *tx
	look inventory.Look
	in   inventory.Integration
	now  int64
	res  *inventory.LookResult
	due  map[string]*due // digests that have to be indexed
}

// due is an image that has to be indexed, and what says how soon.
type due struct {
	digest string
	pushed int64 // the newest tag's
	tags   int
}

type knownTag struct {
	id, image, created, pushed, since, seen, gone, missed int64
}

type knownImage struct {
	id, indexer int64
	kind, state string
	retry       bool
}

func (l *ledger) see(ctx context.Context, sightings []inventory.Sighting) error {
	for piece := range pieces(sightings, 1000) {
		repos, err := l.repositories(ctx, piece)
		if err != nil {
			return err
		}
		images, err := l.images(ctx, piece)
		if err != nil {
			return err
		}
		tags, err := l.tags(ctx, repos, piece)
		if err != nil {
			return err
		}
		if err := l.write(ctx, piece, repos, images, tags); err != nil {
			return err
		}
		if err := l.queue(ctx, piece, images); err != nil {
			return err
		}
	}
	return l.enqueue(ctx)
}

func (l *ledger) repositories(ctx context.Context, sightings []inventory.Sighting) (map[inventory.Repository]int64, error) {
	var wanted []inventory.Repository
	for _, sg := range sightings {
		r := inventory.Repository{Key: sg.Key, Image: sg.Image}
		if len(wanted) == 0 || wanted[len(wanted)-1] != r { // sightings are in the order of their tags
			wanted = append(wanted, r)
		}
	}
	rows := make([][]any, len(wanted))
	for i, r := range wanted {
		rows[i] = []any{l.look.Integration, r.Key, r.Image}
	}
	if err := l.tx.insert(ctx, `INSERT INTO repository (integration_id, key, image)`, `ON CONFLICT DO NOTHING`, rows); err != nil {
		return nil, err
	}
	return repositoryIDs(ctx, l.tx.reader, l.look.Integration, wanted)
}

func repositoryIDs(ctx context.Context, r reader, integration int64, wanted []inventory.Repository) (map[inventory.Repository]int64, error) {
	byKey := map[string][]string{}
	for _, repo := range wanted {
		byKey[repo.Key] = append(byKey[repo.Key], repo.Image)
	}
	ids := make(map[inventory.Repository]int64, len(wanted))
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		err := eachIn(ctx, r, `SELECT id, image FROM repository WHERE integration_id = ? AND key = ? AND image IN ({in})`,
			[]any{integration, key}, byKey[key], func(rows *sql.Rows) error {
				var id int64
				var image string
				err := rows.Scan(&id, &image)
				ids[inventory.Repository{Key: key, Image: image}] = id
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// images makes sure that every digest has a row; a new one waits.
func (l *ledger) images(ctx context.Context, sightings []inventory.Sighting) (map[digest]knownImage, error) {
	media := map[digest]inventory.Sighting{}
	for _, sg := range sightings {
		if old, ok := media[digest(sg.Digest)]; !ok || old.MediaType == "" {
			media[digest(sg.Digest)] = sg
		}
	}
	return ensureImages(ctx, l.tx, slices.Sorted(maps.Keys(media)), func(d digest) []any {
		return []any{d, media[d].MediaType, media[d].Size, inventory.StateWaiting, l.now}
	})
}

// ensureImages makes sure that every digest of a sorted list has a row. Only what is
// lacking is inserted: PostgreSQL spends a number on every row that it then leaves out.
func ensureImages(ctx context.Context, tx *tx, list []digest, row func(digest) []any) (map[digest]knownImage, error) {
	known, err := knownImages(ctx, tx.reader, list)
	if err != nil || len(known) == len(list) {
		return known, err
	}
	var rows [][]any
	for _, d := range list {
		if _, ok := known[d]; !ok {
			rows = append(rows, row(d))
		}
	}
	if err := tx.insert(ctx, `INSERT INTO image (digest, media_type, size, state, first_seen)`, `ON CONFLICT (digest) DO NOTHING`, rows); err != nil {
		return nil, err
	}
	return knownImages(ctx, tx.reader, list)
}

func knownImages(ctx context.Context, r reader, list []digest) (map[digest]knownImage, error) {
	images := make(map[digest]knownImage, len(list))
	err := eachIn(ctx, r, `SELECT digest, id, kind, state, retry, indexer FROM image WHERE digest IN ({in})`, nil, list,
		func(rows *sql.Rows) error {
			var d digest
			var im knownImage
			var retry int
			err := rows.Scan(&d, &im.id, &im.kind, &im.state, &retry, &im.indexer)
			im.retry = retry != 0
			images[d] = im
			return err
		})
	return images, err
}

type tagName struct {
	repo int64
	name string
}

func (l *ledger) tags(ctx context.Context, repos map[inventory.Repository]int64, sightings []inventory.Sighting) (map[tagName]knownTag, error) {
	byRepo := map[int64][]string{}
	for _, sg := range sightings {
		id := repos[inventory.Repository{Key: sg.Key, Image: sg.Image}]
		byRepo[id] = append(byRepo[id], sg.Tag)
	}
	known := map[tagName]knownTag{}
	for _, repo := range slices.Sorted(maps.Keys(byRepo)) {
		err := eachIn(ctx, l.tx.reader, `
			SELECT name, id, image_id, created, pushed, since, last_seen, gone, missed
			FROM tag WHERE repository_id = ? AND name IN ({in})`, []any{repo}, byRepo[repo], func(rows *sql.Rows) error {
			var name string
			var t knownTag
			err := rows.Scan(&name, &t.id, &t.image, &t.created, &t.pushed, &t.since, &t.seen, &t.gone, &t.missed)
			known[tagName{repo, name}] = t
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

func (l *ledger) write(ctx context.Context, sightings []inventory.Sighting, repos map[inventory.Repository]int64,
	images map[digest]knownImage, tags map[tagName]knownTag,
) error {
	var fresh [][]any
	var led []int64
	for _, sg := range sightings {
		repo := repos[inventory.Repository{Key: sg.Key, Image: sg.Image}]
		image := images[digest(sg.Digest)].id
		at := millis(sg.At)
		if at == 0 {
			at = l.now
		}
		old, known := tags[tagName{repo, sg.Tag}]
		if !known {
			l.res.New++
			fresh, led = append(fresh, []any{repo, sg.Tag, image, millis(sg.Created), millis(sg.Pushed), at, at, at}), append(led, image)
			continue
		}
		if err := l.update(ctx, sg, old, image, at); err != nil {
			return err
		}
	}
	l.tx.touch(led...)
	return l.tx.insert(ctx, `INSERT INTO tag (repository_id, name, image_id, created, pushed, first_seen, since, last_seen)`, "", fresh)
}

// update applies a sighting to a tag that is known.
func (l *ledger) update(ctx context.Context, sg inventory.Sighting, old knownTag, image, at int64) error {
	if at < old.seen {
		return nil
	}
	moved, back := image != old.image, old.gone != 0
	if at == old.seen && !moved && !back && old.missed == 0 {
		return nil
	}
	if back && at <= old.gone {
		return nil // seen before it went
	}
	since := old.since
	if moved || back {
		until := at
		if back {
			until = old.gone
		}
		if err := l.tx.exec(ctx, `INSERT INTO tag_move (tag_id, image_id, from_at, to_at) VALUES (?,?,?,?)`, old.id, old.image, old.since, until); err != nil {
			return err
		}
		since = at
	}
	if moved {
		l.res.Moved++
		if err := l.event(ctx, EventTagMoved, sg, at); err != nil {
			return err
		}
	}
	created, pushed := old.created, old.pushed
	if moved {
		created, pushed = 0, 0
	}
	if !sg.Created.IsZero() {
		created = millis(sg.Created)
	}
	if !sg.Pushed.IsZero() {
		pushed = millis(sg.Pushed)
	}
	if moved || back || pushed != old.pushed {
		l.tx.touch(old.image, image)
	}
	return l.tx.exec(ctx, `
		UPDATE tag SET image_id = ?, created = ?, pushed = ?, since = ?, last_seen = ?, gone = 0, missed = 0 WHERE id = ?`,
		image, created, pushed, since, at, old.id)
}

func (l *ledger) event(ctx context.Context, kind string, sg inventory.Sighting, at int64) error {
	name := inventory.Repository{Key: sg.Key, Image: sg.Image}
	return addEvent(ctx, l.tx, event{
		kind: kind, at: at, integration: l.look.Integration,
		subject: fmt.Sprintf("%d/%s/%s:%s@%d", l.look.Integration, name.Key, name.Image, sg.Tag, at),
		body:    EventBody{Reference: reference(l.in, name, sg.Tag), Digest: sg.Digest},
	})
}

// queue notes what has to be indexed.
func (l *ledger) queue(ctx context.Context, sightings []inventory.Sighting, images map[digest]knownImage) error {
	if l.due == nil {
		l.due = map[string]*due{}
	}
	for _, sg := range sightings {
		if d := l.due[sg.Digest]; d != nil {
			d.tags++
			d.pushed = max(d.pushed, millis(sg.Pushed))
			continue
		}
		im := images[digest(sg.Digest)]
		if !l.wanted(im, sg.Filled) {
			continue
		}
		l.due[sg.Digest] = &due{sg.Digest, millis(sg.Pushed), 1}
		if im.state == inventory.StateFailed || im.state == inventory.StateUnsupported {
			// It waits again, and as one that nobody indexed: no outage may lose it.
			l.tx.touch(im.id)
			if err := l.tx.exec(ctx, `UPDATE image SET state = ?, problem = '', indexer = 0 WHERE id = ?`, inventory.StateWaiting, im.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// enqueue queues what has to be indexed: what was pushed on the newest day first, and
// of one day what most tags point to. What a poll or a webhook finds is news and does
// not wait behind the images that were there at the first connect.
func (l *ledger) enqueue(ctx context.Context) error {
	order := slices.SortedFunc(maps.Values(l.due), func(a, b *due) int {
		const day = 24 * 60 * 60 * 1000
		return cmp.Or(cmp.Compare(b.pushed/day, a.pushed/day), cmp.Compare(b.tags, a.tags), cmp.Compare(b.pushed, a.pushed), cmp.Compare(a.digest, b.digest))
	})
	if l.in.Watcher != "" {
		wanted := make([]inventory.Sighting, len(order))
		for i, d := range order {
			wanted[i] = inventory.Sighting{Digest: d.digest, Pushed: fromMillis(d.pushed)}
		}
		return l.sendOut(ctx, wanted)
	}
	priority := queue.Soon
	if l.look.Kind == inventory.LookReconcile {
		priority = queue.Normal
	}
	for piece := range pieces(order, 200) { // SQLite takes many more than that at once ever more slowly
		jobs := make([]queue.Job, len(piece))
		for i, d := range piece {
			jobs[i] = indexJob(d.digest, priority)
		}
		n, err := l.tx.enqueue(ctx, jobs...)
		if err != nil {
			return err
		}
		l.res.Queued += n
	}
	return nil
}

// wanted says that an image has to be indexed (again).
func (l *ledger) wanted(im knownImage, filled bool) bool {
	switch {
	case l.look.Force, im.state == inventory.StateWaiting && im.indexer == 0:
		return true
	case im.state == inventory.StateFailed:
		return im.retry && l.look.Kind == inventory.LookReconcile || int64(l.look.Indexer) > im.indexer && im.indexer > 0
	case im.state == inventory.StateUnsupported && im.retry && filled:
		return true // part of it was not cached
	case im.state == inventory.StateWaiting:
		return false // its packages wait for their match
	}
	return int64(l.look.Indexer) > im.indexer
}

func indexJob(digest string, priority int) queue.Job {
	return queue.Job{Kind: JobIndex, Args: DigestArgs{digest}, Unique: digest, Priority: priority}
}

// miss records tags that were not there.
func (l *ledger) miss(ctx context.Context) error {
	at := millis(l.look.At)
	if at == 0 {
		at = l.now
	}
	for _, one := range []struct {
		list []inventory.LiveTag
		gone bool
	}{{l.look.Gone, true}, {l.look.Missed, false}} {
		for _, lt := range one.list {
			if err := l.missOne(ctx, lt, at, one.gone); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *ledger) missOne(ctx context.Context, lt inventory.LiveTag, at int64, gone bool) error {
	// Whoever saw it after the look that misses it is right.
	const there = ` WHERE gone = 0 AND last_seen <= ? AND name = ? AND repository_id IN
		(SELECT id FROM repository WHERE integration_id = ? AND key = ? AND image = ?)`
	args := []any{at, lt.Tag, l.look.Integration, lt.Key, lt.Image}
	if !lt.Seen.IsZero() {
		args[0] = min(at, millis(lt.Seen))
	}
	if !gone {
		return l.tx.exec(ctx, `UPDATE tag SET missed = ?`+there, append([]any{lt.Missed + 1}, args...)...)
	}
	if err := l.tx.exec(ctx, `INSERT INTO fleet_log (image_id) SELECT image_id FROM tag`+there, args...); err != nil {
		return err
	}
	n, err := l.tx.changed(ctx, `UPDATE tag SET gone = ?`+there, append([]any{at}, args...)...)
	if err != nil || n == 0 {
		return err
	}
	l.res.Gone++
	return l.event(ctx, EventTagGone, inventory.Sighting{Key: lt.Key, Image: lt.Image, Tag: lt.Tag, Digest: lt.Digest}, at)
}

// finish saves cursors, answered hints and when the look was.
func (l *ledger) finish(ctx context.Context) error {
	if l.look.Partial {
		return nil
	}
	var rows [][]any
	for _, name := range slices.Sorted(maps.Keys(l.look.Cursors)) {
		rows = append(rows, []any{l.look.Integration, name, l.look.Cursors[name]})
	}
	if err := l.tx.insert(ctx, `INSERT INTO watermark (integration_id, name, value)`,
		`ON CONFLICT (integration_id, name) DO UPDATE SET value = excluded.value`, rows); err != nil {
		return err
	}
	if l.look.HintsUpTo > 0 {
		if err := l.tx.exec(ctx, `DELETE FROM hint WHERE integration_id = ? AND id <= ?`, l.look.Integration, l.look.HintsUpTo); err != nil {
			return err
		}
	}
	at := millis(l.look.At)
	if at == 0 {
		at = l.now
	}
	switch l.look.Kind {
	case inventory.LookPoll:
		return l.tx.exec(ctx, `UPDATE integration SET last_poll = ? WHERE id = ? AND last_poll < ?`, at, l.look.Integration, at)
	case inventory.LookReconcile:
		err := l.tx.exec(ctx, `UPDATE integration SET last_poll = ?, last_reconcile = ?, not_selected = ? WHERE id = ? AND last_reconcile <= ?`,
			at, at, l.look.NotSelected, l.look.Integration, at)
		if err != nil {
			return err
		}
		return l.baseline(ctx)
	}
	return nil
}

// LiveTags returns what the ledger believes is there, in the order of image and tag;
// empty key = all keys.
func (s *Store) LiveTags(ctx context.Context, integration int64, key string) ([]inventory.LiveTag, error) {
	tags := []inventory.LiveTag{}
	where, args := ``, []any{integration}
	if key != "" {
		where, args = ` AND r.key = ?`, append(args, key)
	}
	err := s.view(ctx, "list tags of "+key, func(r reader) error {
		return r.each(ctx, `
			SELECT r.key, r.image, t.name, i.digest, t.last_seen, t.missed
			FROM repository r JOIN tag t ON t.repository_id = r.id JOIN image i ON i.id = t.image_id
			WHERE r.integration_id = ?`+where+` AND t.gone = 0 ORDER BY r.key, r.image, t.name`, args,
			func(rows *sql.Rows) error {
				var lt inventory.LiveTag
				var seen int64
				err := rows.Scan(&lt.Key, &lt.Image, &lt.Tag, (*digest)(&lt.Digest), &seen, &lt.Missed)
				lt.Seen = fromMillis(seen)
				tags = append(tags, lt)
				return err
			})
	})
	return tags, err
}
