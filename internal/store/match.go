package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Candidates returns the advisories that are kept under each key and are not
// withdrawn, by id. A key that nothing is kept under is not in the answer.
func (s *Store) Candidates(ctx context.Context, keys []inventory.AffectedKey) (map[inventory.AffectedKey][]inventory.Advisory, error) {
	found := map[inventory.AffectedKey][]inventory.Advisory{}
	byEcosystem := map[string][]string{}
	for _, key := range keys {
		byEcosystem[key.Ecosystem] = append(byEcosystem[key.Ecosystem], key.Name)
	}
	decoded := map[int64]inventory.Advisory{} // one record may stand under many keys
	err := s.view(ctx, "find advisories", func(r reader) error {
		for ecosystem, names := range byEcosystem {
			slices.Sort(names)
			err := eachIn(ctx, r, `
				SELECT k.name, a.id, a.parsed FROM advisory_key k JOIN advisory a ON a.id = k.advisory_id
				WHERE a.withdrawn = 0 AND k.ecosystem = ? AND k.name IN ({in})`, []any{ecosystem}, slices.Compact(names), func(rows *sql.Rows) error {
				var id int64
				var name string
				var parsed []byte
				if err := rows.Scan(&name, &id, &parsed); err != nil {
					return err
				}
				adv, ok := decoded[id]
				if !ok {
					if err := unpackJSON(parsed, &adv); err != nil {
						return err
					}
					decoded[id] = adv
				}
				key := inventory.AffectedKey{Ecosystem: ecosystem, Name: name}
				found[key] = append(found[key], adv)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	for _, list := range found {
		slices.SortFunc(list, func(a, b inventory.Advisory) int { return cmp.Compare(a.ID, b.ID) })
	}
	return found, err
}

// Revision is the state of the advisories: it grows with every change of them. Read it
// before Candidates and give it to SaveVerdictsAt, so that a verdict of what was known
// then never overwrites one of what is known now.
func (s *Store) Revision(ctx context.Context) (rev int64, err error) {
	err = s.view(ctx, "read the state of the advisories", func(r reader) error {
		return r.row(ctx, `SELECT value FROM counter WHERE name = 'advisories'`).Scan(&rev)
	})
	return rev, err
}

// SaveVerdicts is SaveVerdictsAt for a caller that knows of no other.
func (s *Store) SaveVerdicts(ctx context.Context, matched []string, verdicts []inventory.Verdict) error {
	return s.SaveVerdictsAt(ctx, math.MaxInt64, matched, verdicts)
}

// SaveVerdictsAt replaces all verdicts of the packages matched, keeps when each was
// first seen, and records as events what changed for packages that were matched before.
// Packages that advisories newer than revision touched are left out: they stay unmatched.
// It is written in pieces, each whole.
func (s *Store) SaveVerdictsAt(ctx context.Context, revision int64, matched []string, verdicts []inventory.Verdict) error {
	byPURL := map[string][]inventory.Verdict{}
	for _, v := range verdicts {
		byPURL[v.PURL] = append(byPURL[v.PURL], v)
	}
	purls := slices.Compact(slices.Sorted(slices.Values(matched)))
	for piece := range byWeight(purls, func(purl string) int { return 1 + len(byPURL[purl]) }, 300) {
		err := s.paced(ctx, fmt.Sprintf("save the verdicts on %d packages", len(piece)), func(tx *tx) error {
			return s.saveVerdicts(ctx, tx, revision, piece, byPURL)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// byWeight cuts a list into pieces of about a weight.
func byWeight[T any](list []T, weight func(T) int, limit int) func(yield func([]T) bool) {
	return func(yield func([]T) bool) {
		from, sum := 0, 0
		for i, v := range list {
			if sum += weight(v); sum >= limit {
				if !yield(list[from : i+1]) {
					return
				}
				from, sum = i+1, 0
			}
		}
		if from < len(list) {
			yield(list[from:])
		}
	}
}

type judged struct {
	id     int64
	purl   string
	before bool // was matched before
}

func (s *Store) saveVerdicts(ctx context.Context, tx *tx, revision int64, purls []string, byPURL map[string][]inventory.Verdict) error {
	var packages []judged
	err := eachIn(ctx, tx.reader, `SELECT id, purl, matched_at FROM package WHERE touched <= ? AND purl IN ({in}) ORDER BY id`+tx.forUpdate(),
		[]any{revision}, purls, func(rows *sql.Rows) error {
			var j judged
			var at int64
			err := rows.Scan(&j.id, &j.purl, &at)
			j.before = at != 0
			packages = append(packages, j)
			return err
		})
	if err != nil {
		return err
	}
	ids := make([]int64, len(packages))
	for i, j := range packages {
		ids[i] = j.id
	}
	old, err := verdictsOf(ctx, tx.reader, ids)
	if err != nil {
		return err
	}
	ch := changes{now: s.nowMS()}
	for _, j := range packages {
		ch.compare(j, old[j.id], byPURL[j.purl])
	}
	if err := ch.write(ctx, tx); err != nil {
		return err
	}
	return execIn(ctx, tx, `UPDATE package SET matched = 1, matched_at = ? WHERE id IN ({in})`, []any{ch.now}, ids)
}

// kept is a verdict as it stands in the table.
type kept struct {
	inventory.Verdict
	rank      int
	firstSeen int64
}

const verdictColumns = `v.package_id, v.flaw, v.advisory, v.aliases, v.modified, v.published, v.summary, v.severity, v.severity_source,
	v.cvss_vector, v.cvss_score, v.fixed, v.ranges, v.comparator, v.first_seen`

func scanVerdict(rows *sql.Rows, more ...any) (pkg int64, k kept, err error) {
	var aliases, fixed string
	var modified, published int64
	err = rows.Scan(append([]any{
		&pkg, &k.ID, &k.AdvisoryID, &aliases, &modified, &published, &k.Summary, &k.rank, &k.SeveritySource,
		&k.CVSSVector, &k.CVSSScore, &fixed, &k.Range, &k.Comparator, &k.firstSeen,
	}, more...)...)
	k.Aliases, k.Fixed, k.Modified, k.Published = fromList(aliases), fromList(fixed), fromMillis(modified), timeOf(published)
	k.rank = min(max(k.rank, 0), len(inventory.Severities)-1)
	k.Severity = inventory.Severities[k.rank]
	return pkg, k, err
}

func verdictsOf(ctx context.Context, r reader, packages []int64) (map[int64]map[string]kept, error) {
	found := map[int64]map[string]kept{}
	err := eachIn(ctx, r, `SELECT `+verdictColumns+` FROM verdict v WHERE v.package_id IN ({in})`, nil, packages, func(rows *sql.Rows) error {
		pkg, k, err := scanVerdict(rows)
		if found[pkg] == nil {
			found[pkg] = map[string]kept{}
		}
		found[pkg][k.ID] = k
		return err
	})
	return found, err
}

// changes are the differences between the verdicts kept and the verdicts now.
type changes struct {
	now    int64
	rows   [][]any
	gone   []verdictKey
	stale  []int64
	events []event
}

type verdictKey struct {
	pkg  int64
	flaw string
}

func (ch *changes) compare(j judged, old map[string]kept, fresh []inventory.Verdict) {
	now := map[string]inventory.Verdict{}
	for _, v := range fresh {
		if other, ok := now[v.ID]; !ok || worse(v, other) {
			now[v.ID] = v
		}
	}
	counted := false
	for _, id := range sortedKeys(now) {
		v, was := now[id], old[id]
		first, known := ch.now, was.ID != ""
		if known {
			first = was.firstSeen
		}
		if known && equalVerdict(was, v) {
			continue
		}
		ch.rows = append(ch.rows, verdictRow(j.id, v, first))
		counted = counted || !known || was.rank != inventory.SeverityRank(v.Severity) || len(was.Fixed) == 0 != (len(v.Fixed) == 0)
		if j.before {
			ch.tell(j, v, was, known)
		}
	}
	for _, id := range sortedKeys(old) {
		if _, still := now[id]; still {
			continue
		}
		ch.gone = append(ch.gone, verdictKey{j.id, id})
		counted = true
		ch.event(EventWithdrawn, j, old[id].Verdict, "", "")
	}
	// Images of a package that is matched for the first time are counted when they are finished.
	if counted && j.before {
		ch.stale = append(ch.stale, j.id)
	}
}

// worse says that of two verdicts on one flaw v is the one to keep.
func worse(v, other inventory.Verdict) bool {
	return cmp.Or(cmp.Compare(inventory.SeverityRank(v.Severity), inventory.SeverityRank(other.Severity)), cmp.Compare(v.AdvisoryID, other.AdvisoryID)) < 0
}

func equalVerdict(was kept, v inventory.Verdict) bool {
	a := was.Verdict
	return a.AdvisoryID == v.AdvisoryID && a.Modified.Equal(fromMillis(millis(v.Modified))) && was.rank == inventory.SeverityRank(v.Severity) &&
		a.SeveritySource == v.SeveritySource && a.CVSSVector == v.CVSSVector && a.CVSSScore == v.CVSSScore && a.Range == v.Range &&
		a.Comparator == v.Comparator && a.Summary == v.Summary && slices.Equal(a.Fixed, some(v.Fixed)) && slices.Equal(a.Aliases, some(v.Aliases)) &&
		millisOf(a.Published) == millisOf(v.Published)
}

func verdictRow(pkg int64, v inventory.Verdict, firstSeen int64) []any {
	return []any{
		pkg, v.ID, v.AdvisoryID, list(v.Aliases), millis(v.Modified), millisOf(v.Published), v.Summary, inventory.SeverityRank(v.Severity),
		v.SeveritySource, v.CVSSVector, v.CVSSScore, list(v.Fixed), v.Range, v.Comparator, firstSeen,
	}
}

// tell records what changed about one flaw of a package that was known before.
func (ch *changes) tell(j judged, v inventory.Verdict, was kept, known bool) {
	if !known {
		ch.event(EventFindingAppeared, j, v, "", "")
		return
	}
	if was.rank != inventory.SeverityRank(v.Severity) {
		ch.event(EventSeverityChanged, j, v, "|"+v.Severity, was.Severity)
	}
	if len(was.Fixed) == 0 && len(v.Fixed) > 0 {
		ch.event(EventBecameFixable, j, v, "", "")
	}
}

func (ch *changes) event(kind string, j judged, v inventory.Verdict, detail, before string) {
	ch.events = append(ch.events, event{
		kind: kind, subject: v.ID + "|" + j.purl + detail, at: ch.now,
		body: EventBody{Flaw: v.ID, Advisory: v.AdvisoryID, PURL: j.purl, Severity: v.Severity, Was: before},
	})
}

func (ch *changes) write(ctx context.Context, tx *tx) error {
	for _, key := range ch.gone {
		if err := tx.exec(ctx, `DELETE FROM verdict WHERE package_id = ? AND flaw = ?`, key.pkg, key.flaw); err != nil {
			return err
		}
	}
	err := tx.insert(ctx, `INSERT INTO verdict (package_id, flaw, advisory, aliases, modified, published, summary, severity, severity_source,
		cvss_vector, cvss_score, fixed, ranges, comparator, first_seen)`, `ON CONFLICT (package_id, flaw) DO UPDATE SET
		advisory = excluded.advisory, aliases = excluded.aliases, modified = excluded.modified, published = excluded.published,
		summary = excluded.summary, severity = excluded.severity, severity_source = excluded.severity_source, cvss_vector = excluded.cvss_vector,
		cvss_score = excluded.cvss_score, fixed = excluded.fixed, ranges = excluded.ranges, comparator = excluded.comparator`, ch.rows)
	if err != nil {
		return err
	}
	if err := addEvent(ctx, tx, ch.events...); err != nil {
		return err
	}
	return markStale(ctx, tx, ch.stale)
}

// AdvisoriesSynced records when a source of advisories was read in full; what is known
// to be newer stays.
func (s *Store) AdvisoriesSynced(ctx context.Context, source string, at time.Time) error {
	return s.update(ctx, "record the sync of "+source, func(tx *tx) error {
		return tx.exec(ctx, `INSERT INTO feed (source, synced_at) VALUES (?,?) ON CONFLICT (source) DO UPDATE SET synced_at = excluded.synced_at
			WHERE excluded.synced_at > feed.synced_at`, source, millis(at))
	})
}
