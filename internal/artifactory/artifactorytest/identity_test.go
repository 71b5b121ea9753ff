package artifactorytest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// refused reads a refusal in the REST shape.
func refused(t *testing.T, r reply) string {
	t.Helper()
	e := decode[struct {
		Errors []struct {
			Status  int
			Message string
		}
	}](t, r.body)
	if len(e.Errors) != 1 || e.Errors[0].Status != r.status {
		t.Fatalf("%d %s", r.status, r.body)
	}
	return e.Errors[0].Message
}

// Each kind of credential, at a REST path and at /v2/.
func TestCredentials(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.LockAfter = 0 })
	jwt := s.IssueToken(artifactorytest.Token{User: "alice"})
	oidc := s.IssueToken(artifactorytest.Token{User: "alice", Subject: "oidc-group"})
	ref := s.IssueToken(artifactorytest.Token{User: "alice", Reference: true})
	expired := s.IssueToken(artifactorytest.Token{User: "alice", Lifetime: time.Hour})
	s.ExpireToken(expired)
	revoked := s.IssueToken(artifactorytest.Token{User: "alice"})
	s.RevokeToken(revoked)
	if len(jwt) < 700 || !strings.HasPrefix(jwt, "eyJ") || len(ref) != 64 || !strings.HasPrefix(ref, "cmVmd") {
		t.Errorf("tokens do not look like it: %d %d %s", len(jwt), len(ref), ref)
	}
	for _, tt := range []struct {
		name   string
		who    string
		header map[string]string
		want   int
		say    string
	}{
		{name: "password", who: alice, want: 200},
		{name: "wrong password", who: "alice:x", want: 401, say: "Bad Credentials"},
		{name: "empty password", who: "alice:", want: 401, say: "Bad Credentials"},
		{name: "unknown user", who: "eve:x", want: 401, say: "Bad Credentials"},
		{name: "nobody", want: 401, say: "Authentication is required"},
		{name: "API key in Basic", who: "alice:AKCpalice", want: 200},
		{name: "API key by header", header: map[string]string{"X-JFrog-Art-Api": "AKCpalice"}, want: 200},
		{name: "API key by old header", header: map[string]string{"X-Api-Key": "AKCpalice"}, want: 200},
		{name: "bad API key by header is 403", header: map[string]string{"X-JFrog-Art-Api": "no"}, want: 403, say: "Bad Credentials"},
		{name: "JWT", who: jwt, want: 200},
		{name: "JWT in Basic", who: "alice:" + jwt, want: 200},
		{name: "JWT in Basic, other user", who: "ci:" + jwt, want: 401, say: "Token principal mismatch."},
		{name: "JWT in Basic, no user", who: ":" + jwt, want: 401, say: "Token principal mismatch."},
		{name: "group token in Basic", who: "oidc-group:" + oidc, want: 200},
		{name: "group token, its user", who: "alice:" + oidc, want: 401, say: "Token principal mismatch."},
		{name: "reference token", who: ref, want: 200},
		{name: "reference token in Basic", who: "alice:" + ref, want: 200},
		{name: "reference token, other user", who: "ci:" + ref, want: 401, say: "Token principal mismatch."},
		{name: "garbage token", who: "garbage", want: 401, say: "Props Authentication Token not found"},
		{name: "expired", who: expired, want: 401, say: "Token failed verification: expired"},
		{name: "expired in Basic", who: "alice:" + expired, want: 401, say: "Token failed verification: expired"},
		{name: "revoked", who: revoked, want: 401, say: "Token failed verification: revoked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := send(t, s, ask{path: "/artifactory/api/system/version", who: tt.who, header: tt.header})
			if got.status != tt.want || tt.want != 200 && refused(t, got) != tt.say {
				t.Errorf("REST: %d %s", got.status, got.body)
			}
			if want := `Basic realm="Artifactory Realm"`; got.status == 401 && got.header.Get("WWW-Authenticate") != want {
				t.Errorf("challenge %q", got.header.Get("WWW-Authenticate"))
			}
			if got := send(t, s, ask{path: "/v2/", who: tt.who, header: tt.header}); got.status != tt.want {
				t.Errorf("/v2/: %d %s", got.status, got.body)
			}
		})
	}
}

func TestBadBasicChallengeAtV2(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	got := send(t, s, ask{path: "/v2/", who: "alice:x"})
	if got.header.Get("WWW-Authenticate") != `Basic realm="Artifactory Realm"` || refused(t, got) != "Bad Credentials" {
		t.Errorf("%v %s", got.header, got.body)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.BadBasicBearer = true })
	if got := send(t, s, ask{path: "/v2/", who: "alice:x"}); !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("%v", got.header)
	}
}

