package e2e

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// TestDistribution watches a real registry of the CNCF's distribution, which Debian
// packages: what is pushed, moved and deleted there is found, an image for two machines
// among it.
func TestDistribution(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	host := distribution(t)
	p := program{path: built(t), data: t.TempDir()}

	one := plainImage(t, "amd64")
	put(ctx, t, host+"/team/app:1", one)
	both := mutate.AppendManifests(empty.Index, platformed(t, "amd64"), platformed(t, "arm64"))
	ref := tagOf(t, host+"/both:1")
	if err := remote.WriteIndex(ref, both, remote.WithContext(ctx)); err != nil {
		t.Fatal(err)
	}
	p.do(ctx, t, "", "integration", "test", "--type", "oci", "--url", "http://"+host)
	wantTags(t, p.pass(ctx, t, host), map[string]string{"both:1": "linux/amd64 linux/arm64", "team/app:1": "linux/amd64"})

	put(ctx, t, host+"/team/app:2", plainImage(t, "arm64"))
	wantTags(t, p.pass(ctx, t, host),
		map[string]string{"both:1": "linux/amd64 linux/arm64", "team/app:1": "linux/amd64", "team/app:2": "linux/arm64"})

	digest, err := one.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Delete(tagOf(t, host+"/team/app:1").Context().Digest(digest.String()), remote.WithContext(ctx)); err != nil {
		t.Fatal(err)
	}
	wantTags(t, p.pass(ctx, t, host), map[string]string{"both:1": "linux/amd64 linux/arm64", "team/app:2": "linux/arm64"})
	if st := p.status(ctx, t); st.Gone != 1 || st.Failed != 0 || st.Unsupported != 0 {
		t.Errorf("the ledger tells %+v; want one tag gone and nothing failed", st.Tally)
	}
}

// pass has everything on the registry looked at once, and returns the tags that are there.
func (p program) pass(ctx context.Context, t *testing.T, host string) (rows []inventory.TagRow) {
	t.Helper()
	p.do(ctx, t, "", "watch", "--registry", "type=oci,registry=http://"+host, "--all-images", "--once")
	decode(t, p.do(ctx, t, "", "images", "--format", "json"), &rows)
	return rows
}

func wantTags(t *testing.T, rows []inventory.TagRow, want map[string]string) {
	t.Helper()
	if len(rows) != len(want) {
		t.Errorf("%d tags; want %d", len(rows), len(want))
	}
	for _, row := range rows {
		got := strings.Join(slices.Sorted(slices.Values(row.Platforms)), " ")
		if at := row.Image + ":" + row.Tag; got != want[at] || row.State != inventory.StateAnalysed {
			t.Errorf("%s is %s for %q (%s); want it analysed for %q", at, row.State, got, row.Problem, want[at])
		}
	}
}

// distribution starts docker-registry on loopback and returns its host and port.
func distribution(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("docker-registry")
	if err != nil {
		const message = "needs docker-registry (apt-get install docker-registry)"
		if inCI() {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	dir, host := t.TempDir(), freeAddress(t)
	config := "version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: " + dir + "/images}\n" +
		"  delete: {enabled: true}\nhttp: {addr: " + host + "}\n"
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &record{}
	// Not the test's context: it ends before what the test cleans up.
	command := exec.CommandContext(context.WithoutCancel(t.Context()), path, "serve", file)
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it has no other end
		_ = command.Wait()
	})
	for range 300 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			return host
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("docker-registry does not answer after 30 s\n%s", said)
	return ""
}

func tagOf(t *testing.T, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func put(ctx context.Context, t *testing.T, ref string, img v1.Image) {
	t.Helper()
	if err := remote.Write(tagOf(t, ref), img, remote.WithContext(ctx)); err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
}

// plainImage is an image for one machine with a layer that is its own.
func plainImage(t *testing.T, architecture string) v1.Image {
	t.Helper()
	img, err := random.Image(512, 1)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func platformed(t *testing.T, architecture string) mutate.IndexAddendum {
	t.Helper()
	return mutate.IndexAddendum{
		Add:        plainImage(t, architecture),
		Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
	}
}
