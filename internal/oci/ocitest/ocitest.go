// Package ocitest makes images and serves them, for tests and the demo: layers
// from lists of entries, manifests of every kind, a registry over HTTP that can
// be told to misbehave. It imports no testing package and must never be used by
// anything that watches a real registry.
package ocitest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/tallyman-dev/tallyman/internal/oci"
)

// Entry is one entry of a layer. Type 0 is a regular file.
type Entry struct {
	Name string
	Type byte
	Body string
	Link string
	Mode int64 // 0 = 0644, directories 0755
}

// File is a plain file; Exec, Dir, Symlink, Hard, Whiteout and Opaque make the other entries.
func File(name, body string) Entry { return Entry{Name: name, Body: body} }

// Exec is a file with execute bits.
func Exec(name, body string) Entry { return Entry{Name: name, Body: body, Mode: 0o755} }

// Dir is a directory.
func Dir(name string) Entry { return Entry{Name: name, Type: tar.TypeDir} }

// Symlink is a symbolic link.
func Symlink(name, target string) Entry {
	return Entry{Name: name, Type: tar.TypeSymlink, Link: target}
}

// Hard is a hard link.
func Hard(name, target string) Entry {
	return Entry{Name: name, Type: tar.TypeLink, Link: target, Mode: 0o755}
}

// Whiteout deletes a path of a lower layer.
func Whiteout(name string) Entry {
	dir, base := "", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		dir, base = name[:i+1], name[i+1:]
	}
	return Entry{Name: dir + ".wh." + base}
}

// Opaque hides what lower layers have in a directory.
func Opaque(dir string) Entry {
	return Entry{Name: strings.TrimPrefix(dir+"/.wh..wh..opq", "/")}
}

// Tar writes entries as an uncompressed layer.
func Tar(entries ...Entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.Name, Typeflag: e.Type, Linkname: e.Link, Mode: e.Mode, Format: tar.FormatPAX}
		if e.Type == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(e.Body))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
			if e.Type == tar.TypeDir {
				h.Mode = 0o755
			}
		}
		must(w.WriteHeader(h))
		if h.Size > 0 {
			_, err := w.Write([]byte(e.Body))
			must(err)
		}
	}
	must(w.Close())
	return b.Bytes()
}

// Gzip compresses a layer.
func Gzip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(b)
	must(err)
	must(w.Close())
	return out.Bytes()
}

// Zstd compresses a layer.
func Zstd(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	must(err)
	return w.EncodeAll(b, nil)
}

// Image is what an image is made of. Layers are compressed or not; DiffIDs are
// computed unless given.
type Image struct {
	Layers     [][]byte
	MediaTypes []string // of the layers; default gzip
	DiffIDs    []string // nil = the true ones
	Docker     bool     // Docker's media types
	OS, Arch   string   // default linux, amd64
	Created    time.Time
	Env        []string
	Labels     map[string]string
	History    []string // one an instruction; "!" before it = no layer
	Config     map[string]any
}

// Store holds blobs, manifests and tags. It is an oci.Source and an http.Handler.
type Store struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	types     map[string]string // manifests by digest
	tags      map[string]string
	referrers map[string][]oci.Descriptor
	requests  []string
	fault     func(path string) Fault
}

// NewStore makes an empty one.
func NewStore() *Store {
	return &Store{blobs: map[string][]byte{}, types: map[string]string{}, tags: map[string]string{}, referrers: map[string][]oci.Descriptor{}}
}

