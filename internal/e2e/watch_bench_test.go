package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/store/storetest"
)

// Both benchmarks run the program as a process of its own against a simulator in the
// test's process: make bench-watch. What they measured is in docs/sizing.md.

const (
	coldImages, coldTags = 1000, 100 // of each image
	benchPushes          = 200
	idleFor              = 65 * time.Second // a poll is in it
)

// BenchmarkWatchCold connects to a registry of 100,000 tags, each with a digest of its
// own, and waits until the ledger has all of them.
func BenchmarkWatchCold(b *testing.B) {
	ctx := b.Context()
	server, _ := simulator(b, demo.Key{Name: "docker-local", PackageType: "docker"})
	img, err := random.Image(1024, 1)
	if err != nil {
		b.Fatal(err)
	}
	if err := server.FillTags(artifactorytest.Fill{
		Repo: "docker-local", Prefix: "app", Images: coldImages, Tags: coldTags, From: img, Distinct: true,
	}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p := program{path: built(b), data: b.TempDir()}
		server.ResetCounts()
		began := time.Now()
		watch := p.start(b, []string{"TALLYMAN_ARTIFACTORY_API_USER=" + reader, "TALLYMAN_ARTIFACTORY_API_PASSWORD=" + readerPassword},
			"watch", "--all-images", "--registry",
			"type=artifactory,registry="+server.Host()+",api="+server.URL()+"/artifactory,repository=docker-local")
		for p.status(ctx, b).TagsSeen < coldImages*coldTags {
			if time.Since(began) > 10*time.Minute {
				b.Fatalf("not all are there after ten minutes: %s", watch.log)
			}
			time.Sleep(2 * time.Second)
		}
		took := time.Since(began)
		b.ReportMetric(took.Seconds(), "s/100k-tags")
		b.ReportMetric(watch.peak(b), "MiB-peak")
		b.ReportMetric(float64(server.Counts()[artifactorytest.ClassAQL].Requests), "queries")
		watch.stop(b)
	}
}

// BenchmarkWatchPush measures the time from a push to an analysed image in the ledger,
// by webhook, and what the idle program costs.
func BenchmarkWatchPush(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) { benchPush(b, func(testing.TB) string { return "" }) })
	b.Run("PostgreSQL", func(b *testing.B) { benchPush(b, storetest.Postgres) })
}

func benchPush(b *testing.B, database func(testing.TB) string) {
	ctx := b.Context()
	server, _ := simulator(b, demo.Key{Name: "docker-local", PackageType: "docker"})
	s := benchSource{b: b, server: server}
	s.push("base", "1", 0)
	for b.Loop() {
		p := program{path: built(b), data: b.TempDir(), database: database(b)}
		p.connect(ctx, b, server.URL(), "docker-local")
		const secret = "a-secret-that-is-long-enough-to-be-one"
		p.do(ctx, b, secret, "integration", "update", "lab", "--webhook-secret-stdin")
		serving := p.serve(b)
		serving.ready(b)
		api := benchAPI{b: b, base: serving.address(b), token: p.token(ctx, b)}
		if err := server.Subscribe(artifactorytest.DockerWebhook("tallyman", api.base+"/hooks/artifactory/lab", secret, true)); err != nil {
			b.Fatal(err)
		}
		api.await(ctx, "base", "1")
		time.Sleep(3 * time.Second) // what follows a start is over
		before, idle := serving.processor(b), time.Now()
		time.Sleep(idleFor)
		b.ReportMetric(100*(serving.processor(b)-before).Seconds()/time.Since(idle).Seconds(), "%-of-a-core-idle")

		var took []time.Duration
		for i := range benchPushes {
			image := fmt.Sprintf("team/app-%d", i%20)
			tag := fmt.Sprint("v", i)
			s.push(image, tag, i+1)
			pushed := time.Now()
			api.await(ctx, image, tag)
			took = append(took, time.Since(pushed))
		}
		slices.Sort(took)
		at := func(p int) float64 { return float64(took[len(took)*p/100].Microseconds()) / 1000 }
		b.ReportMetric(at(50), "ms-p50")
		b.ReportMetric(at(95), "ms-p95")
		b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms-max")
		b.ReportMetric(serving.peak(b), "MiB-peak")
		serving.stop(b)
		server.Unsubscribe("tallyman")
	}
}

