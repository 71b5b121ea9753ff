package artifactory

import (
	"context"
	"errors"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Cache is what a remote repository has cached of one image. To ask the registry
// itself for more than that would make it fetch from its upstream.
type Cache struct {
	c           *Client
	repo, image string // KEY-cache

	mu      sync.Mutex
	folders map[string]map[string]bool // folder -> its files
}

// CacheOf is the cache that a tag's content lies in; nil where the registry holds
// the content itself, so that all of it may be read.
func (c *Client) CacheOf(ctx context.Context, r inventory.RepositoryKey, image, tag string) (*Cache, error) {
	var caches []string
	switch r.Class {
	case ClassRemote:
		return c.cache(r.Key+"-cache", image), nil
	case ClassVirtual:
		caches = c.cachesOf(r.Key)
	}
	for _, repo := range caches {
		k := c.cache(repo, image)
		switch _, err := k.files(ctx, tag); {
		case err == nil:
			return k, nil
		case !errors.Is(err, inventory.ErrNotFound):
			return nil, err
		}
	}
	return nil, nil //nolint:nilnil // no cache is an answer
}

func (c *Client) cache(repo, image string) *Cache {
	return &Cache{c: c, repo: repo, image: image, folders: map[string]map[string]bool{}}
}

// cachesOf are the caches among the members of a virtual, as its rows showed them.
func (c *Client) cachesOf(virtual string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var caches []string
	for repo, key := range c.owners {
		if key == virtual && strings.HasSuffix(repo, "-cache") {
			caches = append(caches, repo)
		}
	}
	return caches
}

// Manifest says whether the manifest with a digest is cached, in the folder of a tag
// (if one is named) or in its own. It is not: an error that is both ErrUnsupported
// and ErrNotFound.
func (k *Cache) Manifest(ctx context.Context, digest, tag string) error {
	hex := strings.TrimPrefix(digest, "sha256:")
	if tag != "" {
		files, err := k.files(ctx, tag)
		if err != nil && !errors.Is(err, inventory.ErrNotFound) {
			return err
		}
		for _, name := range []string{"list.manifest.json", "manifest.json"} {
			if files[name] && k.isFile(ctx, tag+"/"+name, hex) {
				return nil
			}
		}
	}
	files, err := k.files(ctx, "sha256__"+hex)
	if err == nil && (files["manifest.json"] || files["list.manifest.json"]) {
		return nil
	}
	if err != nil && !errors.Is(err, inventory.ErrNotFound) {
		return err
	}
	return k.missing("manifest " + digest)
}

// isFile says whether a file of the image has a SHA-256; where the server does not
// tell, that it is there has to do.
func (k *Cache) isFile(ctx context.Context, name, hex string) bool {
	var info struct {
		Checksums struct {
			SHA256 string `json:"sha256"`
		} `json:"checksums"`
	}
	where := "/api/storage/" + url.PathEscape(k.repo) + "/" + escapePath(k.image) + "/" + escapePath(name)
	err := k.c.getJSON(ctx, where, "look at "+name, 1<<20, &info)
	return err == nil && (info.Checksums.SHA256 == "" || info.Checksums.SHA256 == hex)
}

// Blob says whether a blob is cached, among the files of the manifests that were
// asked for, else anywhere in the cache.
func (k *Cache) Blob(ctx context.Context, digest string) error {
	name := strings.Replace(digest, "sha256:", "sha256__", 1)
	marked := false
	k.mu.Lock()
	for _, files := range k.folders {
		if files[name] {
			k.mu.Unlock()
			return nil
		}
		marked = marked || files[name+".marker"]
	}
	k.mu.Unlock()
	if !marked && k.c.hasFile(ctx, k.repo, name) {
		return nil
	}
	return k.missing("blob " + digest)
}

func (k *Cache) missing(what string) error {
	return &inventory.Error{
		Kind: inventory.ErrUnsupported, Err: inventory.ErrNotFound,
		Msg:    "not cached: " + what + " is not in " + k.repo,
		Remedy: "it is indexed once somebody pulls it through Artifactory; Tallyman never fills a cache",
	}
}

// files lists a folder of the image.
func (k *Cache) files(ctx context.Context, folder string) (map[string]bool, error) {
	k.mu.Lock()
	files, ok := k.folders[folder]
	k.mu.Unlock()
	if ok {
		return files, nil
	}
	var info struct {
		Children []struct {
			URI string `json:"uri"`
		} `json:"children"`
	}
	where := "/api/storage/" + url.PathEscape(k.repo) + "/" + escapePath(k.image) + "/" + url.PathEscape(folder)
	if err := k.c.getJSON(ctx, where, "look what "+k.repo+" holds of "+k.image, 64<<20, &info); err != nil {
		return nil, err
	}
	files = make(map[string]bool, len(info.Children))
	for _, child := range info.Children {
		files[path.Base(child.URI)] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.folders[folder] = files
	return files, nil
}

// hasFile says whether a file of that name is anywhere in a repository; false where
// that cannot be asked.
func (c *Client) hasFile(ctx context.Context, repo, name string) bool {
	if c.cred.kind == noSecret || c.withoutAQL() {
		return false
	}
	found := false
	_, err := c.search(ctx, `items.find({"repo":"`+repo+`","name":"`+name+`"}).include("repo","path","name").limit(20)`,
		func(manifestRow) { found = true })
	return err == nil && found
}

// Filled are the images of remote repositories, and of virtual ones that hold some,
// of which files were cached since a time of the server's.
func (c *Client) Filled(ctx context.Context, keys []inventory.RepositoryKey, since time.Time) (map[inventory.Repository]bool, error) {
	filled := map[inventory.Repository]bool{}
	var repos []string
	owner := map[string]string{}
	for _, r := range keys {
		var caches []string
		switch {
		case r.OK && r.Class == ClassRemote:
			caches = []string{r.Key + "-cache"}
		case r.OK && r.Class == ClassVirtual:
			caches = c.cachesOf(r.Key)
		}
		for _, repo := range caches {
			repos, owner[repo] = append(repos, repo), r.Key
		}
	}
	if c.opts.Kind == inventory.KindOCI || c.cred.kind == noSecret || c.withoutAQL() {
		return filled, nil
	}
	for _, q := range (query{repos: repos, since: since, any: true}).batches() {
		_, err := c.search(ctx, q.String(), func(r manifestRow) {
			image := path.Dir(r.Path) // of the folder of a tag or a digest
			filled[inventory.Repository{Key: owner[r.Repo], Image: image}] = true
		})
		if err != nil {
			return nil, err
		}
	}
	return filled, nil
}
