package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	userID = 65532 // nobody's in particular, and not root
	// dataDir is where the old agent's image expects its directory to be mounted.
	// State lies below it, so that what is mounted keeps it.
	dataDir = "opt/artifactory-agent/data"
	source  = "https://github.com/tallyman-dev/tallyman"
)

// contents are the files of the image.
type contents struct{ binary, roots string }

// about is what the image says of itself.
type about struct {
	version, revision, arch string
	created                 time.Time
}

// entry is one file or directory; a nil body is a directory.
type entry struct {
	name string
	mode int64
	uid  int
	body []byte
}

// assemble makes the image: one layer that seldom changes, and the binary's.
func assemble(c contents, a about) (v1.Image, error) {
	roots, err := os.ReadFile(c.roots)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authorities: %w", err)
	}
	if !bytes.Contains(roots, []byte("-----BEGIN CERTIFICATE-----")) {
		return nil, fmt.Errorf("%s holds no PEM certificate", c.roots)
	}
	binary, err := os.ReadFile(c.binary)
	if err != nil {
		return nil, fmt.Errorf("read the binary: %w", err)
	}
	ground := []entry{
		{name: "etc", mode: 0o755},
		{name: "etc/ssl", mode: 0o755},
		{name: "etc/ssl/certs", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, body: roots},
		{name: "etc/passwd", mode: 0o644, body: fmt.Appendf(nil, "root:x:0:0:root:/:/none\ntallyman:x:%[1]d:%[1]d:tallyman:/%[2]s:/none\n", userID, dataDir)},
		{name: "etc/group", mode: 0o644, body: fmt.Appendf(nil, "root:x:0:\ntallyman:x:%d:\n", userID)},
		{name: "tmp", mode: 0o1777},
		{name: "opt", mode: 0o755},
		{name: "opt/artifactory-agent", mode: 0o755},
		{name: dataDir, mode: 0o755, uid: userID},
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, part := range []struct {
		by      string
		entries []entry
	}{
		{"certificate authorities, user, directories", ground},
		{"tallyman " + a.version, []entry{{name: "tallyman", mode: 0o755, body: binary}}},
	} {
		l, err := layer(part.entries, a.created)
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{
			Layer: l, MediaType: types.OCILayer, History: v1.History{Created: v1.Time{Time: a.created}, CreatedBy: part.by},
		})
		if err != nil {
			return nil, fmt.Errorf("add a layer: %w", err)
		}
	}
	return configure(img, a)
}

// layer is a layer of files, the same bytes for the same files.
func layer(entries []entry, at time.Time) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.uid, Gid: e.uid, ModTime: at, Typeflag: tar.TypeReg, Size: int64(len(e.body)), Format: tar.FormatPAX}
		if e.body == nil {
			h.Typeflag, h.Name = tar.TypeDir, e.name+"/"
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("write %s: %w", e.name, err)
		}
		if _, err := w.Write(e.body); err != nil {
			return nil, fmt.Errorf("write %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("end the layer: %w", err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("compress the layer: %w", err)
	}
	return l, nil
}

// configure says how the image is run and what it is.
func configure(img v1.Image, a about) (v1.Image, error) {
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", a.arch, v1.Time{Time: a.created}
	file.Config = v1.Config{
		Entrypoint: []string{"/tallyman", "container"},
		User:       fmt.Sprintf("%d:%d", userID, userID),
		WorkingDir: "/" + dataDir,
		Env: []string{
			"TALLYMAN_LISTEN=0.0.0.0:8080",
			// Commands find the state where the agent puts it: beside its configuration.
			"XDG_DATA_HOME=/" + dataDir, "HOME=/" + dataDir, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
		},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "tallyman",
			"org.opencontainers.image.description": "Keeps the tally of every container image in a JFrog Artifactory",
			"org.opencontainers.image.source":      source,
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.version":     a.version,
			"org.opencontainers.image.revision":    a.revision,
			"org.opencontainers.image.created":     a.created.Format(time.RFC3339),
		},
	}
	out, err := mutate.ConfigFile(img, file)
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return out, nil
}
