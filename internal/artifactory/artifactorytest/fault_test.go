package artifactorytest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		kind        artifactorytest.FaultKind
		status      int
		contentType string
		body        string
	}{
		{artifactorytest.FaultBadGateway, 502, "text/html", "502 Bad Gateway"},
		{artifactorytest.FaultUnavailable, 503, "text/html", "503 Service Temporarily Unavailable"},
		{artifactorytest.FaultStarting, 503, "application/json", `"state": "STARTING"`},
		{artifactorytest.FaultOffline, 503, "text/plain", "Server state is offline"},
		{artifactorytest.FaultMaintenance, 200, "text/html", "Please sign in"},
		{artifactorytest.FaultRedirect, 302, "text/html", ""},
		{artifactorytest.FaultTooMany, 429, "application/json", "Too Many Requests"},
		{artifactorytest.FaultServerError, 500, "", ""},
		{artifactorytest.FaultNotFound, 404, "application/json", "MANIFEST_UNKNOWN"},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			s := start(t, artifactorytest.Options{})
			remove := s.Inject(artifactorytest.Fault{Kind: tt.kind, RetryAfter: "7"})
			got := send(t, s, ask{path: "/artifactory/api/system/ping", who: alice})
			if got.status != tt.status || !strings.HasPrefix(got.header.Get("Content-Type"), tt.contentType) || !strings.Contains(got.body, tt.body) {
				t.Errorf("%d %s %s", got.status, got.header.Get("Content-Type"), got.body)
			}
			if tt.status == 429 && got.header.Get("Retry-After") != "7" {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
			remove()
			if got := send(t, s, ask{path: "/artifactory/api/system/ping", who: alice}); got.status != 200 {
				t.Errorf("after it: %d", got.status)
			}
		})
	}
}

func TestFaultsHitWhatTheyName(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	put(t, s, "docker-local", "app", "1", image(t, 1))
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultBadGateway, Classes: []string{artifactorytest.ClassTags}, Path: "/app/", Times: 2})
	tags := ask{path: "/v2/docker-local/app/tags/list", who: alice}
	for i, want := range []int{502, 502, 200} {
		if got := send(t, s, ask{path: "/v2/docker-local/app/manifests/1", who: alice}); got.status != 200 {
			t.Errorf("another class: %d", got.status)
		}
		if got := send(t, s, tags); got.status != want {
			t.Errorf("request %d: %d, want %d", i, got.status, want)
		}
	}
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultSlow, Delay: 100 * time.Millisecond})
	began := time.Now()
	send(t, s, tags)
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("not slow: %s", took)
	}
	s.ClearFaults()
}

func TestCutAndCorruptBlobs(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	img := image(t, 1)
	put(t, s, "docker-local", "app", "1", img)
	d, raw := layer(t, img)
	blob := ask{path: "/v2/docker-local/app/blobs/" + d, who: alice}
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultCut, Classes: []string{artifactorytest.ClassLayer}, After: 50, Times: 1})
	got, err := try(t.Context(), s, blob)
	if err == nil || got.body != raw[:50] {
		t.Errorf("cut: %v, %d bytes", err, len(got.body))
	}
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultCorrupt, Classes: []string{artifactorytest.ClassLayer}, After: 10, Times: 1})
	got = send(t, s, blob)
	if len(got.body) != len(raw) || got.body == raw || got.body[:10] != raw[:10] || got.body[11:] != raw[11:] {
		t.Error("corrupt: not exactly one byte differs")
	}
	s.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultEOF, Times: 1})
	if _, err := try(t.Context(), s, blob); err == nil {
		t.Error("eof: an answer came")
	}
	if got := send(t, s, blob); got.body != raw {
		t.Error("and then whole again")
	}
}

func TestCounts(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	img := image(t, 2)
	put(t, s, "docker-local", "app", "1", img)
	d, raw := layer(t, img)
	config, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []ask{
		{path: "/artifactory/api/system/ping"},
		{path: "/artifactory/api/system/version"},
		{path: "/artifactory/api/repositories"},
		{path: "/artifactory/api/storage/docker-local"},
		{path: "/v2/"},
		{path: "/v2/token"},
		{path: "/v2/docker-local/_catalog"},
		{path: "/v2/docker-local/app/tags/list"},
		{method: "HEAD", path: "/v2/docker-local/app/manifests/1"},
		{path: "/v2/docker-local/app/manifests/1"},
		{path: "/v2/docker-local/app/blobs/" + config.String()},
		{path: "/v2/docker-local/app/blobs/" + d},
		{path: "/v2/docker-local/app/referrers/" + d},
		{method: "POST", path: "/v2/docker-local/app/blobs/uploads/"},
		aqlAsk("", `items.find({"repo":"x"})`),
	} {
		a.who = admin
		send(t, s, a)
	}
	counts := s.Counts()
	for _, class := range []string{
		artifactorytest.ClassPing, artifactorytest.ClassVersion, artifactorytest.ClassRepositories, artifactorytest.ClassStorage,
		artifactorytest.ClassDocker, artifactorytest.ClassToken, artifactorytest.ClassCatalog, artifactorytest.ClassTags,
		artifactorytest.ClassManifestHead, artifactorytest.ClassManifestGet, artifactorytest.ClassConfig, artifactorytest.ClassLayer,
		artifactorytest.ClassReferrers, artifactorytest.ClassPush, artifactorytest.ClassAQL,
	} {
		if n := counts[class]; n.Requests != 1 || n.Refused != 0 {
			t.Errorf("%s: %+v", class, n)
		}
	}
	if n := counts[artifactorytest.ClassLayer]; n.Out != int64(len(raw)) {
		t.Errorf("layer bytes %d, want %d", n.Out, len(raw))
	}
	if n := counts[artifactorytest.ClassAQL]; n.In != int64(len(`items.find({"repo":"x"})`)) {
		t.Errorf("AQL bytes in %d", n.In)
	}
	send(t, s, ask{path: "/v2/"})
	if n := s.Counts()[artifactorytest.ClassDocker]; n.Requests != 2 || n.Refused != 1 || n.Bare != 1 || n.Peak != 1 || s.Peak() != 1 {
		t.Errorf("without credentials: %+v, peak %d", n, s.Peak())
	}
	s.ResetCounts()
	if len(s.Counts()) != 0 {
		t.Error("not reset")
	}
}
