package artifactorytest_test

import (
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// Every way a reference can take leads to the same manifest.
func TestAccess(t *testing.T) {
	type sw = *artifactorytest.Switches
	const manifest = "/manifests/1.0"
	for _, tt := range []struct {
		name   string
		change func(sw)
		path   string
		host   string
		want   int
	}{
		{name: "path", path: "/v2/docker-local/team/app" + manifest, want: 200},
		{name: "path, no key", path: "/v2/team/app" + manifest, want: 404},
		{name: "path, with the context in the name", path: "/v2/artifactory/docker-local/team/app" + manifest, want: 404},
		{name: "path, host name ignored", path: "/v2/docker-local/team/app" + manifest, host: "other.acme.test", want: 200},
		{name: "direct", path: "/artifactory/api/docker/docker-local/v2/team/app" + manifest, want: 200},
		{name: "direct, as oci", path: "/artifactory/api/oci/docker-local/v2/team/app" + manifest, want: 200},
		{
			name: "direct, as oci, strict", path: "/artifactory/api/oci/docker-local/v2/team/app" + manifest,
			change: func(s sw) { s.StrictTypePath = true }, want: 404,
		},
		{name: "key before v2 is not served", path: "/docker-local/v2/team/app" + manifest, want: 404},
		{
			name: "subdomain", change: func(s sw) { s.Access = artifactorytest.SubdomainAccess },
			path: "/v2/team/app" + manifest, host: "docker-local.acme.test", want: 200,
		},
		{
			name: "subdomain, with a port", change: func(s sw) { s.Access = artifactorytest.SubdomainAccess },
			path: "/v2/team/app" + manifest, host: "docker-local.acme.test:8443", want: 200,
		},
		{
			name: "subdomain, too few dots", change: func(s sw) { s.Access = artifactorytest.SubdomainAccess },
			path: "/v2/team/app" + manifest, host: "docker-local.test", want: 404,
		},
		{
			name: "subdomain, direct", change: func(s sw) { s.Access = artifactorytest.SubdomainAccess },
			path: "/artifactory/api/docker/docker-local/v2/team/app" + manifest, host: "docker-local.acme.test", want: 200,
		},
		{
			name: "any, by host", change: func(s sw) { s.Access = artifactorytest.AnyAccess },
			path: "/v2/team/app" + manifest, host: "docker-local.acme.test", want: 200,
		},
		{
			name: "any, by path", change: func(s sw) { s.Access = artifactorytest.AnyAccess },
			path: "/v2/docker-local/team/app" + manifest, host: "repo.acme.test", want: 200,
		},
		{
			name: "context stripped", change: func(s sw) { s.Context = "" },
			path: "/api/docker/docker-local/v2/team/app" + manifest, want: 200,
		},
		{
			name: "context stripped, the old path", change: func(s sw) { s.Context = "" },
			path: "/artifactory/api/docker/docker-local/v2/team/app" + manifest, want: 404,
		},
		{
			name: "another context", change: func(s sw) { s.Context = "/repo" },
			path: "/repo/api/docker/docker-local/v2/team/app" + manifest, want: 200,
		},
		{name: "npm is no docker repository", path: "/v2/npm-local/team/app" + manifest, want: 404},
		{name: "oci repository by api/docker: served", path: "/artifactory/api/docker/charts/v2/team/app/tags/list", want: 403},
		{
			name: "oci repository by api/docker, strict", path: "/artifactory/api/docker/charts/v2/team/app/tags/list",
			change: func(s sw) { s.StrictTypePath = true }, want: 404,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var changes []func(sw)
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			s := start(t, artifactorytest.Options{}, changes...)
			put(t, s, "docker-local", "team/app", "1.0", image(t, 1))
			if got := send(t, s, ask{path: tt.path, host: tt.host, who: alice}); got.status != tt.want {
				t.Errorf("%d, want %d\n%s", got.status, tt.want, got.body)
			}
		})
	}
}

func TestPortAccess(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "team/app", "1.0", image(t, 1))
	host, err := s.StartPort("docker-local")
	if err != nil {
		t.Fatal(err)
	}
	if got := send(t, s, ask{path: "http://" + host + "/v2/team/app/tags/list", who: alice}); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := send(t, s, ask{path: "http://" + host + "/artifactory/api/system/ping", who: alice}); got.status != 404 {
		t.Errorf("the port serves more than its repository: %d", got.status)
	}
}

