package artifactorytest_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func TestTagPagination(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	img := image(t, 1)
	for i := range 5 {
		put(t, s, "docker-local", "team/app", fmt.Sprintf("v%d", i), img)
	}
	const path = "/v2/docker-local/team/app/tags/list"
	for _, tt := range []struct {
		name, query string
		change      func(*artifactorytest.Switches)
		want        []string
		link        string
	}{
		{name: "all without n", want: []string{"v0", "v1", "v2", "v3", "v4"}},
		{name: "n=0 is all", query: "?n=0", want: []string{"v0", "v1", "v2", "v3", "v4"}},
		{name: "the Link lacks the key", query: "?n=2", want: []string{"v0", "v1"}, link: `</v2/team/app/tags/list?last=v1&n=2>; rel="next"`},
		{name: "from last", query: "?n=2&last=v1", want: []string{"v2", "v3"}, link: `</v2/team/app/tags/list?last=v3&n=2>; rel="next"`},
		{name: "from a tag that is gone", query: "?n=9&last=v11", want: []string{"v2", "v3", "v4"}},
		{
			name: "a right Link", query: "?n=2", want: []string{"v0", "v1"},
			change: func(sw *artifactorytest.Switches) { sw.LinkWithoutKey = false },
			link:   `</v2/docker-local/team/app/tags/list?last=v1&n=2>; rel="next"`,
		},
		{
			name: "a number for last", query: "?n=2&last=2", want: []string{"v2", "v3"},
			change: func(sw *artifactorytest.Switches) { sw.NumericLast = true },
			link:   `</v2/team/app/tags/list?last=4&n=2>; rel="next"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.Change(func(sw *artifactorytest.Switches) { *sw = artifactorytest.V7.Switches() })
			if tt.change != nil {
				s.Change(tt.change)
			}
			got := send(t, s, ask{path: path + tt.query, who: alice})
			list := decode[struct {
				Name string
				Tags []string
			}](t, got.body)
			if diff := cmp.Diff(tt.want, list.Tags); diff != "" || list.Name != "team/app" {
				t.Errorf("%s %s", list.Name, diff)
			}
			if link := got.header.Get("Link"); link != tt.link {
				t.Errorf("Link %s, want %s", link, tt.link)
			}
		})
	}
}

func TestCatalog(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	img := image(t, 1)
	for _, n := range []string{"busybox", "team/app", "team/other"} {
		put(t, s, "docker-local", n, "1", img)
	}
	put(t, s, "docker-hub", "library/redis", "7", img)
	names := func(path string) []string {
		got := send(t, s, ask{path: path, who: admin})
		if got.status != 200 {
			t.Errorf("%s: %d", path, got.status)
			return nil
		}
		return decode[struct{ Repositories []string }](t, got.body).Repositories
	}
	for path, want := range map[string][]string{
		"/artifactory/api/docker/docker-local/v2/_catalog":                    {"busybox", "team/app", "team/other"},
		"/v2/docker-local/_catalog":                                           {"busybox", "team/app", "team/other"},
		"/artifactory/api/docker/docker-local/v2/_catalog?n=1&last=busybox":   {"team/app"},
		"/artifactory/api/docker/docker-hub/v2/_catalog":                      {},
		"/artifactory/api/docker/docker/v2/_catalog":                          {"busybox", "library/redis", "team/app", "team/other"},
		"/artifactory/api/docker/docker-prod/v2/_catalog":                     {},
		"/artifactory/api/docker/docker-local/v2/_catalog?n=2&last=team/zzzz": {},
	} {
		if diff := cmp.Diff(want, names(path)); diff != "" {
			t.Errorf("%s:\n%s", path, diff)
		}
	}
	s.DeleteTag("docker-local", "busybox", "1")
	if got := names("/v2/docker-local/_catalog"); !slices.Contains(got, "busybox") {
		t.Error("an image without tags lingers")
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.LingeringImages, sw.RemoteCatalog = false, true })
	if got := names("/v2/docker-local/_catalog"); slices.Contains(got, "busybox") {
		t.Error("it does not with the switch off")
	}
	if got := names("/v2/docker-hub/_catalog"); !slices.Equal(got, []string{"library/redis"}) {
		t.Errorf("RemoteCatalog: %v", got)
	}
	if got := send(t, s, ask{path: "/v2/_catalog", who: admin}); got.status != 404 {
		t.Errorf("/v2/_catalog takes _catalog for a key: %d", got.status)
	}
}

func TestManifestAcceptIsRefused(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", image(t, 1))
	header := map[string]string{"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
	for _, path := range []string{"/v2/docker-local/app/tags/list", "/v2/docker-local/_catalog", "/v2/token"} {
		if got := send(t, s, ask{path: path, who: alice, header: header}); got.status != 406 {
			t.Errorf("%s: %d, want 406", path, got.status)
		}
		plain := map[string]string{"Accept": "application/json, " + header["Accept"]}
		if got := send(t, s, ask{path: path, who: alice, header: plain}); got.status != 200 {
			t.Errorf("%s with JSON: %d", path, got.status)
		}
	}
}

func TestManifestHeaders(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	img := image(t, 1)
	d := put(t, s, "docker-local", "app", "1", img)
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	get := send(t, s, ask{path: "/v2/docker/app/manifests/1", who: alice})
	head := send(t, s, ask{method: "HEAD", path: "/v2/docker/app/manifests/1", who: alice})
	if get.body != string(raw) || head.body != "" || head.status != 200 {
		t.Fatal("the manifest is not verbatim")
	}
	for k, want := range map[string]string{
		"Content-Type": "application/vnd.docker.distribution.manifest.v2+json", "Docker-Content-Digest": d,
		"X-Checksum-Sha256": strings.TrimPrefix(d, "sha256:"), "X-Artifactory-Filename": "manifest.json", "Accept-Ranges": "bytes",
		"Docker-Distribution-Api-Version": "registry/2.0", "X-Jfrog-Version": "Artifactory/7.161.20 86120900",
	} {
		if get.header.Get(k) != want || head.header.Get(k) != want {
			t.Errorf("%s: %q and %q, want %q", k, get.header.Get(k), head.header.Get(k), want)
		}
	}
	etag := get.header.Get("Etag")
	if len(etag) != 40 || etag != get.header.Get("X-Checksum-Sha1") {
		t.Errorf("Etag %q is not the SHA-1", etag)
	}
	const member = "X-Artifactory-Docker-Registry"
	if get.header.Get(member) != "" || head.header.Get(member) != "docker-local" {
		t.Errorf("%s: GET %q, HEAD %q", member, get.header.Get(member), head.header.Get(member))
	}
	for _, e := range []string{etag, `"` + etag + `"`} {
		match := map[string]string{"If-None-Match": e}
		if got := send(t, s, ask{path: "/v2/docker/app/manifests/1", who: alice, header: match}); got.status != 304 {
			t.Errorf("GET with %s: %d", e, got.status)
		}
		if got := send(t, s, ask{method: "HEAD", path: "/v2/docker/app/manifests/1", who: alice, header: match}); got.status != 200 {
			t.Errorf("HEAD is never 304: %d", got.status)
		}
	}
}

func TestDockerErrors(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	d := put(t, s, "docker-local", "app", "1", image(t, 1))
	other := "sha256:" + strings.Repeat("0", 64)
	for path, want := range map[string]string{
		"/v2/docker-local/app/manifests/nope":      `404 {"errors":[{"code":"MANIFEST_UNKNOWN","message":"The named manifest is not known to the registry.","detail":{"manifest":"app"}}]}`,
		"/v2/docker-local/nope/manifests/1":        `404 {"errors":[{"code":"MANIFEST_UNKNOWN","message":"The named manifest is not known to the registry.","detail":{"manifest":"nope"}}]}`,
		"/v2/docker-local/app/blobs/" + other:      `404 {"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry","detail":{"blobSum":"` + other + `"}}]}`,
		"/v2/docker-local/nope/tags/list":          `404 {"errors":[{"code":"NAME_UNKNOWN","message":"Repository name not known to registry.","detail":{"name":"nope"}}]}`,
		"/v2/nowhere/app/manifests/1":              `404 {"errors":[{"code":"NAME_UNKNOWN","message":"Repository name not known to registry.","detail":{"name":"nowhere/app"}}]}`,
		"/v2/docker-local/app/blobs/../etc/passwd": ``,
	} {
		got := send(t, s, ask{path: path, who: admin})
		if text := fmt.Sprintf("%d %s", got.status, got.body); want != "" && text != want {
			t.Errorf("%s:\n%s\nwant\n%s", path, text, want)
		}
		if got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := send(t, s, ask{path: "/v2/docker-local/app/manifests/" + d, who: alice}); got.status != 200 {
		t.Errorf("by digest: %d", got.status)
	}
}

func TestXrayBlocks(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	d := put(t, s, "docker-local", "app", "1", image(t, 1))
	s.BlockByXray(d)
	got := send(t, s, ask{path: "/v2/docker-local/app/manifests/1", who: alice})
	if got.status != 403 || !strings.Contains(got.body, "download blocking policy configured in Xray") || !strings.Contains(got.body, `"code":"UNAUTHORIZED"`) {
		t.Errorf("%d %s", got.status, got.body)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.XrayAsStatus = true })
	got = send(t, s, ask{path: "/v2/docker-local/app/manifests/1", who: alice})
	if !strings.Contains(refused(t, got), "download blocking policy configured in Xray") {
		t.Errorf("%s", got.body)
	}
	s.UnblockByXray(d)
	if got := send(t, s, ask{path: "/v2/docker-local/app/manifests/1", who: alice}); got.status != 200 {
		t.Errorf("%d", got.status)
	}
}

// layer returns the digest and the bytes of an image's first layer.
func layer(t *testing.T, img v1.Image) (string, string) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	rc, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	raw, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return d.String(), string(raw)
}

func TestBlobs(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	img := image(t, 1)
	put(t, s, "docker-local", "app", "1", img)
	d, raw := layer(t, img)
	path := "/v2/docker-local/app/blobs/" + d
	if got := send(t, s, ask{path: path, who: alice}); got.status != 200 || got.body != raw {
		t.Errorf("%d, %d bytes", got.status, len(got.body))
	}
	if got := send(t, s, ask{method: "HEAD", path: path, who: alice}); got.header.Get("Content-Length") != fmt.Sprint(len(raw)) {
		t.Errorf("HEAD: %v", got.header)
	}
	got := send(t, s, ask{path: path, who: alice, header: map[string]string{"Range": "bytes=10-63"}})
	if got.status != 206 || got.body != raw[10:64] || got.header.Get("Content-Range") != fmt.Sprintf("bytes 10-63/%d", len(raw)) {
		t.Errorf("range: %d %s", got.status, got.header.Get("Content-Range"))
	}
	if got := send(t, s, ask{path: path, who: alice, header: map[string]string{"Range": "bytes=99999999-"}}); got.status != 416 {
		t.Errorf("range past the end: %d", got.status)
	}
	s.LoseBlob("docker-local", d)
	if got := send(t, s, ask{path: path, who: alice}); got.status != 404 || !strings.Contains(got.body, "BLOB_UNKNOWN") {
		t.Errorf("lost: %d %s", got.status, got.body)
	}
	if got := send(t, s, ask{path: "/v2/docker-local/app/manifests/1", who: alice}); got.status != 200 {
		t.Errorf("its manifest stays: %d", got.status)
	}
}

func TestUploads(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	const base = "/v2/docker-local/up/blobs/uploads/"
	blob := "some layer"
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(blob)))
	post := send(t, s, ask{method: "POST", path: base, who: ci})
	if post.status != 202 || post.header.Get("Range") != "0-0" {
		t.Fatalf("%d %v", post.status, post.header)
	}
	at := post.header.Get("Location")
	patch := send(t, s, ask{method: "PATCH", path: at, who: ci, body: blob[:4], header: map[string]string{"Content-Range": "0-3"}})
	if patch.status != 202 || patch.header.Get("Range") != "0-3" {
		t.Errorf("%d %v", patch.status, patch.header)
	}
	if got := send(t, s, ask{method: "PATCH", path: at, who: ci, body: blob[:4], header: map[string]string{"Content-Range": "0-3"}}); got.status != 416 {
		t.Errorf("a chunk out of order: %d", got.status)
	}
	if got := send(t, s, ask{method: "PUT", path: at + "?digest=sha256:" + strings.Repeat("0", 64), who: ci, body: blob[4:]}); got.status != 400 || !strings.Contains(got.body, "DIGEST_INVALID") {
		t.Errorf("wrong digest: %d %s", got.status, got.body)
	}
	if got := send(t, s, ask{method: "PUT", path: at + "?digest=" + digest, who: ci}); got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := send(t, s, ask{method: "PUT", path: at + "?digest=" + digest, who: ci}); got.status != 404 {
		t.Errorf("an upload that is done: %d", got.status)
	}
	whole := "another"
	digest2 := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(whole)))
	if got := send(t, s, ask{method: "POST", path: base + "?digest=" + digest2, who: ci, body: whole}); got.status != 201 {
		t.Errorf("monolithic: %d", got.status)
	}
	mount := "/v2/docker-local/mounted/blobs/uploads/?mount=" + digest + "&from="
	if got := send(t, s, ask{method: "POST", path: mount + "docker-local/up", who: ci}); got.status != 201 {
		t.Errorf("mount: %d", got.status)
	}
	if got := send(t, s, ask{method: "POST", path: mount + "docker-prod/up", who: ci}); got.status != 202 {
		t.Errorf("mount from what may not be read: %d", got.status)
	}
	if got := send(t, s, ask{method: "POST", path: base, who: alice}); got.status != 403 || !strings.Contains(got.body, "permission to push to the repository") {
		t.Errorf("reader: %d %s", got.status, got.body)
	}
	if got := send(t, s, ask{method: "PUT", path: "/v2/docker-hub/x/manifests/1", who: admin}); got.status != 400 || refused(t, got) != "Unable to upload a manifest to a remote repository." {
		t.Errorf("remote: %d %s", got.status, got.body)
	}
	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":"sha256:` + strings.Repeat("0", 64) + `"},"layers":[]}`
	if got := send(t, s, ask{method: "PUT", path: "/v2/docker-local/up/manifests/1", who: ci, body: manifest}); got.status != 404 || !strings.Contains(got.body, "MANIFEST_BLOB_UNKNOWN") {
		t.Errorf("manifest without its blob: %d %s", got.status, got.body)
	}
	for _, bad := range []string{"", "[]", `{"schemaVersion":1}`, `{"schemaVersion":2,"mediaType":"text/plain"}`} {
		if got := send(t, s, ask{method: "PUT", path: "/v2/docker-local/up/manifests/1", who: ci, body: bad}); got.status != 400 {
			t.Errorf("%q: %d", bad, got.status)
		}
	}
}

