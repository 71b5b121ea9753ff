package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// delta is how a chain differs from its parent.
type delta struct{ added, removed []occurrence }

// occurrence is a package at a place.
type occurrence struct {
	pkg      int64
	location string
	ownedBy  string
	declared bool
}

// place is what makes an occurrence itself.
type place struct {
	pkg      int64
	location string
}

func (o occurrence) place() place { return place{o.pkg, o.location} }

// encode writes a delta compactly: it is read whenever an image of the chain is.
func (d delta) encode() ([]byte, error) {
	var b []byte
	for _, part := range [][]occurrence{d.added, d.removed} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		for _, o := range part {
			b = binary.AppendUvarint(b, uint64(o.pkg)) //nolint:gosec // ids are positive
			b = appendText(appendText(b, o.location), o.ownedBy)
			b = append(b, byte(flag(o.declared)))
		}
	}
	return pack(b)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errDelta = errors.New("a stored chain is damaged")

func decodeDelta(packed []byte) (*delta, error) {
	raw, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	in := deltaReader{raw: raw}
	d := &delta{}
	for _, part := range []*[]occurrence{&d.added, &d.removed} {
		n := in.number()
		if n > uint64(len(in.raw)) {
			return nil, errDelta
		}
		*part = make([]occurrence, 0, n)
		for range n {
			o := occurrence{pkg: int64(in.number()), location: in.text(), ownedBy: in.text()} //nolint:gosec // written from an id
			o.declared = in.number() != 0
			*part = append(*part, o)
		}
	}
	if in.bad || len(in.raw) > 0 {
		return nil, errDelta
	}
	return d, nil
}

type deltaReader struct {
	raw []byte
	bad bool
}

func (r *deltaReader) number() uint64 {
	v, n := binary.Uvarint(r.raw)
	if n <= 0 {
		r.bad, r.raw = true, nil
		return 0
	}
	r.raw = r.raw[n:]
	return v
}

func (r *deltaReader) text() string {
	n := r.number()
	if n > uint64(len(r.raw)) {
		r.bad, r.raw = true, nil
		return ""
	}
	s := string(r.raw[:n])
	r.raw = r.raw[n:]
	return s
}

// deltaCache keeps decoded deltas: the same few bases lie under most images. Chains
// never change, so nothing in it goes stale.
type deltaCache struct {
	mu   sync.Mutex
	byID map[int64]*delta
	ways map[int64]link // of the same chains
	size int
}

// maxCached bounds the cache, in occurrences of about 100 bytes.
const maxCached = 300_000

func newDeltaCache() *deltaCache {
	return &deltaCache{byID: map[int64]*delta{}, ways: map[int64]link{}}
}

func (c *deltaCache) get(id int64) *delta {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byID[id]
}

func (c *deltaCache) link(id int64) (link, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.ways[id]
	return l, ok
}

func (c *deltaCache) put(l link, d *delta) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(d.added) + len(d.removed) + 1
	if c.byID[l.id] != nil || n > maxCached/4 {
		return
	}
	if c.size+n > maxCached {
		clear(c.byID)
		clear(c.ways)
		c.size = 0
	}
	c.byID[l.id], c.ways[l.id] = d, l
	c.size += n
}

// link is one chain on the way from the bottom to a stack's top.
type link struct {
	id     int64
	parent int64
	depth  int
	diffID digest
}

// path returns the chains of a stack, the lowest first.
func (s *Store) path(ctx context.Context, r reader, chain int64) ([]link, error) {
	var links []link
	for at := chain; at != 0; {
		l, known := s.deltas.link(at)
		if !known {
			err := r.each(ctx, `
				WITH RECURSIVE up (id, parent_id, depth, diff_id) AS (
					SELECT id, parent_id, depth, diff_id FROM chain WHERE id = ?
					UNION ALL
					SELECT c.id, c.parent_id, c.depth, c.diff_id FROM chain c JOIN up ON c.id = up.parent_id)
				SELECT id, parent_id, depth, diff_id FROM up ORDER BY depth DESC`, []any{at}, func(rows *sql.Rows) error {
				var l link
				err := rows.Scan(&l.id, &l.parent, &l.depth, &l.diffID)
				links = append(links, l)
				return err
			})
			if err != nil {
				return nil, err
			}
			break
		}
		links = append(links, l)
		at = l.parent
	}
	slices.Reverse(links)
	return links, nil
}

// loadDeltas makes sure that the deltas of ids are at hand.
func (s *Store) loadDeltas(ctx context.Context, r reader, ids []int64) (map[int64]*delta, error) {
	have := make(map[int64]*delta, len(ids))
	var lacking []int64
	for _, id := range ids {
		if d := s.deltas.get(id); d != nil {
			have[id] = d
		} else {
			lacking = append(lacking, id)
		}
	}
	err := eachIn(ctx, r, `SELECT id, body FROM chain WHERE id IN ({in})`, nil, lacking, func(rows *sql.Rows) error {
		var id int64
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return err
		}
		d, err := decodeDelta(body)
		if err != nil {
			return err
		}
		have[id] = d
		return nil
	})
	return have, err
}

