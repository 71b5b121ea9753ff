package artifactory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// mostPages ends a listing whose pages never do.
const mostPages = 20_000

// listByCatalog does what AQL does with the registry's own protocol: the
// catalogue, each image's tags, and one HEAD a tag. It is how plain registries
// are read, and Artifactory where queries are refused.
func (c *Client) listByCatalog(ctx context.Context, ask Ask, l *Listing) error {
	for _, r := range ask.Keys {
		if r.Class == ClassRemote {
			l.Problems[r.Key] = inventory.Errorf(inventory.ErrForbidden,
				"%s is a remote repository, and the server refuses the queries that show what it has cached", r.Key).
				WithRemedy("use a user name or token that may search; the catalogue of a remote is its upstream's")
			continue
		}
		err := c.listKey(ctx, r, ask, l)
		if ctx.Err() != nil || isTransport(err) || isLocked(err) || errors.Is(err, inventory.ErrUnauthorized) {
			return err
		}
		if err != nil {
			l.Problems[r.Key] = err
			continue
		}
		l.Complete[r.Key] = true // whatever Since says: everything was listed
	}
	if l.At.IsZero() {
		l.At = c.opts.Now().UTC().Truncate(time.Second)
	}
	l.Fallback = true
	SortSightings(l.Tags)
	return nil
}

func (c *Client) listKey(ctx context.Context, r inventory.RepositoryKey, ask Ask, l *Listing) error {
	images := []string{ask.Image}
	if c.opts.Kind == inventory.KindOCI && ask.Image == "" && len(ask.Images) > 0 {
		images = ask.Images
	} else if ask.Image == "" {
		var at time.Time
		var err error
		if images, at, err = c.catalog(ctx, r); err != nil {
			return err
		}
		if l.At.IsZero() {
			l.At = at
		}
	}
	var names []tagName
	for _, image := range images {
		tags, at, err := c.tagList(ctx, r, image)
		switch {
		case errors.Is(err, inventory.ErrNotFound):
			continue // an image without tags lingers in some catalogues
		case errors.Is(err, inventory.ErrForbidden):
			l.refuse(r.Key, err) // a query would leave it out; the others are listed
			continue
		case err != nil:
			return err
		}
		if l.At.IsZero() {
			l.At = at
		}
		for _, tag := range tags {
			names = append(names, tagName{r.Key, image, tag})
		}
	}
	return c.headAll(ctx, r, names, l)
}

// headAll asks for the digest of every tag. One that went away meanwhile is
// left out; one that is refused is told, and does not stop the others.
func (c *Client) headAll(ctx context.Context, r inventory.RepositoryKey, names []tagName, l *Listing) error {
	var mu sync.Mutex
	return each(ctx, names, func(ctx context.Context, n tagName) error {
		h, err := c.Head(ctx, r, n.image, n.tag)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, inventory.ErrNotFound):
			return nil
		case errors.Is(err, inventory.ErrForbidden), errors.Is(err, inventory.ErrInvalid):
			l.refuse(r.Key, err) // blocked, or broken: of this one only
			return nil
		case err != nil:
			return err
		}
		l.Tags = append(l.Tags, inventory.Sighting{
			Key: n.key, Image: n.image, Tag: n.tag, Digest: h.Digest, MediaType: h.MediaType, Size: max(0, h.Size), At: l.At,
		})
		return nil
	})
}

// catalog lists the images of a repository.
func (c *Client) catalog(ctx context.Context, r inventory.RepositoryKey) ([]string, time.Time, error) {
	const page = 1000
	return c.pages(ctx, c.dockerPath(r.Key, r.PackageType)+"/_catalog", "read the catalogue of "+orHost(r.Key, c.addr.Host), page)
}

// tagList lists an image's tags. No page size is asked for: Artifactory then
// sends all of them at once, and its broken continuations do not matter.
func (c *Client) tagList(ctx context.Context, r inventory.RepositoryKey, image string) ([]string, time.Time, error) {
	tags, at, err := c.pages(ctx, c.dockerPath(r.Key, r.PackageType)+"/"+escapePath(image)+"/tags/list",
		"list the tags of "+joinKey(r.Key, image), 0)
	out := tags[:0]
	for _, tag := range tags {
		if isTag(tag) {
			out = append(out, tag)
		}
	}
	return out, at, err
}

// refuse remembers the first refusal of a repository.
func (l *Listing) refuse(key string, err error) {
	if l.Refused == nil {
		l.Refused = map[string]error{}
	}
	if l.Refused[key] == nil {
		l.Refused[key] = err
	}
}

func orHost(key, host string) string {
	if key == "" {
		return host
	}
	return key
}

// namesPage is a page of either list.
type namesPage struct {
	Repositories []string `json:"repositories"`
	Tags         []string `json:"tags"`
}

