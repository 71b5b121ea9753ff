package artifactorytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxBlob bounds an uploaded blob: all of it is kept in memory.
const maxBlob = 1 << 30

// upload is a blob on its way in.
type upload struct {
	mu    sync.Mutex
	repo  string
	image string
	buf   bytes.Buffer
	start time.Time
}

func (c *call) upload(repo *repository) {
	if !c.mayPush(repo) {
		return
	}
	if c.target.ref == "" {
		if c.allow(http.MethodPost) {
			c.startUpload(repo)
		}
		return
	}
	c.s.mu.RLock()
	up := c.s.uploads[c.target.ref]
	c.s.mu.RUnlock()
	if up == nil || up.repo != repo.Key || up.image != c.target.image {
		c.code(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", nil)
		return
	}
	switch c.r.Method {
	case http.MethodGet:
		c.uploadStatus(up, c.target.ref, http.StatusNoContent)
	case http.MethodPatch:
		if c.receive(up) {
			c.uploadStatus(up, c.target.ref, http.StatusAccepted)
		}
	case http.MethodPut:
		if c.receive(up) {
			c.finishUpload(repo, up, c.target.ref)
		}
	case http.MethodDelete:
		c.s.dropUpload(c.target.ref)
		c.w.WriteHeader(http.StatusNoContent)
	default:
		c.allow(http.MethodGet, http.MethodPatch, http.MethodPut, http.MethodDelete)
	}
}

// startUpload begins an upload, takes a whole blob at once, or mounts one that
// another repository has.
func (c *call) startUpload(repo *repository) {
	q := c.r.URL.Query()
	if hex, ok := hexOf(q.Get("mount")); ok && c.s.mount(c.id, repo, c.target.image, q.Get("from"), hex, c.start) {
		c.created("sha256:" + hex)
		return
	}
	up := &upload{repo: repo.Key, image: c.target.image, start: c.start}
	id := randomHex(16)
	if q.Get("digest") != "" {
		if c.receive(up) {
			c.finishUpload(repo, up, id)
		}
		return
	}
	c.s.mu.Lock()
	c.s.uploads[id] = up
	c.s.mu.Unlock()
	c.uploadStatus(up, id, http.StatusAccepted)
}

// receive appends the body to an upload.
func (c *call) receive(up *upload) bool {
	up.mu.Lock()
	defer up.mu.Unlock()
	if r := c.r.Header.Get("Content-Range"); r != "" && c.r.Method == http.MethodPatch {
		var from, to int
		if n, err := fmt.Sscanf(r, "%d-%d", &from, &to); n != 2 || err != nil || from != up.buf.Len() {
			c.w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return false
		}
	}
	_, err := io.Copy(&up.buf, http.MaxBytesReader(c.w, c.r.Body, maxBlob-int64(up.buf.Len())))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		c.code(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "blob too large", nil)
		return false
	}
	return err == nil // else the client is gone
}

func (c *call) uploadStatus(up *upload, id string, status int) {
	up.mu.Lock()
	n := up.buf.Len()
	up.mu.Unlock()
	h := c.w.Header()
	h.Set("Location", c.absolute(c.prefix+c.target.image+"/blobs/uploads/"+id))
	h.Set("Docker-Upload-UUID", id)
	h.Set("Range", fmt.Sprintf("0-%d", max(n-1, 0)))
	h.Set("Content-Length", "0")
	c.w.WriteHeader(status)
}

func (c *call) finishUpload(repo *repository, up *upload, id string) {
	want := c.r.URL.Query().Get("digest")
	up.mu.Lock()
	b := newContent(bytes.Clone(up.buf.Bytes()))
	up.mu.Unlock()
	if b.digest() != want {
		c.code(http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content", nil)
		return
	}
	c.s.dropUpload(id)
	c.s.putUploaded(repo, up.image, b, c.id.name, up.start)
	c.created(want)
}

func (c *call) created(digest string) {
	h := c.w.Header()
	h.Set("Location", c.absolute(c.prefix+c.target.image+"/blobs/"+digest))
	h.Set("Docker-Content-Digest", digest)
	h.Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
}

func (s *Server) dropUpload(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, id)
}

// putUploaded keeps a finished blob in _uploads until a manifest takes it.
func (s *Server) putUploaded(repo *repository, image string, b *content, by string, start time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putFile(repo, repo.tree, joinPath(image, uploadsFolder), blobPrefix+b.hex, s.intern(b), stampNow(by, start, s.clock.now(), 0))
}

// mount makes a blob of another repository known in this one. from is an image,
// with or without its repository's key before it.
func (s *Server) mount(id identity, repo *repository, image, from, hex string, start time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	source, name := repo, from
	if key, rest, ok := strings.Cut(from, "/"); ok && s.repo(key) != nil {
		source, name = s.repo(key), rest
	}
	if name == "" || !source.isImages() {
		return false
	}
	it, _ := s.findBlob(id, source, name, hex)
	if it == nil {
		return false
	}
	s.putFile(repo, repo.tree, joinPath(image, uploadsFolder), blobPrefix+hex, it.body, stampNow(id.name, start, s.clock.now(), 0))
	return true
}
