package artifactorytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// promotion is the body of a promote call. A tag of null is every tag.
type promotion struct {
	TargetRepo  string          `json:"targetRepo"`
	Image       string          `json:"dockerRepository"`
	TargetImage string          `json:"targetDockerRepository"`
	Tag         json.RawMessage `json:"tag"`
	TargetTag   string          `json:"targetTag"`
	Copy        bool            `json:"copy"`
}

func (p *promotion) tag() (tag string, all bool, err error) {
	if p.Tag == nil {
		return "latest", false, nil
	}
	if string(p.Tag) == "null" {
		return "", true, nil
	}
	if err := json.Unmarshal(p.Tag, &tag); err != nil {
		return "", false, fmt.Errorf("read the tag to promote: %w", err)
	}
	return tag, false, nil
}

func (c *call) promote(repo *repository) {
	if !c.allow(http.MethodPost) {
		return
	}
	var p promotion
	raw, err := c.readAll(64 << 10)
	if err == nil {
		err = json.Unmarshal(raw, &p)
	}
	tag, all, tagErr := p.tag()
	if err != nil || tagErr != nil || p.Image == "" {
		c.status(http.StatusBadRequest, "Bad Request")
		return
	}
	c.s.mu.RLock()
	target := c.s.repo(p.TargetRepo)
	ok := target != nil && target.Class != Virtual && target.Class != Remote && target.isImages()
	allowed := ok && c.s.may(c.id, repo, p.Image, Read) && c.s.may(c.id, target, p.Image, Deploy)
	tags := c.s.tagFolders(repo, p.Image, tag, all)
	c.s.mu.RUnlock()
	switch {
	case !ok:
		c.status(http.StatusBadRequest, "Target repository "+p.TargetRepo+" cannot be used")
		return
	case !allowed:
		c.status(http.StatusForbidden, "Forbidden")
		return
	case len(tags) == 0:
		c.status(http.StatusNotFound, "Unable to find tag of '"+p.Image+"'")
		return
	}
	for _, t := range tags {
		m := Move{FromRepo: repo.Key, Image: p.Image, Tag: t, ToRepo: p.TargetRepo, ToImage: p.TargetImage, ToTag: p.TargetTag, Copy: p.Copy}
		if err := c.s.Promote(m); err != nil {
			c.status(http.StatusInternalServerError, err.Error())
			return
		}
	}
	c.text(http.StatusOK, "Promotion ended successfully\n")
}

// tagFolders are the tags a promotion means. Callers hold the lock.
func (s *Server) tagFolders(repo *repository, image, tag string, all bool) []string {
	if repo.tree == nil {
		return nil
	}
	f := repo.tree.find(image)
	if f == nil {
		return nil
	}
	var tags []string
	for name, child := range f.children {
		if child.served(false) != nil && !isDigestFolder(name) && (all || name == tag) {
			tags = append(tags, name)
		}
	}
	return tags
}

// Move names a tag and where it goes. ToImage and ToTag empty keep the name.
type Move struct {
	FromRepo, Image, Tag   string
	ToRepo, ToImage, ToTag string
	Copy                   bool // the source stays
}

// Promote moves or copies a tag with docker's promotion: the dates of the
// source are kept, "promoted" fires on the source.
func (s *Server) Promote(m Move) error { return s.relocate(m, true) }

// Relocate is Promote as api/copy and api/move do it: artifact events only.
func (s *Server) Relocate(m Move) error { return s.relocate(m, false) }

