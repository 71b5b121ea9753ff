package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/tallyman-dev/tallyman/client"
	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

// wire stands between a watcher and its server and keeps every byte that the watcher
// sends: lines, headers, bodies as they are, unpacked, and with what is packed in them.
type wire struct {
	url string

	mu    sync.Mutex
	calls []string // "METHOD path"
	sent  bytes.Buffer
	bytes int // of lines, headers and bodies, as sent
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	w := &wire{}
	to, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read what the watcher sends: %v", err)
		}
		w.note(t, r, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(srv.Close)
	w.url = srv.URL
	return w
}

func (w *wire) note(t *testing.T, r *http.Request, body []byte) {
	head, err := httputil.DumpRequest(r, false)
	if err != nil {
		t.Errorf("dump a request: %v", err)
	}
	plain := body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			plain, err = io.ReadAll(zr)
		}
		if err != nil {
			t.Errorf("unpack a body: %v", err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, r.Method+" "+r.URL.Path)
	w.bytes += len(head) + len(body)
	w.sent.Write(head)
	w.sent.Write(body)
	w.sent.Write(plain)
	var rec inventory.LayerRecord
	if json.Unmarshal(plain, &rec) == nil && len(rec.Body) > 1 {
		zr, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer zr.Close()
		inner, err := zr.DecodeAll(rec.Body[1:], nil)
		if err != nil {
			t.Errorf("unpack a layer's record: %v", err)
		}
		w.sent.Write(inner)
	}
}

// take gives what was called since the last time.
func (w *wire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls
}

func (w *wire) weight() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

func (w *wire) everything() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent.String()
}

// Each marker is planted where its name says, and must not leave the watcher.
const (
	markFile       = "MARK-file-7731"
	markScript     = "MARK-script-7732"
	markBinary     = "MARK-binary-7733"
	markEnv        = "MARK-env-7734"
	markSecretEnv  = "MARK-secretenv-7735"
	markArg        = "MARK-buildarg-7736"
	markHistory    = "MARK-history-7737"
	markLabel      = "MARK-label-7738"
	markProvenance = "MARK-provenance-7739"
	markURL        = "MARK-userinfo-7740"
)

func markers() []string {
	return []string{markFile, markScript, markBinary, markEnv, markSecretEnv, markArg, markHistory, markLabel, markProvenance, markURL}
}

// plant puts an index with an image full of markers, and what BuildKit attests of it,
// under docker-local/planted:1.
func plant(t *testing.T, srv *artifactorytest.Server) {
	t.Helper()
	built := ocitest.NewStore()
	program, err := os.ReadFile(must(os.Executable())) // a Go binary: its modules are read
	if err != nil {
		t.Fatal(err)
	}
	layer := ocitest.Gzip(ocitest.Tar(
		ocitest.File("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n# "+markFile+"\n"),
		ocitest.File("etc/app.conf", "password = "+markFile),
		ocitest.File("app/node_modules/left/package.json", `{"name":"left","version":"1.0.0","description":"`+markFile+`","scripts":{"x":"`+markScript+`"}}`),
		ocitest.File("srv/requirements.txt", "requests==2.0.0 # "+markFile+"\n"),
		ocitest.File("var/lib/dpkg/status", "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.9-1\nDescription: "+markFile+"\n\n"),
		ocitest.Exec("usr/bin/tool", string(program)+markBinary),
		ocitest.Exec("usr/bin/run.sh", "#!/bin/sh\necho "+markScript),
	))
	img := built.AddImage("", ocitest.Image{
		Layers: [][]byte{layer},
		Env:    []string{"PATH=/usr/bin", "GREETING=" + markEnv, "DB_PASSWORD=" + markSecretEnv},
		Labels: map[string]string{
			"com.example.deploy-token":          markLabel,
			"com.example.note":                  "signed in with " + markSecretEnv,
			"org.opencontainers.image.source":   "https://ci:" + markURL + "@git.example.com/app",
			"org.opencontainers.image.revision": "abc",
		},
		History: []string{
			"RUN |1 NPM_TOKEN=" + markArg + " VERSION=" + markArg + " /bin/sh -c npm ci # buildkit",
			"!ENV API_SECRET=" + markHistory, "!ARG CRED=" + markArg,
		},
	})
	about := built.AddAttestation(img.Digest, map[string]any{
		"_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v0.2",
		"subject": []any{map[string]any{"name": "app", "digest": map[string]any{"sha256": strings.TrimPrefix(img.Digest, "sha256:")}}},
		"predicate": map[string]any{
			"builder":   map[string]any{"id": "https://ci.example.com/?token=" + markProvenance},
			"materials": []any{map[string]any{"uri": "https://x:" + markURL + "@git.example.com/app", "digest": map[string]any{"sha1": "abc"}}},
			"invocation": map[string]any{
				"configSource": map[string]any{"uri": "https://x:" + markURL + "@git.example.com/app#main", "entryPoint": "Dockerfile"},
				"parameters":   map[string]any{"args": map[string]any{"build-arg:KEY": markArg, "secret": markProvenance}},
				"environment":  map[string]any{"TOKEN": markProvenance},
			},
		},
	})
	carry(t, srv, built, "planted", img.Digest, about.Digest)
	index := built.AddIndex("", img, about)
	m := must(built.Manifest(t.Context(), index.Digest))
	if _, err := srv.PutManifest("docker-local", "planted", "1", m.MediaType, m.Raw); err != nil {
		t.Fatal(err)
	}
}

