package artifactory_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// fetch reads address with hc.
func fetch(t *testing.T, hc *http.Client, address string) (int, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := hc.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// TestRedirectsDropTheCredential: blobs that lie elsewhere are read there without
// our credential, which that host would refuse.
func TestRedirectsDropTheCredential(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{Profile: artifactorytest.Cloud})
	if err := s.AddRepo(artifactorytest.Repo{Key: "docker-s3", Redirect: true}); err != nil {
		t.Fatal(err)
	}
	s.Grant("alice", artifactorytest.Rule{Repo: "docker-s3"})
	img := image(t)
	put(t, s, "docker-s3", "app", "1", img)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, s)
	base, hc := c.Endpoint("docker-s3", "docker", "app")
	status, body, err := fetch(t, hc, base+"/blobs/"+d.String())
	if err != nil || status != http.StatusOK {
		t.Fatalf("%d %q %v", status, body, err)
	}
	if n := s.Counts()[artifactorytest.ClassBlobHost].Requests; n != 1 {
		t.Errorf("%d requests to the second host, want 1", n)
	}
	if u := c.Take(); u.Requests["blob"] != 1 || u.Requests["other"] != 1 {
		t.Errorf("counted %v", u.Requests)
	}
}

// TestNobodyElseSeesTheSecret: whatever a server points to, the secret goes to the
// hosts that the user named.
func TestNobodyElseSeesTheSecret(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for name, v := range r.Header {
			if all := strings.Join(v, " "); name == "Authorization" || strings.Contains(all, "s3cret") {
				seen = append(seen, name+": "+all)
			}
		}
		_, _ = w.Write([]byte(`{"version":"7","token":"x"}`))
	}))
	t.Cleanup(thief.Close)
	for name, handler := range map[string]http.HandlerFunc{
		"redirects everything": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusFound)
		},
		"names a realm elsewhere": func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/api/system") {
				_, _ = w.Write([]byte(`{"version":"7"}`))
				return
			}
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+thief.URL+`/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
	} {
		honest := httptest.NewServer(handler)
		t.Cleanup(honest.Close)
		c, err := artifactory.New(artifactory.Options{URL: honest.URL, Username: "u", Secret: "s3cret", Backoff: time.Millisecond, Proxy: "none"})
		if err != nil {
			t.Fatal(err)
		}
		if r := c.Test(t.Context(), []string{"docker-local"}); r.OK {
			t.Errorf("%s: %+v", name, r)
		}
		base, hc := c.Endpoint("docker-local", "docker", "app")
		_, _, err = fetch(t, hc, base+"/manifests/latest")
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "names a realm elsewhere" && !strings.Contains(err.Error(), "--auth-host "+strings.TrimPrefix(thief.URL, "http://")) {
			t.Errorf("no remedy: %v", err)
		}
	}
	if len(seen) > 0 {
		t.Errorf("sent to a host that was not named: %v", seen)
	}
}

// TestTokenDance: a registry that takes tokens only, on a host that is allowed.
func TestTokenDance(t *testing.T) {
	t.Parallel()
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ := r.BasicAuth()
		if user != "u" || secret != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if accept := r.Header.Get("Accept"); accept != "application/json" {
			w.WriteHeader(http.StatusNotAcceptable)
			return
		}
		_, _ = fmt.Fprintf(w, `{"token":"for %s"}`, r.URL.Query().Get("scope"))
	}))
	t.Cleanup(issuer.Close)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := map[string]string{
			"/v2/": "Bearer for ", "/v2/team/app/tags/list": "Bearer for repository:team/app:pull", "/v2/_catalog": "Bearer for registry:catalog:*",
			"/v2/team/app/manifests/1": "Bearer for repository:team/app:pull",
		}[r.URL.Path]
		if r.Header.Get("Authorization") != want {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+issuer.URL+`/token",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("a", 64))
		_, _ = w.Write([]byte(map[string]string{"/v2/_catalog": `{"repositories":["team/app"]}`, "/v2/team/app/tags/list": `{"tags":["1"]}`}[r.URL.Path]))
	}))
	t.Cleanup(registry.Close)
	o := artifactory.Options{Kind: inventory.KindOCI, URL: registry.URL, Username: "u", Secret: "s3cret", Backoff: time.Millisecond, Proxy: "none"}
	c, err := artifactory.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Test(t.Context(), nil); r.OK || !strings.Contains(r.Remedy, "--auth-host") {
		t.Errorf("not allowed: %+v", r)
	}
	o.AuthHosts = []string{strings.TrimPrefix(issuer.URL, "http://")}
	if c, err = artifactory.New(o); err != nil {
		t.Fatal(err)
	}
	rs, err := c.Select(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Tags(t.Context(), artifactory.Ask{Keys: rs})
	if err != nil || len(l.Tags) != 1 || l.Tags[0].Image != "team/app" || !l.Fallback || !l.Complete[""] {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestKindsOfRefusal(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	d := put(t, s, "docker-local", "app", "1", image(t))
	c := client(t, s)
	local := inventory.RepositoryKey{Key: "docker-local", PackageType: "docker"}
	if h, err := c.Head(t.Context(), local, "app", "1"); err != nil || h.Digest != d {
		t.Errorf("%+v, %v", h, err)
	}
	for _, tc := range []struct {
		name, key, image, tag string
		want                  error
	}{
		{"unknown tag", "docker-local", "app", "2", inventory.ErrNotFound},
		{"unknown image", "docker-local", "other", "1", inventory.ErrNotFound},
		{"unknown repository", "nowhere", "app", "1", inventory.ErrNotFound},
	} {
		if _, err := c.Head(t.Context(), inventory.RepositoryKey{Key: tc.key}, tc.image, tc.tag); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	guest := client(t, s, func(o *artifactory.Options) { o.Username, o.Secret = "guest", "g" })
	if _, err := guest.Head(t.Context(), inventory.RepositoryKey{Key: "docker-prod"}, "app", "1"); !errors.Is(err, inventory.ErrForbidden) {
		t.Errorf("no permission: %v", err)
	}
	s.BlockByXray(d)
	if _, err := c.Head(t.Context(), local, "app", "1"); !errors.Is(err, inventory.ErrForbidden) {
		t.Errorf("blocked by Xray: %v", err)
	}
}

// TestRevokedMeanwhile: the cached success of a probe does not hide a refusal.
func TestRevokedMeanwhile(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	token := s.IssueToken(artifactorytest.Token{User: "alice"})
	c := client(t, s, func(o *artifactory.Options) { o.Username, o.Secret = "", token })
	keys := selected(t, c, "docker-local")
	s.RevokeToken(token)
	s.ResetCounts()
	for range 10 {
		if _, err := c.Tags(t.Context(), artifactory.Ask{Keys: keys}); !errors.Is(err, inventory.ErrUnauthorized) {
			t.Fatal(err)
		}
	}
	if got := sum(s); got > 2 {
		t.Errorf("%d requests with a revoked token", got)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	fill(t, s)
	c := client(t, s)
	for _, r := range selected(t, c, "docker-local", "docker-hub") {
		image, tag := "team/app", "2.0"
		if r.Class == artifactory.ClassRemote {
			image, tag = "library/alpine", "3.20"
		}
		if _, err := c.Confirm(t.Context(), r, image, tag); err != nil {
			t.Errorf("%s: %v", r.Key, err)
		}
		if _, err := c.Confirm(t.Context(), r, image, "gone"); !errors.Is(err, inventory.ErrNotFound) {
			t.Errorf("%s: %v", r.Key, err)
		}
		if err := c.CheckAccess(t.Context(), r); err != nil {
			t.Errorf("%s: %v", r.Key, err)
		}
		s.Withdraw("alice", r.Key)
		if err := c.CheckAccess(t.Context(), r); err == nil {
			t.Errorf("%s: withdrawn, and access is confirmed", r.Key)
		}
	}
	if got := s.Counts()[artifactorytest.ClassUpstream].Requests; got != 0 {
		t.Errorf("%d requests to the upstream", got)
	}
}

// TestOCIRepositories are served under /api/oci, and by some versions under
// /api/docker only.
func TestOCIRepositories(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	if err := s.AddRepo(artifactorytest.Repo{Key: "oci-local", Type: "oci"}); err != nil {
		t.Fatal(err)
	}
	s.Grant("alice", artifactorytest.Rule{Repo: "oci-local"})
	d := put(t, s, "oci-local", "app", "1", index(t))
	for _, strict := range []bool{false, true} {
		s.Change(func(sw *artifactorytest.Switches) { sw.StrictTypePath = strict })
		c := client(t, s)
		r := selected(t, c, "oci-local")[0]
		if h, err := c.Head(t.Context(), r, "app", "1"); err != nil || h.Digest != d || r.PackageType != "oci" {
			t.Errorf("strict %v: %+v %+v %v", strict, r, h, err)
		}
	}
	var asked []string
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		switch {
		case strings.HasSuffix(r.URL.Path, "/api/system/version"):
			_, _ = w.Write([]byte(`{"version":"7.10.0"}`))
		case strings.HasPrefix(r.URL.Path, "/artifactory/api/docker/"):
			w.Header().Set("Docker-Content-Digest", d)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(old.Close)
	c := client(t, s, func(o *artifactory.Options) { o.URL = old.URL })
	for range 2 {
		if h, err := c.Head(t.Context(), inventory.RepositoryKey{Key: "k", PackageType: "oci"}, "app", "1"); err != nil || h.Digest != d {
			t.Errorf("%+v %v", h, err)
		}
	}
	if len(asked) != 4 { // version, oci, docker, docker
		t.Errorf("asked for %v", asked)
	}
}

// TestQuiet: nothing that is logged or returned holds the secret.
func TestQuiet(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	var log strings.Builder
	token := s.IssueToken(artifactorytest.Token{User: "alice"})
	c := client(t, s, func(o *artifactory.Options) {
		o.Username, o.Secret = "", token
		o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultTooMany, Classes: []string{artifactorytest.ClassRepositories}, Times: 1})
	c.Test(t.Context(), nil)
	if log.Len() == 0 || strings.Contains(log.String(), token) || strings.Contains(fmt.Sprintf("%v %+v", c.Warnings(), c.Address()), token) {
		t.Errorf("log:\n%s", log.String())
	}
}
