package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// sortedKeys gives maps an order.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// How many records one transaction takes: as many as hold the writer for advisoryHold,
// which depends on the machine and on how many packages they name.
const (
	advisoryStep  = 100 // at first
	advisoryLeast = 10
	advisoryMost  = 200
	advisoryHold  = 15 * time.Millisecond
)

// nextStep is how many records the next transaction takes after one of n that held the
// writer for so long: never many more than before.
func nextStep(n int, held time.Duration) int {
	fits := float64(n) * float64(advisoryHold) / float64(max(held, time.Microsecond))
	return int(min(max(fits, advisoryLeast), 2*float64(n)+advisoryLeast, advisoryMost))
}

// SaveAdvisories records advisories that are new or changed and returns every key that
// they stand under, or stood under before: the packages under those keys are unmatched
// from then on, until their verdicts are saved. A record older than the one kept is
// ignored. It is written in pieces; what was written stays when a later piece fails.
func (s *Store) SaveAdvisories(ctx context.Context, recs []inventory.Advisory, keysOf func(inventory.Advisory) []inventory.AffectedKey) ([]inventory.AffectedKey, error) {
	changed := map[inventory.AffectedKey]bool{}
	for step := advisoryStep; len(recs) > 0; {
		piece := recs[:min(step, len(recs))]
		recs = recs[len(piece):]
		prepared, err := prepareAdvisories(piece, keysOf)
		if err != nil {
			return sortedAffected(changed), err
		}
		var began time.Time
		err = s.paced(ctx, fmt.Sprintf("save %d advisories", len(piece)), func(tx *tx) error {
			began = time.Now()
			keys, err := saveAdvisories(ctx, tx, prepared)
			for _, key := range keys {
				changed[key] = true
			}
			return err
		})
		if err != nil {
			return sortedAffected(changed), err
		}
		step = nextStep(len(piece), time.Since(began))
	}
	return sortedAffected(changed), nil
}

func sortedAffected(set map[inventory.AffectedKey]bool) []inventory.AffectedKey {
	return slices.SortedFunc(maps.Keys(set), func(a, b inventory.AffectedKey) int {
		return cmp.Or(cmp.Compare(a.Ecosystem, b.Ecosystem), cmp.Compare(a.Name, b.Name))
	})
}

// prepared is an advisory ready to be written: the work is done before the writer is held.
type prepared struct {
	name                string
	modified, withdrawn int64
	hash, parsed, raw   []byte
	keys                []inventory.AffectedKey
	ecosystems          []string
	id                  int64
}

func prepareAdvisories(recs []inventory.Advisory, keysOf func(inventory.Advisory) []inventory.AffectedKey) ([]prepared, error) {
	byName := map[string]prepared{}
	for _, rec := range recs {
		p, err := prepareAdvisory(rec, keysOf)
		if err != nil {
			return nil, fmt.Errorf("save advisory %s: %w", rec.ID, err)
		}
		if old, ok := byName[p.name]; !ok || p.modified >= old.modified {
			byName[p.name] = p
		}
	}
	out := make([]prepared, 0, len(byName))
	for _, name := range sortedKeys(byName) {
		out = append(out, byName[name])
	}
	return out, nil
}

func prepareAdvisory(rec inventory.Advisory, keysOf func(inventory.Advisory) []inventory.AffectedKey) (p prepared, err error) {
	if rec.ID == "" {
		return p, inventory.Errorf(inventory.ErrInvalid, "an advisory has no id")
	}
	p = prepared{name: rec.ID, modified: millis(rec.Modified), withdrawn: millisOf(rec.Withdrawn), keys: keysOf(rec)}
	for i := range rec.Affected {
		p.ecosystems = append(p.ecosystems, rec.Affected[i].Ecosystem)
	}
	parsed, err := json.Marshal(rec)
	if err != nil {
		return p, err
	}
	sum := sha256.New()
	sum.Write(parsed)
	sum.Write(rec.Raw)
	p.hash = sum.Sum(nil)
	p.parsed, p.raw = packQuick(parsed), packQuick(rec.Raw)
	return p, nil
}

func saveAdvisories(ctx context.Context, tx *tx, recs []prepared) ([]inventory.AffectedKey, error) {
	if err := tx.lock(ctx, lockAdvisories, 0); err != nil {
		return nil, err
	}
	recs, known, err := changedAdvisories(ctx, tx, recs)
	if err != nil || len(recs) == 0 {
		return nil, err
	}
	keys, err := keysOfAdvisories(ctx, tx, known)
	if err != nil {
		return nil, err
	}
	if err := writeAdvisories(ctx, tx, recs, known); err != nil {
		return nil, err
	}
	for _, rec := range recs {
		for _, key := range rec.keys {
			keys[key] = true
		}
	}
	all := sortedAffected(keys)
	return all, touchPackages(ctx, tx, all)
}

// changedAdvisories keeps what is news, and tells which of it replaces a record.
func changedAdvisories(ctx context.Context, tx *tx, recs []prepared) (news []prepared, known []int64, err error) {
	names := make([]string, len(recs))
	byName := make(map[string]int, len(recs))
	for i, rec := range recs {
		names[i], byName[rec.name] = rec.name, i
	}
	skip := make([]bool, len(recs))
	err = eachIn(ctx, tx.reader, `SELECT id, name, modified, hash FROM advisory WHERE name IN ({in})`, nil, names, func(rows *sql.Rows) error {
		var id, modified int64
		var name string
		var hash []byte
		if err := rows.Scan(&id, &name, &modified, &hash); err != nil {
			return err
		}
		i := byName[name]
		recs[i].id = id
		skip[i] = modified > recs[i].modified || slices.Equal(hash, recs[i].hash)
		if !skip[i] {
			known = append(known, id)
		}
		return nil
	})
	for i, rec := range recs {
		if !skip[i] {
			news = append(news, rec)
		}
	}
	return news, known, err
}

