package artifactory_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const failed = "authentication failed: invalid credentials or insufficient permissions"

func TestCredentials(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		secret func(*artifactorytest.Server) (user, secret string)
		remedy string // "" = it works
	}{
		{"password", func(*artifactorytest.Server) (string, string) { return "alice", "wonder" }, ""},
		{"API key", func(*artifactorytest.Server) (string, string) { return "alice", "AKCp8alicealicealicealicealice" }, ""},
		{"token alone", func(s *artifactorytest.Server) (string, string) {
			return "", s.IssueToken(artifactorytest.Token{User: "alice"})
		}, ""},
		{"token and its user", func(s *artifactorytest.Server) (string, string) {
			return "alice", s.IssueToken(artifactorytest.Token{User: "alice"})
		}, ""},
		{"reference token alone", func(s *artifactorytest.Server) (string, string) {
			return "", s.IssueToken(artifactorytest.Token{User: "alice", Reference: true})
		}, ""},
		{"reference token and its user", func(s *artifactorytest.Server) (string, string) {
			return "alice", s.IssueToken(artifactorytest.Token{User: "alice", Reference: true})
		}, ""},
		{"wrong password", func(*artifactorytest.Server) (string, string) { return "alice", "wunder" }, "check the user name"},
		{"nobody", func(*artifactorytest.Server) (string, string) { return "", "" }, "anonymous"},
		{"password alone", func(*artifactorytest.Server) (string, string) { return "", "wonder" }, "needs its user name"},
		{"API key alone", func(*artifactorytest.Server) (string, string) { return "", "AKCp8alicealicealicealicealice" }, "an API key needs its user name"},
		{"somebody else's token", func(s *artifactorytest.Server) (string, string) {
			return "bob", s.IssueToken(artifactorytest.Token{User: "alice"})
		}, `belongs to "alice"`},
		{"somebody else's reference token", func(s *artifactorytest.Server) (string, string) {
			return "guest", s.IssueToken(artifactorytest.Token{User: "alice", Reference: true})
		}, `does not belong to "guest"`},
		{"expired", func(s *artifactorytest.Server) (string, string) {
			token := s.IssueToken(artifactorytest.Token{User: "alice"})
			s.ExpireToken(token)
			return "", token
		}, "expired"},
		{"expired reference token", func(s *artifactorytest.Server) (string, string) {
			token := s.IssueToken(artifactorytest.Token{User: "alice", Reference: true})
			s.ExpireToken(token)
			return "", token
		}, "expired"},
		{"revoked", func(s *artifactorytest.Server) (string, string) {
			token := s.IssueToken(artifactorytest.Token{User: "alice"})
			s.RevokeToken(token)
			return "", token
		}, "revoked"},
		{"locked", func(s *artifactorytest.Server) (string, string) {
			s.Lock("alice", time.Minute)
			return "alice", "wonder"
		}, "locked for 6"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, artifactorytest.Options{})
			user, secret := tc.secret(s)
			c := client(t, s, func(o *artifactory.Options) { o.Username, o.Secret = user, secret })
			r := c.Test(t.Context(), []string{"docker-local"})
			if tc.remedy == "" {
				if !r.OK || r.Error != "" {
					t.Fatalf("%+v", r)
				}
				return
			}
			if r.OK || r.Error != failed || !strings.Contains(r.Remedy, tc.remedy) {
				t.Errorf("%+v, want %q in the remedy", r, tc.remedy)
			}
			if secret != "" && strings.Contains(r.Error+r.Remedy, secret) {
				t.Error("the secret is shown")
			}
		})
	}
}

