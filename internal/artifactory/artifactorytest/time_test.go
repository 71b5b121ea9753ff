package artifactorytest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// dates are a tag's manifest as AQL shows it: created, modified, updated, props.
func dates(t *testing.T, s *artifactorytest.Server, repo, tag string) [4]string {
	t.Helper()
	rows := found(t, aql(t, s, admin, `items.find({"repo":"`+repo+`","path":{"$match":"*app/`+tag+`"},"name":"manifest.json"}).include("repo","path","name","created","modified","updated","infos.props_modified")`))
	if len(rows) != 1 || len(rows[0].Infos) != 1 {
		t.Fatalf("%+v", rows)
	}
	r := rows[0]
	day := func(s string) string { return s[8:10] }
	return [4]string{day(r.Created), day(r.Modified), day(r.Updated), day(r.Infos[0].PropsModified)}
}

// What sets which date; the numbers are days.
func TestDates(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name   string
		change func(*artifactorytest.Switches)
		act    func(t *testing.T, s *artifactorytest.Server)
		repo   string
		tag    string
		want   [4]string
	}{
		{name: "first push", repo: "docker-local", tag: "1", want: [4]string{"01", "01", "01", "01"}},
		{
			name: "push over it", repo: "docker-local", tag: "1", want: [4]string{"01", "02", "02", "02"},
			act: func(t *testing.T, s *artifactorytest.Server) { put(t, s, "docker-local", "app", "1", image(t, 1)) },
		},
		{
			name: "push over it, recreated", repo: "docker-local", tag: "1", want: [4]string{"02", "02", "02", "02"},
			change: func(sw *artifactorytest.Switches) { sw.Overwrite = artifactorytest.OverwriteCreates },
			act:    func(t *testing.T, s *artifactorytest.Server) { put(t, s, "docker-local", "app", "1", image(t, 1)) },
		},
		{
			name: "the same again", repo: "docker-local", tag: "1", want: [4]string{"01", "02", "02", "01"},
			act: func(t *testing.T, s *artifactorytest.Server) { same(t, s) },
		},
		{
			name: "the same again, skipped", repo: "docker-local", tag: "1", want: [4]string{"01", "01", "01", "01"},
			change: func(sw *artifactorytest.Switches) { sw.Overwrite = artifactorytest.OverwriteSkips },
			act:    func(t *testing.T, s *artifactorytest.Server) { same(t, s) },
		},
		{
			name: "promoted", repo: "docker-prod", tag: "1", want: [4]string{"01", "01", "01", "02"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				move(t, s, artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "1", ToRepo: "docker-prod"})
			},
		},
		{
			name: "copied", repo: "docker-prod", tag: "9", want: [4]string{"01", "01", "01", "02"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				move(t, s, artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "1", ToRepo: "docker-prod", ToTag: "9", Copy: true})
			},
		},
		{
			name: "retagged", repo: "docker-local", tag: "2", want: [4]string{"02", "02", "02", "02"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				if err := s.Retag("docker-local", "app", "1", "2"); err != nil {
					t.Fatal(err)
				}
			},
		},
		{
			name: "a property", repo: "docker-local", tag: "1", want: [4]string{"01", "01", "01", "02"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				got := send(t, s, ask{method: http.MethodPut, path: "/artifactory/api/storage/docker-local/app/1/manifest.json?properties=qa=ok", who: ci})
				if got.status != 204 {
					t.Fatalf("%d %s", got.status, got.body)
				}
			},
		},
		{
			name: "revalidated in a cache", repo: "docker-hub-cache", tag: "1", want: [4]string{"01", "01", "02", "01"},
			act: func(_ *testing.T, s *artifactorytest.Server) { s.Revalidate("docker-hub", "library/app", "1") },
		},
		{
			name: "pulled from a cache when old", repo: "docker-hub-cache", tag: "1", want: [4]string{"01", "01", "02", "01"},
			act: func(t *testing.T, s *artifactorytest.Server) {
				send(t, s, ask{path: "/v2/docker-hub/app/manifests/1", who: admin})
			},
		},
		{
			name: "imported with its own dates", repo: "docker-local", tag: "1", want: [4]string{"11", "12", "13", "01"},
			act: func(_ *testing.T, s *artifactorytest.Server) {
				at := func(d int) time.Time { return time.Date(2025, 1, d, 12, 0, 0, 0, time.UTC) }
				s.SetDates("docker-local", "app", "1", at(11), at(12), at(13))
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var changes []func(*artifactorytest.Switches)
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			s := start(t, artifactorytest.Options{}, changes...)
			s.SetClock(time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC))
			img := image(t, 1)
			put(t, s, "docker-local", "app", "1", img)
			put(t, s, "docker-hub", "library/app", "1", img)
			s.Advance(day)
			if tt.act != nil {
				tt.act(t, s)
			}
			if got := dates(t, s, tt.repo, tt.tag); got != tt.want {
				t.Errorf("created, modified, updated, properties on days %v, want %v", got, tt.want)
			}
		})
	}
}

// same pushes what is there already.
func same(t *testing.T, s *artifactorytest.Server) {
	t.Helper()
	if err := s.Retag("docker-local", "app", "1", "1"); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, s *artifactorytest.Server, m artifactorytest.Move) {
	t.Helper()
	if err := s.Promote(m); err != nil {
		t.Fatal(err)
	}
}

