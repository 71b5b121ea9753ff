package artifactory_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/tallyman-dev/tallyman/internal/artifactory"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// start runs a simulator: docker-local and docker-prod (local), docker-hub
// (remote), docker (virtual of local and hub), docker-fed (federated), npm-local;
// reader alice may read all of them, guest only docker-local.
func start(t *testing.T, opts artifactorytest.Options, change ...func(*artifactorytest.Switches)) *artifactorytest.Server {
	t.Helper()
	s := artifactorytest.New(opts)
	for _, c := range change {
		s.Change(c)
	}
	err := s.AddRepo(
		artifactorytest.Repo{Key: "docker-local", Description: "ours"},
		artifactorytest.Repo{Key: "docker-prod"},
		artifactorytest.Repo{Key: "docker-hub", Class: artifactorytest.Remote},
		artifactorytest.Repo{Key: "docker", Class: artifactorytest.Virtual, Members: []string{"docker-local", "docker-hub"}},
		artifactorytest.Repo{Key: "docker-fed", Class: artifactorytest.Federated},
		artifactorytest.Repo{Key: "npm-local", Type: "npm"},
	)
	if err != nil {
		t.Fatal(err)
	}
	s.AddUser(artifactorytest.User{
		Name: "alice", Password: "wonder", APIKey: "AKCp8alicealicealicealicealice",
		Rules: []artifactorytest.Rule{
			{Repo: "docker-local"}, {Repo: "docker-prod"}, {Repo: "docker-hub"}, {Repo: "docker-fed"}, {Repo: "npm-local"},
		},
	})
	s.AddUser(artifactorytest.User{Name: "guest", Password: "g", Rules: []artifactorytest.Rule{{Repo: "docker-local"}}})
	if err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// client is alice's, with short waits; change alters its options.
func client(t *testing.T, s *artifactorytest.Server, change ...func(*artifactory.Options)) *artifactory.Client {
	t.Helper()
	o := artifactory.Options{
		URL: s.URL(), Username: "alice", Secret: "wonder", Registry: s.Host(), Backoff: time.Millisecond, Timeout: 5 * time.Second, Proxy: "none",
	}
	for _, c := range change {
		c(&o)
	}
	c, err := artifactory.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func image(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func index(t *testing.T) v1.ImageIndex {
	t.Helper()
	return mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: image(t), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: image(t), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
	)
}

func put(t *testing.T, s *artifactorytest.Server, repo, name, tag string, img artifactorytest.Image) string {
	t.Helper()
	if err := s.PutImage(repo, name, tag, img); err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// selected are the keys as a connection finds them.
func selected(t *testing.T, c *artifactory.Client, keys ...string) []inventory.RepositoryKey {
	t.Helper()
	rs, err := c.Select(t.Context(), keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rs {
		if !r.OK {
			t.Fatalf("%s: %s (%s)", r.Key, r.Error, r.Remedy)
		}
	}
	return rs
}

func tags(t *testing.T, c *artifactory.Client, a artifactory.Ask) artifactory.Listing {
	t.Helper()
	l, err := c.Tags(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// digests are a listing's tags by reference.
func digests(l artifactory.Listing) map[string]string {
	out := map[string]string{}
	for _, s := range l.Tags {
		out[s.Key+"/"+s.Image+":"+s.Tag] = s.Digest
	}
	return out
}

// truth is what is in the given repositories, as the simulator knows it.
func truth(s *artifactorytest.Server, keys ...string) map[string]string {
	out := map[string]string{}
	for _, tag := range s.Tags() {
		if key := strings.TrimSuffix(tag.Repo, "-cache"); slices.Contains(keys, key) {
			out[key+"/"+tag.Image+":"+tag.Tag] = tag.Digest
		}
	}
	return out
}