// Both manifests under one tag: the one written last is served.
func TestBothManifestsInOneTag(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	idx, err := random.Index(50, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	list := put(t, s, "docker-local", "app", "1", idx)
	one := put(t, s, "docker-local", "app", "1", image(t, 1))
	rows := files(found(t, aql(t, s, alice, `items.find({"repo":"docker-local","path":"app/1",`+tagFiles+`})`)))
	if diff := cmp.Diff([]string{"docker-local:app/1/list.manifest.json", "docker-local:app/1/manifest.json"}, rows); diff != "" {
		t.Error(diff)
	}
	head := func() string {
		return send(t, s, ask{method: "HEAD", path: "/v2/docker-local/app/manifests/1", who: alice}).header.Get("Docker-Content-Digest")
	}
	if got := head(); got != one {
		t.Errorf("serves %s, want the newer %s", got, one)
	}
	if got := s.Tags(); len(got) != 1 || got[0].Digest != one {
		t.Errorf("tags %v", got)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.ListWins = true })
	if got := head(); got != list {
		t.Errorf("serves %s, want the list %s", got, list)
	}
	// An index does not go to who accepts single manifests only, where the server cares.
	s.Change(func(sw *artifactorytest.Switches) { sw.StrictAccept = true })
	got := send(t, s, ask{path: "/v2/docker-local/app/manifests/1", who: alice, header: map[string]string{"Accept": "application/vnd.oci.image.manifest.v1+json"}})
	if got.status != 404 {
		t.Errorf("StrictAccept: %d", got.status)
	}
}

