package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// before is how many earlier images of a repository an arrival is held against.
const before = 12

// baseline remembers since when each repository key of an integration is watched, at
// the first complete listing that can read it: what was there then is not news. It is
// in the registry's own time, so that no two clocks need agree.
func (l *ledger) baseline(ctx context.Context) error {
	keys := map[string]bool{}
	err := l.tx.each(ctx, `SELECT DISTINCT key FROM repository WHERE integration_id = ?`, []any{l.in.ID}, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		keys[key] = true
		return err
	})
	if err != nil {
		return err
	}
	for _, key := range l.in.Keys {
		keys[key.Key] = key.OK
	}
	err = l.tx.each(ctx, `SELECT key FROM notify_baseline WHERE integration_id = ?`, []any{l.in.ID}, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		delete(keys, key)
		return err
	})
	if err != nil {
		return err
	}
	for _, key := range sortedKeys(keys) {
		if !keys[key] {
			continue
		}
		err := l.tx.exec(ctx, `INSERT INTO notify_baseline (integration_id, key, since)
			SELECT r.id, r.key, COALESCE((SELECT max(t.since) FROM tag t JOIN repository p ON p.id = t.repository_id
				WHERE p.integration_id = r.id AND p.key = r.key), 0)
			FROM (SELECT CAST(? AS BIGINT) AS id, CAST(? AS TEXT) AS key) AS r`, l.in.ID, key)
		if err != nil {
			return err
		}
	}
	return nil
}

// Arrival tells what an image brought: its flaws, and the repositories that it is new
// in, with what each had before. No places: it is not news anywhere.
func (s *Store) Arrival(ctx context.Context, d string) (a inventory.Arrival, err error) {
	a.Digest = d
	err = s.view(ctx, "read the arrival of "+d, func(r reader) error {
		own, chains, err := ownImages(ctx, r, d)
		if err != nil || len(own) == 0 {
			return err
		}
		places, err := arrivals(ctx, r, own)
		if err != nil || len(places) == 0 {
			return err
		}
		free, err := s.freeOf(ctx, r, chains)
		if err != nil {
			return err
		}
		flaws, err := noticeFlaws(ctx, r, `v.package_id IN ({in})`, free)
		if err != nil {
			return err
		}
		a.Flaws = worstFirst(flaws)
		for _, p := range places {
			if p.Had, err = s.had(ctx, r, p, own); err != nil {
				return err
			}
			a.Places = append(a.Places, p.ArrivalPlace)
		}
		return nil
	})
	return a, err
}

// ownImages are an image and the indexes that list it, and the stack of the image.
func ownImages(ctx context.Context, r reader, d string) (own, chains []int64, err error) {
	err = r.each(ctx, `SELECT id, chain_id, 0 FROM image WHERE digest = ? UNION ALL SELECT index_id, 0, 1 FROM index_member WHERE digest = ?`,
		[]any{digest(d), digest(d)}, func(rows *sql.Rows) error {
			var id, chain, index int64
			err := rows.Scan(&id, &chain, &index)
			own = append(own, id)
			if chain != 0 {
				chains = append(chains, chain)
			}
			return err
		})
	return own, chains, err
}

type arrivalPlace struct {
	inventory.ArrivalPlace
	repository, since int64
}

// arrivals are the repositories, of integrations that are connected, where a tag began
// to point to one of the images after the repository key was first listed.
func arrivals(ctx context.Context, r reader, images []int64) ([]arrivalPlace, error) {
	var places []arrivalPlace
	seen := map[int64]bool{}
	err := eachIn(ctx, r, `
		SELECT r.id, r.key, r.image, n.registry, n.subdomain_mode, t.name, t.since
		FROM tag t JOIN repository r ON r.id = t.repository_id JOIN integration n ON n.id = r.integration_id
			JOIN notify_baseline b ON b.integration_id = n.id AND b.key = r.key
		WHERE t.gone = 0 AND n.state <> ? AND t.since > b.since AND t.image_id IN ({in}) ORDER BY t.pushed DESC, t.id LIMIT 100`,
		[]any{inventory.IntegrationDisconnected}, images, func(rows *sql.Rows) error {
			var p arrivalPlace
			var repo inventory.Repository
			var registry, tag string
			var subdomain int
			err := rows.Scan(&p.repository, &repo.Key, &repo.Image, &registry, &subdomain, &tag, &p.since)
			if !seen[p.repository] {
				seen[p.repository] = true
				p.Repository = repo.Key + "/" + repo.Image
				p.Reference = repositoryReference(registry, subdomain != 0, repo) + ":" + tag
				places = append(places, p)
			}
			return err
		})
	return places, err
}