func TestDockerToken(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", image(t, 1))
	token := func(who string) reply {
		return send(t, s, ask{path: "/v2/token?service=x&scope=repository:docker-prod/anything:push", who: who})
	}
	got := decode[map[string]any](t, token(alice).body)
	secret, ok := got["token"].(string)
	if !ok || got["expires_in"] != 9000.0 || len(got) != 2 {
		t.Fatalf("answer %v", got)
	}
	const tags = "/v2/docker-local/app/tags/list"
	if got := send(t, s, ask{path: tags, who: secret}); got.status != 200 {
		t.Errorf("its bearer: %d %s", got.status, got.body)
	}
	if got := send(t, s, ask{path: "/v2/docker-prod/app/tags/list", who: secret}); got.status != 403 {
		t.Errorf("the scope asked for must not give rights: %d", got.status)
	}
	if got := send(t, s, ask{path: "/artifactory/api/system/version", who: secret}); got.status != 401 {
		t.Errorf("the docker token at REST: %d", got.status)
	}
	if got := token(""); got.status != 401 || refused(t, got) != "Authentication is required" {
		t.Errorf("nobody's token: %d %s", got.status, got.body)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.TagsRefuseBearer = true })
	if a, b := send(t, s, ask{path: tags, who: secret}), send(t, s, ask{path: tags, who: alice}); a.status != 401 || b.status != 200 {
		t.Errorf("TagsRefuseBearer: bearer %d, basic %d", a.status, b.status)
	}
	s.ExpireDockerTokens()
	if got := send(t, s, ask{path: "/v2/", who: secret}); got.status != 401 || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
		t.Errorf("expired: %d %v", got.status, got.header)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.TokenExpiresIn = 0 })
	if got := decode[map[string]any](t, token(alice).body); len(got) != 1 {
		t.Errorf("without expires_in: %v", got)
	}
}

func TestLoginLock(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.LockFor = 300 * time.Millisecond })
	ping := func(who string) reply { return send(t, s, ask{path: "/artifactory/api/system/ping", who: who}) }
	for range 3 {
		if got := ping("alice:wrong"); got.status != 401 {
			t.Fatalf("%d", got.status)
		}
	}
	got := ping(alice)
	if got.status != 403 || refused(t, got) != "This request is blocked due to recurrent request failures, please try again in 1 second(s)" {
		t.Errorf("with the right password: %d %s", got.status, got.body)
	}
	if got := ping(ci); got.status != 200 {
		t.Errorf("another user is locked too: %d", got.status)
	}
	time.Sleep(320 * time.Millisecond)
	if got := ping(alice); got.status != 200 {
		t.Errorf("after the lock: %d %s", got.status, got.body)
	}
	s.Lock("alice", time.Minute)
	if got := ping(alice); got.status != 403 || !strings.Contains(got.body, "in 60 second(s)") {
		t.Errorf("%d %s", got.status, got.body)
	}
	s.Unlock()
	if got := ping(alice); got.status != 200 {
		t.Errorf("unlocked: %d", got.status)
	}
}

func TestCredentialCache(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.CredentialCache = time.Minute })
	token := s.IssueToken(artifactorytest.Token{User: "alice"})
	ask := ask{path: "/artifactory/api/system/ping", who: token}
	send(t, s, ask)
	s.RevokeToken(token)
	if got := send(t, s, ask); got.status != 200 {
		t.Errorf("a revoked token goes on for a while: %d", got.status)
	}
}

