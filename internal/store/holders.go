package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/bits-and-blooms/bitset"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// PackagesNamed returns the packages of a name, whatever their version, by purl. A name
// that none has is looked for as the last part of longer names: "log4j-core" in
// "org.apache.logging.log4j:log4j-core".
func (s *Store) PackagesNamed(ctx context.Context, q inventory.PackageQuery) (all []inventory.Package, err error) {
	err = s.view(ctx, "find packages", func(r reader) error {
		found, err := packagesNamed(ctx, r, q)
		if err != nil {
			return err
		}
		all = sorted(found)
		return nil
	})
	return all, err
}

func packagesNamed(ctx context.Context, r reader, q inventory.PackageQuery) (map[string]inventory.Package, error) {
	found := map[string]inventory.Package{}
	take := func(rows *sql.Rows) error {
		_, p, err := scanPackage(rows)
		found[p.PURL] = p
		return err
	}
	const from = `SELECT ` + packageColumns + ` FROM package p WHERE `
	if q.PURL != "" {
		// "@" and "?" are the only characters that may follow a purl's name here.
		for _, end := range [...][2]string{{"@", "A"}, {"?", "@"}} {
			if err := r.each(ctx, from+`p.purl >= ? AND p.purl < ?`, []any{q.PURL + end[0], q.PURL + end[1]}, take); err != nil {
				return nil, err
			}
		}
		err := r.each(ctx, from+`p.purl = ?`, []any{q.PURL}, take)
		return found, err
	}
	for _, column := range [...]string{"name", "source_name"} {
		if err := eachIn(ctx, r, from+`p.`+column+` IN ({in})`, nil, q.Names, take); err != nil {
			return nil, err
		}
	}
	for _, key := range q.Keys {
		err := r.each(ctx, `SELECT `+packageColumns+` FROM package_key k JOIN package p ON p.id = k.package_id WHERE k.ecosystem = ? AND k.name = ?`,
			[]any{key.Ecosystem, key.Name}, take)
		if err != nil {
			return nil, err
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	escape := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)
	for _, name := range q.Names {
		tail := "%" + escape.Replace(name)
		err := r.each(ctx, from+`p.name LIKE ? ESCAPE '\' AND (p.name LIKE ? ESCAPE '\' OR p.name LIKE ? ESCAPE '\')`,
			[]any{tail, "%:" + tail[1:], "%/" + tail[1:]}, take)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// PackagesWithFlaw returns the packages that have a flaw, which may be given by its id,
// an alias or an advisory of it, by purl.
func (s *Store) PackagesWithFlaw(ctx context.Context, id string) (all []inventory.Package, err error) {
	err = s.view(ctx, "find packages with "+id, func(r reader) error {
		ids := []string{id}
		err := r.each(ctx, `SELECT parsed FROM advisory WHERE name = ?`, []any{id}, func(rows *sql.Rows) error {
			var packed []byte
			if err := rows.Scan(&packed); err != nil {
				return err
			}
			var adv inventory.Advisory
			err := unpackJSON(packed, &adv)
			ids = slices.Concat(ids, adv.Aliases, adv.Upstream)
			return err
		})
		if err != nil {
			return err
		}
		found := map[string]inventory.Package{}
		err = eachIn(ctx, r, `SELECT `+packageColumns+`, v.flaw, v.advisory, v.aliases FROM verdict v JOIN package p ON p.id = v.package_id
			WHERE v.flaw IN ({in})`, nil, slices.Compact(slices.Sorted(slices.Values(ids))), func(rows *sql.Rows) error {
			var flaw, advisory, aliases string
			_, p, err := scanPackage(rows, &flaw, &advisory, &aliases)
			if err == nil && (flaw == id || advisory == id || slices.Contains(fromList(aliases), id)) {
				found[p.PURL] = p
			}
			return err
		})
		all = sorted(found)
		return err
	})
	return all, err
}

// subject is one thing that is looked for: a package version, or a file at a path.
type subject struct {
	purl, version, path string
	read                func() (posting, error)
}

// subjects finds the things that are asked for.
func subjects(ctx context.Context, r reader, q inventory.HolderQuery) (all []subject, err error) {
	if q.File != "" {
		return fileSubjects(ctx, r, q.File)
	}
	err = eachIn(ctx, r, `SELECT id, purl, version FROM package WHERE purl IN ({in}) ORDER BY purl`, nil, slices.Sorted(slices.Values(q.PURLs)), func(rows *sql.Rows) error {
		var id int64
		var one subject
		err := rows.Scan(&id, &one.purl, &one.version)
		one.read = func() (posting, error) { return packagePosting(ctx, r, id, q.Free) }
		all = append(all, one)
		return err
	})
	return all, err
}

func fileSubjects(ctx context.Context, r reader, sum string) (all []subject, err error) {
	raw, err := hex.DecodeString(sum)
	if err != nil || len(raw) != 32 {
		return nil, inventory.Errorf(inventory.ErrInvalid, "%.80q is not the SHA-256 of a file", sum).WithRemedy("give sha256: and 64 hexadecimal digits")
	}
	err = r.each(ctx, `SELECT DISTINCT path FROM chain_file WHERE sha256 = ? ORDER BY path`, []any{raw}, func(rows *sql.Rows) error {
		var one subject
		err := rows.Scan(&one.path)
		one.read = func() (posting, error) { return filePosting(ctx, r, raw, one.path) }
		all = append(all, one)
		return err
	})
	return all, err
}

// packageHolders are the images that have a package as more than a part of a
// distribution's package.
func (s *Store) packageHolders(ctx context.Context, r reader, pkg int64) (images []int64, err error) {
	p, err := packagePosting(ctx, r, pkg, true)
	if err != nil {
		return nil, err
	}
	return images, s.useFleet(ctx, r, func(f *fleet) error {
		set := bitset.New(uint(len(f.chain)))
		f.holders(p, set)
		for image := range set.EachSet() {
			images = append(images, int64(image)) //nolint:gosec // ids are positive
		}
		return nil
	})
}