// pages follows a list to its end. Of the address that a page names as the next
// one, only the parameters are used, on our own path: Artifactory leaves the
// repository out of that path. Where the pages lead nowhere, everything is asked
// for at once, which Artifactory takes.
func (c *Client) pages(ctx context.Context, path, act string, size int) ([]string, time.Time, error) {
	q := url.Values{}
	if size > 0 {
		q.Set("n", strconv.Itoa(size))
	}
	p := paging{seen: map[string]bool{}}
	asked := map[string]bool{}
	for range mostPages {
		asked[q.Encode()] = true
		page, header, err := c.page(ctx, path, act, q)
		if errors.Is(err, inventory.ErrInvalid) && len(asked) > 1 {
			break // it does not take what it, or we, named as the next page
		}
		if err != nil {
			return nil, p.at, err
		}
		if p.at.IsZero() {
			p.at = c.serverTime(header)
		}
		_, linked := nextLink(header)
		fresh := p.take(page)
		next := c.nextPage(header, q, page, size)
		switch {
		case next == nil, len(page) > size && fresh == 0 && !linked:
			return p.names, p.at, nil // the end, or a server that gives all of it every time
		case asked[next.Encode()], fresh == 0 && len(page) > 0 && !linked:
			return c.atOnce(ctx, path, act, p)
		}
		q = next
	}
	return c.atOnce(ctx, path, act, p)
}

// atOnce asks for a list without paging.
func (c *Client) atOnce(ctx context.Context, path, act string, p paging) ([]string, time.Time, error) {
	page, header, err := c.page(ctx, path, act, nil)
	if err != nil {
		return nil, p.at, err
	}
	had := len(p.names)
	p.take(page)
	if _, more := nextLink(header); more && len(page) < had {
		return nil, p.at, inventory.Errorf(inventory.ErrUnavailable, "%s: the pages go in a circle", act)
	}
	return p.names, p.at, nil
}

// paging is what pages brought so far.
type paging struct {
	names []string
	seen  map[string]bool
	at    time.Time // server time of the first
}

// take adds a page and says how many names of it are new.
func (p *paging) take(page []string) (fresh int) {
	for _, name := range page {
		if !p.seen[name] && name != "" {
			p.seen[name] = true
			p.names = append(p.names, name)
			fresh++
		}
	}
	return fresh
}

func (c *Client) page(ctx context.Context, path, act string, q url.Values) ([]string, http.Header, error) {
	base, err := c.ready(ctx)
	if err != nil {
		return nil, nil, err
	}
	address := base + path
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", act, err)
	}
	req.Header.Set("Accept", "application/json") // a manifest's type would be answered with 406
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, nil, c.transportProblem(err)
	}
	defer drain(resp)
	if resp.StatusCode != http.StatusOK || isHTML(resp.Header, "") {
		return nil, nil, c.answerProblem(resp, peek(resp), act)
	}
	const most = 256 << 20
	var p namesPage
	if err := json.NewDecoder(io.LimitReader(resp.Body, most)).Decode(&p); err != nil {
		return nil, nil, inventory.Errorf(inventory.ErrUnavailable, "%s: not JSON, or cut off: %w", act, err)
	}
	return append(p.Repositories, p.Tags...), resp.Header, nil
}

// nextPage is the parameters of the next page; nil on the last.
func (c *Client) nextPage(h http.Header, q url.Values, page []string, size int) url.Values {
	link, ok := nextLink(h)
	if !ok {
		if size == 0 || len(page) < size {
			return nil
		}
		// A full page that does not say how it goes on: by its last name.
		link = url.Values{"last": {page[len(page)-1]}}
	}
	next := url.Values{}
	if c.opts.Kind == inventory.KindOCI {
		for k, v := range link {
			next[k] = v[:1]
		}
	} else if last := link.Get("last"); last != "" {
		next.Set("last", last)
	} else {
		return nil
	}
	if n := q.Get("n"); n != "" {
		next.Set("n", n)
	} else if n := link.Get("n"); n != "" {
		next.Set("n", n)
	}
	return next
}

// nextLink reads the parameters of `Link: <…?last=x&n=10>; rel="next"`.
func nextLink(h http.Header) (url.Values, bool) {
	for _, v := range h.Values("Link") {
		for part := range strings.SplitSeq(v, ",") {
			address, attrs, ok := strings.Cut(part, ">")
			start := strings.IndexByte(address, '<')
			if !ok || start < 0 || !strings.Contains(strings.ReplaceAll(attrs, " ", ""), `rel="next"`) && !strings.Contains(attrs, "rel=next") {
				continue
			}
			u, err := url.Parse(address[start+1:])
			if err != nil {
				continue
			}
			return u.Query(), true
		}
	}
	return nil, false
}
