package artifactorytest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// start runs a simulator with docker-local, docker-hub (remote), docker
// (virtual), and users alice (reads docker-local) and ci (pushes to it).
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
		artifactorytest.Repo{Key: "docker-fed", Class: artifactorytest.Federated, Project: "fed"},
		artifactorytest.Repo{Key: "charts", Type: "oci"},
		artifactorytest.Repo{Key: "npm-local", Type: "npm"},
	)
	if err != nil {
		t.Fatal(err)
	}
	s.AddUser(artifactorytest.User{
		Name: "alice", Password: "wonder", APIKey: "AKCpalice",
		Rules: []artifactorytest.Rule{{Repo: "docker-local"}},
	})
	s.AddUser(artifactorytest.User{
		Name: "ci", Password: "build",
		Rules: []artifactorytest.Rule{{Repo: "docker-local", Rights: artifactorytest.Read | artifactorytest.Deploy | artifactorytest.Delete | artifactorytest.Annotate}},
	})
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

// image is a small image with so many layers.
func image(t *testing.T, layers int64) v1.Image {
	t.Helper()
	img, err := random.Image(200, layers)
	if err != nil {
		t.Fatal(err)
	}
	return img
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

// reply is an answer, read.
type reply struct {
	status int
	header http.Header
	body   string
}

// ask is a request to make; who is "user:secret", a bearer token, or nobody.
type ask struct {
	method string
	path   string
	who    string
	header map[string]string
	body   string
	host   string
}

// send makes one request and follows no redirect.
func send(t *testing.T, s *artifactorytest.Server, a ask) reply {
	t.Helper()
	r, err := try(t.Context(), s, a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func try(ctx context.Context, s *artifactorytest.Server, a ask) (reply, error) {
	if a.method == "" {
		a.method = http.MethodGet
	}
	url := a.path
	if strings.HasPrefix(url, "/") {
		url = s.URL() + url
	}
	req, err := http.NewRequestWithContext(ctx, a.method, url, strings.NewReader(a.body))
	if err != nil {
		return reply{}, err
	}
	if a.host != "" {
		req.Host = a.host
	}
	if name, secret, ok := strings.Cut(a.who, ":"); ok {
		req.SetBasicAuth(name, secret)
	} else if a.who != "" {
		req.Header.Set("Authorization", "Bearer "+a.who)
	}
	for k, v := range a.header {
		req.Header.Set(k, v)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(raw)}, err
}

func decode[T any](t *testing.T, body string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, body)
	}
	return v
}

const (
	admin = artifactorytest.AdminName + ":" + artifactorytest.AdminPassword
	alice = "alice:wonder"
	ci    = "ci:build"
)
