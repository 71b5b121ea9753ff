package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// pushApp puts docker-local/team/app:1.0 into a registry: a Debian with one package.
func pushApp(t *testing.T, srv *artifactorytest.Server) {
	t.Helper()
	layer := ocitest.Gzip(ocitest.Tar(
		ocitest.File("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
		ocitest.File("var/lib/dpkg/status", "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.9-1\n\n"),
	))
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.PutImage("docker-local", "team/app", "1.0", img); err != nil {
		t.Fatal(err)
	}
}

// TestReadme runs every command that README shows, in its order, against a simulated
// Artifactory in the place of acme.jfrog.io.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("long: runs the whole program")
	}
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	srv, token := registryOf(t)
	pushApp(t, srv)
	p := newProgram(t)
	p.env["TALLYMAN_LISTEN"] = "127.0.0.1:0"
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan int, 1)
	lines := regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllStringSubmatch(string(b), -1)
	if len(lines) < 8 {
		t.Fatalf("README shows %d commands only", len(lines))
	}
	for _, m := range lines {
		line := m[1]
		switch {
		case line == "go test ./...":
			// This test is a part of it.
		case strings.HasPrefix(line, "go build "):
			args := strings.Fields(strings.Replace(line, "-o tallyman", "-o "+filepath.Join(t.TempDir(), "tallyman"), 1))
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			cmd.Dir = filepath.Join("..", "..")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		case line == "./tallyman serve":
			go func() { served <- p.serveUntil(ctx) }()
			p.settled(t)
		default:
			p.readme(t, line, srv, token)
		}
	}
	stop()
	if code := <-served; code != 0 {
		t.Errorf("serve ended with %d", code)
	}
}

// readme runs one line of README.
func (p *program) readme(t *testing.T, line string, srv *artifactorytest.Server, token string) {
	t.Helper()
	command, _, piped := strings.Cut(line, " < token")
	command = strings.ReplaceAll(command, "https://acme.jfrog.io", srv.URL())
	command = strings.ReplaceAll(command, "acme.jfrog.io/", srv.Host()+"/")
	args := strings.Fields(command)
	if len(args) > 2 && strings.Join(args[:3], " ") == "go run ./cmd/tallyman" {
		args = args[2:]
	}
	stdin := ""
	if piped {
		stdin = token
	}
	p.run(stdin, args[1:]...).want(t, 0)
}

func (p *program) serveUntil(ctx context.Context) int {
	env := func(name string) (string, bool) { v, ok := p.env[name]; return v, ok }
	return run(ctx, []string{"serve"}, env, strings.NewReader(""), &strings.Builder{}, &strings.Builder{})
}

// settled waits until something was seen and nothing waits.
func (p *program) settled(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Minute)
	for time.Now().Before(deadline) {
		var st inventory.Status
		if err := json.Unmarshal([]byte(p.run("", "status", "--format", "json").stdout), &st); err == nil && st.TagsSeen > 0 && st.Waiting == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("nothing was analysed within five minutes: %s", p.run("", "status", "--format", "json").stdout)
}
