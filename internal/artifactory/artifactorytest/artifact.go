package artifactorytest

import (
	"encoding/json"
	"net/http"
	"strings"
)

// artifact answers KEY/path: plain download, deploy and delete.
func (c *call) artifact(rest string) {
	key, tail, _ := strings.Cut(rest, "/")
	path, ok := cleanPath(tail)
	c.s.mu.RLock()
	repo := c.s.repo(key)
	c.s.mu.RUnlock()
	if repo == nil || !ok {
		c.notServed()
		return
	}
	if !c.signIn() {
		return
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		c.download(repo, path)
	case http.MethodPut:
		c.deploy(repo, path)
	case http.MethodDelete:
		c.deletePath(repo, path)
	default:
		c.allow(http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
	}
}

func (c *call) download(repo *repository, path string) {
	c.s.mu.RLock()
	it, denied := c.s.findFile(c.id, repo, path)
	c.s.mu.RUnlock()
	switch {
	case denied:
		c.forbidden(repo.Key, path)
	case it == nil:
		c.status(http.StatusNotFound, "File not found.")
	default:
		c.s.countDownload(it)
		c.fileHeaders(it)
		c.sendContent(it.body, it.modified)
	}
}

// findFile looks a path up over the members of a repository. Callers hold the lock.
func (s *Server) findFile(id identity, repo *repository, path string) (it *item, denied bool) {
	allowed := false
	for _, m := range s.members(repo) {
		if !s.may(id, m, path, Read) {
			continue
		}
		allowed = true
		if it := m.tree.fileAt(path); it != nil {
			return it, false
		}
	}
	return nil, !allowed
}

// forbidden answers a missing right on a path of the REST API.
func (c *call) forbidden(key, path string) {
	switch {
	case c.sw.HideUnauthorized:
		c.status(http.StatusNotFound, "Resource not found")
	case c.id.anonymous:
		c.w.Header().Set("WWW-Authenticate", basicChallenge)
		c.status(http.StatusUnauthorized, "Unauthorized")
	default:
		c.text(http.StatusForbidden, "Request for '"+key+":"+path+"' is forbidden for user: '"+c.id.name+"'.")
	}
}

func (c *call) deploy(repo *repository, path string) {
	if repo.Class == Remote || repo.Class == Virtual || path == "" {
		c.status(http.StatusMethodNotAllowed, "Deploying is not possible here")
		return
	}
	c.s.mu.RLock()
	ok := c.s.may(c.id, repo, path, Deploy)
	c.s.mu.RUnlock()
	if !ok {
		c.forbidden(repo.Key, path)
		return
	}
	raw, err := c.readAll(maxBlob)
	if err != nil {
		c.status(http.StatusRequestEntityTooLarge, "Too large")
		return
	}
	b := newContent(raw)
	dir, name := splitPath(path)
	if isManifestFile(name) {
		if doc, err := parseManifest(raw, ""); err == nil {
			b.doc = doc
		}
	}
	s := c.s
	s.mu.Lock()
	at := stampNow(c.id.name, c.start, s.clock.now(), s.switches.UploadLag)
	if old := repo.tree.fileAt(path); old != nil {
		at.created = old.created
	}
	it := s.putFile(repo, repo.tree, dir, name, s.intern(b), at)
	s.emitArtifact("deployed", it, nil)
	s.mu.Unlock()
	c.json(http.StatusCreated, "application/vnd.org.jfrog.artifactory.storage.ItemCreated+json", map[string]string{
		"repo": repo.Key, "path": "/" + path, "uri": c.base() + "/" + repo.Key + "/" + path,
	})
}

func (c *call) deletePath(repo *repository, path string) {
	if repo.Class == Virtual || path == "" {
		c.status(http.StatusMethodNotAllowed, "Deleting is not possible here")
		return
	}
	s := c.s
	s.mu.RLock()
	ok := s.may(c.id, repo, path, Delete)
	it := repo.tree.fileAt(path)
	s.mu.RUnlock()
	switch {
	case !ok:
		c.forbidden(repo.Key, path)
	case it != nil:
		s.mu.Lock()
		if it.dir.file(it.name) == it {
			repo.tree.remove(it)
			s.emitDeleted(it, c.id.name)
		}
		s.mu.Unlock()
		c.w.WriteHeader(http.StatusNoContent)
	case s.deleteFolder(repo, path, c.id.name):
		c.w.WriteHeader(http.StatusNoContent)
	default:
		c.status(http.StatusNotFound, "Could not locate artifact '"+repo.Key+":"+path+"' (Nothing to delete).")
	}
}

// copyOrMove answers api/copy and api/move of a folder: ?to=/KEY/path.
func (c *call) copyOrMove(move bool, rest string) {
	if !c.allow(http.MethodPost) || !c.signIn() {
		return
	}
	fromKey, fromTail, _ := strings.Cut(strings.Trim(rest, "/"), "/")
	toKey, toTail, _ := strings.Cut(strings.Trim(c.r.URL.Query().Get("to"), "/"), "/")
	fromPath, ok1 := cleanPath(fromTail)
	toPath, ok2 := cleanPath(toTail)
	s := c.s
	s.mu.RLock()
	from, to := s.repo(fromKey), s.repo(toKey)
	usable := ok1 && ok2 && from != nil && to != nil && from.tree != nil && to.tree != nil && to.Class != Remote
	need := Read
	if move {
		need = Delete
	}
	allowed := usable && s.may(c.id, from, fromPath, need) && s.may(c.id, to, toPath, Deploy)
	s.mu.RUnlock()
	switch {
	case !usable:
		c.status(http.StatusBadRequest, "Bad Request")
		return
	case !allowed:
		c.forbidden(fromKey, fromPath)
		return
	}
	image, tag := splitPath(fromPath)
	toImage, toTag := splitPath(toPath)
	err := s.Relocate(Move{FromRepo: fromKey, Image: image, Tag: tag, ToRepo: toKey, ToImage: toImage, ToTag: toTag, Copy: !move})
	if err != nil {
		c.status(http.StatusNotFound, err.Error())
		return
	}
	raw, _ := json.Marshal(map[string]any{"messages": []any{}}) // of constants
	c.bytes(http.StatusOK, "application/vnd.org.jfrog.artifactory.storage.CopyOrMoveResult+json", raw)
}
