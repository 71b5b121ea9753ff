package artifactorytest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func FuzzAQL(f *testing.F) {
	for _, seed := range []string{
		`items.find({"repo":"docker-local"})`,
		`items.find({"$or":[{"name":"manifest.json"},{"@k":{"$ne":"v"}}]}).include("repo","path","name").sort({"$asc":["name"]}).offset(1).limit(2)`,
		`items.find({"created":{"$last":"3mo"},"size":{"$gt":"1"}}).include("*","property")`,
		`items.find({"path":{"$match":"*a*b?c*"},"type":"any"})`,
		`items.find({"$and":[{"repo":{"$match":"*"}},{"$msp":[{"@a":"b"}]}]}).distinct(true)`,
		`items.find({"a":"\u00e9\"\\"})`, `items.find(`, `{`, "items.find({\"\":[]})",
	} {
		f.Add(seed)
	}
	s := New(Options{})
	if err := s.AddRepo(Repo{Key: "docker-local"}); err != nil {
		f.Fatal(err)
	}
	if _, err := s.PutBlob("docker-local", "a", []byte("x")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := parseAQL(text)
		if err != nil {
			return
		}
		again, err := parseAQL("  " + text + "\n")
		if err != nil || again.String() != q.String() {
			t.Errorf("spaces around it change its meaning: %v %v", again, err)
		}
		sw := s.snapshot()
		if q.check(identity{name: "x", admin: true}, &sw) != nil {
			return
		}
		if _, err := s.search(identity{name: "x"}, q, &sw); err != nil && err.Error() == "" {
			t.Error("a refusal without words")
		}
	})
}

// No path may make the server panic or answer 5xx.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/v2/docker-local/a/manifests/1", "/v2/", "/v2//blobs/uploads/", "/artifactory/api/docker/docker-local/v2/a/tags/list",
		"/artifactory/api/storage/docker-local/a?list&deep=1", "/artifactory/docker-local/../x", "/event/api/v1/subscriptions/x",
		"/artifactory/api/docker/null/v2/token", "/v2/docker-local/a/blobs/sha256:" + strings.Repeat("a", 64), "/artifactory/api/copy/a/b?to=c/d",
	} {
		f.Add("GET", seed)
		f.Add("PUT", seed)
		f.Add("DELETE", seed)
		f.Add("POST", seed)
	}
	s := New(Options{})
	if err := s.AddRepo(Repo{Key: "docker-local"}, Repo{Key: "hub", Class: Remote}, Repo{Key: "all", Class: Virtual, Members: []string{"hub", "all"}}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		if method != "GET" && method != "PUT" && method != "DELETE" && method != "POST" && method != "HEAD" || !strings.HasPrefix(path, "/") {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader("{}"))
		if err != nil {
			return
		}
		r.Body = http.NoBody
		r.SetBasicAuth(AdminName, AdminPassword)
		w := httptest.NewRecorder()
		s.serve(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	})
}

func FuzzAntMatch(f *testing.F) {
	f.Add("team/**", "team/app/1")
	f.Add("**/*a*?/x", "b/a/c/x")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		antMatch(pattern, path)
		if !antMatch("**", path) || !starMatch("*", path) {
			t.Errorf("%q escapes the widest pattern", path)
		}
	})
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"team/**", "team/app/1/manifest.json", true},
		{"team/**", "team", true},
		{"team/**", "teams/app", false},
		{"team/*", "team/app/1", false},
		{"**/app/*", "a/b/app/1", true},
		{"**/*.json", "x/y.json", true},
		{"t?am/", "team/x/y", true},
		{"a/**/z", "a/z", true},
		{"a/**/z/**/q", "a/b/z/z/c/q", true},
	} {
		if got := antMatch(tt.pattern, tt.path); got != tt.want {
			t.Errorf("%s on %s: %v", tt.pattern, tt.path, got)
		}
	}
	long := strings.Repeat("a", 5000)
	if starMatch(strings.Repeat("*a", 500)+"b", long) {
		t.Error("matched")
	}
}
