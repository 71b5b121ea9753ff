package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	plainregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
	"github.com/tallyman-dev/tallyman/internal/queue"
)

// smallImage is a Debian with one package of the given version.
func smallImage(t *testing.T, version string) v1.Image {
	t.Helper()
	layer := ocitest.Gzip(ocitest.Tar(
		ocitest.File("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
		ocitest.File("var/lib/dpkg/status", "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: "+version+"\n\n"),
	))
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: rootFS(t, img)})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func rootFS(t *testing.T, img v1.Image) v1.RootFS {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return c.RootFS
}

// push puts an image of its own under docker-local/IMAGE:TAG.
func push(t *testing.T, srv *artifactorytest.Server, image, tag string) {
	t.Helper()
	if err := srv.PutImage("docker-local", image, tag, smallImage(t, fmt.Sprintf("3.0.%d-1", time.Now().UnixNano()))); err != nil {
		t.Fatal(err)
	}
}

// spec is the documentation's string for a simulator, with more keys behind it.
func spec(srv *artifactorytest.Server, more ...string) string {
	return strings.Join(append([]string{
		"type=artifactory", "registry=" + srv.Host(), "api=" + srv.URL() + "/artifactory", "repository=docker-local",
	}, more...), ",")
}

// analysed is the state of each tag in the ledger.
func (p *program) states(t *testing.T) map[string]string {
	t.Helper()
	var rows []inventory.TagRow
	r := p.run("", "images", "--format", "json")
	if err := json.Unmarshal([]byte(r.stdout), &rows); err != nil {
		t.Fatalf("%v: %s%s", err, r.stdout, r.stderr)
	}
	out := map[string]string{}
	for _, row := range rows {
		out[row.Image+":"+row.Tag] = row.State
	}
	return out
}

func (p *program) wantStates(t *testing.T, when string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, p.states(t)); diff != "" {
		t.Errorf("%s: %s", when, diff)
	}
}

// eventually waits until the ledger holds just these tags in these states.
func (p *program) eventually(t *testing.T, when string, want map[string]string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if cmp.Equal(want, p.states(t)) {
			return
		}
	}
	p.wantStates(t, when, want)
}

// running is a program that goes on until it is stopped.
type running struct {
	stop func() result
	said func() string
}

// start runs the program until stop is called.
func (p *program) start(t *testing.T, args ...string) running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	errs := &lines{}
	code := make(chan int, 1)
	env := func(name string) (string, bool) { v, ok := p.env[name]; return v, ok }
	go func() { code <- run(ctx, args, env, strings.NewReader(""), &out, errs) }()
	var once sync.Once
	var r result
	stop := func() result {
		once.Do(func() {
			cancel()
			r.code = <-code
			r.stdout, r.stderr = out.String(), errs.String()
		})
		return r
	}
	t.Cleanup(func() { stop() })
	return running{stop, errs.String}
}

// lines is a buffer that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// says waits until the program has said words.
func (r running) says(t *testing.T, words string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if strings.Contains(r.said(), words) {
			return
		}
	}
	t.Fatalf("it never said %q: %s", words, r.said())
}

func TestWatchOnce(t *testing.T) {
	srv, _ := registryOf(t)
	p := newProgram(t)
	p.env["DOCKER_SCOUT_ARTIFACTORY_API_USER"], p.env["DOCKER_SCOUT_ARTIFACTORY_API_PASSWORD"] = "reader", "hunter2"
	push(t, srv, "old", "1")
	once := []string{"watch", "--registry", spec(srv), "--once"}

	p.run("", once...).want(t, 0, "0 tags are followed, 1 are left out")
	p.wantStates(t, "the first start", map[string]string{})
	// Pushed while nothing watches.
	push(t, srv, "new", "1")
	push(t, srv, "old", "2")
	p.run("", once...).want(t, 0, "2 tags are followed, 1 are left out")
	p.wantStates(t, "caught up", map[string]string{"new:1": "analysed", "old:2": "analysed"})
	p.run("", append(once, "--all-images")...).want(t, 0)
	all := map[string]string{"new:1": "analysed", "old:2": "analysed", "old:1": "analysed"}
	p.wantStates(t, "all images", all)
	srv.ResetCounts()
	p.run("", once...).want(t, 0, "3 tags are followed, 0 are left out")
	p.wantStates(t, "what was brought in stays", all)
	if n := srv.Counts()[artifactorytest.ClassManifestGet].Requests; n != 0 {
		t.Errorf("%d manifests were read again", n)
	}

	// An image that lost a layer is its own failure.
	broken := smallImage(t, "0.broken")
	push(t, srv, "fine", "1")
	if err := srv.PutImage("docker-local", "broken", "1", broken); err != nil {
		t.Fatal(err)
	}
	layers, err := broken.Layers()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	srv.LoseBlob("docker-local", digest.String())
	p.run("", once...).want(t, exitIncomplete)
	if got := p.states(t); got["broken:1"] != "failed" || got["fine:1"] != "analysed" {
		t.Errorf("%v", got)
	}
}

