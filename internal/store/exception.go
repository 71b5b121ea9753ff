package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// scopeOf is what makes two exceptions the same one.
func scopeOf(e inventory.Exception) (string, error) {
	text, err := json.Marshal([]any{e.CVE, e.Package, e.Product, e.Repository, e.Image, e.All})
	return string(text), err
}

// SaveExceptions adds exceptions; one of the same scope is replaced. The counts of what
// they concern become stale, and are made again behind. It returns them with their ids.
func (s *Store) SaveExceptions(ctx context.Context, list []inventory.Exception) ([]inventory.Exception, error) {
	saved := []inventory.Exception{}
	err := s.update(ctx, fmt.Sprintf("save %d exceptions", len(list)), func(tx *tx) error {
		saved = saved[:0]
		for _, e := range list {
			if err := s.saveException(ctx, tx, &e); err != nil {
				return err
			}
			saved = append(saved, e)
		}
		return nil
	})
	return saved, err
}

func (s *Store) saveException(ctx context.Context, tx *tx, e *inventory.Exception) error {
	created := s.now().UTC()
	e.ID, e.Expired, e.Created = 0, false, &created
	scope, err := scopeOf(*e)
	if err != nil {
		return err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	old, err := s.exceptions(ctx, tx.reader, `WHERE scope = ?`, scope)
	if err != nil {
		return err
	}
	err = tx.each(ctx, `
		INSERT INTO exception (scope, repository, body, created_at, expires_at) VALUES (?,?,?,?,?)
		ON CONFLICT (scope) DO UPDATE SET body = excluded.body, created_at = excluded.created_at, expires_at = excluded.expires_at, ended = 0
		RETURNING id`, []any{scope, e.Repository, string(body), millis(created), millisOf(e.Expires)},
		func(rows *sql.Rows) error { return rows.Scan(&e.ID) })
	if err != nil {
		return err
	}
	if err := s.staleByException(ctx, tx, *e); err != nil {
		return err
	}
	var before any
	if len(old) > 0 {
		before = old[0]
	}
	return tx.note(ctx, s.nowMS(), "exception saved", fmt.Sprint(e.ID), before, *e)
}

// Exceptions lists every exception, expired ones too, in the order they were added.
func (s *Store) Exceptions(ctx context.Context) (all []inventory.Exception, err error) {
	err = s.view(ctx, "list exceptions", func(r reader) error {
		all, err = s.exceptions(ctx, r, "")
		return err
	})
	return all, err
}

func (s *Store) exceptions(ctx context.Context, r reader, where string, args ...any) ([]inventory.Exception, error) {
	all := []inventory.Exception{}
	now := s.nowMS()
	err := r.each(ctx, `SELECT id, body, expires_at FROM exception `+where+` ORDER BY id`, args, func(rows *sql.Rows) error {
		var id, expires int64
		var body string
		if err := rows.Scan(&id, &body, &expires); err != nil {
			return err
		}
		var e inventory.Exception
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			return fmt.Errorf("decode exception %d: %w", id, err)
		}
		e.ID, e.Expired = id, expires > 0 && expires <= now
		all = append(all, e)
		return nil
	})
	return all, err
}