func TestDigestFoldersInTags(t *testing.T) {
	idx, err := random.Index(50, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", idx)
	put(t, s, "docker-hub", "library/app", "1", idx)
	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	hex := m.Manifests[0].Digest.Hex
	for repo, folder := range map[string]string{"docker-local:app": "sha256:" + hex, "docker-hub-cache:library/app": "sha256__" + hex} {
		key, name, _ := strings.Cut(repo, ":")
		got := send(t, s, ask{path: "/artifactory/api/storage/" + key + "/" + name, who: admin})
		if !strings.Contains(got.body, `"/`+folder+`"`) {
			t.Errorf("%s has no folder %s: %s", repo, folder, got.body)
		}
	}
	tags := func() []string {
		got := send(t, s, ask{path: "/v2/docker-local/app/tags/list", who: alice})
		return decode[struct{ Tags []string }](t, got.body).Tags
	}
	if got := tags(); !slices.Equal(got, []string{"1"}) {
		t.Errorf("filtered: %v", got)
	}
	s.Change(func(sw *artifactorytest.Switches) { sw.FilterDigests = false })
	if got := tags(); !slices.Equal(got, []string{"1", "sha256:" + hex}) {
		t.Errorf("not filtered: %v", got)
	}
}

func TestParsingOddPaths(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	for _, path := range []string{
		"/v2/docker-local/", "/v2/docker-local", "/v2//", "/v2/docker-local/UPPER/manifests/1", "/v2/docker-local/a/manifests/",
		"/v2/docker-local/a/manifests/1/2", "/v2/docker-local/a/manifests/sha256:xyz", "/v2/docker-local/a/blobs/sha256:xyz",
		"/v2/docker-local/a/referrers/none", "/artifactory/api/docker/docker-local/v1/x", "/artifactory/api/docker/", "/artifactory/api/",
		"/artifactory/api/storage/", "/artifactory/api/storage/docker-local/../../x", "/artifactory/", "/artifactory/docker-local//x",
		"/event/api/v1/nothing", "/access/api/v1/tokens/x", "/artifactory/api/copy/x?to=y",
	} {
		if got := send(t, s, ask{path: path, who: admin}); got.status >= 500 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}
