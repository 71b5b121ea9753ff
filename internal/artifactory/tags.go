package artifactory

import (
	"cmp"
	"context"
	"errors"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Ask says which tags are wanted.
type Ask struct {
	Keys  []inventory.RepositoryKey // selected; those that are not OK are left out
	Since time.Time                 // server time; only what changed since. Zero = everything
	Image string                    // only this image of Keys[0]; "" = all
	props string                    // field that Since is of; "" = the dates of the file
	// Images are all that is wanted, where that is known: a plain registry is then
	// not asked for its catalogue, which many refuse.
	Images []string
}

// Listing is the tags that exist now, or that changed.
type Listing struct {
	Tags     []inventory.Sighting
	At       time.Time        // server time of the first request
	Complete map[string]bool  // keys of which every visible tag is in Tags
	Problems map[string]error // keys that could not be listed
	Refused  map[string]error // keys of which some image or tag was refused; the others are in Tags
	Fallback bool             // the catalogue was asked, not AQL
}

// rowsSaid is what rows said about one tag besides its sighting.
type rowsSaid struct {
	cached    bool // one of the rows is of a remote's cache
	ambiguous bool // rows name different digests
}

// Tags lists tags with the digests they point to: by AQL, one query for as many
// repositories as fit, and where that is refused by catalogue and tag lists.
func (c *Client) Tags(ctx context.Context, ask Ask) (Listing, error) {
	ask.Keys = slices.DeleteFunc(slices.Clone(ask.Keys), func(r inventory.RepositoryKey) bool { return !r.OK })
	l := Listing{Complete: map[string]bool{}, Problems: map[string]error{}}
	if len(ask.Keys) == 0 {
		return l, nil
	}
	if c.opts.Kind == inventory.KindOCI || c.cred.kind == noSecret || (c.withoutAQL() && !ask.full()) {
		return l, c.listByCatalog(ctx, ask, &l)
	}
	err := c.listByAQL(ctx, ask, &l)
	if !errors.Is(err, errNoAQL) {
		c.setAQL(err == nil, false)
		return l, err
	}
	if c.hasAQL() && !ask.full() {
		// It took queries a moment ago. To ask for every tag instead would be a
		// flood; the next full listing finds out what is the matter.
		return l, err
	}
	c.opts.Logger.WarnContext(ctx, "queries are refused; catalogue and tag lists are asked instead", "host", c.addr.Host, "error", err)
	c.setAQL(false, true)
	l = Listing{Complete: map[string]bool{}, Problems: map[string]error{}}
	return l, c.listByCatalog(ctx, ask, &l)
}

func (a Ask) full() bool { return a.Since.IsZero() && a.Image == "" }

func (c *Client) withoutAQL() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.noAQL
}

func (c *Client) hasAQL() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.didAQL
}

// setAQL records that queries were answered, or refused.
func (c *Client) setAQL(answered, refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noAQL = refused
	c.didAQL = (c.didAQL || answered) && !refused
}

// gathering is a listing in the making.
type gathering struct {
	c        *Client
	types    map[string]string // key -> package type
	physical map[string]string // repository of a row -> key
	virtuals []string
	found    []inventory.Sighting // becomes the listing: there may be very many
	said     []rowsSaid           // of each of them
	at       map[tagName]int32    // where a tag is in them
	names    map[string]string    // one copy of each name, however many rows have it
	unknown  bool                 // a row came through one of several virtuals: which?
}

func (c *Client) listByAQL(ctx context.Context, ask Ask, l *Listing) error {
	g := gathering{c: c, types: map[string]string{}, physical: map[string]string{}, at: map[tagName]int32{}, names: map[string]string{}}
	var repos []string
	for _, r := range ask.Keys {
		g.types[r.Key] = r.PackageType
		switch r.Class {
		case ClassRemote:
			g.physical[r.Key+"-cache"] = r.Key
			repos = append(repos, r.Key+"-cache")
		case ClassVirtual:
			g.virtuals = append(g.virtuals, r.Key)
		default:
			g.physical[r.Key] = r.Key
			repos = append(repos, r.Key)
		}
	}
	if err := g.run(ctx, ask, l, repos); err != nil {
		return err
	}
	if err := g.settle(ctx, ask); err != nil {
		return err
	}
	g.finish(ask, l)
	const many = 50_000
	if len(l.Tags) > many {
		// What gathering took is garbage now, and as much as what comes of it: to let it
		// lie would double what the process may grow to.
		g = gathering{}
		runtime.GC()
	}
	return nil
}

