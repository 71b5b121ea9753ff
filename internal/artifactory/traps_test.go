package artifactory_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// twist answers a request in another way than the simulator would; false lets it
// answer.
type twist func(w http.ResponseWriter, r *http.Request) bool

// behind puts a proxy with twists before a simulator.
func behind(t *testing.T, s *artifactorytest.Server, twists ...twist) string {
	t.Helper()
	to, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(p *httputil.ProxyRequest) { p.SetURL(to); p.Out.Host = p.In.Host },
		ModifyResponse: func(resp *http.Response) error { return nil },
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, one := range twists {
			if one(w, r) {
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// answers is a twist that gives one answer to every path that ends so.
func answers(ending string, status int, kind, body string, header ...string) twist {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, ending) {
			return false
		}
		w.Header().Set("Content-Type", kind)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

const (
	noAQL   = "/api/search/aql"
	version = "/api/system/version"
)

// listedBehind lists keys through twists and holds the result to the simulator.
func listedBehind(t *testing.T, twists ...twist) artifactory.Listing {
	t.Helper()
	s := start(t, artifactorytest.Options{})
	fill(t, s)
	c := client(t, s, func(o *artifactory.Options) { o.URL, o.Registry = behind(t, s, twists...), "" })
	keys := []string{"docker-local", "docker-prod", "docker-fed"}
	l := tags(t, c, artifactory.Ask{Keys: selected(t, c, keys...)})
	if diff := cmp.Diff(truth(s, keys...), digests(l)); diff != "" {
		t.Errorf("%s (problems %v, refused %v)", diff, l.Problems, l.Refused)
	}
	return l
}

// TestOtherServers lists everything from servers that differ from the simulator in
// one thing each.
func TestOtherServers(t *testing.T) {
	t.Parallel()
	const text, json = "text/plain", "application/json"
	for _, tc := range []struct {
		name   string
		twists []twist
		falls  bool // to the catalogue
	}{
		{"the version is for administrators", []twist{answers(version, 403, json, `{"errors":[{"status":403,"message":"Forbidden"}]}`)}, false},
		{"the version is not published", []twist{answers(version, 404, text, "404 page not found")}, false},
		{"the version is of another kind", []twist{answers(version, 200, json, `{}`)}, false},
		{"the ping is a page", []twist{answers("/api/system/ping", 200, "text/html", "<html>")}, false},
		{"AQL refused as plain text", []twist{answers(noAQL, 400, text, "Failed to parse query: it looks like there is syntax error near")}, true},
		{"AQL refused without a word", []twist{answers(noAQL, 400, text, "")}, true},
		{"AQL forbidden", []twist{answers(noAQL, 403, json, `{"errors":[{"status":403,"message":"Forbidden"}]}`)}, true},
		{"AQL as for anonymous", []twist{answers(noAQL, 401, json, `{"errors":[{"status":401,"message":"Unauthorized"}]}`, "WWW-Authenticate", `Basic realm="Artifactory Realm"`)}, true},
		{"AQL not there", []twist{answers(noAQL, 404, text, "404 page not found")}, true},
		{"AQL wants another type", []twist{answers(noAQL, 415, text, "")}, true},
		{"AQL too slow for all together", []twist{slowFor(`"docker-local"`)}, false},
		{"AQL too slow for one repository", []twist{slowUnless(`"$gte":`, `"$lt":`)}, false},
		{"AQL too slow once", []twist{first(2, answers(noAQL, 408, text, "Request Timeout"))}, false},
		{"list without types", []twist{withoutTypes}, false},
		{"catalogue by whole numbers", []twist{answers(noAQL, 404, text, ""), wholeNumbers}, true},
		{"catalogue without pages", []twist{answers(noAQL, 404, text, ""), noPages}, true},
		{"tags by whole numbers", []twist{answers(noAQL, 404, text, ""), pagedTags(2)}, true},
		{"configuration not told", []twist{answers("/api/repositories/docker-prod", 400, json, `{"errors":[{"status":400,"message":"Bad Request"}]}`)}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if l := listedBehind(t, tc.twists...); l.Fallback != tc.falls {
				t.Errorf("by the catalogue: %v", l.Fallback)
			}
		})
	}
}

// first lets a twist happen n times.
func first(n int32, one twist) twist {
	var left atomic.Int32
	left.Store(n)
	return func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, noAQL) && left.Add(-1) >= 0 && one(w, r)
	}
}

// bodyOf reads a request's body and puts it back.
func bodyOf(r *http.Request) string {
	b, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(b)))
	return string(b)
}

func tooSlow(w http.ResponseWriter) bool {
	http.Error(w, "Request Timeout", http.StatusRequestTimeout)
	return true
}