func TestUploadBeginsBeforeItIsCommitted(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.UploadLag = 24 * time.Hour })
	s.SetClock(time.Date(2026, 10, 5, 12, 0, 0, 0, time.UTC))
	put(t, s, "docker-local", "app", "1", image(t, 1))
	if got := dates(t, s, "docker-local", "1"); got != [4]string{"05", "04", "05", "05"} {
		t.Errorf("%v", got)
	}
}

func TestServerClock(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	date := func() time.Time {
		got := send(t, s, ask{path: "/artifactory/api/system/ping", who: alice})
		at, err := http.ParseTime(got.header.Get("Date"))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	s.Skew(-2 * time.Hour)
	if d := time.Until(date().Add(2 * time.Hour)); d.Abs() > 2*time.Second {
		t.Errorf("two hours late by %s", d)
	}
	s.Advance(3 * time.Hour)
	if d := time.Until(date().Add(-time.Hour)); d.Abs() > 2*time.Second {
		t.Errorf("an hour early by %s", d)
	}
	fixed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.SetClock(fixed)
	if got := date(); !got.Equal(fixed) {
		t.Errorf("%s", got)
	}
}

func TestPromote(t *testing.T) {
	promote := func(s *artifactorytest.Server, who, body string) reply {
		return send(t, s, ask{method: "POST", path: "/artifactory/api/docker/docker-local/v2/promote", who: who, body: body})
	}
	setUp := func() *artifactorytest.Server {
		s := start(t, artifactorytest.Options{})
		for _, tag := range []string{"1", "2", "latest"} {
			put(t, s, "docker-local", "team/app", tag, image(t, 1))
		}
		return s
	}
	list := func(s *artifactorytest.Server) string {
		var all []string
		for _, tag := range s.Tags() {
			all = append(all, tag.Repo+"/"+tag.Image+":"+tag.Tag)
		}
		return strings.Join(all, " ")
	}
	for _, tt := range []struct{ name, body, want string }{
		{
			"moves latest by default", `{"targetRepo":"docker-prod","dockerRepository":"team/app"}`,
			"docker-local/team/app:1 docker-local/team/app:2 docker-prod/team/app:latest",
		},
		{
			"one tag under another name", `{"targetRepo":"docker-prod","dockerRepository":"team/app","tag":"1","targetTag":"rel"}`,
			"docker-local/team/app:2 docker-local/team/app:latest docker-prod/team/app:rel",
		},
		{
			"copies", `{"targetRepo":"docker-prod","dockerRepository":"team/app","tag":"1","copy":true}`,
			"docker-local/team/app:1 docker-local/team/app:2 docker-local/team/app:latest docker-prod/team/app:1",
		},
		{
			"every tag", `{"targetRepo":"docker-prod","dockerRepository":"team/app","tag":null}`,
			"docker-prod/team/app:1 docker-prod/team/app:2 docker-prod/team/app:latest",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := setUp()
			if got := promote(s, admin, tt.body); got.status != 200 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if diff := cmp.Diff(tt.want, list(s)); diff != "" {
				t.Error(diff)
			}
			for _, tag := range s.Tags() {
				if got := send(t, s, ask{path: "/v2/" + tag.Repo + "/" + tag.Image + "/manifests/" + tag.Tag, who: admin}); got.status != 200 {
					t.Errorf("%v: %d", tag, got.status)
				}
			}
		})
	}
	s := setUp()
	for body, want := range map[string]int{
		`{"targetRepo":"nowhere","dockerRepository":"team/app"}`:                  400,
		`{"targetRepo":"docker-prod","dockerRepository":"team/none"}`:             404,
		`{"targetRepo":"docker-prod","dockerRepository":"team/app","tag":"none"}`: 404,
		`{"targetRepo":"docker-prod"}`:                                            400,
		`{`:                                                                       400,
	} {
		if got := promote(s, admin, body); got.status != want {
			t.Errorf("%s: %d", body, got.status)
		}
	}
	if got := promote(s, ci, `{"targetRepo":"docker-prod","dockerRepository":"team/app"}`); got.status != 403 {
		t.Errorf("without the right: %d", got.status)
	}
	got := send(t, s, ask{method: "POST", path: "/artifactory/api/copy/docker-local/team/app/1?to=/docker-prod/team/app/copied", who: admin})
	if got.status != 200 || !strings.Contains(list(s), "docker-prod/team/app:copied") {
		t.Errorf("copy: %d %s", got.status, list(s))
	}
	got = send(t, s, ask{method: "POST", path: "/artifactory/api/move/docker-local/team/app/2?to=/docker-prod/team/app/2", who: admin})
	if got.status != 200 || strings.Contains(list(s), "docker-local/team/app:2") {
		t.Errorf("move: %d %s", got.status, list(s))
	}
}

// A promoted index takes its members along; a member that another tag needs stays.
func TestPromoteIndex(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	idx := index(t)
	put(t, s, "docker-local", "app", "1", idx)
	put(t, s, "docker-local", "app", "2", idx)
	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	member := func(repo string) int {
		return send(t, s, ask{path: "/v2/" + repo + "/app/manifests/" + m.Manifests[0].Digest.String(), who: admin}).status
	}
	move(t, s, artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "1", ToRepo: "docker-prod"})
	if a, b := member("docker-local"), member("docker-prod"); a != 200 || b != 200 {
		t.Errorf("after the first: %d %d", a, b)
	}
	move(t, s, artifactorytest.Move{FromRepo: "docker-local", Image: "app", Tag: "2", ToRepo: "docker-prod"})
	if a, b := member("docker-local"), member("docker-prod"); a != 404 || b != 200 {
		t.Errorf("after the last: %d %d", a, b)
	}
}