func keysOfAdvisories(ctx context.Context, tx *tx, ids []int64) (map[inventory.AffectedKey]bool, error) {
	keys := map[inventory.AffectedKey]bool{}
	err := eachIn(ctx, tx.reader, `SELECT ecosystem, name FROM advisory_key WHERE advisory_id IN ({in})`, nil, ids, func(rows *sql.Rows) error {
		var key inventory.AffectedKey
		err := rows.Scan(&key.Ecosystem, &key.Name)
		keys[key] = true
		return err
	})
	return keys, err
}

func writeAdvisories(ctx context.Context, tx *tx, recs []prepared, known []int64) error {
	rows := make([][]any, len(recs))
	for i, rec := range recs {
		rows[i] = []any{rec.name, rec.modified, rec.withdrawn, rec.hash, rec.parsed}
	}
	ids := make(map[string]int64, len(recs))
	err := tx.inserted(ctx, `INSERT INTO advisory (name, modified, withdrawn, hash, parsed)`, `ON CONFLICT (name) DO UPDATE SET
		modified = excluded.modified, withdrawn = excluded.withdrawn, hash = excluded.hash, parsed = excluded.parsed
		RETURNING id, name`, rows, func(rows *sql.Rows) error {
		var id int64
		var name string
		err := rows.Scan(&id, &name)
		ids[name] = id
		return err
	})
	if err != nil {
		return err
	}
	if err := execIn(ctx, tx, `DELETE FROM advisory_key WHERE advisory_id IN ({in})`, nil, known); err != nil {
		return err
	}
	var raws, keys [][]any
	for _, rec := range recs {
		raws = append(raws, []any{ids[rec.name], rec.raw})
		for _, key := range rec.keys {
			keys = append(keys, []any{key.Ecosystem, key.Name, ids[rec.name]})
		}
	}
	if err := tx.insert(ctx, `INSERT INTO advisory_raw (advisory_id, raw)`, `ON CONFLICT (advisory_id) DO UPDATE SET raw = excluded.raw`, raws); err != nil {
		return err
	}
	if err := tx.insert(ctx, `INSERT INTO advisory_key (ecosystem, name, advisory_id)`, `ON CONFLICT DO NOTHING`, keys); err != nil {
		return err
	}
	return saveEcosystems(ctx, tx, recs)
}

// touchPackages makes the packages under keys unmatched. It happens in the transaction
// that changes the advisories, so that a crash cannot lose it.
func touchPackages(ctx context.Context, tx *tx, keys []inventory.AffectedKey) error {
	if err := tx.exec(ctx, `UPDATE counter SET value = value + 1 WHERE name = 'advisories'`); err != nil {
		return err
	}
	byEcosystem := map[string][]string{}
	for _, key := range keys {
		byEcosystem[key.Ecosystem] = append(byEcosystem[key.Ecosystem], key.Name)
	}
	for _, ecosystem := range sortedKeys(byEcosystem) {
		err := execIn(ctx, tx, `
			UPDATE package SET matched = 0, touched = (SELECT value FROM counter WHERE name = 'advisories')
			WHERE id IN (SELECT package_id FROM package_key WHERE ecosystem = ? AND name IN ({in}))`, []any{ecosystem}, byEcosystem[ecosystem])
		if err != nil {
			return err
		}
	}
	return nil
}

// Advisory returns one record as it came.
func (s *Store) Advisory(ctx context.Context, id string) (adv inventory.Advisory, err error) {
	err = s.view(ctx, "read advisory "+id, func(r reader) error {
		var parsed, raw []byte
		err := r.row(ctx, `SELECT a.parsed, w.raw FROM advisory a JOIN advisory_raw w ON w.advisory_id = a.id WHERE a.name = ?`, id).Scan(&parsed, &raw)
		if err != nil {
			return err
		}
		if err := unpackJSON(parsed, &adv); err != nil {
			return err
		}
		adv.Raw, err = unpack(raw)
		return err
	})
	return adv, err
}

// SaveKEV replaces CISA's catalogue.
func (s *Store) SaveKEV(ctx context.Context, all []inventory.KEV) error {
	rows := make([][]any, 0, len(all))
	for _, k := range all {
		rows = append(rows, []any{k.CVE, millisOf(k.Added), millisOf(k.Due)})
	}
	return s.update(ctx, "save known exploited vulnerabilities", func(tx *tx) error {
		if err := exploited(ctx, tx, s.nowMS(), all); err != nil {
			return err
		}
		if err := markExploited(ctx, tx, all); err != nil {
			return err
		}
		if err := tx.exec(ctx, `DELETE FROM kev`); err != nil {
			return err
		}
		return tx.insert(ctx, `INSERT INTO kev (cve, added, due)`, `ON CONFLICT (cve) DO NOTHING`, rows)
	})
}

// SaveEPSS adds or updates exploit prediction scores, in pieces.
func (s *Store) SaveEPSS(ctx context.Context, all []inventory.EPSS) error {
	latest := make(map[string]inventory.EPSS, len(all))
	for _, e := range all {
		latest[e.CVE] = e
	}
	for piece := range pieces(sortedKeys(latest), 1000) {
		rows := make([][]any, len(piece))
		for i, cve := range piece {
			rows[i] = []any{cve, latest[cve].Score, latest[cve].Percentile}
		}
		err := s.paced(ctx, "save exploit predictions", func(tx *tx) error {
			return tx.insert(ctx, `INSERT INTO epss (cve, score, percentile)`,
				`ON CONFLICT (cve) DO UPDATE SET score = excluded.score, percentile = excluded.percentile`, rows)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
