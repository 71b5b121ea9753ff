package artifactorytest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

func (c *call) manifest(repo *repository) {
	if !c.validReference() {
		c.manifestUnknown(c.target.image)
		return
	}
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		c.readManifest(repo)
	case http.MethodPut:
		c.pushManifest(repo)
	case http.MethodDelete:
		c.deleteManifest(repo)
	default:
		c.allow(http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
	}
}

func (c *call) validReference() bool {
	_, digest := hexOf(c.target.ref)
	return validImage(c.target.image) && (digest || tagName.MatchString(c.target.ref))
}

func (c *call) readManifest(repo *repository) {
	c.s.mu.RLock()
	it, denied := c.s.findManifest(c.id, repo, c.target.image, c.target.ref, &c.sw)
	c.s.mu.RUnlock()
	if it == nil && !denied {
		it = c.s.fetchManifest(c.id, repo, c.target.image, c.target.ref)
	}
	switch {
	case it == nil && denied:
		c.denied("for manifest", "manifest", c.target.ref, "")
	case it == nil || it.readable > time.Now().UnixNano() || !c.accepts(it.body.doc):
		c.manifestUnknown(c.named(repo))
	case c.s.isBlocked(it.body.hex):
		c.blocked("for manifest", "manifest", c.target.ref)
	default:
		c.sendManifest(it)
	}
}

// named is the image as errors name it.
func (c *call) named(repo *repository) string { return repo.upstreamName(c.target.image) }

// accepts tells whether the client takes the media type, where the server cares.
func (c *call) accepts(m *manifest) bool {
	accept := strings.Join(c.r.Header.Values("Accept"), ",")
	return !c.sw.StrictAccept || !m.isIndex() || accept == "" || strings.Contains(accept, "*/*") ||
		strings.Contains(accept, m.MediaType)
}

func (c *call) sendManifest(it *item) {
	head := c.r.Method == http.MethodHead
	if it.repo.Class == Remote {
		it = c.s.revalidate(it, &c.sw)
	}
	if !head || it.repo.Class == Remote {
		c.s.countDownload(it)
	}
	h := c.w.Header()
	c.fileHeaders(it)
	h.Set("Docker-Content-Digest", it.body.digest())
	h.Set("Content-Disposition", `attachment; filename="`+it.name+`"`)
	if head {
		h.Set("X-Artifactory-Docker-Registry", it.repo.physical())
	}
	if it.repo.Class == Remote {
		image, tag := splitPath(it.dir.path)
		h.Set("X-Artifactory-Origin-Remote-Path", strings.TrimSuffix(it.repo.Upstream, "/")+"/v2/"+image+"/manifests/"+tag)
	}
	if !head && c.unchanged(it) {
		c.w.WriteHeader(http.StatusNotModified)
		return
	}
	c.bytes(http.StatusOK, it.body.doc.MediaType, it.body.data)
}

// fileHeaders sets what every download of a file carries.
func (c *call) fileHeaders(it *item) {
	h := c.w.Header()
	sha, md := it.body.weakSums()
	h.Set("Etag", sha) // the SHA-1, not the digest
	h.Set("X-Checksum-Sha1", sha)
	h.Set("X-Checksum-Md5", md)
	h.Set("X-Checksum-Sha256", it.body.hex)
	h.Set("Last-Modified", time.UnixMilli(it.modified).UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("X-Artifactory-Filename", it.name)
}

// unchanged tells whether a conditional GET finds what it has.
func (c *call) unchanged(it *item) bool {
	sha, _ := it.body.weakSums()
	if have := c.r.Header.Get("If-None-Match"); have != "" {
		return strings.Trim(have, `"`) == sha
	}
	since, err := http.ParseTime(c.r.Header.Get("If-Modified-Since"))
	return err == nil && !time.UnixMilli(it.modified).Truncate(time.Second).After(since)
}

func (c *call) pushManifest(repo *repository) {
	if !c.mayPush(repo) {
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxManifest))
	if err != nil {
		c.code(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "manifest too large", nil)
		return
	}
	it, err := c.s.pushManifest(repo, push{
		image: c.target.image, ref: c.target.ref, raw: raw,
		mediaType: c.r.Header.Get("Content-Type"), by: c.id.name, start: c.start,
	})
	switch {
	case errors.Is(err, errManifest):
		c.code(http.StatusBadRequest, "MANIFEST_INVALID", "manifest invalid", map[string]string{"description": err.Error()})
	case errors.Is(err, errDigest):
		c.code(http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content", nil)
	case errors.Is(err, errBlobMissing):
		c.code(http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", map[string]string{"description": err.Error()})
	case err != nil:
		c.status(http.StatusInternalServerError, err.Error())
	default:
		h := c.w.Header()
		h.Set("Docker-Content-Digest", it.body.digest())
		h.Set("Location", c.absolute(c.prefix+c.target.image+"/manifests/"+it.body.digest()))
		if sub := it.body.doc.Subject; sub != nil && c.sw.Referrers {
			h.Set("OCI-Subject", sub.Digest)
		}
		c.w.WriteHeader(http.StatusCreated)
	}
}

// mayPush answers what keeps a client from writing here.
func (c *call) mayPush(repo *repository) bool {
	switch {
	case repo.Class == Remote:
		c.status(http.StatusBadRequest, "Unable to upload a manifest to a remote repository.")
		return false
	case repo.Class == Virtual:
		c.status(http.StatusMethodNotAllowed, "No default deployment repository is configured for "+repo.Key+".")
		return false
	case !validImage(c.target.image):
		c.code(http.StatusBadRequest, "NAME_INVALID", "invalid repository name", map[string]string{"name": c.target.image})
		return false
	}
	c.s.mu.RLock()
	ok := c.s.may(c.id, repo, joinPath(c.target.image, c.target.ref), Deploy)
	c.s.mu.RUnlock()
	if !ok {
		c.denied("to push to the repository", "name", c.target.image, "")
	}
	return ok
}

func (c *call) deleteManifest(repo *repository) {
	s := c.s
	s.mu.RLock()
	it, denied := s.findManifest(c.id, repo, c.target.image, c.target.ref, &c.sw)
	ok := it != nil && s.may(c.id, it.repo, it.path(), Delete)
	s.mu.RUnlock()
	switch {
	case it == nil && !denied:
		c.manifestUnknown(c.named(repo))
	case !ok:
		c.denied("to delete manifest", "manifest", c.target.ref, "")
	default:
		s.deleteFolder(it.repo, it.dir.path, c.id.name)
		c.w.WriteHeader(http.StatusAccepted)
	}
}

func (c *call) absolute(path string) string { return c.scheme() + "://" + c.r.Host + path }