// AddBlob adds a blob and gives its descriptor.
func (s *Store) AddBlob(mediaType string, b []byte) oci.Descriptor {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := oci.Digest(b)
	s.blobs[d] = b
	return oci.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

// AddManifest adds a manifest document as it is and tags it; no tag where empty.
func (s *Store) AddManifest(tag, mediaType string, raw []byte) oci.Descriptor {
	d := s.AddBlob(mediaType, raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.types[d.Digest] = mediaType
	if tag != "" {
		s.tags[tag] = d.Digest
	}
	return d
}

// Drop forgets a blob, as a bad cleanup does.
func (s *Store) Drop(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.blobs, digest)
}

// AddImage adds an image under a tag.
func (s *Store) AddImage(tag string, img Image) oci.Descriptor {
	manifestType, configType, layerType := oci.MediaOCIManifest, oci.MediaOCIConfig, "application/vnd.oci.image.layer.v1.tar+gzip"
	if img.Docker {
		manifestType, configType, layerType = oci.MediaDockerManifest, oci.MediaDockerConfig, "application/vnd.docker.image.rootfs.diff.tar.gzip"
	}
	layers := []oci.Descriptor{}
	diffIDs := img.DiffIDs
	for i, l := range img.Layers {
		mt := layerType
		if i < len(img.MediaTypes) {
			mt = img.MediaTypes[i]
		}
		layers = append(layers, s.AddBlob(mt, l))
		if img.DiffIDs == nil {
			diffIDs = append(diffIDs, oci.Digest(plain(l)))
		}
	}
	config := s.AddBlob(configType, marshal(configDoc(img, diffIDs)))
	raw := marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": layers})
	d := s.AddManifest(tag, manifestType, raw)
	d.Platform = &oci.Platform{OS: or(img.OS, "linux"), Architecture: or(img.Arch, "amd64")}
	return d
}

func configDoc(img Image, diffIDs []string) map[string]any {
	doc := map[string]any{"os": or(img.OS, "linux"), "architecture": or(img.Arch, "amd64")}
	if !img.Created.IsZero() {
		doc["created"] = img.Created.UTC().Format(time.RFC3339)
	}
	run := map[string]any{"Env": img.Env, "Labels": img.Labels}
	for k, v := range img.Config {
		run[k] = v
	}
	doc["config"] = run
	if diffIDs == nil {
		diffIDs = []string{}
	}
	doc["rootfs"] = map[string]any{"type": "layers", "diff_ids": diffIDs}
	var hist []map[string]any
	for _, h := range img.History {
		line, empty := strings.CutPrefix(h, "!")
		hist = append(hist, map[string]any{"created_by": line, "empty_layer": empty})
	}
	doc["history"] = hist
	return doc
}

// AddIndex adds an index of members under a tag.
func (s *Store) AddIndex(tag string, members ...oci.Descriptor) oci.Descriptor {
	return s.AddManifest(tag, oci.MediaOCIIndex, marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaOCIIndex, "manifests": members}))
}

// AddAttestation adds an attestation manifest about an image, as BuildKit does,
// and gives the entry for the index.
func (s *Store) AddAttestation(about string, statements ...map[string]any) oci.Descriptor {
	var layers []oci.Descriptor
	for _, st := range statements {
		d := s.AddBlob(oci.MediaInToto, marshal(st))
		if kind, ok := st["predicateType"].(string); ok {
			d.Annotations = map[string]string{"in-toto.io/predicate-type": kind}
		}
		layers = append(layers, d)
	}
	config := s.AddBlob(oci.MediaOCIConfig, marshal(map[string]any{"os": "unknown", "architecture": "unknown"}))
	d := s.AddManifest("", oci.MediaOCIManifest, marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaOCIManifest, "config": config, "layers": layers}))
	d.Platform = &oci.Platform{OS: "unknown", Architecture: "unknown"}
	d.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about}
	return d
}

// Attach lists a manifest as a referrer of a digest.
func (s *Store) Attach(subject string, d oci.Descriptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.referrers[subject] = append(s.referrers[subject], d)
}

// Requests lists what was asked for over HTTP, "METHOD path", and forgets it.
func (s *Store) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	sort.Strings(out)
	return out
}

func plain(l []byte) []byte {
	if len(l) > 2 && l[0] == 0x1f && l[1] == 0x8b {
		r, err := gzip.NewReader(bytes.NewReader(l))
		must(err)
		var b bytes.Buffer
		_, err = b.ReadFrom(r)
		if err != nil {
			return nil // a corrupt layer on purpose
		}
		return b.Bytes()
	}
	if len(l) > 4 && bytes.HasPrefix(l, []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		r, err := zstd.NewReader(nil)
		must(err)
		defer r.Close()
		b, err := r.DecodeAll(l, nil)
		must(err)
		return b
	}
	return l
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	must(err)
	return b
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// must stops a test or the demo whose own material is wrong.
func must(err error) {
	if err != nil {
		panic("ocitest: " + err.Error())
	}
}
