package artifactorytest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func TestStorageInfo(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	s.SetClock(time.Date(2026, 10, 1, 10, 0, 0, 0, time.UTC))
	d := put(t, s, "docker-local", "team/app", "1.0", image(t, 1))
	hex := strings.TrimPrefix(d, "sha256:")
	get := func(path string) reply { return send(t, s, ask{path: "/artifactory/api/storage/" + path, who: admin}) }
	got := get("docker-local/team/app/1.0/manifest.json")
	info := decode[map[string]any](t, got.body)
	if h := got.header.Get("Content-Type"); h != "application/vnd.org.jfrog.artifactory.storage.FileInfo+json" {
		t.Error(h)
	}
	if _, isText := info["size"].(string); !isText || info["path"] != "/team/app/1.0/manifest.json" || info["created"] != "2026-10-01T10:00:00.000Z" {
		t.Errorf("%v", info)
	}
	if sums := info["checksums"].(map[string]any); sums["sha256"] != hex {
		t.Errorf("%v", sums)
	}
	folder := decode[struct {
		Children []struct {
			URI    string
			Folder bool
		}
	}](t, get("docker-local/team/app").body)
	if len(folder.Children) != 2 || folder.Children[0].URI != "/1.0" || !folder.Children[0].Folder {
		t.Errorf("%+v", folder)
	}
	props := decode[struct{ Properties map[string][]string }](t, get("docker-local/team/app/1.0/manifest.json?properties").body)
	want := map[string][]string{
		"docker.manifest": {"1.0"}, "docker.manifest.digest": {d}, "docker.repoName": {"team/app"}, "sha256": {hex},
		"docker.manifest.type": {"application/vnd.docker.distribution.manifest.v2+json"},
	}
	if diff := cmp.Diff(want, props.Properties); diff != "" {
		t.Error(diff)
	}
	for _, c := range [][2]string{
		{"docker-local/none", `404 Unable to find item`},
		{"docker-hub", `404 Unable to find item`},
		{"nowhere", `404 Unable to find item`},
		{"docker-local/team/app/1.0?properties", `404 No properties could be found.`},
		{"docker-local/team?list&deep=1&depth=abc", `400 For input string: "abc"`},
		{"docker-local/team/app/1.0/manifest.json?list", `400 Expected a folder but found a file, at: docker-local:team/app/1.0/manifest.json`},
		{"docker?lastModified", `400 This is possible on local and cache repositories only`},
	} {
		path, want := c[0], c[1]
		got := get(path)
		if text := fmt.Sprintf("%d %s", got.status, refused(t, got)); text != want {
			t.Errorf("%s: %s, want %s", path, text, want)
		}
	}
	if got := get("docker-hub-cache"); got.status != 200 {
		t.Errorf("the cache: %d", got.status)
	}
	if got := get("docker-local?lastModified"); !strings.Contains(got.body, "2026-10-01T10:00:00.000+0000") {
		t.Errorf("%s", got.body)
	}
	if got := get("docker-local/team/app/1.0/manifest.json?stats"); !strings.Contains(got.body, `"downloadCount": 0`) {
		t.Errorf("%s", got.body)
	}
	send(t, s, ask{path: "/v2/docker-local/team/app/manifests/1.0", who: alice})
	if n := s.Downloads("docker-local", "team/app/1.0/manifest.json"); n != 1 {
		t.Errorf("%d downloads after one GET", n)
	}
}

func TestPlainFiles(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	at := ask{path: "/artifactory/docker-local/some/file.txt", who: ci}
	as := func(method, body string) reply { a := at; a.method, a.body = method, body; return send(t, s, a) }
	if got := as("PUT", "hello"); got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := as("GET", ""); got.body != "hello" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := as("DELETE", ""); got.status != 204 {
		t.Errorf("%d", got.status)
	}
	if got := as("DELETE", ""); got.status != 404 {
		t.Errorf("twice: %d", got.status)
	}
	put(t, s, "docker-local", "app", "1", image(t, 1))
	if got := send(t, s, ask{method: "DELETE", path: "/artifactory/docker-local/app/1", who: alice}); got.status != 403 {
		t.Errorf("a reader deletes: %d", got.status)
	}
	if got := send(t, s, ask{method: "DELETE", path: "/artifactory/docker-local/app/1", who: ci}); got.status != 204 || len(s.Tags()) != 0 {
		t.Errorf("%d %v", got.status, s.Tags())
	}
	// A file that only has the name of a manifest is no tag and breaks nothing.
	at.path = "/artifactory/docker-local/odd/1/manifest.json"
	as("PUT", "not a manifest")
	if got := send(t, s, ask{path: "/v2/docker-local/odd/manifests/1", who: ci}); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestSearchDates(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	s.SetClock(time.Date(2026, 10, 1, 10, 0, 0, 0, time.UTC))
	put(t, s, "docker-local", "app", "1", image(t, 1))
	find := func(query string) reply {
		return send(t, s, ask{path: "/artifactory/api/search/dates?dateFields=created,lastModified&repos=docker-local&" + query, who: alice})
	}
	if got := find("from=2026-10-01T09:00:00Z"); got.status != 200 || !strings.Contains(got.body, "app/1/manifest.json") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := find("from=2026-10-01T10:00:00Z"); got.status != 404 || refused(t, got) != "No results found." {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := find("from=x"); got.status != 400 {
		t.Errorf("%d", got.status)
	}
}
