package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/demo"
)

// farCrashes is how often each side is killed.
const farCrashes = 6

// traffic counts what a watcher sends to its server.
type traffic struct {
	calls, sent, plain, answered atomic.Int64
	secrets                      atomic.Int64
}

// between stands between a watcher and a server.
func (n *traffic) between(t *testing.T, server string) string {
	t.Helper()
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read what the watcher sends: %v", err)
		}
		plain := body
		if zr, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			if plain, err = io.ReadAll(zr); err != nil {
				t.Errorf("unpack what the watcher sends: %v", err)
			}
		}
		n.calls.Add(1)
		n.sent.Add(int64(len(body)))
		n.plain.Add(int64(len(plain)))
		if bytes.Contains(plain, []byte(demo.FakeSecret)) {
			n.secrets.Add(1)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(&weighed{w, &n.answered}, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

type weighed struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w *weighed) Write(b []byte) (int, error) {
	w.n.Add(int64(len(b)))
	return w.ResponseWriter.Write(b)
}

// far is a program that watches the demo's fleet for a server.
type far struct {
	program
	args []string
	env  []string
}

func newFar(ctx context.Context, t *testing.T, home program, server, registry string) far {
	t.Helper()
	token := filepath.Join(t.TempDir(), "token")
	secret := home.do(ctx, t, "", "token", "create", "edge", "--scope", "ingest")
	if err := os.WriteFile(token, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, k := range demo.Keys() {
		keys = append(keys, k.Name)
	}
	u, err := url.Parse(registry)
	if err != nil {
		t.Fatal(err)
	}
	return far{
		program: program{path: home.path, data: t.TempDir()},
		args: []string{
			"watch", "--registry", `type=artifactory,registry=` + u.Host + `,api=` + registry + `/artifactory,"repository=` + strings.Join(keys, ",") + `"`,
			"--all-images", "--interval", "1", "--server", server, "--token-file", token,
		},
		env: []string{"TALLYMAN_ARTIFACTORY_API_USER=" + reader, "TALLYMAN_ARTIFACTORY_API_PASSWORD=" + readerPassword},
	}
}

func (f far) watch(t *testing.T) *serving {
	t.Helper()
	return f.start(t, f.env, f.args...)
}

// TestFarCrashes kills a watcher and its server again and again while the demo's fleet
// is indexed. What the server ends with must be what one that watches itself ends with.
func TestFarCrashes(t *testing.T) {
	if testing.Short() {
		t.Skip("long: starts the program a dozen times")
	}
	ctx := t.Context()
	path := built(t)
	server, target := simulator(t, demo.Keys()...)
	fleet, err := demo.New(demo.Options{Executable: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.Push(ctx, target); err != nil {
		t.Fatal(err)
	}
	tags, err := fleet.Tags()
	if err != nil {
		t.Fatal(err)
	}
	advisories := t.TempDir() + "/advisories"
	if err := demo.WriteAdvisories(advisories); err != nil {
		t.Fatal(err)
	}
	near := prepared(ctx, t, path, server, advisories)
	alone := near.serve(t)
	near.settled(ctx, t, alone, len(tags))
	alone.stop(t)
	want := near.outcome(ctx, t)

	// An undisturbed watcher, measured.
	home := program{path: path, data: t.TempDir()}
	home.do(ctx, t, "", "advisories", "import", advisories)
	addr := freeAddress(t)
	serving := home.serveAt(t, addr)
	serving.ready(t)
	var wire traffic
	server.ResetCounts()
	watcher := newFar(ctx, t, home, wire.between(t, "http://"+addr), server.URL())
	watching := watcher.watch(t)
	home.settled(ctx, t, serving, len(tags))
	watching.stop(t)
	layers := server.Counts()[artifactorytest.ClassLayer]
	t.Logf("%d tags, %d layers of %d bytes: %d calls, %d bytes sent (%d unpacked), %d bytes answered",
		len(tags), layers.Requests, layers.Out, wire.calls.Load(), wire.sent.Load(), wire.plain.Load(), wire.answered.Load())
	serving.stop(t)
	if diff := cmp.Diff(want, home.farOutcome(ctx, t)); diff != "" {
		t.Errorf("a far watcher ended differently (-near +far):\n%s", diff)
	}
	if n := wire.secrets.Load(); n > 0 {
		t.Errorf("%d calls held a secret of an image", n)
	}
	forgets(t, home.data, demo.FakeSecret)
	forgets(t, home.data, readerPassword)
	forgets(t, watcher.data, readerPassword)

	shaken := program{path: path, data: t.TempDir()}
	shaken.do(ctx, t, "", "advisories", "import", advisories)
	shake(ctx, t, shaken, server, len(tags))
	if diff := cmp.Diff(want, shaken.farOutcome(ctx, t)); diff != "" {
		t.Errorf("the run with crashes ended differently (-calm +shaken):\n%s", diff)
	}
}

// shake indexes the fleet from afar while now one side and now the other is killed.
func shake(ctx context.Context, t *testing.T, home program, server *artifactorytest.Server, tags int) {
	t.Helper()
	server.Inject(artifactorytest.Fault{Kind: artifactorytest.FaultSlow, Classes: []string{"blob", "config"}, Delay: 200 * time.Millisecond})
	addr := freeAddress(t)
	serving := home.serveAt(t, addr)
	serving.ready(t)
	watcher := newFar(ctx, t, home, "http://"+addr, server.URL())
	watching := watcher.watch(t)
	home.listed(ctx, t, tags)
	random := rand.New(rand.NewPCG(seed, 1))
	hits := 0
	for i := range 2 * farCrashes {
		after := time.Duration(random.Int64N(int64(700 * time.Millisecond)))
		time.Sleep(after)
		side := "watcher"
		if i%2 == 0 {
			watching.kill(t)
			watching = watcher.watch(t)
		} else {
			side = "server"
			serving.kill(t)
			time.Sleep(time.Duration(random.Int64N(int64(500 * time.Millisecond))))
			serving = home.serveAt(t, addr)
			serving.ready(t)
		}
		status := home.status(ctx, t)
		t.Logf("%s killed after %s: %d waiting", side, after.Round(time.Millisecond), status.Waiting)
		if status.Waiting > 0 {
			hits++
		}
	}
	if hits < farCrashes {
		t.Errorf("only %d of %d crashes hit the indexing", hits, 2*farCrashes)
	}
	server.ClearFaults()
	home.settled(ctx, t, serving, tags)
	watching.stop(t)
	serving.stop(t)
}

// farOutcome is outcome with the integration called as the near one is.
func (p program) farOutcome(ctx context.Context, t *testing.T) outcome {
	t.Helper()
	o := p.outcome(ctx, t)
	for i := range o.Images {
		o.Images[i].Integration = "lab"
	}
	return o
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
