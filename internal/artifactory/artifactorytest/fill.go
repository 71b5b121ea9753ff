package artifactorytest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Image is what can be put: a v1.Image or a v1.ImageIndex.
type Image interface {
	RawManifest() ([]byte, error)
	Digest() (v1.Hash, error)
}

// PutImage stores an image or an index under a tag, as a push by the
// administrator does: webhooks fire. Into a remote it goes as cached, layers
// and all.
func (s *Server) PutImage(repo, image, tag string, img Image) error {
	s.mu.RLock()
	r := s.repo(repo)
	s.mu.RUnlock()
	if r == nil || r.tree == nil {
		return fmt.Errorf("put %s/%s:%s: no such repository", repo, image, tag)
	}
	return s.putImage(r, r.tree, image, tag, img, false)
}

// PutUpstream stores an image where a remote can fetch it from; nothing of it
// is cached yet.
func (s *Server) PutUpstream(remote, image, tag string, img Image) error {
	s.mu.RLock()
	r := s.repo(remote)
	s.mu.RUnlock()
	if r == nil || r.Class != Remote {
		return fmt.Errorf("put %s/%s:%s upstream: no such remote", remote, image, tag)
	}
	return s.putImage(r, r.upstream, image, tag, img, true)
}

func (s *Server) putImage(r *repository, t *tree, image, ref string, img Image, silent bool) error {
	if err := s.putParts(r, t, image, img, silent); err != nil {
		return fmt.Errorf("put %s/%s:%s: %w", r.Key, image, ref, err)
	}
	raw, err := img.RawManifest()
	if err != nil {
		return fmt.Errorf("put %s/%s:%s: %w", r.Key, image, ref, err)
	}
	p := push{image: image, ref: ref, raw: raw, by: AdminName, start: s.clock.now(), silent: silent}
	return s.putManifest(r, t, p)
}

func (s *Server) putManifest(r *repository, t *tree, p push) error {
	doc, err := parseManifest(p.raw, p.mediaType)
	if err != nil {
		return fmt.Errorf("put %s/%s:%s: %w", r.Key, p.image, p.ref, err)
	}
	b := newContent(p.raw)
	b.doc = doc
	s.mu.Lock()
	defer s.mu.Unlock()
	it, err := s.storeManifest(r, t, p, b)
	if err == nil && !p.silent {
		s.emitPushed(it)
	}
	return err
}

// putParts stores what a manifest names: members by digest, or blobs.
func (s *Server) putParts(r *repository, t *tree, image string, img Image, silent bool) error {
	switch img := img.(type) {
	case v1.ImageIndex:
		return s.putMembers(r, t, image, img, silent)
	case v1.Image:
		layers, err := img.Layers()
		if err != nil {
			return fmt.Errorf("read layers: %w", err)
		}
		for _, l := range layers {
			if err := s.putLayer(r, t, image, l); err != nil {
				return err
			}
		}
		config, err := img.RawConfigFile()
		if err != nil {
			return fmt.Errorf("read config: %w", err)
		}
		s.putBlob(r, t, image, config)
		return nil
	}
	return fmt.Errorf("%T is neither image nor index", img)
}

func (s *Server) putMembers(r *repository, t *tree, image string, idx v1.ImageIndex, silent bool) error {
	m, err := idx.IndexManifest()
	if err != nil {
		return fmt.Errorf("read index: %w", err)
	}
	for _, d := range m.Manifests {
		var member Image
		if d.MediaType.IsIndex() {
			member, err = idx.ImageIndex(d.Digest)
		} else {
			member, err = idx.Image(d.Digest)
		}
		if err != nil {
			return fmt.Errorf("read member %s: %w", d.Digest, err)
		}
		if err := s.putImage(r, t, image, d.Digest.String(), member, silent); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) putLayer(r *repository, t *tree, image string, l v1.Layer) error {
	d, err := l.Digest()
	if err != nil {
		return fmt.Errorf("read layer: %w", err)
	}
	s.mu.RLock()
	have := len(t.blobs[d.Hex]) > 0
	s.mu.RUnlock()
	kind, err := l.MediaType()
	if err != nil {
		return fmt.Errorf("read layer %s: %w", d, err)
	}
	if have || isForeign(string(kind)) {
		return nil
	}
	rc, err := l.Compressed()
	if err != nil {
		return fmt.Errorf("read layer %s: %w", d, err)
	}
	raw, err := io.ReadAll(rc)
	if closeErr := rc.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("read layer %s: %w", d, err)
	}
	s.putBlob(r, t, image, raw)
	return nil
}

func (s *Server) putBlob(r *repository, t *tree, image string, raw []byte) {
	b := newContent(raw)
	now := s.clock.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putFile(r, t, joinPath(image, uploadsFolder), blobPrefix+b.hex, s.intern(b), stampNow(AdminName, now, now, 0))
}