// run sends the queries. What changed is asked of all repositories together; a
// full listing asks each virtual on its own, which shows what it is made of.
func (g *gathering) run(ctx context.Context, ask Ask, l *Listing, repos []string) error {
	together, alone := repos, []string(nil)
	if ask.full() || len(g.virtuals) == 1 && len(repos) == 0 {
		alone = g.virtuals
	} else {
		together = append(together, g.virtuals...)
	}
	q := query{since: ask.Since, image: ask.Image, repos: together, props: ask.props}
	for _, b := range q.batches() {
		if err := g.find(ctx, b, l, ""); err != nil {
			return err
		}
	}
	if g.unknown {
		alone = g.virtuals
	}
	for _, v := range alone {
		if err := g.find(ctx, withRepos(q, []string{v}), l, v); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) find(ctx context.Context, q query, l *Listing, virtual string) error {
	ans, err := g.c.find(ctx, q, func(r manifestRow) { g.add(r, virtual) })
	if err != nil {
		return err
	}
	if l.At.IsZero() || ans.at.Before(l.At) {
		l.At = ans.at
	}
	return nil
}

// add takes one row. A row that came through a virtual is counted once: under
// the member if that is selected too, else under the virtual.
func (g *gathering) add(r manifestRow, virtual string) {
	image, tag := path.Split(r.Path)
	image = strings.TrimSuffix(image, "/")
	if image == "" || !isTag(tag) || strings.Contains(image, "/_uploads") || (r.Name != "manifest.json" && r.Name != "list.manifest.json") {
		return
	}
	key, ok := g.owner(r.Repo, virtual)
	if !ok {
		return
	}
	name := tagName{g.one(key), g.one(image), tag}
	size, err := r.Size.Int64()
	if err != nil {
		size = 0 // unknown
	}
	s := inventory.Sighting{
		Key: name.key, Image: name.image, Tag: tag, Size: size,
		Digest: string(r.SHA256), Created: r.Created.Time, Pushed: latest(r.Created.Time, r.Modified.Time),
	}
	g.merge(name, s, strings.HasSuffix(r.Repo, "-cache"))
}

func (g *gathering) merge(name tagName, s inventory.Sighting, cached bool) {
	i, ok := g.at[name]
	if !ok {
		g.at[name] = int32(len(g.found))
		g.found = append(g.found, s)
		g.said = append(g.said, rowsSaid{cached: cached, ambiguous: s.Digest == ""})
		return
	}
	have, said := &g.found[i], &g.said[i]
	said.cached = said.cached || cached
	if have.Digest == s.Digest {
		return
	}
	said.ambiguous = true
	if s.Pushed.After(have.Pushed) {
		*have = s
	}
}

func (g *gathering) owner(repo, virtual string) (string, bool) {
	if key, ok := g.physical[repo]; ok {
		return key, true
	}
	if slices.Contains(g.virtuals, repo) {
		return repo, true // a server that shows no members
	}
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	if key, ok := g.c.owners[repo]; ok && slices.Contains(g.virtuals, key) {
		return key, true
	}
	if virtual == "" && len(g.virtuals) == 1 {
		virtual = g.virtuals[0]
	}
	if virtual == "" {
		g.unknown = g.unknown || len(g.virtuals) > 0
		return "", false
	}
	g.c.owners[repo] = virtual
	return virtual, true
}

func (g *gathering) one(s string) string { return intern(g.names, s) }

// intern keeps one copy of each of many equal strings.
func intern(names map[string]string, s string) string {
	if have, ok := names[s]; ok {
		return have
	}
	s = strings.Clone(s)
	names[s] = s
	return s
}

// settle asks the registry about tags whose rows do not tell which digest is
// served: both kinds of manifest in one folder, a name that several members of
// a virtual have, or a file without checksum. A remote is never asked, since
// that may fill its cache: there the newer row counts.
func (g *gathering) settle(ctx context.Context, ask Ask) error {
	var asked []tagName
	for name, i := range g.at {
		if g.doubtful(name, g.said[i], ask) && (!g.said[i].cached || g.found[i].Digest == "") {
			asked = append(asked, name)
		}
	}
	var mu sync.Mutex
	return each(ctx, asked, func(ctx context.Context, name tagName) error {
		h, err := g.c.Head(ctx, inventory.RepositoryKey{Key: name.key, PackageType: g.types[name.key]}, name.image, name.tag)
		if err != nil {
			// The rows say that it is there; a refusal or a moment's trouble does
			// not change that. The newer row counts until the next listing.
			g.c.opts.Logger.DebugContext(ctx, "tag could not be settled", "key", name.key, "image", name.image, "tag", name.tag, "error", err)
			return ctx.Err()
		}
		mu.Lock()
		defer mu.Unlock()
		s := &g.found[g.at[name]]
		s.Digest, s.MediaType = h.Digest, h.MediaType
		return nil
	})
}

// doubtful remembers from full listings what a listing of changes cannot see:
// the other file of the same tag, or the other member of a virtual.
func (g *gathering) doubtful(name tagName, said rowsSaid, ask Ask) bool {
	g.c.mu.Lock()
	defer g.c.mu.Unlock()
	if ask.full() {
		delete(g.c.doubtful, name)
	}
	if said.ambiguous {
		g.c.doubtful[name] = true
		return true
	}
	if g.c.doubtful[name] {
		return true
	}
	if ask.full() || !slices.Contains(g.virtuals, name.key) {
		return false
	}
	members := 0
	for _, key := range g.c.owners {
		if key == name.key {
			members++
		}
	}
	return members > 1
}

func (g *gathering) finish(ask Ask, l *Listing) {
	l.Tags = slices.DeleteFunc(g.found, func(s inventory.Sighting) bool {
		return s.Digest == "" || ask.Image != "" && s.Image != ask.Image
	})
	for i := range l.Tags {
		l.Tags[i].At = l.At
	}
	SortSightings(l.Tags)
	for _, r := range ask.Keys {
		l.Complete[r.Key] = ask.Since.IsZero()
	}
}

// SortSightings puts sightings in the order of their names.
func SortSightings(tags []inventory.Sighting) {
	slices.SortFunc(tags, func(a, b inventory.Sighting) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Image, b.Image), cmp.Compare(a.Tag, b.Tag))
	})
}

// isTag leaves out the folders of sub-manifests, which look like tags.
func isTag(s string) bool {
	return s != "" && s != "." && !strings.HasPrefix(s, "sha256:") && !strings.HasPrefix(s, "sha256__")
}

func isHex64(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'f') {
			return false
		}
	}
	return true
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// each runs work for every item, a few at a time, and stops at the first error.
func each[T any](ctx context.Context, items []T, work func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	const workers = 3
	next := make(chan T)
	var wg sync.WaitGroup
	for range min(workers, len(items)) {
		wg.Go(func() {
			for item := range next {
				if ctx.Err() != nil {
					continue
				}
				if err := work(ctx, item); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, item := range items {
		next <- item
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