// slowFor gives up queries that ask for a repository together with others.
func slowFor(key string) twist {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, noAQL) {
			return false
		}
		body := bodyOf(r)
		return strings.Contains(body, key) && strings.Count(body, `"repo"`) > 2 && tooSlow(w)
	}
}

// slowUnless gives up queries without a window of paths.
func slowUnless(parts ...string) twist {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, noAQL) {
			return false
		}
		body := bodyOf(r)
		for _, part := range parts {
			if strings.Contains(body, part) {
				return false
			}
		}
		return tooSlow(w)
	}
}

// withoutTypes is a list of repositories as a filter by type is needed for.
func withoutTypes(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/api/repositories") {
		return false
	}
	switch r.URL.Query().Get("packageType") {
	case "":
		_, _ = io.WriteString(w, `[{"key":"docker-local","type":"LOCAL","url":"x"},{"key":"docker-prod","type":"LOCAL","url":"x"},{"key":"docker-fed","type":"FEDERATED","url":"x"},{"key":"npm","type":"LOCAL"}]`)
	case "docker":
		_, _ = io.WriteString(w, `[{"key":"docker-local","type":"LOCAL"},{"key":"docker-prod","type":"LOCAL"},{"key":"docker-fed","type":"FEDERATED"}]`)
	default:
		_, _ = io.WriteString(w, `[]`)
	}
	return true
}

var images = map[string][]string{"docker-local": {"desktop", "team/app", "tool"}, "docker-prod": {"team/app"}, "docker-fed": {"deep/er/still"}}

// keyOf is the repository of a path below api/docker.
func keyOf(r *http.Request) string {
	_, rest, _ := strings.Cut(r.URL.Path, "/api/docker/")
	key, _, _ := strings.Cut(rest, "/")
	return key
}

// wholeNumbers serves catalogues one name at a time, whatever n is, and takes only
// numbers for the next page, without telling them.
func wholeNumbers(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/_catalog") {
		return false
	}
	all, n := images[keyOf(r)], 1000
	q := r.URL.Query()
	if !q.Has("n") {
		_, _ = fmt.Fprintf(w, `{"repositories":["%s"]}`, strings.Join(all, `","`))
		return true
	}
	last, err := strconv.Atoi(q.Get("last"))
	if q.Has("last") && err != nil {
		http.Error(w, `For input string: "`+q.Get("last")+`"`, http.StatusBadRequest)
		return true
	}
	all = all[min(last, len(all)):]
	page := all[:min(1, len(all))]
	w.Header().Set("Link", fmt.Sprintf(`</v2/_catalog?last=%s&n=%d>; rel="next"`, "opaque", n))
	_, _ = fmt.Fprintf(w, `{"repositories":["%s"]}`, strings.Join(page, `","`))
	return true
}

// noPages gives all of a catalogue however much is asked for.
func noPages(w http.ResponseWriter, r *http.Request) bool {
	if !strings.HasSuffix(r.URL.Path, "/_catalog") {
		return false
	}
	_, _ = fmt.Fprintf(w, `{"repositories":["%s"]}`, strings.Join(images[keyOf(r)], `","`))
	return true
}

// pagedTags lists tags n at a time although nobody asked for that, and names the
// next page by a number and without the repository.
func pagedTags(n int) twist {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/team/app/tags/list") || keyOf(r) != "docker-local" {
			return false
		}
		all := []string{"1.0", "2.0"}
		last, _ := strconv.Atoi(r.URL.Query().Get("last"))
		rest := all[min(last, len(all)):]
		if len(rest) > 1 {
			w.Header().Set("Link", fmt.Sprintf(`</v2/team/app/tags/list?last=%d&n=%d>; rel="next"`, last+1, n))
			rest = rest[:1]
		}
		_, _ = fmt.Fprintf(w, `{"name":"team/app","tags":["%s"]}`, strings.Join(rest, `","`))
		return true
	}
}

// TestOneImageIsRefused: in a catalogue stands what may not be read; the rest is
// listed, and the refusal is told.
func TestOneImageIsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		s := start(t, artifactorytest.Options{})
		fill(t, s)
		url := behind(t, s, answers(noAQL, 404, "text/plain", ""),
			answers("/tool/tags/list", status, "application/json", `{"errors":[{"code":"UNAUTHORIZED","message":"The client does not have permission for manifest"}]}`),
			answers("/desktop/manifests/1", 403, "application/json", `{"errors":[{"code":"DENIED","message":"download blocking policy configured in Xray"}]}`))
		c := client(t, s, func(o *artifactory.Options) { o.URL, o.Registry = url, "" })
		l := tags(t, c, artifactory.Ask{Keys: selected(t, c, "docker-local")})
		if len(l.Tags) != 2 || len(l.Problems) > 0 || !errors.Is(l.Refused["docker-local"], inventory.ErrForbidden) || !l.Complete["docker-local"] {
			t.Errorf("%d: %v, problems %v, refused %v", status, digests(l), l.Problems, l.Refused)
		}
	}
}

