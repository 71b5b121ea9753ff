package artifactorytest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

func (c *call) catalog(repo *repository) {
	if !c.allow(http.MethodGet, http.MethodHead) || !c.plainAccept() {
		return
	}
	c.s.mu.RLock()
	seen := c.s.sees(c.id, repo)
	names := c.s.images(c.id, repo, &c.sw)
	c.s.mu.RUnlock()
	if !seen && !c.sw.CatalogOmits {
		c.denied("for catalog", "name", repo.Key, "")
		return
	}
	page := c.page(names, "_catalog")
	c.json(http.StatusOK, "application/json", map[string][]string{"repositories": page})
}

// images are the names in a repository's catalogue. Callers hold the lock.
func (s *Server) images(id identity, repo *repository, sw *Switches) []string {
	names := []string{}
	for _, m := range s.members(repo) {
		if m.Class == Remote && !sw.RemoteCatalog && repo.Class != Virtual {
			continue // forwarded upstream, which has no catalogue
		}
		may := s.permit(id, m)
		m.tree.root.walk(func(f *folder) {
			if f.image && may(f.path, Read) && (sw.LingeringImages || f.hasTags()) {
				names = append(names, f.path)
			}
		})
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (f *folder) hasTags() bool {
	for name, child := range f.children {
		if !isDigestFolder(name) && child.served(false) != nil {
			return true
		}
	}
	return false
}

func (c *call) tags(repo *repository) {
	if !c.allow(http.MethodGet, http.MethodHead) || !c.plainAccept() {
		return
	}
	image := c.target.image
	c.s.mu.RLock()
	tags, found, denied := c.s.tagsOf(c.id, repo, &image, &c.sw)
	c.s.mu.RUnlock()
	switch {
	case denied && !found:
		c.denied("for tags list", "name", image, "")
		return
	case !found:
		c.nameUnknown(image)
		return
	}
	page := c.page(tags, image+"/tags/list")
	c.json(http.StatusOK, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{image, page})
}

// tagsOf lists an image's tags over the members of a repository; image becomes
// the name the server really looked under. Callers hold the lock.
func (s *Server) tagsOf(id identity, repo *repository, image *string, sw *Switches) (tags []string, found, denied bool) {
	tags = []string{}
	for _, m := range s.members(repo) {
		name := m.upstreamName(*image)
		if !s.may(id, m, name, Read) {
			denied = true
			continue
		}
		for _, t := range []*tree{m.tree, m.upstream} {
			if t == nil {
				continue
			}
			f := t.find(name)
			if f == nil || !f.image {
				continue
			}
			found = true
			*image = name
			for tag, child := range f.children {
				if child.served(false) != nil && (!sw.FilterDigests || !isDigestFolder(tag)) {
					tags = append(tags, tag)
				}
			}
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags), found, denied
}

// upstreamName is the name a remote looks under: Docker Hub keeps its own
// images under library/.
func (r *repository) upstreamName(image string) string {
	if r.Class != Remote || strings.Contains(image, "/") || !strings.Contains(r.Upstream, "docker.io") {
		return image
	}
	return "library/" + image
}

// page cuts a list by n and last and sets the Link to the next page, as wrong
// as the switches ask for.
func (c *call) page(all []string, path string) []string {
	q := c.r.URL.Query()
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n <= 0 {
		n = len(all)
	}
	from := c.pageStart(all, q.Get("last"))
	to := min(from+n, len(all))
	page := all[from:to]
	if to >= len(all) || len(page) == 0 {
		return page
	}
	last := page[len(page)-1]
	if c.sw.NumericLast {
		last = strconv.Itoa(to)
	}
	prefix := c.prefix
	if c.sw.LinkWithoutKey {
		prefix = "/v2/"
	}
	c.w.Header().Set("Link", fmt.Sprintf(`<%s%s?last=%s&n=%d>; rel="next"`, prefix, path, url.QueryEscape(last), n))
	return page
}

func (c *call) pageStart(all []string, last string) int {
	if last == "" {
		return 0
	}
	if c.sw.NumericLast {
		if i, err := strconv.Atoi(last); err == nil {
			return min(max(i, 0), len(all))
		}
	}
	i, found := slices.BinarySearch(all, last)
	if found {
		i++
	}
	return i
}
