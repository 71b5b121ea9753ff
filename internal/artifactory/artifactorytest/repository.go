package artifactorytest

import (
	"fmt"
	"slices"
	"strings"
)

// Class is how a repository comes by its content.
type Class string

// The classes of repositories.
const (
	Local     Class = "local"
	Remote    Class = "remote" // content lives under KEY-cache
	Virtual   Class = "virtual"
	Federated Class = "federated"
)

// Repo describes a repository to make. Type is docker, oci, npm, generic, and
// so on; empty is docker. Class empty is Local.
type Repo struct {
	Key         string
	Class       Class
	Type        string
	Description string
	Upstream    string   // of a remote: the URL of what it proxies
	Members     []string // of a virtual, in order of resolution
	Project     string
	Redirect    bool // blobs are answered by a redirect to another host
}

const cacheSuffix = "-cache"

// repository is a repository with its files. A remote's files are those of its
// cache, and upstream holds what it could fetch.
type repository struct {
	Repo
	tree     *tree // nil for a virtual
	upstream *tree // of a remote
}

// physical is the key that rows and events carry.
func (r *repository) physical() string {
	if r.Class == Remote {
		return r.Key + cacheSuffix
	}
	return r.Key
}

func (r *repository) isImages() bool { return r.Type == "docker" || r.Type == "oci" }

// url is what the repository list shows: of a remote, what it proxies.
func (r *repository) url(base string) string {
	if r.Class == Remote {
		return r.Upstream
	}
	return base + "/" + r.Key
}

// folderFor is where a manifest pushed under a reference is stored.
func (r *repository) folderFor(reference string) string {
	hex, ok := hexOf(reference)
	switch {
	case !ok:
		return reference
	case r.Class == Remote:
		return blobPrefix + hex
	}
	return localSubPrefix + hex
}

// AddRepo makes repositories; a key that exists is an error.
func (s *Server) AddRepo(repos ...Repo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range repos {
		if r.Class == "" {
			r.Class = Local
		}
		if r.Type == "" {
			r.Type = "docker"
		}
		if r.Class == Remote && r.Upstream == "" {
			r.Upstream = "https://registry-1.docker.io/"
		}
		if r.Key == "" || strings.ContainsAny(r.Key, "/ ") {
			return fmt.Errorf("add repository: key %q cannot be used", r.Key)
		}
		if s.repos[r.Key] != nil {
			return fmt.Errorf("add repository %s: it exists", r.Key)
		}
		repo := &repository{Repo: r}
		if r.Class != Virtual {
			repo.tree = newTree()
		}
		if r.Class == Remote {
			repo.upstream = newTree()
		}
		s.repos[r.Key] = repo
	}
	return nil
}

// DeleteRepo removes a repository and what is in it.
func (s *Server) DeleteRepo(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.repos, key)
}

// repo returns the repository under a key; KEY-cache names the cache of a
// remote. Callers hold the lock.
func (s *Server) repo(key string) *repository {
	if r := s.repos[key]; r != nil {
		return r
	}
	if base, ok := strings.CutSuffix(key, cacheSuffix); ok {
		if r := s.repos[base]; r != nil && r.Class == Remote {
			return r
		}
	}
	return nil
}

// members returns the repositories with files that a key stands for, in order
// of resolution. Callers hold the lock.
func (s *Server) members(r *repository) []*repository {
	if r.Class != Virtual {
		return []*repository{r}
	}
	seen := map[string]bool{r.Key: true}
	return s.expand(r, seen)
}

func (s *Server) expand(r *repository, seen map[string]bool) []*repository {
	var all []*repository
	for _, key := range r.Members {
		m := s.repos[key]
		if m == nil || seen[key] {
			continue
		}
		seen[key] = true
		if m.Class == Virtual {
			all = append(all, s.expand(m, seen)...)
		} else {
			all = append(all, m)
		}
	}
	return all
}

// sorted returns all repositories in order of key. Callers hold the lock.
func (s *Server) sorted() []*repository {
	all := make([]*repository, 0, len(s.repos))
	for _, r := range s.repos {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *repository) int { return strings.Compare(a.Key, b.Key) })
	return all
}