func (s *Server) relocate(m Move, promoted bool) error {
	if m.ToImage == "" {
		m.ToImage = m.Image
	}
	if m.ToTag == "" {
		m.ToTag = m.Tag
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, to := s.repo(m.FromRepo), s.repo(m.ToRepo)
	if from == nil || to == nil || from.tree == nil || to.tree == nil {
		return fmt.Errorf("promote %s/%s:%s: no such repository", m.FromRepo, m.Image, m.Tag)
	}
	src := from.tree.find(joinPath(m.Image, m.Tag))
	if src == nil || src.served(s.switches.ListWins) == nil {
		return fmt.Errorf("promote %s/%s:%s: no such tag", m.FromRepo, m.Image, m.Tag)
	}
	main := src.served(s.switches.ListWins)
	if from == to && m.Image == m.ToImage && m.Tag == m.ToTag {
		return nil
	}
	for _, sub := range s.memberFolders(from, m.Image, main.body.doc) {
		s.copyFolder(sub, to, joinPath(m.ToImage, sub.name))
	}
	s.copyFolder(src, to, joinPath(m.ToImage, m.ToTag))
	if promoted {
		s.emitPromoted(main, m)
	} else {
		s.emitRelocated(main, to, joinPath(joinPath(m.ToImage, m.ToTag), main.name), m.Copy)
	}
	if !m.Copy {
		s.takeAway(from, src, main)
	}
	return nil
}

// takeAway removes a moved tag, and the members of its index that no other tag
// of the image needs.
func (s *Server) takeAway(from *repository, src *folder, main *item) {
	image := src.parent
	from.tree.removeFolder(src)
	for _, sub := range s.memberFolders(from, image.path, main.body.doc) {
		hex, ok := hexOf(sub.name)
		if ok && !needed(image, "sha256:"+hex) {
			from.tree.removeFolder(sub)
		}
	}
}

func needed(image *folder, digest string) bool {
	for _, f := range image.children {
		list := f.file(listManifestFile)
		if list == nil || list.body.doc == nil {
			continue
		}
		for _, d := range list.body.doc.Manifests {
			if d.Digest == digest {
				return true
			}
		}
	}
	return false
}

// memberFolders are the digest folders of an index's members.
func (s *Server) memberFolders(r *repository, image string, doc *manifest) []*folder {
	var all []*folder
	for _, d := range doc.Manifests {
		if f := r.tree.find(joinPath(image, r.folderFor(d.Digest))); f != nil {
			all = append(all, f)
		}
	}
	return all
}

// copyFolder copies files with the dates they have; only the properties are new.
func (s *Server) copyFolder(src *folder, to *repository, path string) {
	now := s.clock.now().UnixMilli()
	for _, it := range append([]*item(nil), src.files...) {
		s.putFile(to, to.tree, path, it.name, it.body, stampOf{
			by: it.by, created: it.created, modified: it.modified, updated: it.updated, propsModified: now,
		})
	}
}

// Retag points another tag of an image at what a tag points at, as a client's
// push of the same manifest does.
func (s *Server) Retag(repo, image, tag, newTag string) error {
	s.mu.RLock()
	r := s.repo(repo)
	var it *item
	if r != nil && r.tree != nil {
		it = r.tree.manifest(image, tag, s.switches.ListWins)
	}
	s.mu.RUnlock()
	if it == nil {
		return fmt.Errorf("retag %s/%s:%s: no such tag", repo, image, tag)
	}
	_, err := s.pushManifest(r, push{
		image: image, ref: newTag, raw: it.body.data, mediaType: it.body.doc.MediaType,
		by: AdminName, start: s.clock.now(),
	})
	return err
}

// DeleteTag removes a tag, or a manifest by digest, and tells who listens. It
// reports whether there was one.
func (s *Server) DeleteTag(repo, image, ref string) bool {
	s.mu.RLock()
	r := s.repo(repo)
	s.mu.RUnlock()
	return r != nil && r.tree != nil && s.deleteFolder(r, joinPath(image, r.folderFor(ref)), AdminName)
}

// LoseBlob makes a repository lose a blob that its manifests go on naming, as
// a bad clean-up does.
func (s *Server) LoseBlob(repo, digest string) {
	hex, _ := hexOf(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repo)
	if r == nil || r.tree == nil {
		return
	}
	for _, it := range append(append([]*item(nil), r.tree.blobs[hex]...), r.tree.markers[hex]...) {
		r.tree.remove(it)
	}
}

// SetDates sets the dates of a tag's manifest, as an import or a replication
// with its own dates does. Zero leaves a date as it is.
func (s *Server) SetDates(repo, image, tag string, created, modified, updated time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repo(repo)
	if r == nil || r.tree == nil {
		return
	}
	it := r.tree.manifest(image, tag, s.switches.ListWins)
	if it == nil {
		return
	}
	changed := *it
	for _, d := range []struct {
		to   *int64
		from time.Time
	}{{&changed.created, created}, {&changed.modified, modified}, {&changed.updated, updated}} {
		if !d.from.IsZero() {
			*d.to = d.from.UnixMilli()
		}
	}
	r.tree.put(&changed)
}
