package artifactorytest

import "time"

// fetchManifest is a remote pulling through: who may fill the cache gets what
// upstream has. Its blobs stay upstream, known by markers.
func (s *Server) fetchManifest(id identity, repo *repository, image, ref string) *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members(repo) {
		if m.Class != Remote {
			continue
		}
		name := m.upstreamName(image)
		if !s.may(id, m, joinPath(name, ref), Deploy) {
			continue
		}
		s.counts.add(ClassUpstream, Count{Requests: 1})
		if up := m.upstream.manifest(name, ref, false); up != nil {
			return s.cacheManifest(m, up, name, ref)
		}
	}
	return nil
}

func (s *Server) cacheManifest(m *repository, up *item, image, ref string) *item {
	now := s.clock.now()
	at := stampNow("anonymous", now, now, 0)
	it := s.putFile(m, m.tree, joinPath(image, m.folderFor(ref)), up.name, up.body, at)
	for _, d := range up.body.doc.blobs() {
		hex, _ := hexOf(d.Digest)
		name := blobPrefix + hex
		if len(m.tree.blobs[hex]) == 0 && it.dir.file(name+markerSuffix) == nil {
			s.putFile(m, m.tree, it.dir.path, name+markerSuffix, s.intern(newContent(nil)), at)
		}
	}
	if c := up.body.doc.Config; c != nil {
		hex, _ := hexOf(c.Digest)
		s.configs[hex] = true
	}
	s.emitCached(it)
	return it
}

// fetchBlob pulls a blob through a remote; only one that a cached manifest names.
func (s *Server) fetchBlob(id identity, repo *repository, image, hex string) *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.members(repo) {
		if m.Class != Remote || !s.may(id, m, m.upstreamName(image), Deploy) || len(m.tree.markers[hex]) == 0 {
			continue
		}
		s.counts.add(ClassUpstream, Count{Requests: 1})
		up := m.upstream.blobs[hex]
		if len(up) == 0 {
			continue
		}
		marker := m.tree.markers[hex][0]
		now := s.clock.now()
		at := stampNow("anonymous", now, now, 0)
		at.modified = up[0].modified // the upstream's own date
		m.tree.remove(marker)
		it := s.putFile(m, m.tree, marker.dir.path, blobPrefix+hex, up[0].body, at)
		s.emitCached(it)
		return it
	}
	return nil
}

// revalidate asks upstream for a cached tag that is old, which bumps updated.
func (s *Server) revalidate(it *item, sw *Switches) *item {
	now := s.clock.now()
	if isDigestFolder(it.dir.name) || now.Sub(time.UnixMilli(it.updated)) < sw.RevalidateAfter {
		return it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.add(ClassUpstream, Count{Requests: 1})
	image := it.dir.parent.path
	if up := it.repo.upstream.manifest(image, it.dir.name, false); up != nil && up.body != it.body {
		return s.cacheManifest(it.repo, up, image, it.dir.name)
	}
	return s.touch(it, now)
}

// touch sets updated. Callers hold the lock.
func (s *Server) touch(it *item, now time.Time) *item {
	if it.dir.file(it.name) != it {
		return it // gone or replaced meanwhile
	}
	changed := *it
	changed.updated = now.UnixMilli()
	it.repo.tree.put(&changed)
	return &changed
}

// Revalidate does what a remote does when a cached tag got old and upstream
// still has the same: nothing but the date "updated" changes.
func (s *Server) Revalidate(remote, image, tag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repo(remote); r != nil && r.Class == Remote {
		if it := r.tree.manifest(image, tag, false); it != nil {
			s.touch(it, s.clock.now())
		}
	}
}
