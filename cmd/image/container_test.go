package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

// runner runs the image: podman with whatever runtime works here.
type runner struct {
	t    *testing.T
	args []string
}

// newRunner loads the image, or skips where no container can be run.
func newRunner(t *testing.T, archive string) runner {
	t.Helper()
	if _, err := exec.LookPath("podman"); err != nil || runtime.GOOS != "linux" || os.Getuid() != 0 {
		lacking(t, "needs podman and runc (apt-get install podman runc), and root to give the mounted directory to the image's user")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "podman", "load", "-q", "-i", archive).CombinedOutput(); err != nil {
		lacking(t, fmt.Sprintf("podman cannot load images here: %v: %s", err, out))
	}
	t.Cleanup(func() {
		rmi := exec.CommandContext(context.WithoutCancel(t.Context()), "podman", "rmi", "-f", "localhost/tallyman:v0", "localhost/tallyman:v0.0.0-test")
		if out, err := rmi.CombinedOutput(); err != nil {
			t.Logf("the image stays in podman's store: %v: %s", err, out)
		}
	})
	var tried []string
	for _, before := range [][]string{{"podman"}, {"podman", "--runtime", "runc", "--cgroup-manager=cgroupfs"}, {"podman", "--runtime", "crun", "--cgroup-manager=cgroupfs"}} {
		r := runner{t, append(before, "run", "--rm", "--network=host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")}
		code, out := r.run(nil, "version")
		if code == 0 && strings.HasPrefix(out, "tallyman ") {
			return r
		}
		tried = append(tried, out)
	}
	lacking(t, "no container can be run here: "+strings.Join(tried, "; "))
	return runner{}
}

// lacking skips a test that this machine cannot run; in CI, where everything is
// installed, it fails it.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// run runs the image with arguments of podman before its name and of the image behind it.
func (r runner) run(podman []string, args ...string) (int, string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Minute)
	defer cancel()
	all := append(append(append([]string{}, r.args...), podman...), "localhost/tallyman:v0")
	all = append(all, args...)
	cmd := exec.CommandContext(ctx, all[0], all[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		r.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestContainer builds the image as `make image` does and runs it as the old agent's
// image was run.
func TestContainer(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the whole program")
	}
	if _, err := exec.LookPath("podman"); err != nil {
		lacking(t, "needs podman: apt-get install podman runc")
	}
	t.Chdir(filepath.Join("..", ".."))
	out := t.TempDir()
	const roots = "/etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat(roots); err != nil {
		lacking(t, "this machine has no certificate authorities to put in: apt-get install ca-certificates")
	}
	if err := run(t.Context(), options{out: out, roots: roots, arch: runtime.GOARCH, version: "v0.0.0-test"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, filepath.Join(out, "tallyman-image.tar"))
	srv := artifactorytest.New(artifactorytest.Options{})
	if err := srv.AddRepo(artifactorytest.Repo{Key: "docker-local"}); err != nil {
		t.Fatal(err)
	}
	srv.AddUser(artifactorytest.User{Name: "reader", Password: "hunter2", Rules: []artifactorytest.Rule{{Repo: "docker-local"}}})
	if err := srv.Start(""); err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.PutImage("docker-local", "app", "1", img); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	config := filepath.Join(data, "config.json")
	text := fmt.Sprintf(`{"agent_id":"a","artifactory":[{"base_url":%q,"username":"reader","password":"hunter2"}]}`, srv.URL())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.refusals(data, config)
	r.backfills(data, srv)
}

// refusals: what the image's user may not do is named with uid, path and remedy.
func (r runner) refusals(data, config string) {
	r.t.Helper()
	mount := []string{"--mount", "type=bind,src=" + data + ",target=/opt/artifactory-agent/data"}
	refused := func(what string, words ...string) {
		r.t.Helper()
		code, out := r.run(mount)
		for _, w := range append(words, "uid 65532", "/opt/artifactory-agent/data/", "chown 65532") {
			if code != 1 || !strings.Contains(out, w) {
				r.t.Errorf("%s: exit code %d, and it lacks %q: %s", what, code, w, out)
			}
		}
	}
	for _, path := range []string{data, filepath.Dir(data)} {
		if err := os.Chmod(path, 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	refused("unreadable configuration", "config.json")
	if err := os.Chown(config, userID, userID); err != nil {
		r.t.Fatal(err)
	}
	refused("unwritable state", "data/tallyman")
	if err := os.Chown(data, userID, userID); err != nil {
		r.t.Fatal(err)
	}
}

// backfills: two in a row, and the second finds what the first did.
func (r runner) backfills(data string, srv *artifactorytest.Server) {
	r.t.Helper()
	mount := []string{"--mount", "type=bind,src=" + data + ",target=/opt/artifactory-agent/data"}
	for n, queued := range []string{"1 images to analyse", "0 images to analyse"} {
		srv.ResetCounts()
		code, out := r.run(mount, "--backfill-from=2022-04-10T10:00:00Z")
		if code != 0 || !strings.Contains(out, queued) {
			r.t.Errorf("backfill %d: exit code %d: %s", n+1, code, out)
		}
		if reads := srv.Counts()[artifactorytest.ClassManifestGet].Requests; (reads == 0) != (n == 1) {
			r.t.Errorf("backfill %d read %d manifests", n+1, reads)
		}
	}
	if code, out := r.run(mount, "images", "--format", "json"); code != 0 || !strings.Contains(out, `"state":"analysed"`) {
		r.t.Errorf("images: exit code %d: %s", code, out)
	}
}