func TestRepositoriesThatFail(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		hide, omits := i%2 == 1, i > 1
		s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.HideUnauthorized, sw.CatalogOmits = hide, omits })
		c := client(t, s, func(o *artifactory.Options) { o.Username, o.Secret = "guest", "g" })
		s.Grant("guest", artifactorytest.Rule{Repo: "npm-local"})
		s.Grant("guest", artifactorytest.Rule{Repo: "docker-fed"})
		keys := []string{"docker-local", "docker-lokal", "npm-local", "docker-prod", "docker-fed-cache", s.Host() + "/docker-local/team/app:1.0"}
		r := c.Test(t.Context(), keys)
		if want := "repository access failed for: " + strings.Join(keys[1:], ", "); r.OK || r.Error != want {
			t.Errorf("hide %v, omits %v: error %q, want %q", hide, omits, r.Error, want)
		}
		for i, says := range []string{
			"", `did you mean "docker-local"`, "type is npm, not Docker/OCI", "Read", `use that key`, `the key is probably "docker-local"`,
		} {
			got := r.Repositories[i]
			if got.OK != (says == "") || !strings.Contains(got.Error+got.Remedy, says) || !strings.Contains(r.Remedy, says) {
				t.Errorf("hide %v, omits %v: %+v, want %q", hide, omits, got, says)
			}
		}
		if k := r.Repositories[0]; k.Class != "local" || k.PackageType != "docker" || k.Description != "ours" {
			t.Errorf("%+v", k)
		}
	}
}

func TestAllRepositories(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	c := client(t, s)
	r := c.Test(t.Context(), nil)
	var keys []string
	for _, k := range r.Repositories {
		keys = append(keys, k.Key+" "+k.Class)
	}
	want := []string{"docker virtual", "docker-fed federated", "docker-hub remote", "docker-local local", "docker-prod local"}
	if !r.OK || !slices.Equal(keys, want) {
		t.Errorf("%v: %v", r, keys)
	}
	s.Withdraw("alice", artifactorytest.AllRepos)
	if r := c.Test(t.Context(), nil); r.OK || !strings.Contains(r.Error, "no Docker or OCI repository") {
		t.Errorf("%+v", r)
	}
}

// TestLockIsKept: a server that says "wait" hears nothing until the time is over.
func TestLockIsKept(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	now := time.Now()
	c := client(t, s, func(o *artifactory.Options) { o.Now = func() time.Time { return now } })
	s.Lock("alice", 30*time.Second)
	for range 10 {
		if r := c.Test(t.Context(), nil); !strings.Contains(r.Remedy, "locked for") {
			t.Fatalf("%+v", r)
		}
	}
	if got := sum(s); got != 1 {
		t.Errorf("%d requests while locked out, want 1", got)
	}
	s.Unlock()
	now = now.Add(40 * time.Second)
	if r := c.Test(t.Context(), nil); !r.OK {
		t.Errorf("after the lock: %+v", r)
	}
}

// TestWrongCredentialIsSentOnce: whoever asks in parallel, one probe is sent.
func TestWrongCredentialIsSentOnce(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	c := client(t, s, func(o *artifactory.Options) { o.Secret = "wrong" })
	done := make(chan error)
	for range 20 {
		go func() {
			_, err := c.Repositories(t.Context())
			done <- err
		}()
	}
	for range 20 {
		if err := <-done; err == nil || !strings.Contains(err.Error(), failed) {
			t.Error(err)
		}
	}
	if got := sum(s); got != 1 {
		t.Errorf("%d requests with a wrong credential, want 1", got)
	}
}

func sum(s *artifactorytest.Server) (n int64) {
	for _, c := range s.Counts() {
		n += c.Requests
	}
	return n
}

