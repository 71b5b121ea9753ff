package artifactorytest

import "strconv"

// findManifest looks a tag or digest up over the members of a repository.
// Callers hold the lock.
func (s *Server) findManifest(id identity, repo *repository, image, ref string, sw *Switches) (it *item, denied bool) {
	allowed := false
	for _, m := range s.members(repo) {
		name := m.upstreamName(image)
		if !s.may(id, m, joinPath(name, ref), Read) {
			continue
		}
		allowed = true
		if it := m.tree.manifest(name, ref, sw.ListWins); it != nil {
			return it, false
		}
	}
	return nil, !allowed
}

// manifest returns the file a tag or digest of an image is served from.
func (t *tree) manifest(image, ref string, listWins bool) *item {
	if hex, ok := hexOf(ref); ok {
		if all := t.byDigest[manifestKey{image, hex}]; len(all) > 0 {
			return all[len(all)-1]
		}
		return nil
	}
	f := t.find(joinPath(image, ref))
	if f == nil || f.parent == nil || f.parent.path != image {
		return nil
	}
	return f.served(listWins)
}

// findBlob looks a blob up over the members of a repository; it is found
// whatever image of the repository brought it. Callers hold the lock.
func (s *Server) findBlob(id identity, repo *repository, image, hex string) (it *item, denied bool) {
	allowed := false
	for _, m := range s.members(repo) {
		if !s.may(id, m, m.upstreamName(image), Read) {
			continue
		}
		allowed = true
		if all := m.tree.blobs[hex]; len(all) > 0 {
			return all[len(all)-1], false
		}
	}
	return nil, !allowed
}

// xrayWords are how a refusal by policy reads; clients look for them.
const xrayWords = "Artifact download request rejected: the artifact was not downloaded due to the " +
	"download blocking policy configured in Xray"

// BlockByXray makes a manifest or blob refused by policy.
func (s *Server) BlockByXray(digest string) { s.setBlocked(digest, true) }

// UnblockByXray undoes BlockByXray.
func (s *Server) UnblockByXray(digest string) { s.setBlocked(digest, false) }

func (s *Server) setBlocked(digest string, blocked bool) {
	hex, _ := hexOf(digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if blocked {
		s.xray[hex] = true
	} else {
		delete(s.xray, hex)
	}
}

func (s *Server) isBlocked(hex string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.xray[hex]
}

func (c *call) blocked(what, key, value string) {
	if c.sw.XrayAsStatus {
		c.status(403, xrayWords)
		return
	}
	c.denied(what, key, value, xrayWords)
}

func (s *Server) countDownload(it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.downloads[it.repo.physical()+"/"+it.path()]++
}

// Downloads is how often a file was pulled; path is inside the repository, and
// a remote's files are under KEY-cache.
func (s *Server) Downloads(repo, path string) int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.downloads[repo+"/"+path]
}

func size(n int64) string { return strconv.FormatInt(n, 10) }
