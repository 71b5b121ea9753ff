package artifactorytest

import (
	"net/http"
	"strings"
)

const repositoryListType = "application/vnd.org.jfrog.artifactory.repositories.RepositoryDetailsList+json"

type repositoryRow struct {
	Key           string `json:"key"`
	Description   string `json:"description"`
	Type          string `json:"type"`
	URL           string `json:"url"`
	Configuration string `json:"configuration,omitempty"`
	PackageType   string `json:"packageType"`
}

// repositories answers the list, or the configuration of one.
func (c *call) repositories(key string) {
	if !c.allow(http.MethodGet, http.MethodHead) || !c.signIn() {
		return
	}
	switch key {
	case "":
		c.repositoryList()
	case "configurations":
		if !c.id.admin {
			c.status(http.StatusForbidden, "Forbidden")
			return
		}
		c.configurations()
	default:
		c.repository(key)
	}
}

func (c *call) repositoryList() {
	q := c.r.URL.Query()
	kind, packageType, project := q.Get("type"), q.Get("packageType"), q.Get("project")
	rows := []repositoryRow{}
	c.s.mu.RLock()
	for _, r := range c.s.sorted() {
		if !c.s.sees(c.id, r) || r.Type == "oci" && !c.sw.OCI ||
			kind != "" && !strings.EqualFold(kind, string(r.Class)) ||
			packageType != "" && packageType != r.Type || project != "" && project != r.Project {
			continue
		}
		row := repositoryRow{
			Key: r.Key, Description: r.Description, Type: strings.ToUpper(string(r.Class)),
			URL: r.url(c.base()), PackageType: capitalised(r.Type),
		}
		if r.Class == Remote {
			row.Configuration = c.base() + "/api/repositories/" + r.Key + "/configuration"
		}
		rows = append(rows, row)
	}
	c.s.mu.RUnlock()
	c.w.Header().Set("Cache-Control", "no-store")
	c.json(http.StatusOK, repositoryListType, rows)
}

func capitalised(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// configuration is one repository as its configuration call shows it: in full
// to administrators, five keys to others. Callers hold the lock.
func (c *call) configuration(r *repository) map[string]any {
	v := map[string]any{
		"key": r.Key, "description": r.Description, "packageType": r.Type,
		"rclass": string(r.Class), "url": r.url(c.base()),
	}
	if !c.id.admin {
		return v
	}
	v["projectKey"] = r.Project
	v["dockerApiVersion"] = "V2"
	v["downloadRedirect"] = r.Redirect
	switch r.Class {
	case Virtual:
		v["repositories"] = r.Members
	case Remote:
		v["enableTokenAuthentication"] = true
		v["retrievalCachePeriodSecs"] = int(c.sw.RevalidateAfter.Seconds())
	default:
		v["maxUniqueTags"] = 0
		v["dockerTagRetention"] = 1
	}
	return v
}

func (c *call) repository(key string) {
	if !c.sw.ProREST {
		c.status(http.StatusBadRequest, "This REST API is available only in Artifactory Pro (see: jfrog.com/artifactory/features). "+
			"If you are already running Artifactory Pro please make sure your server is activated with a valid license key.")
		return
	}
	c.s.mu.RLock()
	r := c.s.repos[key] // the cache of a remote is not a repository here
	var v map[string]any
	if r != nil && c.s.sees(c.id, r) {
		v = c.configuration(r)
	}
	c.s.mu.RUnlock()
	if v == nil {
		c.status(http.StatusBadRequest, "Bad Request")
		return
	}
	c.json(http.StatusOK, "application/vnd.org.jfrog.artifactory.repositories."+
		capitalised(string(r.Class))+"RepositoryConfiguration+json", v)
}

func (c *call) configurations() {
	all := map[string][]map[string]any{}
	c.s.mu.RLock()
	for _, r := range c.s.sorted() {
		class := strings.ToUpper(string(r.Class))
		all[class] = append(all[class], c.configuration(r))
	}
	c.s.mu.RUnlock()
	c.json(http.StatusOK, "application/json", all)
}

func (c *call) repositoryV2(key string) {
	if !c.allow(http.MethodGet, http.MethodHead) || !c.signIn() {
		return
	}
	c.s.mu.RLock()
	r := c.s.repos[key]
	var v map[string]any
	if r != nil && c.s.sees(c.id, r) {
		v = c.configuration(r)
	}
	c.s.mu.RUnlock()
	if v == nil {
		c.status(http.StatusNotFound, "The repository "+key+" was not found")
		return
	}
	c.json(http.StatusOK, "application/json", v)
}

// storageInfo answers the sums per repository, caches included.
func (c *call) storageInfo() {
	if !c.allow(http.MethodGet) || !c.signInAdmin() {
		return
	}
	type row struct {
		RepoKey     string `json:"repoKey"`
		RepoType    string `json:"repoType"`
		PackageType string `json:"packageType"`
		Files       int    `json:"filesCount"`
		UsedSpace   string `json:"usedSpace"`
	}
	rows := []row{}
	c.s.mu.RLock()
	for _, r := range c.s.sorted() {
		kind := strings.ToUpper(string(r.Class))
		if r.Class == Remote {
			kind = "CACHE"
		}
		one := row{RepoKey: r.physical(), RepoType: kind, PackageType: capitalised(r.Type)}
		var bytes int64
		if r.tree != nil {
			for _, list := range [][]*item{r.tree.manifests.list, r.tree.others.list} {
				for _, it := range list {
					if it != nil {
						one.Files++
						bytes += it.body.size()
					}
				}
			}
		}
		one.UsedSpace = size(bytes) + " bytes"
		rows = append(rows, one)
	}
	c.s.mu.RUnlock()
	c.json(http.StatusOK, "application/json", map[string]any{"repositoriesSummaryList": rows})
}
