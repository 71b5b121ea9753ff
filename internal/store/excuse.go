package store

import (
	"context"
	"database/sql"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// excuser applies exceptions to the verdicts on one stack.
type excuser struct {
	r     reader
	rules []inventory.Exception // that are in force at its place
	st    stack
	purls map[int64]inventory.Package // of the stack; nil until a rule asks
}

// rulesFor are the exceptions in force on an image as it is, wherever it is tagged:
// those of repositories are left to where tags are read.
func (s *Store) rulesFor(ctx context.Context, r reader, image string) ([]inventory.Exception, error) {
	all, err := s.exceptions(ctx, r, `WHERE repository = '' AND (expires_at = 0 OR expires_at > ?)`, s.nowMS())
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return s.rulesAt(ctx, r, all, image, inventory.Repository{})
}

// rulesAt are those of the rules that hold at a place.
func (s *Store) rulesAt(ctx context.Context, r reader, all []inventory.Exception, image string, repo inventory.Repository) ([]inventory.Exception, error) {
	at := inventory.Where{Digests: []string{image}, Repository: repo}
	narrow := false
	for i := range all {
		narrow = narrow || all[i].Image != ""
	}
	if narrow {
		err := r.each(ctx, `SELECT DISTINCT x.digest FROM index_member m JOIN image x ON x.id = m.index_id WHERE m.digest = ?`, []any{digest(image)},
			func(rows *sql.Rows) error {
				var d digest
				err := rows.Scan(&d)
				at.Digests = append(at.Digests, string(d))
				return err
			})
		if err != nil {
			return nil, err
		}
	}
	var rules []inventory.Exception
	for i := range all {
		if all[i].HitsPlace(at) {
			rules = append(rules, all[i])
		}
	}
	return rules, nil
}

// tally counts the verdicts that no rule excuses.
func (x *excuser) tally(ctx context.Context, into tally) error {
	type verdict struct {
		pkg               int64
		id, purl, name    string
		advisory, aliases string
		rank              int
		fixable, kev      bool
	}
	var all []verdict
	err := eachIn(ctx, x.r, `
		SELECT v.package_id, p.purl, p.name, v.flaw, v.advisory, v.aliases, v.severity, v.fixed,
			CASE WHEN k.cve IS NULL THEN 0 ELSE 1 END
		FROM verdict v JOIN package p ON p.id = v.package_id LEFT JOIN kev k ON k.cve = v.flaw WHERE v.package_id IN ({in})`, nil, x.st.free(), func(rows *sql.Rows) error {
		var v verdict
		var fixed string
		var kev int
		err := rows.Scan(&v.pkg, &v.purl, &v.name, &v.id, &v.advisory, &v.aliases, &v.rank, &fixed, &kev)
		v.kev, v.fixable = kev != 0, fixed != "[]"
		all = append(all, v)
		return err
	})
	if err != nil {
		return err
	}
	for _, v := range all {
		excused, err := x.excuses(ctx, v.pkg, v.purl, v.name, append(fromList(v.aliases), v.id, v.advisory))
		if err != nil {
			return err
		}
		if !excused {
			into.add(v.id, flaw{min(max(v.rank, 0), len(inventory.Severities)-1), v.fixable, v.kev})
		}
	}
	return nil
}

func (x *excuser) excuses(ctx context.Context, pkg int64, purl, name string, ids []string) (bool, error) {
	for i := range x.rules {
		e := &x.rules[i]
		if !e.HitsFlaw(ids...) || !e.HitsPackage(purl, name) {
			continue
		}
		if e.Product == "" {
			return true, nil
		}
		ok, err := x.beside(ctx, e.Product, pkg)
		if err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// beside tells whether a package lies only where a product does: in the same files.
func (x *excuser) beside(ctx context.Context, product string, pkg int64) (bool, error) {
	if x.purls == nil {
		var err error
		if x.purls, err = packagesByID(ctx, x.r, x.st.packages()); err != nil {
			return false, err
		}
	}
	there := map[string]bool{}
	for p := range x.st {
		if inventory.SamePackage(product, x.purls[p.pkg].PURL) {
			there[p.location] = true
		}
	}
	for p, o := range x.st {
		if p.pkg == pkg && o.ownedBy == "" && !there[p.location] {
			return false, nil
		}
	}
	return len(there) > 0, nil
}

// excuseRows counts again, without what exceptions of their repositories excuse, the
// rows that such exceptions speak of.
func (s *Store) excuseRows(ctx context.Context, r reader, rows []found) error {
	var some bool
	if err := r.row(ctx, `SELECT EXISTS (SELECT 1 FROM exception WHERE repository <> '' AND (expires_at = 0 OR expires_at > ?))`, s.nowMS()).Scan(&some); err != nil || !some {
		return err
	}
	all, err := s.exceptions(ctx, r, `WHERE expires_at = 0 OR expires_at > ?`, s.nowMS())
	if err != nil {
		return err
	}
	for i := range rows {
		f := &rows[i]
		repo := inventory.Repository{Key: f.RepositoryKey, Image: f.Image}
		if f.Findings == nil || !concerns(all, repo) {
			continue
		}
		c, err := s.countAt(ctx, r, all, f.Digest, repo)
		if err != nil {
			return err
		}
		f.Findings = &c
	}
	return nil
}

// concerns tells whether an exception speaks of a repository by name.
func concerns(all []inventory.Exception, repo inventory.Repository) bool {
	for i := range all {
		if all[i].Repository != "" && all[i].HitsPlace(inventory.Where{Repository: repo}) {
			return true
		}
	}
	return false
}

// countAt counts an image, or the members of an index, as it stands in a repository.
func (s *Store) countAt(ctx context.Context, r reader, all []inventory.Exception, d string, repo inventory.Repository) (c inventory.Counts, err error) {
	t := newTally()
	type member struct {
		digest   digest
		platform string
		chain    int64
	}
	var members []member
	err = r.each(ctx, `
		SELECT i.digest, i.platform, i.chain_id FROM image i WHERE i.chain_id > 0 AND (i.digest = ? OR i.digest IN (
			SELECT m.digest FROM index_member m JOIN image x ON x.id = m.index_id WHERE x.digest = ? AND m.kind IN ('', ?)))`,
		[]any{digest(d), digest(d), inventory.ImageKind}, func(rows *sql.Rows) error {
			var m member
			err := rows.Scan(&m.digest, &m.platform, &m.chain)
			if linux(m.platform) || string(m.digest) == d {
				members = append(members, m)
			}
			return err
		})
	for _, m := range members {
		if err != nil {
			return c, err
		}
		var st stack
		var rules []inventory.Exception
		if st, err = s.stackOf(ctx, r, m.chain); err != nil {
			return c, err
		}
		if rules, err = s.rulesAt(ctx, r, all, string(m.digest), repo); err != nil {
			return c, err
		}
		err = (&excuser{r: r, rules: rules, st: st}).tally(ctx, t)
	}
	c = t.counts()
	return c, err
}