func TestWatchRefuses(t *testing.T) {
	srv, token := registryOf(t)
	p := newProgram(t)
	p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = token
	for _, c := range []struct {
		args []string
		says []string
	}{
		{nil, []string{"watch needs --registry"}},
		{[]string{"--registry", "type=artifactory,registry=a.io,repository=r"}, []string{"lacks api"}},
		{[]string{"--registry", "type=harbor,registry=a.io"}, []string{"type=harbor is not supported", "type=oci"}},
		{[]string{"--registry", spec(srv), "--registry", spec(srv)}, []string{"twice"}},
		{[]string{"--registry", spec(srv), "--interval", "never"}, []string{"--interval", "never"}},
		{[]string{"--registry", spec(srv), "--tag", "("}, []string{"regular expression"}},
		{[]string{"--registry", spec(srv, `include="[a"`), "--once"}, []string{"no pattern"}},
		{[]string{"--registry", spec(srv), "--server", "https://tally.example"}, []string{"no token for https://tally.example", "--scope ingest"}},
		{[]string{"--registry", spec(srv), "--print-payload"}, []string{"there is no --server"}},
		{[]string{"--registry", strings.Replace(spec(srv), "docker-local", "docker-locl", 1), "--once"}, []string{"repository access failed for: docker-locl"}},
	} {
		p.run("", append([]string{"watch"}, c.args...)...).want(t, exitError, c.says...)
	}
	p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = "wrong"
	p.run("", "watch", "--registry", spec(srv)).want(t, exitError, "authentication failed: invalid credentials or insufficient permissions")
}

// TestWatchAccepts: every flag of the command it replaces, and what is said about
// those that mean nothing here.
func TestWatchAccepts(t *testing.T) {
	srv, token := registryOf(t)
	push(t, srv, "app", "v1")
	push(t, srv, "app", "dev")
	p := newProgram(t)
	p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = token
	p.run("", "watch", "--registry", spec(srv, "subdomain-mode=false"), "--repository", "other", "--all-images", "--interval", "30", "--org", "acme",
		"--refresh-registry", "--sbom=false", "--tag", "^v", "--workers", "2", "--once").
		want(t, 0, "--repository is not", "--org acme is only a label", "--sbom=false changes nothing")
	p.wantStates(t, "by tag", map[string]string{"app:v1": "analysed"})
}

func TestWatchDryRun(t *testing.T) {
	srv, token := registryOf(t)
	for _, image := range []string{"web/frontend-a", "web/backend", "dta/frontend", "x/dta/frontend"} {
		push(t, srv, image, "1")
	}
	p := newProgram(t)
	p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = token
	args := []string{"watch", "--registry", spec(srv, "include=*/frontend*", "exclude=*/dta/*", "port=9000", "subdomain-mode=true"), "--dry-run"}
	r := p.run("", append(args, "--all-images")...)
	r.want(t, 0, "warning: port 9000 stays closed")
	for _, want := range []string{
		`index  docker-local/web/frontend-a  1 +include \*/frontend\*`, `leave  docker-local/web/backend +1 +no include matches`,
		`leave  docker-local/dta/frontend +1 +exclude \*/dta/\*`, "1 of 4 tags would be indexed; nothing was done",
	} {
		if !regexp.MustCompile(want).MatchString(r.stdout) {
			t.Errorf("stdout lacks %s:\n%s", want, r.stdout)
		}
	}
	if r = p.run("", args...); !strings.Contains(r.stdout, "there before watching began") || !strings.Contains(r.stdout, "0 of 4") {
		t.Errorf("without --all-images: %s", r.stdout)
	}
	if r = p.run("", "integration", "list", "--format", "json"); r.stdout != "[]\n" {
		t.Errorf("it left something behind: %s", r.stdout)
	}
}

