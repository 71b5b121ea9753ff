package artifactorytest

import (
	"errors"
	"fmt"
	"time"
)

var (
	errDigest      = errors.New("digest mismatch")
	errBlobMissing = errors.New("blob unknown")
)

// push is a manifest to be stored under a reference.
type push struct {
	image, ref string
	raw        []byte
	mediaType  string
	by         string
	start      time.Time
	silent     bool // no events
}

// stampOf is who and when of a file to be written.
type stampOf struct {
	by                                        string
	created, modified, updated, propsModified int64
	readable                                  int64
}

// stampNow is the stamp of an upload that began at start and is committed now.
func stampNow(by string, start, now time.Time, lag time.Duration) stampOf {
	ms := now.UnixMilli()
	return stampOf{by: by, created: ms, modified: min(start.UnixMilli(), ms) - lag.Milliseconds(), updated: ms, propsModified: ms}
}

// intern returns the one copy of these bytes. Callers hold the lock.
func (s *Server) intern(b *content) *content {
	if have := s.contents[b.hex]; have != nil {
		if have.doc == nil {
			have.doc = b.doc
		}
		return have
	}
	s.contents[b.hex] = b
	return b
}

// putFile writes a file. Callers hold the lock.
func (s *Server) putFile(repo *repository, t *tree, dir, name string, b *content, at stampOf) *item {
	f := t.mkdir(dir, at.created)
	s.seq++
	it := &item{
		repo: repo, dir: f, name: name, body: b, seq: s.seq, by: at.by, edited: at.by,
		created: at.created, modified: at.modified, updated: at.updated, propsModified: at.propsModified,
		readable: at.readable,
	}
	t.put(it)
	return it
}

// pushManifest stores a manifest as a client's PUT does.
func (s *Server) pushManifest(repo *repository, p push) (*item, error) {
	doc, err := parseManifest(p.raw, p.mediaType)
	if err != nil {
		return nil, err
	}
	b := newContent(p.raw)
	b.doc = doc
	if hex, ok := hexOf(p.ref); ok && hex != b.hex {
		return nil, fmt.Errorf("push %s as %s: %w", b.digest(), p.ref, errDigest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	it, err := s.storeManifest(repo, repo.tree, p, b)
	if err == nil && !p.silent {
		s.emitPushed(it)
	}
	return it, err
}

// storeManifest writes the manifest and gathers its blobs beside it. Callers
// hold the lock.
func (s *Server) storeManifest(repo *repository, t *tree, p push, b *content) (*item, error) {
	for _, d := range b.doc.blobs() {
		hex, _ := hexOf(d.Digest)
		if len(t.blobs[hex]) == 0 && len(t.markers[hex]) == 0 {
			return nil, fmt.Errorf("push %s:%s: %w: %s", p.image, p.ref, errBlobMissing, d.Digest)
		}
	}
	b = s.intern(b)
	dir := joinPath(p.image, repo.folderFor(p.ref))
	at, skip := s.stampPush(t, dir, b, p)
	if skip != nil {
		return skip, nil
	}
	it := s.putFile(repo, t, dir, b.doc.fileName(), b, at)
	s.gatherBlobs(repo, t, it, at)
	return it, nil
}

// stampPush decides the dates of a push, which depend on what it overwrites.
func (s *Server) stampPush(t *tree, dir string, b *content, p push) (stampOf, *item) {
	now := s.clock.now()
	at := stampNow(p.by, p.start, now, s.switches.UploadLag)
	if s.switches.ReadableAfter > 0 {
		at.readable = time.Now().Add(s.switches.ReadableAfter).UnixNano()
	}
	old := t.fileAt(joinPath(dir, b.doc.fileName()))
	if old == nil {
		return at, nil
	}
	if s.switches.Overwrite == OverwriteSkips && old.body == b {
		return at, old
	}
	at.modified = now.UnixMilli()
	if s.switches.Overwrite != OverwriteCreates {
		at.created = old.created
	}
	if old.body == b {
		at.propsModified = old.propsModified
	}
	return at, nil
}

// gatherBlobs puts a manifest's blobs into its folder, out of _uploads if they
// are there, and drops from the folder what no manifest in it names.
func (s *Server) gatherBlobs(repo *repository, t *tree, it *item, at stampOf) {
	image := it.dir.parent.path
	wanted := map[string]bool{}
	for _, f := range []string{manifestFile, listManifestFile} {
		if m := it.dir.file(f); m != nil {
			for _, d := range m.body.doc.blobs() {
				hex, _ := hexOf(d.Digest)
				wanted[blobPrefix+hex] = true
			}
		}
	}
	if c := it.body.doc.Config; c != nil {
		hex, _ := hexOf(c.Digest)
		s.configs[hex] = true
		if b := s.contents[hex]; b != nil && it.body.doc.labels == nil {
			it.body.doc.labels = readLabels(b.data)
		}
	}
	for name := range wanted {
		hex, _ := blobHex(name)
		if it.dir.file(name) == nil && it.dir.file(name+markerSuffix) == nil && len(t.blobs[hex]) > 0 {
			s.putFile(repo, t, it.dir.path, name, t.blobs[hex][0].body, at)
		}
		if up := t.fileAt(joinPath(joinPath(image, uploadsFolder), name)); up != nil {
			t.remove(up)
		}
	}
	for _, f := range append([]*item(nil), it.dir.files...) {
		if _, ok := blobHex(f.name); ok && !wanted[f.name] {
			t.remove(f)
		}
	}
}

// deleteFolder removes a tag's folder, or any other, and tells who listens.
func (s *Server) deleteFolder(repo *repository, path, by string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := repo.tree.find(path)
	if f == nil || path == "" {
		return false
	}
	for _, it := range repo.tree.removeFolder(f) {
		s.emitDeleted(it, by)
	}
	return true
}
