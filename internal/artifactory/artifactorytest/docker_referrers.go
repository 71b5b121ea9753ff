package artifactorytest

import "net/http"

func (c *call) referrers(repo *repository) {
	if !c.allow(http.MethodGet, http.MethodHead) {
		return
	}
	if !c.sw.Referrers {
		c.notFound()
		return
	}
	list := []descriptor{}
	c.s.mu.RLock()
	_, denied := c.s.findManifest(c.id, repo, c.target.image, c.target.ref, &c.sw)
	for _, m := range c.s.members(repo) {
		for _, it := range m.tree.subjects {
			doc := it.body.doc
			if doc.Subject.Digest != c.target.ref || it.dir.parent.path != m.upstreamName(c.target.image) {
				continue
			}
			kind := doc.ArtifactType
			if kind == "" && doc.Config != nil {
				kind = doc.Config.MediaType
			}
			if want := c.r.URL.Query().Get("artifactType"); want == "" || want == kind {
				list = append(list, descriptor{
					MediaType: doc.MediaType, ArtifactType: kind, Digest: it.body.digest(),
					Size: it.body.size(), Annotations: doc.Annotations,
				})
			}
		}
	}
	c.s.mu.RUnlock()
	if denied {
		c.denied("for referrers", "manifest", c.target.ref, "")
		return
	}
	if c.r.URL.Query().Get("artifactType") != "" {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	c.json(http.StatusOK, mediaOCIIndex, map[string]any{
		"schemaVersion": 2, "mediaType": mediaOCIIndex, "manifests": list,
	})
}
