package artifactorytest

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

func (c *call) blob(repo *repository) {
	if !c.allow(http.MethodGet, http.MethodHead) {
		return
	}
	digest := c.target.ref
	hex, ok := hexOf(digest)
	if !ok || !validImage(c.target.image) {
		c.blobUnknown(digest)
		return
	}
	c.s.mu.RLock()
	it, denied := c.s.findBlob(c.id, repo, c.target.image, hex)
	c.s.mu.RUnlock()
	if it == nil && !denied {
		it = c.s.fetchBlob(c.id, repo, c.target.image, hex)
	}
	switch {
	case it == nil && denied:
		c.denied("for blob", "blobSum", digest, "")
	case it == nil:
		c.blobUnknown(digest)
	case c.s.isBlocked(hex):
		c.blocked("for blob", "blobSum", digest)
	case (it.repo.Redirect || c.sw.Redirects) && c.r.Method == http.MethodGet:
		c.s.countDownload(it)
		c.redirect(it.body)
	default:
		c.sendBlob(it)
	}
}

func (c *call) sendBlob(it *item) {
	if c.r.Method == http.MethodGet {
		c.s.countDownload(it)
	}
	h := c.w.Header()
	c.fileHeaders(it)
	h.Set("Docker-Content-Digest", it.body.digest())
	h.Set("Content-Type", "application/octet-stream")
	if c.r.Method == http.MethodGet && c.r.Header.Get("If-None-Match") != "" && c.unchanged(it) {
		c.w.WriteHeader(http.StatusNotModified)
		return
	}
	c.sendContent(it.body, it.modified)
}

// sendContent answers with bytes, or the range of them that was asked for.
func (c *call) sendContent(b *content, modified int64) {
	r := *c.r
	r.Header = c.r.Header.Clone()
	r.Header.Del("If-None-Match") // answered already; the header here is no quoted tag
	r.Header.Del("If-Modified-Since")
	r.Header.Del("If-Range")
	http.ServeContent(c.w, &r, "", time.UnixMilli(modified), onlySeek{bytes.NewReader(b.data)})
}

// onlySeek hides WriteTo, so that a body passes in pieces: a fault can hit any
// byte of it and a slow client is felt.
type onlySeek struct{ io.ReadSeeker }
