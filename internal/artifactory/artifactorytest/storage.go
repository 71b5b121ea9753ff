package artifactorytest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const storageType = "application/vnd.org.jfrog.artifactory.storage."

// storage answers api/storage/KEY/path and its many questions.
func (c *call) storage(rest string) {
	if !c.signIn() {
		return
	}
	key, tail, _ := strings.Cut(rest, "/")
	path, ok := cleanPath(tail)
	q := c.r.URL.Query()
	c.s.mu.RLock()
	repo := c.s.repo(key)
	plainRemote := repo != nil && repo.Class == Remote && key == repo.Key && !q.Has("properties") && !q.Has("lastModified")
	var members []*repository
	if repo != nil {
		members = c.s.members(repo)
	}
	var at *repository
	allowed := false
	for _, m := range members {
		if !c.s.may(c.id, m, path, Read) {
			continue
		}
		allowed = true
		if m.tree.find(path) != nil || m.tree.fileAt(path) != nil {
			at = m
			break
		}
	}
	c.s.mu.RUnlock()
	switch {
	case repo != nil && !allowed:
		c.forbidden(key, path)
	case repo != nil && repo.Class == Virtual && (q.Has("lastModified") || q.Has("list")):
		c.status(http.StatusBadRequest, "This is possible on local and cache repositories only")
	case !ok || at == nil || plainRemote:
		c.status(http.StatusNotFound, "Unable to find item")
	case c.r.Method == http.MethodPut || c.r.Method == http.MethodDelete:
		c.changeProperties(at, path)
	default:
		c.storageQuestion(at, path)
	}
}

func (c *call) storageQuestion(r *repository, path string) {
	q := c.r.URL.Query()
	switch {
	case q.Has("properties"):
		c.properties(r, path, q.Get("properties"))
	case q.Has("lastModified"):
		c.lastModified(r, path)
	case q.Has("list"):
		c.fileList(r, path)
	case q.Has("stats"):
		uri := c.storageURI(r, path)
		c.json(http.StatusOK, storageType+"StorageStatsInfo+json", map[string]any{
			"uri": uri, "downloadCount": c.s.Downloads(r.physical(), path),
		})
	default:
		c.itemInfo(r, path)
	}
}

func (c *call) storageURI(r *repository, path string) string {
	return strings.TrimSuffix(c.base()+"/api/storage/"+r.physical()+"/"+path, "/")
}

type itemInfo struct {
	Repo         string            `json:"repo"`
	Path         string            `json:"path"`
	Created      string            `json:"created"`
	CreatedBy    string            `json:"createdBy,omitempty"`
	LastModified string            `json:"lastModified"`
	ModifiedBy   string            `json:"modifiedBy,omitempty"`
	LastUpdated  string            `json:"lastUpdated"`
	DownloadURI  string            `json:"downloadUri,omitempty"`
	RemoteURL    string            `json:"remoteUrl,omitempty"`
	MimeType     string            `json:"mimeType,omitempty"`
	Size         string            `json:"size,omitempty"`
	Checksums    map[string]string `json:"checksums,omitempty"`
	Original     map[string]string `json:"originalChecksums,omitempty"`
	Children     []child           `json:"children,omitempty"`
	URI          string            `json:"uri"`
}

type child struct {
	URI    string `json:"uri"`
	Folder bool   `json:"folder"`
}

func (c *call) itemInfo(r *repository, path string) {
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	info := itemInfo{Repo: r.physical(), Path: "/" + path, URI: c.storageURI(r, path)}
	if it := r.tree.fileAt(path); it != nil {
		sha, md := it.body.weakSums()
		sums := map[string]string{"sha1": sha, "md5": md, "sha256": it.body.hex}
		info.Created, info.LastModified, info.LastUpdated = c.stamp(it.created), c.stamp(it.modified), c.stamp(it.updated)
		info.CreatedBy, info.ModifiedBy = it.by, it.edited
		info.DownloadURI = c.base() + "/" + r.physical() + "/" + path
		info.MimeType, info.Size, info.Checksums, info.Original = "application/json", size(it.body.size()), sums, sums
		if r.Class == Remote {
			info.RemoteURL = strings.TrimSuffix(r.Upstream, "/") + "/" + path
		}
		c.json(http.StatusOK, storageType+"FileInfo+json", info)
		return
	}
	f := r.tree.find(path)
	if f == nil {
		c.status(http.StatusNotFound, "Unable to find item")
		return
	}
	at := c.stamp(f.created)
	info.Created, info.LastModified, info.LastUpdated = at, at, at
	for name := range f.children {
		info.Children = append(info.Children, child{"/" + name, true})
	}
	for _, it := range f.files {
		info.Children = append(info.Children, child{"/" + it.name, false})
	}
	slices.SortFunc(info.Children, func(a, b child) int { return strings.Compare(a.URI, b.URI) })
	c.json(http.StatusOK, storageType+"FolderInfo+json", info)
}

