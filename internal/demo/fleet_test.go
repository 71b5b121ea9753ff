package demo_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/tallyman-dev/tallyman/internal/demo"
)

func now() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func fleet(t *testing.T, exe string) *demo.Fleet {
	t.Helper()
	f, err := demo.New(demo.Options{Now: now(), Executable: exe})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// shared is a fleet without an executable, for tests that only look at one.
func shared(t *testing.T) *demo.Fleet {
	t.Helper()
	f, err := sharedOnce()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var sharedOnce = sync.OnceValues(func() (*demo.Fleet, error) { return demo.New(demo.Options{Now: now()}) })

func tags(t *testing.T, f *demo.Fleet) []demo.Tag {
	t.Helper()
	list, err := f.Tags()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFleetIsLargeEnough(t *testing.T) {
	t.Parallel()
	repositories, digests := map[string]bool{}, map[string]int{}
	list := tags(t, shared(t))
	for _, tag := range list {
		repositories[tag.Key+"/"+tag.Image] = true
		digests[tag.Digest]++
	}
	if len(repositories) < 12 || len(list) < 60 {
		t.Errorf("%d repositories with %d tags, want at least 12 with 60", len(repositories), len(list))
	}
	if len(digests) == len(list) {
		t.Error("no image stands under two tags; promotions and moved tags should")
	}
}

func TestFleetIsTheSameForTheSameMoment(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(tags(t, shared(t)), tags(t, fleet(t, ""))); diff != "" {
		t.Errorf("two fleets differ (-first +second):\n%s", diff)
	}
}

// push fills a registry of the library's own.
func push(t *testing.T, f *demo.Fleet) (host string, target demo.Target) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	target = demo.Target{Registry: strings.TrimPrefix(server.URL, "http://"), PlainHTTP: true, Transport: server.Client().Transport}
	if err := f.Push(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	return target.Registry, target
}

func pull(t *testing.T, host string, tag demo.Tag) *remote.Descriptor {
	t.Helper()
	ref, err := name.ParseReference(fmt.Sprintf("%s/%s/%s:%s", host, tag.Key, tag.Image, tag.Tag), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Get(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPushAndPushLate(t *testing.T) {
	t.Parallel()
	exe := filepath.Join(t.TempDir(), "tallyman")
	if err := os.WriteFile(exe, bytes.Repeat([]byte("\x7fELF stands for the program "), 1<<15), 0o755); err != nil {
		t.Fatal(err)
	}
	f := fleet(t, exe)
	host, target := push(t, f)
	for _, tag := range tags(t, f) {
		if got := pull(t, host, tag).Digest.String(); got != tag.Digest {
			t.Errorf("%s/%s:%s is %s, want %s", tag.Key, tag.Image, tag.Tag, got, tag.Digest)
		}
	}
	ref, err := f.PushLate(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	late, err := f.LateTags()
	if err != nil {
		t.Fatal(err)
	}
	if want := late[0].Key + "/" + late[0].Image + ":" + late[0].Tag; ref != want {
		t.Errorf("PushLate says %s, want %s", ref, want)
	}
	for _, tag := range late {
		if got := pull(t, host, tag).Digest.String(); got != tag.Digest {
			t.Errorf("late %s is %s, want %s", tag.Tag, got, tag.Digest)
		}
	}
}

func TestPushSaysWhatFailed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := shared(t).Push(ctx, demo.Target{Registry: "127.0.0.1:1", PlainHTTP: true})
	if err == nil || !strings.Contains(err.Error(), "push docker-base-local/debian:12.0-slim to 127.0.0.1:1") {
		t.Errorf("error %v does not name what was pushed where", err)
	}
	if _, err := demo.New(demo.Options{Executable: "/no/such/program"}); err == nil {
		t.Error("a missing executable made a fleet")
	}
}

// TestApplicationsStandOnPublishedBases holds the shared layers to be what the
// labels say: the base's layers are a proper prefix of the application's.
func TestApplicationsStandOnPublishedBases(t *testing.T) {
	t.Parallel()
	f := shared(t)
	host, _ := push(t, f)
	layers := map[string][]v1.Hash{}
	labels := map[string]string{}
	for _, tag := range tags(t, f) {
		got := pull(t, host, tag)
		if got.MediaType.IsIndex() {
			continue
		}
		img, err := got.Image()
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		ref := tag.Key + "/" + tag.Image + ":" + tag.Tag
		layers[ref] = config.RootFS.DiffIDs
		if base := config.Config.Labels["org.opencontainers.image.base.name"]; base != "" {
			labels[ref] = base
		}
		if age := now().Sub(config.Created.Time); age <= 0 || age > 70*24*time.Hour {
			t.Errorf("%s was created %s before now", ref, age)
		}
	}
	if len(labels) < 30 {
		t.Errorf("only %d images name their base", len(labels))
	}
	for ref, base := range labels {
		if _, ok := layers[base]; !ok {
			continue // an index: its members have digests only
		}
		if !prefix(layers[base], layers[ref]) {
			t.Errorf("%s does not stand on %s", ref, base)
		}
	}
}

func prefix(short, long []v1.Hash) bool {
	return len(short) < len(long) && cmp.Equal(short, long[:len(short)])
}
