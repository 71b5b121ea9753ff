package artifactorytest_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func TestRemote(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	s.AddUser(artifactorytest.User{Name: "reader", Password: "r", Rules: []artifactorytest.Rule{{Repo: "docker-hub"}}})
	s.AddUser(artifactorytest.User{Name: "cacher", Password: "c", Rules: []artifactorytest.Rule{{Repo: "docker-hub", Rights: artifactorytest.Read | artifactorytest.Deploy}}})
	img := image(t, 1)
	if err := s.PutUpstream("docker-hub", "library/redis", "7", img); err != nil {
		t.Fatal(err)
	}
	d, _ := layer(t, img)
	manifest := ask{path: "/v2/docker-hub/redis/manifests/7"}
	blob := ask{path: "/v2/docker-hub/redis/blobs/" + d}
	as := func(a ask, who string) reply { a.who = who; return send(t, s, a) }
	names := func() []string {
		return files(found(t, aql(t, s, admin, `items.find({"repo":"docker-hub-cache"})`)))
	}
	if got := as(manifest, "reader:r"); got.status != 404 || !strings.Contains(got.body, `"manifest":"library/redis"`) || len(names()) != 0 {
		t.Errorf("READ alone must not fill the cache: %d %s %v", got.status, got.body, names())
	}
	if got := as(blob, "cacher:c"); got.status != 404 {
		t.Errorf("a blob that no cached manifest names: %d", got.status)
	}
	got := as(manifest, "cacher:c")
	if got.status != 200 || got.header.Get("X-Artifactory-Origin-Remote-Path") != "https://registry-1.docker.io/v2/library/redis/manifests/7" {
		t.Errorf("%d %v", got.status, got.header)
	}
	marker := "docker-hub-cache:library/redis/7/sha256__" + strings.TrimPrefix(d, "sha256:") + ".marker"
	if !slices.Contains(names(), marker) {
		t.Errorf("no marker in %v", names())
	}
	if got := as(blob, "reader:r"); got.status != 404 {
		t.Errorf("a marker cannot be read: %d", got.status)
	}
	if got := as(blob, "cacher:c"); got.status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if slices.Contains(names(), marker) || !slices.Contains(names(), strings.TrimSuffix(marker, ".marker")) {
		t.Errorf("the marker gives way to the blob: %v", names())
	}
	if got := as(blob, "reader:r"); got.status != 200 {
		t.Errorf("cached: %d", got.status)
	}
	tags := send(t, s, ask{path: "/v2/docker-hub/redis/tags/list", who: "reader:r"})
	if !strings.Contains(tags.body, `"library/redis"`) {
		t.Errorf("library/ leaks into the name: %s", tags.body)
	}
	if n := s.Counts()[artifactorytest.ClassUpstream].Requests; n != 2 {
		t.Errorf("%d requests upstream, want 2", n)
	}
}

func TestReferrers(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	d := put(t, s, "docker-local", "app", "1", image(t, 1))
	config, err := s.PutBlob("docker-local", "app", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	sig := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/x.sig","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[],"subject":{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":%q,"size":1}}`, config, d)
	got := send(t, s, ask{
		method: http.MethodPut, path: "/v2/docker-local/app/manifests/sha256-" + strings.TrimPrefix(d, "sha256:"), who: ci, body: sig,
		header: map[string]string{"Content-Type": "application/vnd.oci.image.manifest.v1+json"},
	})
	if got.status != 201 || got.header.Get("OCI-Subject") != d {
		t.Fatalf("%d %s %v", got.status, got.body, got.header)
	}
	path := "/v2/docker-local/app/referrers/" + d
	list := func(query string) int {
		got := send(t, s, ask{path: path + query, who: alice})
		return len(decode[struct{ Manifests []any }](t, got.body).Manifests)
	}
	if list("") != 1 || list("?artifactType=application/x.sig") != 1 || list("?artifactType=other") != 0 {
		t.Error("referrers are not listed as they should be")
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.Referrers = false })
	if got := send(t, s, ask{path: path, who: alice}); got.status != 404 {
		t.Errorf("before 7.90: %d", got.status)
	}
}

func TestRedirectToAnotherHost(t *testing.T) {
	s := artifactorytest.New(artifactorytest.Options{Profile: artifactorytest.Cloud})
	if err := s.AddRepo(artifactorytest.Repo{Key: "docker-local", Redirect: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	img := image(t, 1)
	put(t, s, "docker-local", "app", "1", img)
	d, raw := layer(t, img)
	blob := ask{path: "/v2/docker-local/app/blobs/" + d, who: admin}
	got := send(t, s, blob)
	target := got.header.Get("Location")
	if got.status != 302 || !strings.HasPrefix(target, s.BlobURL()) || strings.HasPrefix(target, s.URL()) {
		t.Fatalf("%d %s", got.status, target)
	}
	if !strings.Contains(s.BlobURL(), "localhost") || strings.Contains(s.URL(), "localhost") {
		t.Error("the second host has the name of the first: clients would go on sending credentials")
	}
	if got := send(t, s, ask{path: target, who: admin}); got.status != 400 || !strings.Contains(got.body, "Only one auth mechanism allowed") {
		t.Errorf("with Authorization: %d %s", got.status, got.body)
	}
	if got := send(t, s, ask{path: target}); got.status != 200 || got.body != raw {
		t.Errorf("%d, %d bytes", got.status, len(got.body))
	}
	if got := send(t, s, ask{path: target, header: map[string]string{"Range": "bytes=5-"}}); got.status != 206 || got.body != raw[5:] {
		t.Errorf("range: %d", got.status)
	}
	if got := send(t, s, ask{path: target + "0"}); got.status != 403 {
		t.Errorf("wrong signature: %d", got.status)
	}
	counts := s.Counts()
	if counts[artifactorytest.ClassBlobHost].Requests != 4 || counts[artifactorytest.ClassLayer].Out < int64(len(raw)) {
		t.Errorf("counts %+v", counts)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.RedirectExpiry, sw.RedirectStatus = 10*time.Millisecond, 307 })
	got = send(t, s, blob)
	time.Sleep(20 * time.Millisecond)
	if late := send(t, s, ask{path: got.header.Get("Location")}); got.status != 307 || late.status != 403 {
		t.Errorf("%d, then after expiry %d", got.status, late.status)
	}
	if d := artifactorytest.Cloud.Switches().RedirectExpiry; d != 30*time.Second {
		t.Errorf("signed addresses are good for %s", d)
	}
}