// propertiesOf are what the server set and what people set. Callers hold the lock.
func propertiesOf(it *item) map[string][]string {
	props := map[string][]string{}
	if doc := it.body.doc; doc != nil && isManifestFile(it.name) && it.dir.parent != nil {
		props["docker.manifest"] = []string{it.dir.name}
		props["docker.manifest.digest"] = []string{it.body.digest()}
		props["docker.manifest.type"] = []string{doc.MediaType}
		props["docker.repoName"] = []string{it.dir.parent.path}
		props["sha256"] = []string{it.body.hex}
		for k, v := range doc.labels {
			props["docker.label."+k] = []string{v}
		}
	}
	maps.Copy(props, it.props)
	return props
}

func (c *call) properties(r *repository, path, names string) {
	c.s.mu.RLock()
	var props map[string][]string
	if it := r.tree.fileAt(path); it != nil {
		props = propertiesOf(it)
	}
	c.s.mu.RUnlock()
	if names != "" {
		want := strings.Split(names, ",")
		maps.DeleteFunc(props, func(k string, _ []string) bool { return !slices.Contains(want, k) })
	}
	if len(props) == 0 {
		c.status(http.StatusNotFound, "No properties could be found.")
		return
	}
	c.json(http.StatusOK, storageType+"ItemProperties+json", map[string]any{
		"properties": props, "uri": c.storageURI(r, path),
	})
}

// changeProperties answers PUT and DELETE of ?properties=a=1;b=2.
func (c *call) changeProperties(r *repository, path string) {
	set := map[string][]string{}
	for pair := range strings.FieldsFuncSeq(c.r.URL.Query().Get("properties"), func(x rune) bool { return x == ';' || x == '|' }) {
		k, v, _ := strings.Cut(pair, "=")
		set[k] = strings.Split(v, ",")
	}
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	it := r.tree.fileAt(path)
	if it == nil || !s.may(c.id, r, path, Annotate) {
		c.status(http.StatusForbidden, "Forbidden")
		return
	}
	changed := *it
	changed.props = maps.Clone(it.props)
	if changed.props == nil {
		changed.props = map[string][]string{}
	}
	for k, v := range set {
		if c.r.Method == http.MethodDelete {
			delete(changed.props, k)
		} else {
			changed.props[k] = v
		}
	}
	changed.propsModified = s.clock.now().UnixMilli()
	r.tree.put(&changed)
	c.w.WriteHeader(http.StatusNoContent)
}

func (c *call) lastModified(r *repository, path string) {
	c.s.mu.RLock()
	newest := int64(0)
	uri := path
	if f := r.tree.find(path); f != nil {
		f.walk(func(d *folder) {
			for _, it := range d.files {
				if it.modified > newest {
					newest, uri = it.modified, it.path()
				}
			}
		})
	} else if it := r.tree.fileAt(path); it != nil {
		newest = it.modified
	}
	c.s.mu.RUnlock()
	c.json(http.StatusOK, storageType+"ItemLastModified+json", map[string]string{
		"uri":          c.storageURI(r, uri),
		"lastModified": time.UnixMilli(newest).In(c.sw.Zone).Format("2006-01-02T15:04:05.000-0700"),
	})
}

type listedFile struct {
	URI          string            `json:"uri"`
	Size         int64             `json:"size"`
	LastModified string            `json:"lastModified"`
	Folder       bool              `json:"folder"`
	SHA1         string            `json:"sha1,omitempty"`
	SHA2         string            `json:"sha2,omitempty"`
	Stamps       map[string]string `json:"mdTimestamps,omitempty"`
}