// RemoveException makes findings count again.
func (s *Store) RemoveException(ctx context.Context, id int64) error {
	return s.update(ctx, fmt.Sprintf("remove exception %d", id), func(tx *tx) error {
		found, err := s.exceptions(ctx, tx.reader, `WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return inventory.Errorf(inventory.ErrNotFound, "there is no exception %d", id).WithRemedy("see: tallyman exception list")
		}
		if err := tx.exec(ctx, `DELETE FROM exception WHERE id = ?`, id); err != nil {
			return err
		}
		if err := s.staleByException(ctx, tx, found[0]); err != nil {
			return err
		}
		return tx.note(ctx, s.nowMS(), "exception removed", fmt.Sprint(id), found[0], nil)
	})
}

// endExceptions lets findings count again whose exceptions have expired.
func (s *Store) endExceptions(ctx context.Context) error {
	var ended []inventory.Exception
	err := s.view(ctx, "find expired exceptions", func(r reader) (err error) {
		ended, err = s.exceptions(ctx, r, `WHERE ended = 0 AND expires_at > 0 AND expires_at <= ?`, s.nowMS())
		return err
	})
	if err != nil || len(ended) == 0 {
		return err
	}
	return s.update(ctx, "end exceptions", func(tx *tx) error {
		for _, e := range ended {
			if err := tx.exec(ctx, `UPDATE exception SET ended = 1 WHERE id = ?`, e.ID); err != nil {
				return err
			}
			if err := s.staleByException(ctx, tx, e); err != nil {
				return err
			}
		}
		return nil
	})
}

// staleByException marks the counts that an exception touches. Those of a repository
// touch none: they are applied where tags are read.
func (s *Store) staleByException(ctx context.Context, tx *tx, e inventory.Exception) error {
	if e.Repository != "" {
		return nil
	}
	if e.Image != "" {
		chains, err := chainsOf(ctx, tx.reader, e.Image)
		if err != nil {
			return err
		}
		rows := [][]any{}
		for _, id := range chains {
			rows = append(rows, []any{id, 1})
		}
		return tx.insert(ctx, `INSERT INTO stale_chain (chain_id, mark)`, `ON CONFLICT (chain_id) DO UPDATE SET mark = stale_chain.mark + 1`, rows)
	}
	hits, err := hitBy(ctx, tx.reader, e)
	if err != nil {
		return err
	}
	ids := map[int64]bool{}
	for _, h := range hits {
		ids[h.pkg] = true
	}
	return markStale(ctx, tx, sortedKeys(ids))
}

// hit is a verdict that an exception speaks of, wherever its package is.
type hit struct {
	pkg  int64
	purl string
	flaw string
	kev  bool
}

// hitBy finds the verdicts that an exception speaks of.
func hitBy(ctx context.Context, r reader, e inventory.Exception) ([]hit, error) {
	var hits []hit
	take := func(rows *sql.Rows) error {
		var h hit
		var name, advisory, aliases string
		var kev int
		if err := rows.Scan(&h.pkg, &h.purl, &name, &h.flaw, &advisory, &aliases, &kev); err != nil {
			return err
		}
		if e.HitsPackage(h.purl, name) && e.HitsFlaw(append(fromList(aliases), h.flaw, advisory)...) {
			h.kev = kev != 0
			hits = append(hits, h)
		}
		return nil
	}
	const from = `SELECT p.id, p.purl, p.name, v.flaw, v.advisory, v.aliases, CASE WHEN k.cve IS NULL THEN 0 ELSE 1 END
		FROM verdict v JOIN package p ON p.id = v.package_id LEFT JOIN kev k ON k.cve = v.flaw WHERE `
	if e.CVE != "" {
		flaws, err := flawsNamed(ctx, r, append(slices.Clone(e.Aliases), e.CVE))
		if err != nil {
			return nil, err
		}
		err = eachIn(ctx, r, from+`v.flaw IN ({in})`, nil, flaws, take)
		return hits, err
	}
	q := inventory.PackageQuery{Names: []string{e.Package}}
	if base, ok := purlBase(e.Package); ok {
		q = inventory.PackageQuery{PURL: base}
	}
	packages, err := packagesNamed(ctx, r, q)
	if err != nil {
		return nil, err
	}
	err = eachIn(ctx, r, from+`p.purl IN ({in})`, nil, sortedKeys(packages), take)
	return hits, err
}

// flawsNamed are the ids under which verdicts on flaws of these ids may be kept: an
// advisory's are those that it names.
func flawsNamed(ctx context.Context, r reader, ids []string) ([]string, error) {
	out := slices.Clone(ids)
	err := eachIn(ctx, r, `SELECT parsed FROM advisory WHERE name IN ({in})`, nil, ids, func(rows *sql.Rows) error {
		var packed []byte
		if err := rows.Scan(&packed); err != nil {
			return err
		}
		var adv inventory.Advisory
		err := unpackJSON(packed, &adv)
		out = slices.Concat(out, adv.Aliases, adv.Upstream)
		return err
	})
	slices.Sort(out)
	return slices.Compact(out), err
}

// purlBase is a purl without version, qualifiers and subpath, as they are kept.
func purlBase(purl string) (string, bool) {
	if !strings.HasPrefix(purl, "pkg:") {
		return "", false
	}
	if i := strings.IndexAny(purl, "?#"); i >= 0 {
		purl = purl[:i]
	}
	if i := strings.LastIndexByte(purl, '@'); i > 0 && purl[i-1] != '/' {
		purl = purl[:i]
	}
	return strings.ReplaceAll(purl, "/@", "/%40"), true
}

// PreviewExceptions tells what exceptions would let not count, in images that a tag
// points to now. What another exception hides already is counted too.
func (s *Store) PreviewExceptions(ctx context.Context, list []inventory.Exception) (h inventory.Hides, err error) {
	err = s.view(ctx, "preview exceptions", func(r reader) error {
		p := previewer{s: s, r: r, find: finder{s: s, r: r, named: map[int64]site{}}, findings: map[covered]bool{}, flaws: map[string]bool{}, images: map[int64]bool{}}
		for _, e := range list {
			if err := p.add(ctx, e); err != nil {
				return err
			}
		}
		h = inventory.Hides{Findings: len(p.findings), Flaws: len(p.flaws), Images: len(p.images), KEV: p.kev}
		return nil
	})
	return h, err
}

type covered struct {
	pkg, image int64
	flaw       string
}

type previewer struct {
	s        *Store
	r        reader
	find     finder
	findings map[covered]bool
	flaws    map[string]bool
	images   map[int64]bool
	kev      int
}

func (p *previewer) add(ctx context.Context, e inventory.Exception) error {
	hits, err := hitBy(ctx, p.r, e)
	if err != nil {
		return err
	}
	byPackage := map[int64][]hit{}
	for _, h := range hits {
		byPackage[h.pkg] = append(byPackage[h.pkg], h)
	}
	for _, pkg := range sortedKeys(byPackage) {
		holders, err := p.s.packageHolders(ctx, p.r, pkg)
		if err != nil {
			return err
		}
		images, err := p.within(ctx, e, pkg, holders)
		if err != nil {
			return err
		}
		for _, image := range images {
			p.note(image, byPackage[pkg])
		}
	}
	return nil
}

func (p *previewer) note(image int64, hits []hit) {
	p.images[image] = true
	for _, h := range hits {
		key := covered{h.pkg, image, h.flaw}
		if !p.findings[key] && h.kev {
			p.kev++
		}
		p.findings[key], p.flaws[h.flaw] = true, true
	}
}

// within are those of the images that have a tag where the exception speaks of it.
func (p *previewer) within(ctx context.Context, e inventory.Exception, pkg int64, all []int64) ([]int64, error) {
	in := map[int64]bool{}
	for piece := range pieces(all, inSize) {
		indexes, err := p.find.indexesOf(ctx, piece)
		if err != nil {
			return nil, err
		}
		found, err := p.find.pointings(ctx, append(slices.Clone(piece), sortedKeys(indexes)...))
		if err != nil {
			return nil, err
		}
		facts, err := p.find.facts(ctx, found, indexes)
		if err != nil {
			return nil, err
		}
		for _, point := range found {
			for _, image := range append([]int64{point.image}, indexes[point.image]...) {
				at := inventory.Where{Digests: []string{string(facts[point.image].digest), string(facts[image].digest)}, Repository: p.find.named[point.repo].repo}
				if _, index := indexes[image]; !index && e.HitsPlace(at) {
					in[image] = true
				}
			}
		}
	}
	if e.Product == "" {
		return sortedKeys(in), nil
	}
	return p.beside(ctx, e, pkg, sortedKeys(in))
}

// beside are those of the images where the package lies where the product does.
func (p *previewer) beside(ctx context.Context, e inventory.Exception, pkg int64, images []int64) ([]int64, error) {
	var kept []int64
	chains := map[int64]int64{}
	err := eachIn(ctx, p.r, `SELECT id, chain_id FROM image WHERE id IN ({in})`, nil, images, func(rows *sql.Rows) error {
		var id, chain int64
		err := rows.Scan(&id, &chain)
		chains[id] = chain
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, id := range images {
		st, err := p.s.stackOf(ctx, p.r, chains[id])
		if err != nil {
			return nil, err
		}
		x := excuser{r: p.r, st: st}
		ok, err := x.beside(ctx, e.Product, pkg)
		if err != nil {
			return nil, err
		}
		if ok {
			kept = append(kept, id)
		}
	}
	return kept, nil
}