// had tells the flaws of the images that a repository had before one arrived.
func (s *Store) had(ctx context.Context, r reader, p arrivalPlace, own []int64) (map[string]bool, error) {
	var chains []int64
	args := []any{p.repository, p.since, p.repository, p.since}
	for _, id := range own {
		args = append(args, id)
	}
	err := r.each(ctx, `
		WITH old (id) AS (SELECT image_id FROM (
			SELECT image_id, since AS at FROM tag WHERE repository_id = ? AND since < ?
			UNION ALL
			SELECT m.image_id, m.from_at FROM tag_move m JOIN tag t ON t.id = m.tag_id WHERE t.repository_id = ? AND m.from_at < ?) AS was
			WHERE image_id NOT IN (`+marks(len(own))+`) GROUP BY image_id ORDER BY max(at) DESC LIMIT `+fmt.Sprint(before)+`)
		SELECT DISTINCT i.chain_id FROM image i WHERE i.chain_id > 0 AND (i.id IN (SELECT id FROM old) OR i.digest IN (
			SELECT m.digest FROM index_member m WHERE m.index_id IN (SELECT id FROM old)))`, args, func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		chains = append(chains, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	free, err := s.freeOf(ctx, r, chains)
	if err != nil {
		return nil, err
	}
	flaws := map[string]bool{}
	err = eachIn(ctx, r, `SELECT DISTINCT flaw FROM verdict WHERE package_id IN ({in})`, nil, free, func(rows *sql.Rows) error {
		var flaw string
		err := rows.Scan(&flaw)
		flaws[flaw] = true
		return err
	})
	return flaws, err
}

// freeOf are the packages of stacks that count, each once.
func (s *Store) freeOf(ctx context.Context, r reader, chains []int64) ([]int64, error) {
	ids := map[int64]bool{}
	for _, chain := range chains {
		st, err := s.stackOf(ctx, r, chain)
		if err != nil {
			return nil, err
		}
		for _, id := range st.free() {
			ids[id] = true
		}
	}
	return sortedKeys(ids), nil
}

// Flaws returns what is known of flaws in the fleet, by id. One that no package has any
// more is not in the answer.
func (s *Store) Flaws(ctx context.Context, ids []string) (flaws map[string]inventory.NoticeFlaw, err error) {
	err = s.view(ctx, "read flaws", func(r reader) error {
		flaws, err = noticeFlaws(ctx, r, `v.flaw IN ({in})`, ids)
		return err
	})
	return flaws, err
}

// mostPackages is how many packages of a flaw a message names.
const mostPackages = 5

func noticeFlaws[T any](ctx context.Context, r reader, where string, list []T) (map[string]inventory.NoticeFlaw, error) {
	flaws := map[string]inventory.NoticeFlaw{}
	err := eachIn(ctx, r, `
		SELECT `+verdictColumns+`, p.name, p.version, COALESCE(e.score, 0), COALESCE(k.added, -1)
		FROM verdict v JOIN package p ON p.id = v.package_id LEFT JOIN epss e ON e.cve = v.flaw LEFT JOIN kev k ON k.cve = v.flaw
		WHERE `+where+` ORDER BY v.flaw, v.package_id`, nil, list, func(rows *sql.Rows) error {
		var name, version string
		var score float64
		var added int64
		_, k, err := scanVerdict(rows, &name, &version, &score, &added)
		if err != nil {
			return err
		}
		f, known := flaws[k.ID]
		if !known {
			f = inventory.NoticeFlaw{ID: k.ID, Severity: k.Severity, Summary: k.Summary, Packages: []string{}, Fixed: []string{}, EPSS: score, KEV: added >= 0}
		}
		if inventory.SeverityRank(k.Severity) < inventory.SeverityRank(f.Severity) {
			f.Severity = k.Severity
		}
		f.Packages, f.Fixed = withOne(f.Packages, name+" "+version), withOne(f.Fixed, k.Fixed...)
		flaws[k.ID] = f
		return nil
	})
	return flaws, err
}

func withOne(list []string, more ...string) []string {
	for _, s := range more {
		if len(list) < mostPackages && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

func worstFirst(flaws map[string]inventory.NoticeFlaw) []inventory.NoticeFlaw {
	all := make([]inventory.NoticeFlaw, 0, len(flaws))
	for _, f := range flaws {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b inventory.NoticeFlaw) int {
		return cmp.Or(cmp.Compare(inventory.SeverityRank(a.Severity), inventory.SeverityRank(b.Severity)), strings.Compare(b.ID, a.ID))
	})
	return all
}

// ImagePlaces returns the repositories (KEY/image) and references of an image that are
// there now in integrations that are connected; new says whether it came there after
// the repository key was first listed.
func (s *Store) ImagePlaces(ctx context.Context, d string) (places []inventory.ArrivalPlace, err error) {
	err = s.view(ctx, "read the places of "+d, func(r reader) error {
		own, _, err := ownImages(ctx, r, d)
		if err != nil {
			return err
		}
		found, err := arrivals(ctx, r, own)
		for _, p := range found {
			places = append(places, p.ArrivalPlace)
		}
		return err
	})
	return places, err
}

// CheckFeeds records as an event that no advisories came for longer than limit, or that
// a feed which is synchronised did not, once for each time they stop coming.
func (s *Store) CheckFeeds(ctx context.Context, limit time.Duration) error {
	return s.update(ctx, "check the age of the advisories", func(tx *tx) error {
		feeds, err := s.feeds(ctx, tx.reader)
		if err != nil {
			return err
		}
		now := s.nowMS()
		old := func(at time.Time) bool { return !at.IsZero() && now-millis(at) > limit.Milliseconds() }
		var newest time.Time
		var behind []inventory.Feed // the oldest first
		for _, f := range feeds {
			if f.Synced.After(newest) {
				newest = f.Synced
			}
			if f.Status != "" && f.Status != inventory.FeedAbsent && old(f.Synced) {
				behind = append(behind, f)
			}
		}
		body := EventBody{Remedy: "take in new ones: tallyman advisories import PATH"}
		switch {
		case len(behind) > 0:
			newest = behind[0].Synced
			body.Problem, body.Remedy = behindWords(behind), cmp.Or(behind[0].Remedy, "tallyman advisories sync")
		case !old(newest):
			return nil
		}
		body.Reference = newest.Format(time.RFC3339)
		body.Problem = cmp.Or(body.Problem, "the last advisories were taken in at "+body.Reference)
		return addEvent(ctx, tx, event{kind: EventFeedStale, subject: body.Reference, at: now, body: body})
	})
}

func behindWords(feeds []inventory.Feed) string {
	words := "the feed " + feeds[0].Name
	if more := len(feeds) - 1; more > 0 {
		words += fmt.Sprintf(" (and %d more)", more)
	}
	words += " was last taken in at " + feeds[0].Synced.Format(time.RFC3339)
	if feeds[0].Problem != "" {
		words += ": " + feeds[0].Problem
	}
	return words
}

// exploited records as events which of the catalogue's flaws the fleet has, of those
// that entered it just now. The first catalogue is no news.
func exploited(ctx context.Context, tx *tx, now int64, all []inventory.KEV) error {
	var n int
	if err := tx.row(ctx, `SELECT count(*) FROM kev`).Scan(&n); err != nil || n == 0 {
		return err
	}
	entered := map[string]bool{}
	for _, k := range all {
		entered[k.CVE] = true
	}
	err := tx.each(ctx, `SELECT cve FROM kev`, nil, func(rows *sql.Rows) error {
		var cve string
		err := rows.Scan(&cve)
		delete(entered, cve)
		return err
	})
	if err != nil {
		return err
	}
	var events []event
	err = eachIn(ctx, tx.reader, `SELECT flaw, min(severity) FROM verdict WHERE flaw IN ({in}) GROUP BY flaw ORDER BY flaw`, nil, sortedKeys(entered),
		func(rows *sql.Rows) error {
			var flaw string
			var rank int
			err := rows.Scan(&flaw, &rank)
			severity := inventory.Severities[min(max(rank, 0), len(inventory.Severities)-1)]
			events = append(events, event{kind: EventEnteredKEV, subject: flaw, at: now, body: EventBody{Flaw: flaw, Severity: severity}})
			return err
		})
	if err != nil {
		return err
	}
	return addEvent(ctx, tx, events...)
}