func TestChallenge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*artifactorytest.Switches)
		path   string
		header map[string]string
		want   string // HOST stands for the server
	}{
		{name: "root", path: "/v2/", want: `Bearer realm="http://HOST/v2/token",service="HOST"`},
		{
			name: "direct", path: "/artifactory/api/docker/docker-local/v2/",
			want: `Bearer realm="http://HOST/artifactory/api/docker/docker-local/v2/token",service="HOST"`,
		},
		{
			name: "null realm", path: "/v2/",
			change: func(sw *artifactorytest.Switches) { sw.RealmPath = "/artifactory/api/docker/null/v2/token" },
			want:   `Bearer realm="http://HOST/artifactory/api/docker/null/v2/token",service="HOST"`,
		},
		{
			name: "the proxy says https", path: "/v2/", header: map[string]string{"X-Forwarded-Proto": "https"},
			want: `Bearer realm="https://HOST/v2/token",service="HOST"`,
		},
		{
			name: "wrong scheme", path: "/v2/",
			change: func(sw *artifactorytest.Switches) { sw.RealmScheme = "https" },
			want:   `Bearer realm="https://HOST/v2/token",service="HOST"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var changes []func(*artifactorytest.Switches)
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			s := start(t, artifactorytest.Options{}, changes...)
			got := send(t, s, ask{path: tt.path, header: tt.header})
			want := strings.ReplaceAll(tt.want, "HOST", s.Host())
			if got.status != 401 || got.header.Get("WWW-Authenticate") != want {
				t.Errorf("%d %s, want %s", got.status, got.header.Get("WWW-Authenticate"), want)
			}
			if e := `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}`; got.body != e {
				t.Errorf("body %s", got.body)
			}
			if v := got.header.Get("Docker-Distribution-Api-Version"); v != "registry/2.0" {
				t.Errorf("version header %q", v)
			}
		})
	}
}

func TestNullTokenPathWorks(t *testing.T) {
	s := start(t, artifactorytest.Options{Profile: artifactorytest.V6})
	got := send(t, s, ask{path: "/artifactory/api/docker/null/v2/token?service=x&scope=repository:y:pull", who: alice})
	token := decode[map[string]any](t, got.body)["token"]
	if got := send(t, s, ask{path: "/v2/", who: token.(string)}); got.status != 200 || got.body != "{}" {
		t.Errorf("%d %q", got.status, got.body)
	}
}

func TestUserInterface(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	html := func(path string) bool {
		got := send(t, s, ask{path: path})
		return got.status == 200 && strings.HasPrefix(got.header.Get("Content-Type"), "text/html")
	}
	if !html("/ui/repos") || html("/api/system/ping") {
		t.Error("the interface is at /ui/ only")
	}
	if got := send(t, s, ask{path: "/api/system/ping"}); got.body != "404 page not found\n" {
		t.Errorf("%d %q", got.status, got.body)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.CatchAllUI = true })
	if !html("/api/system/ping") {
		t.Error("with CatchAllUI a wrong base answers the interface")
	}
}

// URLs in answers are built from what a proxy says, or what the administrator set.
func TestBaseInAnswers(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", image(t, 1))
	uri := func(header map[string]string) string {
		got := send(t, s, ask{path: "/artifactory/api/storage/docker-local/app/1/manifest.json", who: alice, header: header})
		return decode[struct{ URI string }](t, got.body).URI
	}
	const tail = "/artifactory/api/storage/docker-local/app/1/manifest.json"
	if got := uri(nil); got != s.URL()+tail {
		t.Errorf("%s", got)
	}
	for _, h := range []string{"X-JFrog-Override-Base-Url", "X-Artifactory-Override-Base-Url"} {
		if got := uri(map[string]string{h: "https://public.acme.test/"}); got != "https://public.acme.test"+tail {
			t.Errorf("%s: %s", h, got)
		}
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.CustomBaseURL = "https://custom.acme.test" })
	if got := uri(nil); got != "https://custom.acme.test"+tail {
		t.Errorf("%s", got)
	}
}
