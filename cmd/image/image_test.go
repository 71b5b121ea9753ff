package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func assembled(t *testing.T) v1.Image {
	t.Helper()
	dir := t.TempDir()
	c := contents{filepath.Join(dir, "binary"), filepath.Join(dir, "roots")}
	for file, text := range map[string]string{c.binary: "\x7fELF", c.roots: "-----BEGIN CERTIFICATE-----\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	img, err := assemble(c, about{version: "v1.2.3", revision: "abc", arch: "arm64", created: time.Unix(1e9, 0).UTC()})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestAssemble(t *testing.T) {
	t.Parallel()
	img := assembled(t)
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := file.Config
	if file.OS != "linux" || file.Architecture != "arm64" || c.User != "65532:65532" || c.Labels["org.opencontainers.image.version"] != "v1.2.3" {
		t.Errorf("%+v", file)
	}
	if diff := cmp.Diff([]string{"/tallyman", "container"}, c.Entrypoint); diff != "" {
		t.Error(diff)
	}
	if _, ok := c.ExposedPorts["8080/tcp"]; !ok || !strings.Contains(strings.Join(c.Env, " "), "TALLYMAN_LISTEN=0.0.0.0:8080") {
		t.Errorf("ports %v, environment %v", c.ExposedPorts, c.Env)
	}
	files := map[string]tar.Header{}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		read(t, l, files)
	}
	for name, want := range map[string]tar.Header{
		"tallyman":                          {Mode: 0o755},
		"etc/ssl/certs/ca-certificates.crt": {Mode: 0o644},
		"tmp/":                              {Mode: 0o1777},
		"opt/artifactory-agent/data/":       {Mode: 0o755, Uid: 65532},
	} {
		if h, ok := files[name]; !ok || h.Mode != want.Mode || h.Uid != want.Uid {
			t.Errorf("%s: %v %o of %d", name, ok, h.Mode, h.Uid)
		}
	}
	one, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if two, err := assembled(t).Digest(); err != nil || one != two {
		t.Errorf("the same files give %s and %s, %v", one, two, err)
	}
}

func read(t *testing.T, l v1.Layer, files map[string]tar.Header) {
	t.Helper()
	body, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	for r := tar.NewReader(body); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = *h
	}
}

func TestAssembleRefuses(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []contents{{empty, "/does/not/exist"}, {empty, empty}} {
		if _, err := assemble(c, about{}); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for version, want := range map[string][]string{
		"": {"v0"}, "v1.2.3": {"v1", "v1.2.3"}, "2.0.0": {"v2", "2.0.0"}, "v0.0.0-20260101000000-abcdef+dirty": {"v0", "v0.0.0-20260101000000-abcdef-dirty"},
	} {
		if diff := cmp.Diff(want, tags(version)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	o := options{out: t.TempDir(), arch: "arm64", version: "v1.2.3"}
	img := assembled(t)
	for range 2 { // what an earlier build left is replaced
		if err := write(o, img); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(filepath.Join(o.out, "image"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil || len(m.Manifests) != 2 || m.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "v1" {
		t.Errorf("%+v, %v", m, err)
	}
	for _, ref := range []string{"localhost/tallyman:v1", "localhost/tallyman:v1.2.3"} {
		tag, err := name.NewTag(ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tarball.ImageFromPath(filepath.Join(o.out, "tallyman-image.tar"), &tag); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
