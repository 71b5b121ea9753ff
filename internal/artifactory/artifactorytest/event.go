package artifactorytest

import (
	"strings"
)

// Event is something that happened, before it is wrapped for a subscriber.
type Event struct {
	Domain string         // docker, artifact
	Type   string         // pushed, deleted, promoted, deployed, copied, moved, cached
	Repo   string         // physical key; of the source where something moved
	Path   string         // inside the repository, file name included
	Data   map[string]any // as in the body
	By     string
}

// The emitters are called with the lock held; they only queue.

func (s *Server) emit(e Event) {
	s.hooks.add(queued{event: e, switches: s.switches, origin: s.url, node: s.nodeID})
}

func dockerData(it *item) map[string]any {
	image, tag := splitPath(it.dir.path)
	data := fileData(it)
	data["image_name"] = image
	data["tag"] = tag
	data["image_type"] = it.repo.Type
	platforms := []map[string]string{}
	if it.body.doc != nil {
		for _, d := range it.body.doc.Manifests {
			if d.Platform != nil {
				platforms = append(platforms, map[string]string{"architecture": d.Platform.Architecture, "os": d.Platform.OS})
			}
		}
	}
	data["platforms"] = platforms
	return data
}

func fileData(it *item) map[string]any {
	return map[string]any{
		"repo_key": it.repo.physical(), "path": it.path(), "name": it.name,
		"sha256": it.body.hex, "size": it.body.size(),
	}
}

func (s *Server) emitDocker(kind string, it *item, by string) {
	s.emit(Event{Domain: "docker", Type: kind, Repo: it.repo.physical(), Path: it.path(), Data: dockerData(it), By: by})
}

// emitArtifact tells of one file; extra is added to the data.
func (s *Server) emitArtifact(kind string, it *item, extra map[string]any) {
	data := fileData(it)
	for k, v := range extra {
		data[k] = v
	}
	s.emit(Event{Domain: "artifact", Type: kind, Repo: it.repo.physical(), Path: it.path(), Data: data, By: it.edited})
}

// emitPushed tells of a manifest and of every file that came with it.
func (s *Server) emitPushed(it *item) {
	for _, f := range it.dir.files {
		s.emitArtifact("deployed", f, nil)
	}
	if s.switches.SubManifestEvents || !isDigestFolder(it.dir.name) {
		s.emitDocker("pushed", it, it.by)
	}
}

func (s *Server) emitCached(it *item) {
	s.emitArtifact("cached", it, nil)
	if isManifestFile(it.name) && (s.switches.SubManifestEvents || !isDigestFolder(it.dir.name)) {
		s.emitDocker("pushed", it, it.by)
	}
}

func (s *Server) emitDeleted(it *item, by string) {
	s.emitArtifact("deleted", it, nil)
	if isManifestFile(it.name) && (s.switches.SubManifestEvents || !isDigestFolder(it.dir.name)) {
		s.emitDocker("deleted", it, by)
	}
}

// emitPromoted tells of a promotion, on the source.
func (s *Server) emitPromoted(it *item, m Move) {
	data := dockerData(it)
	data["target_repo"], data["target_tag"] = m.ToRepo, m.ToTag
	s.emit(Event{Domain: "docker", Type: "promoted", Repo: it.repo.physical(), Path: it.path(), Data: data, By: it.by})
	if !s.switches.PromoteFiresPush {
		return
	}
	if to := s.repo(m.ToRepo).tree.manifest(m.ToImage, m.ToTag, s.switches.ListWins); to != nil {
		s.emitDocker("pushed", to, it.by)
	}
}

// emitRelocated tells of a copy or move by path, on the source.
func (s *Server) emitRelocated(it *item, to *repository, toPath string, copied bool) {
	kind := "moved"
	if copied {
		kind = "copied"
	}
	s.emitArtifact(kind, it, map[string]any{
		"source_repo_path": it.repo.physical() + "/" + it.path(),
		"target_repo_path": to.physical() + "/" + toPath,
	})
}

// sample is the event of the test button: nothing in it exists.
func sample(domain, kind string) Event {
	data := map[string]any{
		"repo_key": "sample_repo", "path": "path/sample.txt", "name": "sample.txt",
		"sha256": "sample_checksum", "size": 0,
	}
	if domain == "docker" {
		data["image_name"], data["tag"] = "sample_arch", "sample_image"
		data["image_type"], data["platforms"] = "docker", []any{}
	}
	return Event{Domain: domain, Type: kind, Repo: "sample_repo", Path: "path/sample.txt", Data: data, By: AdminName}
}

// wants tells whether a subscription is for an event.
func (sub *Subscription) wants(e *Event, classOf func(string) Class) bool {
	f := sub.EventFilter
	if !sub.Enabled || f.Domain != e.Domain || !contains(f.EventTypes, e.Type) {
		return false
	}
	crit := f.Criteria
	if !crit.wantsRepo(e.Repo, classOf(e.Repo)) {
		return false
	}
	for _, p := range crit.ExcludePatterns {
		if antMatch(p, e.Path) {
			return false
		}
	}
	for _, p := range crit.IncludePatterns {
		if antMatch(p, e.Path) {
			return true
		}
	}
	return len(crit.IncludePatterns) == 0
}

func (k *Criteria) wantsRepo(key string, class Class) bool {
	if contains(k.RepoKeys, key) || contains(k.RepoKeys, strings.TrimSuffix(key, cacheSuffix)) {
		return true
	}
	return k.AnyLocal && class == Local || k.AnyRemote && class == Remote || k.AnyFederated && class == Federated
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
