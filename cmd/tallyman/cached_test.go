package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// TestRemoteIsNeverFilled watches a remote whose user may fill its cache: what is
// cached is indexed, the rest is told as not cached, and the upstream is never asked.
// What others pull later is indexed then.
func TestRemoteIsNeverFilled(t *testing.T) {
	for _, key := range []string{"docker-hub", "docker"} {
		t.Run(key, func(t *testing.T) {
			srv, _ := registryOf(t)
			if err := srv.AddRepo(
				artifactorytest.Repo{Key: "docker-hub", Class: artifactorytest.Remote},
				artifactorytest.Repo{Key: "docker", Class: artifactorytest.Virtual, Members: []string{"docker-local", "docker-hub"}},
			); err != nil {
				t.Fatal(err)
			}
			srv.Grant("reader", artifactorytest.Rule{Repo: "docker-hub", Rights: artifactorytest.Read | artifactorytest.Deploy})
			one, two := smallImage(t, "3.0.1-1"), smallImage(t, "3.0.2-1")
			both := mutate.AppendManifests(empty.Index,
				mutate.IndexAddendum{Add: one, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
				mutate.IndexAddendum{Add: two, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
			for tag, img := range map[string]artifactorytest.Image{"single": smallImage(t, "3.0.3-1"), "multi": both} {
				if err := srv.PutUpstream("docker-hub", "library/app", tag, img); err != nil {
					t.Fatal(err)
				}
			}
			whole := smallImage(t, "3.0.4-1")
			if err := srv.PutImage("docker-hub", "library/app", "whole", whole); err != nil {
				t.Fatal(err)
			}
			base := srv.URL() + "/artifactory/api/docker/docker-hub/v2/library/app"
			for _, ref := range []string{"single", "multi"} {
				pull(t, base+"/manifests/"+ref)
			}

			p := newProgram(t)
			p.env["TALLYMAN_ARTIFACTORY_API_USER"], p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = "reader", "hunter2"
			args := []string{"watch", "--registry", strings.Replace(spec(srv), "repository=docker-local", "repository="+key, 1), "--all-images", "--once"}
			srv.ResetCounts()
			p.run("", args...).want(t, 0)
			p.wantStates(t, "only manifests are cached", map[string]string{
				"library/app:whole": "analysed", "library/app:single": "unsupported", "library/app:multi": "unsupported",
			})
			if out := p.run("", "status", "--format", "json").stdout; !strings.Contains(out, "not cached: ") {
				t.Errorf("status does not say why: %s", out)
			}

			digest, err := one.Digest()
			if err != nil {
				t.Fatal(err)
			}
			pull(t, base+"/manifests/"+digest.String())
			pullBlobs(t, base, one)
			if n := srv.Counts()[artifactorytest.ClassUpstream].Requests; n != 3 {
				t.Errorf("%d requests to the upstream, 3 of them are somebody else's", n)
			}
			p.run("", args...).want(t, 0)
			if n := srv.Counts()[artifactorytest.ClassUpstream].Requests; n != 3 {
				t.Errorf("%d requests to the upstream", n)
			}
			digest, err = two.Digest()
			if err != nil {
				t.Fatal(err)
			}
			pull(t, base+"/manifests/"+digest.String())
			pullBlobs(t, base, two)
			p.run("", args...).want(t, 0)
			p.wantStates(t, "both are cached", map[string]string{
				"library/app:whole": "analysed", "library/app:single": "unsupported", "library/app:multi": "analysed",
			})
		})
	}
}

// pull is what somebody else pulls.
func pull(t *testing.T, address string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("reader", "hunter2")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s %v", address, resp.Status, b, err)
	}
}

func pullBlobs(t *testing.T, base string, img v1.Image) {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range append(m.Layers, m.Config) {
		pull(t, base+"/blobs/"+d.Digest.String())
	}
}
