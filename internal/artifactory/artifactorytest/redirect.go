package artifactorytest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// redirect sends the client to the second host with a signed address.
func (c *call) redirect(b *content) {
	expires := time.Now().Add(c.sw.RedirectExpiry).UnixMilli()
	c.w.Header().Set("Location", fmt.Sprintf("%s/filestore/%s/%s?class=%s&expires=%d&signature=%s",
		c.s.BlobURL(), b.hex[:2], b.hex, c.class, expires, c.s.sign(b.hex, expires)))
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(c.sw.RedirectStatus)
}

func (s *Server) sign(hexSum string, expires int64) string {
	mac := hmac.New(sha256.New, s.blobKey)
	_, _ = fmt.Fprintf(mac, "%s %d", hexSum, expires) // a hash takes everything
	return hex.EncodeToString(mac.Sum(nil))
}

const s3Error = `<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>%s</Code><Message>%s</Message></Error>"

// serveRedirected is the second host: object storage that knows no users.
func (s *Server) serveRedirected(w http.ResponseWriter, r *http.Request) {
	m := &meter{ResponseWriter: w, counts: &s.counts, class: ClassBlobHost, bytes: ClassLayer}
	c := &call{s: s, w: m, r: r, sw: s.snapshot(), class: ClassBlobHost}
	q := r.URL.Query()
	if q.Get("class") == ClassConfig {
		m.bytes = ClassConfig
	}
	defer s.counts.begin(ClassBlobHost, r.Header.Get("Authorization") == "")()
	if s.faults.meet(c) {
		return
	}
	expires, err := strconv.ParseInt(q.Get("expires"), 10, 64)
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	s.mu.RLock()
	b := s.contents[name]
	s.mu.RUnlock()
	switch {
	case r.Header.Get("Authorization") != "":
		c.bytes(http.StatusBadRequest, "application/xml", fmt.Appendf(nil, s3Error, "InvalidArgument",
			"Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "+
				"parameter or the Authorization header should be specified"))
	case err != nil || !hmac.Equal([]byte(q.Get("signature")), []byte(s.sign(name, expires))):
		c.bytes(http.StatusForbidden, "application/xml", fmt.Appendf(nil, s3Error, "SignatureDoesNotMatch", "The signature does not match"))
	case time.Now().UnixMilli() > expires:
		c.bytes(http.StatusForbidden, "application/xml", fmt.Appendf(nil, s3Error, "AccessDenied", "Request has expired"))
	case b == nil:
		c.bytes(http.StatusNotFound, "application/xml", fmt.Appendf(nil, s3Error, "NoSuchKey", "The specified key does not exist."))
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		c.sendContent(b, time.Now().UnixMilli())
	}
}