func TestMissingPermission(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*artifactorytest.Switches)
		path   string
		who    string
		want   int
		body   string
	}{
		{
			name: "manifest", path: "/v2/docker-prod/app/manifests/1", who: alice, want: 403,
			body: `{"errors":[{"code":"UNAUTHORIZED","message":"The client does not have permission for manifest","detail":{"manifest":"1"}}]}`,
		},
		{
			name: "hidden manifest", path: "/v2/docker-prod/app/manifests/1", who: alice, want: 404,
			change: func(sw *artifactorytest.Switches) { sw.HideUnauthorized = true },
			body:   `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"The named manifest is not known to the registry.","detail":{"manifest":"app"}}]}`,
		},
		{
			name: "storage", path: "/artifactory/api/storage/docker-prod/app/1", who: alice, want: 403,
			body: `Request for 'docker-prod:app/1' is forbidden for user: 'alice'.`,
		},
		{
			name: "hidden storage", path: "/artifactory/api/storage/docker-prod/app/1", who: alice, want: 404,
			change: func(sw *artifactorytest.Switches) { sw.HideUnauthorized = true },
		},
		{
			name: "anonymous manifest, no challenge", path: "/v2/docker-local/app/manifests/1", want: 403,
			change: func(sw *artifactorytest.Switches) { sw.Anonymous = true },
			body:   `{"errors":[{"code":"UNAUTHORIZED","message":"The client does not have permission for manifest","detail":{"manifest":"1"}}]}`,
		},
		{
			name: "anonymous storage", path: "/artifactory/api/storage/docker-local/app/1", want: 401,
			change: func(sw *artifactorytest.Switches) { sw.Anonymous = true },
		},
		{name: "administration", path: "/artifactory/api/storageinfo", who: alice, want: 403},
		{name: "configurations", path: "/artifactory/api/repositories/configurations", who: alice, want: 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var changes []func(*artifactorytest.Switches)
			if tt.change != nil {
				changes = append(changes, tt.change)
			}
			s := start(t, artifactorytest.Options{}, changes...)
			s.AddUser(artifactorytest.User{Name: "anonymous"}) // may do nothing
			put(t, s, "docker-prod", "app", "1", image(t, 1))
			put(t, s, "docker-local", "app", "1", image(t, 1))
			got := send(t, s, ask{path: tt.path, who: tt.who})
			if got.status != tt.want {
				t.Errorf("%d %s", got.status, got.body)
			}
			if tt.body != "" {
				if diff := cmp.Diff(tt.body, got.body); diff != "" {
					t.Error(diff)
				}
			}
			if h := got.header.Get("WWW-Authenticate"); (h != "") != (tt.want == 401) {
				t.Errorf("challenge %q", h)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.Anonymous = true })
	put(t, s, "docker-local", "app", "1", image(t, 1))
	for path, want := range map[string]int{
		"/artifactory/api/system/ping":         200,
		"/artifactory/api/system/version":      200,
		"/v2/":                                 200,
		"/v2/token":                            200,
		"/v2/docker-local/app/manifests/1":     200,
		"/artifactory/api/repositories":        200,
		"/artifactory/api/storage/npm-local?x": 200,
	} {
		if got := send(t, s, ask{path: path}); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
	got := aql(t, s, "", `items.find({"repo":"docker-local"})`)
	if got.status != 401 || refused(t, got) != "Unauthorized" {
		t.Errorf("AQL: %d %s", got.status, got.body)
	}
}

func TestPathPatterns(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	s.AddUser(artifactorytest.User{Name: "bob", Password: "b", Rules: []artifactorytest.Rule{
		{Repo: "docker-local", Include: []string{"team/**"}, Exclude: []string{"team/secret/**"}},
	}})
	for _, name := range []string{"team/app", "team/secret", "other/app"} {
		put(t, s, "docker-local", name, "1", image(t, 1))
	}
	if got := s.TagsFor("bob"); len(got) != 1 || got[0].Image != "team/app" {
		t.Errorf("may read %v", got)
	}
	for name, want := range map[string]int{"team/app": 200, "team/secret": 403, "other/app": 403, "team/none": 404} {
		if got := send(t, s, ask{path: "/v2/docker-local/" + name + "/manifests/1", who: "bob:b"}); got.status != want {
			t.Errorf("%s: %d, want %d", name, got.status, want)
		}
	}
	got := send(t, s, ask{path: "/v2/docker-local/_catalog", who: "bob:b"})
	names := decode[struct{ Repositories []string }](t, got.body).Repositories
	if diff := cmp.Diff([]string{"team/app"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestWithdrawAndRestore(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", image(t, 1))
	rows := func() int { return len(found(t, aql(t, s, alice, `items.find({"repo":"docker-local"})`))) }
	before := rows()
	s.Withdraw("alice", "docker-local")
	if got := rows(); got != 0 {
		t.Errorf("%d rows without the right", got)
	}
	if got := send(t, s, ask{path: "/artifactory/api/repositories", who: alice}); got.body != "[]" {
		t.Errorf("the list of nothing: %s", got.body)
	}
	s.Restore("alice", "docker-local")
	if got := rows(); got != before || before == 0 {
		t.Errorf("%d rows, %d before", got, before)
	}
}

func TestAccessTokens(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	got := send(t, s, ask{
		method: "POST", path: "/access/api/v1/tokens", who: alice,
		header: map[string]string{"Content-Type": "application/json"}, body: `{"expires_in":60,"include_reference_token":true}`,
	})
	answer := decode[map[string]any](t, got.body)
	for _, k := range []string{"access_token", "reference_token"} {
		if got := send(t, s, ask{path: "/artifactory/api/system/version", who: fmt.Sprint(answer[k])}); got.status != 200 {
			t.Errorf("%s: %d", k, got.status)
		}
	}
	s.Advance(2 * time.Minute)
	got = send(t, s, ask{path: "/artifactory/api/system/version", who: fmt.Sprint(answer["access_token"])})
	if got.status != 401 || refused(t, got) != "Token failed verification: expired" {
		t.Errorf("%d %s", got.status, got.body)
	}
}