// stacked is a package at a place and the layer that brought it.
type stacked struct {
	occurrence
	layer  int
	diffID digest
}

// stack is a set of occurrences that deltas are applied to.
type stack map[place]stacked

func (st stack) apply(d *delta, l link) {
	for _, o := range d.removed {
		delete(st, o.place())
	}
	for _, o := range d.added {
		if old, ok := st[o.place()]; ok { // a layer that says it again changes who owns it, not who brought it
			old.occurrence = o
			st[o.place()] = old
			continue
		}
		st[o.place()] = stacked{o, l.depth, l.diffID}
	}
}

// packages are the distinct packages of the stack, by id.
func (st stack) packages() []int64 {
	ids := make(map[int64]struct{}, len(st))
	for p := range st {
		ids[p.pkg] = struct{}{}
	}
	return slices.Sorted(maps.Keys(ids))
}

// free are the packages that do not merely repeat a distribution's package: those count.
func (st stack) free() []int64 {
	ids := make(map[int64]struct{}, len(st))
	for p, o := range st {
		if o.ownedBy == "" {
			ids[p.pkg] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// stackOf builds the stack of a chain.
func (s *Store) stackOf(ctx context.Context, r reader, chain int64) (stack, error) {
	links, err := s.path(ctx, r, chain)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(links))
	for i, l := range links {
		ids[i] = l.id
	}
	deltas, err := s.loadDeltas(ctx, r, ids)
	if err != nil {
		return nil, err
	}
	st := stack{}
	for _, l := range links {
		d := deltas[l.id]
		if d == nil {
			return nil, errDelta
		}
		st.apply(d, l)
		if !r.fresh[l.id] {
			s.deltas.put(l, d)
		}
	}
	return st, nil
}

// chainRow finds the row of a chain; 0 = none.
func chainRow(ctx context.Context, r reader, chainID string, indexer int) (id int64, err error) {
	err = r.each(ctx, `SELECT id FROM chain WHERE chain_id = ? AND indexer = ?`, []any{digest(chainID), indexer},
		func(rows *sql.Rows) error { return rows.Scan(&id) })
	return id, err
}

// Placed returns the packages of a stack, each once with all its places, by purl. The
// layer is the lowest from which the package is there.
func (s *Store) Placed(ctx context.Context, chainID string, indexer int) (all []inventory.Placed, err error) {
	err = s.view(ctx, "read the packages of "+chainID, func(r reader) error {
		id, err := chainRow(ctx, r, chainID, indexer)
		if err == nil && id == 0 { // what a token vouched for that was revoked since, until it is read again
			err = r.each(ctx, `SELECT max(id) FROM chain WHERE chain_id = ? AND indexer < 0 HAVING count(*) > 0`, []any{digest(chainID)},
				func(rows *sql.Rows) error { return rows.Scan(&id) })
		}
		if err != nil {
			return err
		}
		if id == 0 {
			return inventory.Errorf(inventory.ErrNotFound, "the stack of layers %s is not known", chainID)
		}
		st, err := s.stackOf(ctx, r, id)
		if err != nil {
			return err
		}
		all, err = placedOf(ctx, r, st)
		return err
	})
	return all, err
}

// placedOf turns a stack into the packages that people see.
func placedOf(ctx context.Context, r reader, st stack) ([]inventory.Placed, error) {
	byID, err := packagesByID(ctx, r, st.packages())
	if err != nil {
		return nil, err
	}
	all := make([]inventory.Placed, 0, len(byID))
	for _, group := range st.groups() {
		all = append(all, placed(byID[group[0].pkg], group))
	}
	slices.SortFunc(all, func(a, b inventory.Placed) int { return cmp.Compare(a.PURL, b.PURL) })
	return all, nil
}

// groups are the occurrences package by package, the lowest layer first.
func (st stack) groups() [][]stacked {
	flat := slices.SortedFunc(maps.Values(st), func(a, b stacked) int {
		return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.layer, b.layer), cmp.Compare(a.location, b.location))
	})
	var groups [][]stacked
	for from := 0; from < len(flat); {
		to := from + 1
		for to < len(flat) && flat[to].pkg == flat[from].pkg {
			to++
		}
		groups = append(groups, flat[from:to])
		from = to
	}
	return groups
}

// placed makes one package of its occurrences. It is owned, or only declared, if it is
// so everywhere.
func placed(p inventory.Package, group []stacked) inventory.Placed {
	out := inventory.Placed{
		Package: p, Layer: group[0].layer, LayerDiffID: string(group[0].diffID),
		Locations: make([]string, 0, len(group)), OwnedBy: group[0].ownedBy, Declared: true,
	}
	for _, o := range group {
		if o.location != "" {
			out.Locations = append(out.Locations, o.location)
		}
		if o.ownedBy == "" {
			out.OwnedBy = ""
		}
		out.Declared = out.Declared && o.declared
	}
	slices.Sort(out.Locations)
	return out
}