// carry puts manifests and their blobs into the simulator.
func carry(t *testing.T, srv *artifactorytest.Server, from *ocitest.Store, image string, digests ...string) {
	t.Helper()
	for _, d := range digests {
		m := must(from.Manifest(t.Context(), d))
		for _, blob := range append(m.Layers, m.Config) {
			body := must(from.Blob(t.Context(), blob))
			if _, err := srv.PutBlob("docker-local", image, must(io.ReadAll(body))); err != nil {
				t.Fatal(err)
			}
			body.Close()
		}
		if _, err := srv.PutManifest("docker-local", image, d, m.MediaType, m.Raw); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOnlyMetadataLeaves records every byte that a watcher sends to its server.
func TestOnlyMetadataLeaves(t *testing.T) {
	srv, _ := registryOf(t)
	plant(t, srv)
	push(t, srv, "app", "1")
	s := serveAt(t, newProgram(t), freePort(t))
	w := newWire(t, s.url)
	far := s.farOf(t, s.tokenFile(t, "edge", "--scope", "ingest"))
	far.env["TALLYMAN_SERVER"] = w.url
	shown := filepath.Join(t.TempDir(), "payload.jsonl")
	far.run("", "watch", "--registry", spec(srv), "--all-images", "--once", "--print-payload="+shown).want(t, 0)
	s.wantStates(t, "after it", map[string]string{"planted:1": "analysed", "app:1": "analysed"})
	sent := w.everything()
	for _, mark := range markers() {
		if i := strings.Index(sent, mark); i >= 0 {
			t.Errorf("%s left the watcher: …%s…", mark, sent[max(0, i-200):i+len(mark)])
		}
	}
	if strings.Contains(sent, "hunter2") {
		t.Error("the registry's password left the watcher")
	}
	// The server shows by example what comes.
	reading := must(client.New(s.url, strings.TrimSpace(s.run("", "token", "create", "reading", "--scope", "read").stdout), nil))
	ref := field(s.run("", "images", "--format", "json").stdout, "reference")
	for _, image := range []string{"app", "planted"} {
		p, err := reading.Payload(t.Context(), ref[:strings.LastIndex(ref, "/")+1]+image+":1", "")
		if err != nil {
			t.Fatal(err)
		}
		text := string(must(json.Marshal(p)))
		if !strings.Contains(text, `"openssl"`) || !strings.Contains(text, `"var/lib/dpkg/status"`) || len(p.Layers) != 1 || p.Layers[0].Record == nil || len(p.Image.Chains) != 1 {
			t.Errorf("the example of %s: %.600s", image, text)
		}
		for _, mark := range markers() {
			if strings.Contains(text, mark) {
				t.Errorf("the example of %s holds %s", image, mark)
			}
		}
	}
	// It is not by sending nothing that it keeps them.
	for _, word := range []string{"openssl", "left", "GREETING", "git.example.com/app", "usr/bin/tool"} {
		if !strings.Contains(sent, word) {
			t.Errorf("%q was not sent", word)
		}
	}

	// What is shown is what was sent.
	text, err := os.ReadFile(shown)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var one struct {
			Method, Path string
			Body, Record json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if !strings.Contains(sent, string(one.Body)) {
			t.Errorf("it is shown and was not sent: %.200s", one.Body)
		}
		if strings.HasSuffix(one.Path, "/layers") && !strings.Contains(string(one.Record), "openssl") {
			t.Errorf("the record of a layer is not taken apart: %.300s", one.Record)
		}
		calls[one.Method+" "+one.Path]++
	}
	for _, call := range w.take() {
		if strings.HasPrefix(call, "GET") || strings.HasPrefix(call, "DELETE") {
			continue // no bodies
		}
		if calls[call]--; calls[call] < 0 {
			t.Errorf("%s was sent and is not shown", call)
		}
	}
}

// TestFarIdlePoll: with nothing new, a look costs the registry one query and the server
// one small call.
func TestFarIdlePoll(t *testing.T) {
	srv, _ := registryOf(t)
	push(t, srv, "app", "1")
	s := serveAt(t, newProgram(t), freePort(t))
	w := newWire(t, s.url)
	far := s.farOf(t, s.tokenFile(t, "edge", "--scope", "ingest"))
	far.env["TALLYMAN_SERVER"] = w.url
	watching := far.start(t, "watch", "--registry", spec(srv), "--all-images", "--interval", "1")
	s.eventually(t, "the first pass", map[string]string{"app:1": "analysed"})
	watching.says(t, "Ctrl-C ends it")
	time.Sleep(1500 * time.Millisecond) // what follows the first pass is over
	w.take()
	srv.ResetCounts()
	before := w.weight()
	for deadline := time.Now().Add(30 * time.Second); len(w.seen("POST /api/v1/ingest/edge/integrations/")) < 3; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it does not look: %v", w.take())
		}
	}
	calls, queries := w.take(), srv.Counts()[artifactorytest.ClassAQL].Requests
	for _, call := range calls {
		if !strings.HasSuffix(call, "/looks") {
			t.Errorf("an idle look also asks the server for %s", call)
		}
	}
	if n := int64(len(calls)); queries < n || queries > n+1 {
		t.Errorf("%d looks cost %d queries", n, queries)
	}
	for class, n := range srv.Counts() {
		if class != artifactorytest.ClassAQL && n.Requests > 0 {
			t.Errorf("idle looks asked the registry for %s", class)
		}
	}
	t.Logf("an idle look: %d bytes to the server with line and headers", (w.weight()-before)/len(calls))
}

// seen are the calls with a prefix since the last take.
func (w *wire) seen(prefix string) (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, call := range w.calls {
		if strings.HasPrefix(call, prefix) {
			out = append(out, call)
		}
	}
	return out
}