// benchSource makes images of one Debian layer that all share, and one small layer of
// their own.
type benchSource struct {
	b      *testing.B
	server *artifactorytest.Server
}

func (s benchSource) push(image, tag string, n int) {
	s.b.Helper()
	raw := s.manifest(image, n)
	if _, err := s.server.PutManifest("docker-local", image, tag, "application/vnd.oci.image.manifest.v1+json", raw); err != nil {
		s.b.Fatal(err)
	}
}

func (s benchSource) manifest(image string, n int) []byte {
	s.b.Helper()
	var status strings.Builder
	for i := range 96 {
		fmt.Fprintf(&status, "Package: package-%d\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.%d-1\n\n", i, i)
	}
	var layers, diffs []any
	for _, files := range []map[string]string{
		{"etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n", "var/lib/dpkg/status": status.String()},
		{fmt.Sprintf("app/node_modules/own-%d/package.json", n): fmt.Sprintf(`{"name":"own-%d","version":"1.0.%d"}`, n, n)},
	} {
		packed, diff := layer(s.b, files)
		digest, err := s.server.PutBlob("docker-local", image, packed)
		if err != nil {
			s.b.Fatal(err)
		}
		layers = append(layers, map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": len(packed)})
		diffs = append(diffs, diff)
	}
	config := encode(s.b, map[string]any{"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}})
	digest, err := s.server.PutBlob("docker-local", image, config)
	if err != nil {
		s.b.Fatal(err)
	}
	return encode(s.b, map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers,
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(config)},
	})
}

// layer packs files and returns the diff ID too.
func layer(b *testing.B, files map[string]string) (packed []byte, diff string) {
	b.Helper()
	var plain, out bytes.Buffer
	tw := tar.NewWriter(&plain)
	for name, body := range files {
		if err := tw.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}); err != nil {
			b.Fatal(err)
		}
		if _, err := tw.Write([]byte(body)); err != nil {
			b.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256(plain.Bytes())
	zw := gzip.NewWriter(&out)
	if _, err := zw.Write(plain.Bytes()); err != nil {
		b.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		b.Fatal(err)
	}
	return out.Bytes(), "sha256:" + hex.EncodeToString(sum[:])
}

func encode(b *testing.B, v any) []byte {
	b.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

// benchAPI asks a running server.
type benchAPI struct {
	b           *testing.B
	base, token string
}

func (a benchAPI) get(ctx context.Context, path string, into any) {
	a.b.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		a.b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		a.b.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		a.b.Fatalf("%s: %s %v", path, resp.Status, err)
	}
}

// await waits until a tag is analysed.
func (a benchAPI) await(ctx context.Context, image, tag string) {
	a.b.Helper()
	q := url.Values{"integration": {"lab"}, "repository": {"docker-local"}, "image": {image}, "name": {tag}, "state": {"analysed"}}
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(10 * time.Millisecond) {
		var page inventory.TagPage
		a.get(ctx, "/api/v1/images?"+q.Encode(), &page)
		if slices.ContainsFunc(page.Rows, func(r inventory.TagRow) bool { return r.Tag == tag }) {
			return
		}
	}
	a.b.Fatalf("%s:%s is not analysed after a minute", image, tag)
}

func (p program) token(ctx context.Context, t testing.TB) string {
	t.Helper()
	return strings.TrimSpace(string(p.do(ctx, t, "", "token", "create", "bench", "--scope", "read")))
}

var servesAt = regexp.MustCompile(`tallyman serves (http://[^\s/]+)`)

// address is where the server listens.
func (s *serving) address(t testing.TB) string {
	t.Helper()
	m := servesAt.FindStringSubmatch(s.log.String())
	if m == nil {
		t.Fatalf("it does not say where it listens: %s", s.log)
	}
	return m[1]
}

// peak is the most memory that the process had resident, in MiB.
func (s *serving) peak(t testing.TB) float64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest + " ?")[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib / 1024
}

// processor is the time that the process spent computing, for itself and in the kernel.
func (s *serving) processor(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const perSecond = 100 // what Linux tells programs
	sum := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / perSecond
}