// fileList answers ?list, every file below a folder.
func (c *call) fileList(r *repository, path string) {
	q := c.r.URL.Query()
	depth, err := strconv.Atoi(q.Get("depth"))
	switch {
	case !c.sw.ProREST:
		c.status(http.StatusBadRequest, "This REST API is available only in Artifactory Pro.")
		return
	case c.id.anonymous:
		c.forbidden(r.Key, path)
		return
	case q.Has("depth") && err != nil:
		c.status(http.StatusBadRequest, fmt.Sprintf("For input string: %q", q.Get("depth")))
		return
	}
	if q.Get("deep") != "1" {
		depth = 1
	} else if depth <= 0 {
		depth = 1 << 20
	}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	f := r.tree.find(path)
	if f == nil {
		c.status(http.StatusBadRequest, "Expected a folder but found a file, at: "+r.Key+":"+path)
		return
	}
	files := c.listed(f, depth)
	c.json(http.StatusOK, storageType+"FileList+json", map[string]any{
		"uri": c.storageURI(r, path), "created": c.stamp(c.start.UnixMilli()), "files": files,
	})
}

func (c *call) listed(top *folder, depth int) []listedFile {
	q := c.r.URL.Query()
	files := []listedFile{}
	top.walk(func(d *folder) {
		below := strings.TrimPrefix(d.path, top.path)
		level := strings.Count("/"+strings.Trim(below, "/"), "/")
		if below == "" {
			level = 0
		}
		if d != top && level <= depth && q.Get("listFolders") == "1" {
			files = append(files, listedFile{URI: "/" + strings.Trim(below, "/"), Size: -1, LastModified: c.stamp(d.created), Folder: true})
		}
		if level >= depth {
			return
		}
		for _, it := range d.files {
			sha, _ := it.body.weakSums()
			one := listedFile{
				URI: "/" + joinPath(strings.Trim(below, "/"), it.name), Size: it.body.size(),
				LastModified: c.stamp(it.modified), SHA1: sha, SHA2: it.body.hex,
			}
			if q.Get("mdTimestamps") == "1" {
				one.Stamps = map[string]string{"properties": c.stamp(it.propsModified)}
			}
			files = append(files, one)
		}
	})
	return files
}

// searchDates answers api/search/dates: files with one of these dates in a range.
func (c *call) searchDates() {
	if !c.signIn() {
		return
	}
	q := c.r.URL.Query()
	from, okFrom := parseTime(q.Get("from"), c.sw.Zone)
	to, okTo := parseTime(q.Get("to"), c.sw.Zone)
	if q.Get("to") == "" {
		to, okTo = c.start.UnixMilli(), true
	}
	switch {
	case c.id.anonymous:
		c.status(http.StatusForbidden, "Forbidden")
		return
	case !okFrom || !okTo:
		c.status(http.StatusBadRequest, "Bad Request")
		return
	}
	rows := c.datedFiles(strings.Split(q.Get("dateFields"), ","), q.Get("repos"), from, to)
	if len(rows) == 0 {
		c.status(http.StatusNotFound, "No results found.")
		return
	}
	c.json(http.StatusOK, "application/vnd.org.jfrog.artifactory.search.ArtifactSearchResult+json", map[string]any{"results": rows})
}

func (c *call) datedFiles(fields []string, repos string, from, to int64) []map[string]string {
	rows := []map[string]string{}
	c.s.mu.RLock()
	defer c.s.mu.RUnlock()
	for _, r := range c.s.sorted() {
		if r.tree == nil || repos != "" && !slices.Contains(strings.Split(repos, ","), r.physical()) {
			continue
		}
		may := c.s.permit(c.id, r)
		for _, it := range slices.Concat(r.tree.manifests.list, r.tree.others.list) {
			if it == nil || !may(it.path(), Read) || !it.dated(fields, from, to) {
				continue
			}
			rows = append(rows, map[string]string{
				"uri": c.storageURI(r, it.path()), "created": c.stamp(it.created), "lastModified": c.stamp(it.modified),
			})
		}
	}
	return rows
}

func (it *item) dated(fields []string, from, to int64) bool {
	in := func(ms int64) bool { return ms > from && ms <= to }
	return slices.Contains(fields, "created") && in(it.created) ||
		slices.Contains(fields, "lastModified") && in(it.modified)
}