// PutBlob stores bytes as an uploaded blob of an image and returns the digest;
// a manifest put later takes it.
func (s *Server) PutBlob(repo, image string, raw []byte) (string, error) {
	s.mu.RLock()
	r := s.repo(repo)
	s.mu.RUnlock()
	if r == nil || r.tree == nil {
		return "", fmt.Errorf("put a blob into %s/%s: no such repository", repo, image)
	}
	s.putBlob(r, r.tree, image, raw)
	return newContent(raw).digest(), nil
}

// PutManifest stores a manifest as written, under a tag or its digest, and
// returns the digest. Its blobs must be there, see PutBlob.
func (s *Server) PutManifest(repo, image, ref, mediaType string, raw []byte) (string, error) {
	s.mu.RLock()
	r := s.repo(repo)
	s.mu.RUnlock()
	if r == nil || r.tree == nil {
		return "", fmt.Errorf("put %s/%s:%s: no such repository", repo, image, ref)
	}
	p := push{image: image, ref: ref, raw: raw, mediaType: mediaType, by: AdminName, start: s.clock.now()}
	return newContent(raw).digest(), s.putManifest(r, r.tree, p)
}

// Fill describes many tags that cost little: every one is one file, and all
// blobs are those of the one image they are made from.
type Fill struct {
	Repo     string
	Images   int // named PREFIX-0000 and so on
	Prefix   string
	Tags     int // of each image
	From     v1.Image
	Distinct bool // every tag has a manifest, and so a digest, of its own
}

// FillTags puts many tags at once, without webhooks.
func (s *Server) FillTags(f Fill) error {
	s.mu.RLock()
	r := s.repo(f.Repo)
	s.mu.RUnlock()
	if r == nil || r.tree == nil {
		return fmt.Errorf("fill %s: no such repository", f.Repo)
	}
	first := f.Prefix + "-0000"
	if err := s.putImage(r, r.tree, first, "0000000", f.From, true); err != nil {
		return err
	}
	raw, err := f.From.RawManifest()
	if err != nil {
		return fmt.Errorf("fill %s: %w", f.Repo, err)
	}
	doc, err := parseManifest(raw, "")
	if err != nil {
		return fmt.Errorf("fill %s: %w", f.Repo, err)
	}
	now := s.clock.now()
	at := stampNow(AdminName, now, now, 0)
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := newContent(raw)
	shared.doc = doc
	shared = s.intern(shared)
	for i := range f.Images {
		for j := range f.Tags {
			if i == 0 && j == 0 {
				continue
			}
			b := shared
			if f.Distinct {
				if b, err = s.variant(raw, doc, fmt.Sprintf("%d-%d", i, j)); err != nil {
					return err
				}
			}
			s.putFile(r, r.tree, fmt.Sprintf("%s-%04d/%07d", f.Prefix, i, j), doc.fileName(), b, at)
		}
	}
	return nil
}

// variant is the same manifest with an annotation of its own.
func (s *Server) variant(raw []byte, doc *manifest, mark string) (*content, error) {
	note, err := json.Marshal(map[string]string{"org.opencontainers.image.version": mark})
	if err != nil {
		return nil, fmt.Errorf("write an annotation: %w", err)
	}
	text := strings.TrimRight(string(raw), " \n\t")
	if doc.Annotations != nil || !strings.HasSuffix(text, "}") {
		return nil, fmt.Errorf("the image to fill from has annotations")
	}
	b := newContent([]byte(strings.TrimSuffix(text, "}") + `,"annotations":` + string(note) + "}"))
	b.doc = doc
	return s.intern(b), nil
}

// TagTruth is one tag as the server has it.
type TagTruth struct {
	Repo   string // physical key
	Image  string
	Tag    string
	Digest string
}

// Tags is every tag that can be pulled, by repository, image and tag.
func (s *Server) Tags() []TagTruth {
	return s.tagsFor(identity{name: AdminName, admin: true})
}

// TagsFor is Tags as far as a user may read them at present.
func (s *Server) TagsFor(name string) []TagTruth {
	s.mu.RLock()
	u := s.users[name]
	s.mu.RUnlock()
	if u == nil {
		return nil
	}
	return s.tagsFor(u.identity())
}

func (s *Server) tagsFor(id identity) []TagTruth {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []TagTruth
	for _, r := range s.sorted() {
		if r.tree == nil || !r.isImages() {
			continue
		}
		may := s.permit(id, r)
		r.tree.root.walk(func(f *folder) {
			if !f.image {
				return
			}
			for _, tag := range slices.Sorted(maps.Keys(f.children)) {
				if it := f.children[tag].served(s.switches.ListWins); it != nil && !isDigestFolder(tag) && may(it.path(), Read) {
					all = append(all, TagTruth{r.physical(), f.path, tag, it.body.digest()})
				}
			}
		})
	}
	return all
}