func TestWatchHooks(t *testing.T) {
	for _, sign := range []bool{false, true} {
		t.Run(fmt.Sprintf("signed %v", sign), func(t *testing.T) {
			srv, token := registryOf(t)
			srv.Change(func(s *artifactorytest.Switches) { s.PrivateTargets = true })
			p := newProgram(t)
			p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"], p.env["TALLYMAN_ARTIFACTORY_WEBHOOK_SECRET"] = token, "s3cret-of-the-hook"
			port := freePort(t)
			w := p.start(t, "watch", "--registry", spec(srv, "port="+port), "--interval", "3600", "--refresh-registry")
			w.says(t, "Ctrl-C ends it")
			for method, want := range map[string]int{http.MethodGet: http.StatusMethodNotAllowed, http.MethodPost: http.StatusUnauthorized} {
				if got := answer(t, method, "http://127.0.0.1:"+port+"/any/path"); got != want {
					t.Errorf("%s is answered with %d, want %d", method, got, want)
				}
			}
			if err := srv.Subscribe(artifactorytest.DockerWebhook("tallyman", "http://127.0.0.1:"+port+"/what/ever", "s3cret-of-the-hook", sign)); err != nil {
				t.Fatal(err)
			}
			push(t, srv, "app", "1")
			p.eventually(t, "a webhook came", map[string]string{"app:1": "analysed"})
			if r := w.stop(); r.code != 0 {
				t.Errorf("it ended with %d: %s", r.code, r.stderr)
			}
		})
	}
}

// answer is the status of a request without a body that means anything.
func answer(t *testing.T, method, url string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestWatchPolls: without a secret the port stays closed and looking goes on; an
// outage is waited for; a second watch of the directory is refused.
func TestWatchPolls(t *testing.T) {
	srv, token := registryOf(t)
	p := newProgram(t)
	p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = token
	port := freePort(t)
	args := []string{"watch", "--registry", spec(srv, "port="+port), "--interval", "1", "--refresh-registry"}
	w := p.start(t, args...)
	w.says(t, "Ctrl-C ends it")
	if n := strings.Count(w.said(), "warning: port "+port+" stays closed"); n != 1 {
		t.Errorf("%d warnings: %s", n, w.said())
	}
	if c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("the port is open")
	}
	p.run("", args...).want(t, exitError, "already works on the data directory")
	push(t, srv, "app", "1")
	p.eventually(t, "polled", map[string]string{"app:1": "analysed"})
	srv.DeleteTag("docker-local", "app", "1")
	p.run("", "integration", "disconnect", p.onlyName(t)).want(t, 0)
	w.says(t, "nothing is left to watch")
}

// onlyName is the name of the one integration there is.
func (p *program) onlyName(t *testing.T) string {
	t.Helper()
	var list []inventory.Integration
	if err := json.Unmarshal([]byte(p.run("", "integration", "list", "--format", "json").stdout), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %d integrations", err, len(list))
	}
	return list[0].Name
}

func TestWatchPlainRegistry(t *testing.T) {
	srv := httptest.NewServer(plainregistry.New(plainregistry.Logger(quiet())))
	t.Cleanup(srv.Close)
	host := strings.TrimPrefix(srv.URL, "http://")
	for _, image := range []string{"team/app", "team/other"} {
		ref, err := name.ParseReference(host+"/"+image+":1", name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, smallImage(t, "3.0.9-1")); err != nil {
			t.Fatal(err)
		}
	}
	p := newProgram(t)
	p.run("", "watch", "--registry", srv.URL, "--repository", "team/app", "--all-images", "--once").want(t, 0)
	p.wantStates(t, "one repository", map[string]string{"team/app:1": "analysed"})
	p = newProgram(t)
	p.run("", "watch", "--registry", "type=oci,registry="+srv.URL, "--once").want(t, 0, "0 tags are followed, 2 are left out")
	p.run("", "watch", "--registry", "type=oci,registry="+srv.URL, "--once", "--all-images").want(t, 0)
	p.wantStates(t, "all", map[string]string{"team/app:1": "analysed", "team/other:1": "analysed"})
}

// TestWatchWorksOnlyItsOwn: other integrations of the store are not looked at.
func TestWatchWorksOnlyItsOwn(t *testing.T) {
	mine, token := registryOf(t)
	other, otherToken := registryOf(t)
	push(t, mine, "app", "1")
	push(t, other, "foreign", "1")
	p := newProgram(t)
	p.run(otherToken, "integration", "add", "other", "--url", other.URL(), "--secret-stdin").want(t, 0)
	other.ResetCounts()
	p.env["TALLYMAN_ARTIFACTORY_API_PASSWORD"] = token
	p.run("", "watch", "--registry", spec(mine), "--all-images", "--once").want(t, 0)
	p.wantStates(t, "only its own", map[string]string{"app:1": "analysed"})
	if n := other.Counts(); len(n) != 0 {
		t.Errorf("the other registry was asked: %v", n)
	}
}

func TestWatchLocked(t *testing.T) {
	srv, _ := registryOf(t)
	p := newProgram(t)
	release, err := queue.Lock(p.env["TALLYMAN_DATA"])
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	p.run("", "watch", "--registry", spec(srv)).want(t, exitError, p.env["TALLYMAN_DATA"])
}
