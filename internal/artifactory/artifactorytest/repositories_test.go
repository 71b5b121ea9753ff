package artifactorytest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func TestRepositoryList(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	s.AddUser(artifactorytest.User{Name: "hub", Password: "h", Rules: []artifactorytest.Rule{{Repo: "docker-hub-cache"}}})
	for _, tt := range []struct {
		name, query, who string
		want             string
	}{
		{name: "all", who: admin, want: "charts docker docker-fed docker-hub docker-local docker-prod npm-local"},
		{name: "by type", query: "?type=local", who: admin, want: "charts docker-local docker-prod npm-local"},
		{name: "by package type", query: "?packageType=oci", who: admin, want: "charts"},
		{name: "by project", query: "?project=fed", who: admin, want: "docker-fed"},
		{name: "unknown type", query: "?type=imaginary", who: admin, want: ""},
		{name: "unknown package type", query: "?packageType=Docker", who: admin, want: ""},
		{name: "a reader: its own and the virtual over it", who: alice, want: "docker docker-local"},
		{name: "a right on the cache shows the remote", who: "hub:h", want: "docker docker-hub"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, s, ask{path: "/artifactory/api/repositories" + tt.query, who: tt.who})
			var keys []string
			for _, r := range decode[[]struct{ Key string }](t, got.body) {
				keys = append(keys, r.Key)
			}
			if list := strings.Join(keys, " "); got.status != 200 || list != tt.want {
				t.Errorf("%d %s, want %s", got.status, list, tt.want)
			}
		})
	}
	got := send(t, s, ask{path: "/artifactory/api/repositories?type=remote", who: admin})
	want := []map[string]string{{
		"key": "docker-hub", "description": "", "type": "REMOTE", "url": "https://registry-1.docker.io/", "packageType": "Docker",
		"configuration": s.URL() + "/artifactory/api/repositories/docker-hub/configuration",
	}}
	if diff := cmp.Diff(want, decode[[]map[string]string](t, got.body)); diff != "" {
		t.Error(diff)
	}
	if h := got.header; h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") != "application/vnd.org.jfrog.artifactory.repositories.RepositoryDetailsList+json" {
		t.Errorf("%v", h)
	}
	local := send(t, s, ask{path: "/artifactory/api/repositories?type=federated", who: admin})
	if want := s.URL() + "/artifactory/docker-fed"; !strings.Contains(local.body, want) || !strings.Contains(local.body, `"FEDERATED"`) {
		t.Errorf("%s", local.body)
	}
}

func TestOneRepository(t *testing.T) {
	for _, tt := range []struct {
		name    string
		profile artifactorytest.Profile
		path    string
		who     string
		want    int
		keys    int
	}{
		{name: "reader", path: "/artifactory/api/repositories/docker-local", who: alice, want: 200, keys: 5},
		{name: "admin", path: "/artifactory/api/repositories/docker-local", who: admin, want: 200, keys: 10},
		{name: "unknown is 400", path: "/artifactory/api/repositories/nowhere", who: alice, want: 400},
		{name: "a cache is 400", path: "/artifactory/api/repositories/docker-hub-cache", who: admin, want: 400},
		{name: "not readable is 400", path: "/artifactory/api/repositories/docker-prod", who: alice, want: 400},
		{name: "v2 unknown is 404", path: "/artifactory/api/v2/repositories/nowhere", who: alice, want: 404},
		{name: "v2", path: "/artifactory/api/v2/repositories/docker-local", who: alice, want: 200, keys: 5},
		{name: "free editions", profile: artifactorytest.JCR, path: "/artifactory/api/repositories/docker-local", who: admin, want: 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, artifactorytest.Options{Profile: tt.profile})
			got := send(t, s, ask{path: tt.path, who: tt.who})
			if got.status != tt.want {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if v := decode[map[string]any](t, got.body); tt.keys > 0 && len(v) != tt.keys {
				t.Errorf("%d keys: %v", len(v), v)
			}
		})
	}
}

