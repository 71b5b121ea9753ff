package artifactorytest_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// A hundred thousand tags cost little memory, and a poll of them little time.
func TestHundredThousandTags(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	s := start(t, artifactorytest.Options{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s.SetClock(time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC))
	err := s.FillTags(artifactorytest.Fill{Repo: "docker-local", Prefix: "team/app", Images: 100, Tags: 1000, From: image(t, 2), Distinct: true})
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if mib := (after.HeapAlloc - before.HeapAlloc) >> 20; mib > 300 {
		t.Errorf("%d MiB", mib)
	}
	s.Advance(time.Hour)
	put(t, s, "docker-local", "team/app-0007", "new", image(t, 1))
	const poll = `items.find({"$and":[{"repo":"docker-local"},{"type":"file"},{` + tagFiles + `},
{"path":{"$nmatch":"*/sha256:*"}},{"path":{"$nmatch":"*/sha256__*"}},{"path":{"$nmatch":"*/_uploads*"}},
{"$or":[{"modified":{"$gte":"2026-10-01T12:30:00Z"}},{"created":{"$gte":"2026-10-01T12:30:00Z"}},{"updated":{"$gte":"2026-10-01T12:30:00Z"}}]}]})
.include("repo","path","name","sha256","size","created","modified","updated")`
	began := time.Now()
	rows := found(t, aql(t, s, alice, poll))
	if took := time.Since(began); len(rows) != 1 || took > 2*time.Second {
		t.Errorf("a poll: %d rows in %s", len(rows), took)
	}
	began = time.Now()
	full := aql(t, s, alice, strings.Replace(poll, "12:30:00Z", "00:00:00Z", 3))
	if n := strings.Count(full.body, `"sha256"`); n != 100_001 || time.Since(began) > 10*time.Second {
		t.Errorf("a full listing: %d rows in %s", n, time.Since(began))
	}
	if n := len(s.Tags()); n != 100_001 {
		t.Errorf("%d tags", n)
	}
	got := send(t, s, ask{path: "/v2/docker-local/team/app-0042/manifests/0000123", who: alice})
	if got.status != 200 || !strings.Contains(got.body, `"org.opencontainers.image.version":"42-123"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// Rows that are gone leave no trace in what is listed.
func TestManyDeletes(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	fill := artifactorytest.Fill{Repo: "docker-local", Prefix: "app", Images: 1, Tags: 3000, From: image(t, 1)}
	if err := s.FillTags(fill); err != nil {
		t.Fatal(err)
	}
	for i, tag := range s.Tags() {
		if i%10 != 0 && !s.DeleteTag(tag.Repo, tag.Image, tag.Tag) {
			t.Fatalf("%v was not there", tag)
		}
	}
	put(t, s, "docker-local", "app", "new", image(t, 1))
	rows := found(t, aql(t, s, alice, `items.find({"repo":"docker-local","name":"manifest.json"})`))
	if len(rows) != 301 || len(s.Tags()) != 301 {
		t.Errorf("%d rows, %d tags, want 301", len(rows), len(s.Tags()))
	}
	s.DeleteRepo("docker-local")
	if n := len(s.Tags()); n != 0 {
		t.Errorf("%d tags of a repository that is gone", n)
	}
}