// TestDownAndWrongPlace: a server that is down is no wrong address.
func TestDownAndWrongPlace(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{}, func(sw *artifactorytest.Switches) { sw.Context = "" })
	url := behind(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/artifactory/") {
			http.NotFound(w, r)
			return true
		}
		http.Error(w, "Server state is offline", http.StatusServiceUnavailable)
		return true
	})
	c := client(t, s, func(o *artifactory.Options) { o.URL, o.Registry = url, "" })
	if err := c.Revalidate(t.Context()); !errors.Is(err, inventory.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// TestLockWords: both versions' words, in seconds and minutes, are understood.
func TestLockWords(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]time.Duration{
		"This request is blocked due to recurrent request failures, please try again in 9 second(s)":                                      10 * time.Second,
		`{"errors":[{"status":403,"message":"This request is blocked due to recurrent login failures, please try again in 12 seconds"}]}`: 13 * time.Second,
		"This request is blocked due to recurrent login failures, please try again in 2 minutes":                                          2*time.Minute + time.Second,
		"This request is locked due to recurrent log on errors":                                                                           time.Minute,
	} {
		var asked atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			http.Error(w, body, http.StatusForbidden)
		}))
		c, err := artifactory.New(artifactory.Options{URL: srv.URL, Username: "u", Secret: "p", Backoff: time.Millisecond, Proxy: "none"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Repositories(t.Context())
		if left, locked := artifactory.LockedFor(err); !locked || left > want || left < want-2*time.Second || !errors.Is(err, inventory.ErrUnavailable) {
			t.Errorf("%s: %s %v, %v", body, left, locked, err)
		}
		r := c.Test(t.Context(), nil)
		if !strings.Contains(r.Remedy, "locked for") || asked.Load() != 1 {
			t.Errorf("%s: %+v after %d requests", body, r, asked.Load())
		}
		srv.Close()
	}
}

// TestStalledAnswer: an answer that stops coming is given up.
func TestStalledAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	url := behind(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, noAQL) {
			return false
		}
		_, _ = io.WriteString(w, "\n{\n\"results\" : [ ")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	c := client(t, s, func(o *artifactory.Options) { o.URL, o.Registry, o.Timeout = url, "", 100*time.Millisecond })
	keys := selected(t, c, "docker-local")
	if _, err := c.Tags(t.Context(), artifactory.Ask{Keys: keys}); !errors.Is(err, inventory.ErrUnavailable) || !strings.Contains(err.Error(), "stopped coming") {
		t.Errorf("%v", err)
	}
}

// TestBandwidth: all downloads together keep to what is allowed.
func TestBandwidth(t *testing.T) {
	t.Parallel()
	blob := strings.Repeat("x", 60_000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, blob) }))
	t.Cleanup(srv.Close)
	c, err := artifactory.New(artifactory.Options{Kind: inventory.KindOCI, URL: srv.URL, Bandwidth: 200_000, Proxy: "none"})
	if err != nil {
		t.Fatal(err)
	}
	base, hc := c.Endpoint("", "oci", "app")
	began, done := time.Now(), make(chan error)
	for range 2 {
		go func() {
			_, body, err := fetch(t, hc, base+"/blobs/sha256:"+strings.Repeat("a", 64))
			if err == nil && body != blob {
				err = errors.New("the blob differs")
			}
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("120,000 bytes at 200,000 a second took %s", took)
	}
}

// TestSubdomainReferenceAsKey: a reference whose host begins with the key.
func TestSubdomainReferenceAsKey(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	c := client(t, s)
	r, err := c.Select(t.Context(), []string{"docker-local.acme.io/team/app:1.0"})
	if err != nil || r[0].OK || !strings.Contains(r[0].Remedy, `"docker-local"`) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestPathRefusedWith401: with a credential that is good, a 401 on a path means
// what a 403 means, and the credential is asked about once more, not given up.
func TestPathRefusedWith401(t *testing.T) {
	t.Parallel()
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", image(t))
	url := behind(t, s, answers("/app/manifests/1", 401, "application/json", `{"errors":[{"status":401,"message":"Unauthorized"}]}`, "WWW-Authenticate", `Basic realm="Artifactory Realm"`))
	c := client(t, s, func(o *artifactory.Options) { o.URL, o.Registry = url, "" })
	local := inventory.RepositoryKey{Key: "docker-local", PackageType: "docker"}
	done := make(chan error)
	for range 12 { // more than may be in flight: none may wait for another's place
		go func() { _, err := c.Head(t.Context(), local, "app", "1"); done <- err }()
	}
	for range 12 {
		if err := <-done; !errors.Is(err, inventory.ErrForbidden) {
			t.Errorf("%v", err)
		}
	}
	if _, err := c.Repositories(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