func TestProfiles(t *testing.T) {
	for _, tt := range []struct {
		profile                                  artifactorytest.Profile
		version                                  string
		license, pingOpen, webhooks, oci, router bool
	}{
		{artifactorytest.V6, "6.20.0", true, false, false, false, false},
		{artifactorytest.V7, "7.161.20", true, false, true, true, true},
		{artifactorytest.OSS, "7.77.5", false, false, false, true, true},
		{artifactorytest.JCR, "7.77.5", false, false, false, true, true},
		{artifactorytest.Cloud, "7.166.0", true, true, true, true, true},
	} {
		t.Run(string(tt.profile), func(t *testing.T) {
			s := start(t, artifactorytest.Options{Profile: tt.profile})
			got := send(t, s, ask{path: "/artifactory/api/system/version", who: alice})
			v := decode[map[string]any](t, got.body)
			if _, licensed := v["license"]; v["version"] != tt.version || licensed != tt.license {
				t.Errorf("%v", v)
			}
			if h := got.header.Get("Content-Type"); h != "application/vnd.org.jfrog.artifactory.system.Version+json" {
				t.Error(h)
			}
			status := func(path, who string) int { return send(t, s, ask{path: path, who: who}).status }
			if open := status("/artifactory/api/system/ping", "") == 200; open != tt.pingOpen {
				t.Errorf("ping open %v", open)
			}
			if got := status("/artifactory/api/system/ping", "alice:bad"); got != 401 {
				t.Errorf("ping with bad credentials: %d", got)
			}
			if got := send(t, s, ask{path: "/artifactory/api/system/ping", who: alice}); got.body != "OK" {
				t.Errorf("ping says %q", got.body)
			}
			if hooks := status("/event/api/v1/subscriptions", admin) == 200; hooks != tt.webhooks {
				t.Errorf("webhooks %v", hooks)
			}
			list := send(t, s, ask{path: "/artifactory/api/repositories?packageType=oci", who: admin})
			if oci := list.body != "[]"; oci != tt.oci {
				t.Errorf("oci %v", oci)
			}
			for _, path := range []string{"/router/api/v1/system/health", "/artifactory/api/v1/system/readiness"} {
				if there := status(path, "") == 200; there != tt.router {
					t.Errorf("%s: %v", path, there)
				}
			}
		})
	}
}

func TestAdministration(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	config, err := s.PutBlob("docker-local", "app", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	raw := `{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + config + `","size":2},"layers":[]}`
	d, err := s.PutManifest("docker-local", "app", "raw", "", []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	got := send(t, s, ask{path: strings.TrimPrefix(s.BaseURL(), s.URL()) + "/api/docker/docker-local/v2/app/manifests/raw", who: admin})
	if got.body != raw || got.header.Get("Docker-Content-Digest") != d || got.header.Get("Content-Type") != "application/vnd.oci.image.manifest.v1+json" {
		t.Errorf("%v %s", got.header, got.body)
	}
	for _, err := range []error{
		s.AddRepo(artifactorytest.Repo{Key: "docker-local"}),
		s.AddRepo(artifactorytest.Repo{Key: "a/b"}),
		s.PutImage("nowhere", "app", "1", image(t, 1)),
		s.PutUpstream("docker-local", "app", "1", image(t, 1)),
		s.Promote(artifactorytest.Move{FromRepo: "docker-local", Image: "none", Tag: "1", ToRepo: "docker-prod"}),
		s.Retag("docker-local", "none", "1", "2"),
	} {
		if err == nil {
			t.Error("no error")
		}
	}
	info := send(t, s, ask{path: "/artifactory/api/storageinfo", who: admin})
	if !strings.Contains(info.body, `"docker-hub-cache"`) || !strings.Contains(info.body, `"CACHE"`) {
		t.Errorf("%s", info.body)
	}
	all := send(t, s, ask{path: "/artifactory/api/repositories/configurations", who: admin})
	if v := decode[map[string][]any](t, all.body); len(v["LOCAL"]) != 4 || len(v["VIRTUAL"]) != 1 {
		t.Errorf("%v", v)
	}
	s.DeleteUser("alice")
	if got := send(t, s, ask{path: "/artifactory/api/system/ping", who: alice}); got.status != 401 {
		t.Errorf("a user that is gone: %d", got.status)
	}
}