func TestAddressForms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		context string
		tail    string
		ui      bool
	}{
		{name: "platform", context: "/artifactory"},
		{name: "with context", context: "/artifactory", tail: "/artifactory"},
		{name: "slash", context: "/artifactory", tail: "/artifactory/"},
		{name: "interface", context: "/artifactory", tail: "/ui/repos/tree/General/docker-local"},
		{name: "old interface", context: "/artifactory", tail: "/artifactory/webapp/#/home"},
		{name: "a call of the API", context: "/artifactory", tail: "/artifactory/api/docker/docker-local/v2/"},
		{name: "a pasted reference", context: "/artifactory", tail: "/docker-local/team/app:1.0"},
		{name: "a folder", context: "/artifactory", tail: "/docker-local/team"},
		{name: "context stripped by a proxy", context: ""},
		{name: "interface catches all", context: "", ui: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.Context, sw.CatchAllUI = tc.context, tc.ui })
			d := put(t, s, "docker-local", "team/app", "1.0", image(t))
			c := client(t, s, func(o *artifactory.Options) { o.URL = s.URL() + tc.tail })
			if r := c.Test(t.Context(), []string{"docker-local"}); !r.OK {
				t.Fatalf("%+v", r)
			}
			l := tags(t, c, artifactory.Ask{Keys: selected(t, c, "docker-local")})
			if len(l.Tags) != 1 || l.Tags[0].Digest != d {
				t.Errorf("%v", digests(l))
			}
			base, hc := c.Endpoint("docker-local", "docker", "team/app")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/manifests/"+d, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := hc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if resp.Body.Close(); resp.StatusCode != http.StatusOK || !strings.HasSuffix(base, "/v2/team/app") {
				t.Errorf("%s: %s", base, resp.Status)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Sign in</title>"))
	}))
	t.Cleanup(page.Close)
	secure := start(t, artifactorytest.Options{TLS: true})
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, tc := range []struct{ name, url, says, remedy string }{
		{"closed port", closed.URL, "connection failed", "port"},
		{"no answer", silent.URL, "timed out", "firewall"},
		{"not Artifactory", page.URL, "HTML instead of JSON", "base path"},
		{"unknown authority", secure.URL(), "certificate problem", "--ca-file"},
		{"no TLS there", strings.Replace(page.URL, "http://", "https://", 1), "does not speak TLS", "http://"},
		{"unknown host", "https://nowhere.invalid", "unknown host", "spelling"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := artifactory.New(artifactory.Options{
				URL: tc.url, Username: "u", Secret: "s3cret", Timeout: 200 * time.Millisecond, Backoff: time.Millisecond, Proxy: "none",
			})
			if err != nil {
				t.Fatal(err)
			}
			r := c.Test(t.Context(), nil)
			if r.OK || !strings.Contains(r.Error, tc.says) || !strings.Contains(r.Remedy, tc.remedy) || strings.Contains(r.Error, "s3cret") {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestPrivateAuthority(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{TLS: true})
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := client(t, s, func(o *artifactory.Options) { o.CAFile = file })
	if r := c.Test(t.Context(), []string{"docker-local"}); !r.OK || len(r.Warnings) > 0 {
		t.Errorf("%+v", r)
	}
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, file + ".missing"} {
		if _, err := artifactory.New(artifactory.Options{URL: s.URL(), CAFile: name}); err == nil || !strings.Contains(err.Error(), "CA file") {
			t.Error(err)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	c := client(t, s, func(o *artifactory.Options) {
		o.Username, o.Secret = "", s.IssueToken(artifactorytest.Token{User: "alice", Lifetime: 72*time.Hour + time.Minute})
		o.URL = s.URL() + "/docker-local/team/app:1.0"
	})
	r := c.Test(t.Context(), []string{"docker-local", "docker-hub"})
	all := strings.Join(r.Warnings, "\n")
	for _, says := range []string{"not recommended", "expires in 3 days", `repository key "docker-local"`, "docker-hub is a remote"} {
		if !strings.Contains(all, says) {
			t.Errorf("%q is not among:\n%s", says, all)
		}
	}
	if c.Subject() != "alice" || !r.OK {
		t.Errorf("subject %q, %+v", c.Subject(), r)
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	in := inventory.Integration{Registry: "acme.io:8443"}
	sub := in
	sub.SubdomainMode = true
	for got, want := range map[string]string{
		artifactory.Reference(in, "docker-local", "team/app", "1.0"):      "acme.io:8443/docker-local/team/app:1.0",
		artifactory.Reference(sub, "docker-local", "team/app", "1.0"):     "docker-local.acme.io:8443/team/app:1.0",
		artifactory.Reference(in, "", "team/app", "1.0"):                  "acme.io:8443/team/app:1.0",
		artifactory.Reference(in, "docker-local", "app", "sha256:abcdef"): "acme.io:8443/docker-local/app@sha256:abcdef",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
