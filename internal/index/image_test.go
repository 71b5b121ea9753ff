package index_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tallyman-dev/tallyman/internal/index"
	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
)

func layer(entries ...ocitest.Entry) []byte { return ocitest.Gzip(ocitest.Tar(entries...)) }

func base() []byte {
	return layer(ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("libc6", "2.36")))
}

func app(version string) []byte {
	return layer(ocitest.File("app/node_modules/left/package.json", npm("left", version)))
}

func TestKnownLayersAreNotDownloaded(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	var bytes, layers atomic.Int64
	x := index.New(l, index.Options{OnLayer: func(_ string, n int64) { bytes.Add(n); layers.Add(1) }})
	one := s.AddImage("1", ocitest.Image{Layers: [][]byte{base(), app("1.0.0")}})
	two := s.AddImage("2", ocitest.Image{Layers: [][]byte{base(), app("2.0.0")}, Env: []string{"A=b"}})
	for _, d := range []oci.Descriptor{one, two, one} {
		if _, err := x.Image(context.Background(), s, d.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if want := int64(len(base()) + len(app("1.0.0")) + len(app("2.0.0"))); bytes.Load() != want || layers.Load() != 3 {
		t.Errorf("%d bytes in %d layers, want %d in 3", bytes.Load(), layers.Load(), want)
	}
	if len(l.chains) != 3 {
		t.Errorf("%d chains, want 3: the base is shared", len(l.chains))
	}
	img := l.images[two.Digest]
	if img.Distro.ID != "debian" || img.Distro.Version != "12" || img.State != inventory.StateWaiting || img.Indexer != index.Version {
		t.Errorf("image %+v", img)
	}
}

func TestAClaimedDiffIDIsVerifiedOnce(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	var read atomic.Int64
	x := index.New(l, index.Options{OnLayer: func(string, int64) { read.Add(1) }})
	honest := s.AddImage("1", ocitest.Image{Layers: [][]byte{base()}})
	// The same content packed anew: another blob, whose diff ID is only claimed.
	packed := s.AddImage("2", ocitest.Image{Layers: [][]byte{ocitest.Zstd(ocitest.Tar(ocitest.File("etc/os-release", osRelease), ocitest.File("var/lib/dpkg/status", deb("libc6", "2.36"))))}})
	for _, d := range []oci.Descriptor{honest, packed, packed} {
		if img, err := x.Image(context.Background(), s, d.Digest); err != nil || img.Problem != "" {
			t.Fatal(err, img.Problem)
		}
	}
	if read.Load() != 2 {
		t.Errorf("%d layers read, want 2", read.Load())
	}
	// Malware that claims to be the base.
	liar := s.AddImage("3", ocitest.Image{Layers: [][]byte{app("6.6.6")}, DiffIDs: []string{l.images[honest.Digest].Layers[0].DiffID}})
	img, err := x.Image(context.Background(), s, liar.Digest)
	if err != nil || img.State != inventory.StateFailed || !strings.Contains(img.Problem, "the config claims") {
		t.Errorf("state %s, problem %q, error %v", img.State, img.Problem, err)
	}
}

func TestWhatCannotBeIndexed(t *testing.T) {
	corrupt := base()
	corrupt[len(corrupt)/2] ^= 0xff
	tests := []struct {
		name  string
		image ocitest.Image
		state string
		says  string
	}{
		{"corrupt layer", ocitest.Image{Layers: [][]byte{corrupt}, DiffIDs: []string{oci.Digest([]byte("x"))}}, inventory.StateFailed, "corrupt"},
		{"truncated layer", ocitest.Image{Layers: [][]byte{base()[:60]}, DiffIDs: []string{oci.Digest([]byte("x"))}}, inventory.StateFailed, "corrupt"},
		{"not a tar", ocitest.Image{Layers: [][]byte{[]byte(strings.Repeat("no tar at all ", 100))}}, inventory.StateFailed, "corrupt"},
		{"xz", ocitest.Image{Layers: [][]byte{append([]byte{0xfd, '7', 'z', 'X', 'Z', 0}, 1, 2, 3)}}, inventory.StateUnsupported, "bzip2 or xz"},
		{"Windows", ocitest.Image{OS: "windows", Layers: [][]byte{base()}}, inventory.StateUnsupported, "windows/amd64"},
		{"layers and diff IDs differ in number", ocitest.Image{Layers: [][]byte{base()}, DiffIDs: []string{}}, inventory.StateFailed, "its config names 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, l := ocitest.NewStore(), newLedger()
			d := s.AddImage("t", tt.image)
			img, err := index.New(l, index.Options{}).Image(context.Background(), s, d.Digest)
			if err != nil || img.State != tt.state || !strings.Contains(img.Problem, tt.says) {
				t.Errorf("state %s, problem %q, error %v", img.State, img.Problem, err)
			}
			if saved := l.images[d.Digest]; saved.State != tt.state || saved.Problem != img.Problem {
				t.Errorf("saved %s %q", saved.State, saved.Problem)
			}
		})
	}
}

func TestForeignLayerIsNeverFetchedElsewhere(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	d := s.AddImage("t", ocitest.Image{Layers: [][]byte{base()}, MediaTypes: []string{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"}})
	s.Drop(oci.Digest(base()))
	img, err := index.New(l, index.Options{}).Image(context.Background(), s, d.Digest)
	if err != nil || img.State != inventory.StateUnsupported || !strings.Contains(img.Problem, "foreign") {
		t.Errorf("state %s, problem %q, error %v", img.State, img.Problem, err)
	}
}

func TestMissingBlobIsFinalForNow(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	d := s.AddImage("t", ocitest.Image{Layers: [][]byte{base()}})
	s.Drop(oci.Digest(base()))
	img, err := index.New(l, index.Options{}).Image(context.Background(), s, d.Digest)
	if err != nil || img.State != inventory.StateFailed || !img.Retry {
		t.Errorf("state %s, retry %v, error %v", img.State, img.Retry, err)
	}
	if _, err := index.New(l, index.Options{}).Image(context.Background(), s, oci.Digest([]byte("nothing"))); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("a manifest that is not there: error %v, want ErrNotFound, another place may have it", err)
	}
}

func TestIndexWithAttestations(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	amd := s.AddImage("", ocitest.Image{Layers: [][]byte{base(), app("1.0.0")}, Labels: map[string]string{"org.opencontainers.image.revision": "from-label"}})
	arm := s.AddImage("", ocitest.Image{Arch: "arm64", Layers: [][]byte{base(), app("2.0.0")}})
	win := s.AddImage("", ocitest.Image{OS: "windows", Layers: [][]byte{[]byte("x")}})
	att := s.AddAttestation(arm.Digest, map[string]any{
		"predicateType": "https://slsa.dev/provenance/v0.2",
		"subject":       []any{map[string]any{"digest": map[string]any{"sha256": strings.TrimPrefix(arm.Digest, "sha256:")}}},
		"predicate":     map[string]any{"invocation": map[string]any{"configSource": map[string]any{"uri": "https://u:p@git.test/app", "digest": map[string]any{"sha1": "abc"}, "entryPoint": "Dockerfile"}}},
	}, map[string]any{"predicateType": "https://spdx.dev/Document"})
	d := s.AddIndex("t", amd, arm, win, att)
	img, err := index.New(l, index.Options{}).Image(context.Background(), s, d.Digest)
	if err != nil || img.Kind != inventory.IndexKind {
		t.Fatal(err, img.Problem)
	}
	var got []string
	for _, m := range img.Members {
		got = append(got, m.Kind+" "+m.Platform+" "+l.images[m.Digest].State)
	}
	want := []string{"image linux/amd64 waiting", "image linux/arm64 waiting", "image windows/amd64 unsupported", "attestation unknown/unknown "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	origin := l.images[arm.Digest].Origin
	if diff := cmp.Diff(inventory.Origin{Source: "https://git.test/app", Revision: "abc", Dockerfile: "Dockerfile", Evidence: "provenance"}, origin); diff != "" {
		t.Error(diff)
	}
	if a := l.images[arm.Digest].Attached; len(a) != 2 {
		t.Errorf("attached %+v", a)
	}
	if o := l.images[amd.Digest].Origin; o.Revision != "from-label" || o.Evidence != "label" {
		t.Errorf("origin %+v", o)
	}
}

// spdx and cycloneDX are what two other tools say of an image.
func spdx(purls ...string) map[string]any {
	var packages []any
	for _, p := range purls {
		packages = append(packages, map[string]any{"name": "x", "externalRefs": []any{map[string]any{"referenceType": "purl", "referenceLocator": p}}})
	}
	return map[string]any{"spdxVersion": "SPDX-2.3", "packages": packages}
}

func subject(d oci.Descriptor) []any {
	return []any{map[string]any{"digest": map[string]any{"sha256": strings.TrimPrefix(d.Digest, "sha256:")}}}
}

// What is attached to an image is read wherever it lies: as a member of its index, or
// as a referrer; provenance of both versions, SPDX and CycloneDX.
func TestAttachedDocumentsAreRead(t *testing.T) {
	dockerfile := []byte("FROM debian\nENV LICENCE=abc \\\n  OTHER=def\nRUN curl -H \"Authorization: Bearer abcdefghijkl\" https://x\n")
	buildKit := map[string]any{"source": map[string]any{"infos": []any{map[string]any{"filename": "Dockerfile", "language": "Dockerfile", "data": dockerfile}}}}
	old := map[string]any{
		"builder": map[string]any{"id": "https://ci.test"}, "invocation": map[string]any{"configSource": map[string]any{"uri": "https://git.test/app", "digest": map[string]any{"sha1": "abc"}, "entryPoint": "Dockerfile"}},
		"metadata": map[string]any{"https://mobyproject.org/buildkit@v1#metadata": buildKit},
	}
	current := map[string]any{
		"buildDefinition": map[string]any{"externalParameters": map[string]any{"configSource": map[string]any{"uri": "https://git.test/app", "digest": map[string]any{"sha1": "abc"}, "path": "Dockerfile"}}},
		"runDetails":      map[string]any{"builder": map[string]any{"id": "https://ci.test"}, "metadata": map[string]any{"buildkit_metadata": buildKit}},
	}
	bom := spdx("pkg:deb/debian/libc6@2.36?arch=amd64", "pkg:npm/left@1.0.0", "pkg:npm/only-there@2.0.0", "pkg:oci/app@sha256:00")
	wantBOM := &inventory.Comparison{Packages: 3, Both: 2, OnlyThere: 1, ThereNames: []string{"pkg:npm/only-there@2.0.0"}, HereNames: []string{}}
	for name, provenance := range map[string]any{"https://slsa.dev/provenance/v0.2": old, "https://slsa.dev/provenance/v1": current} {
		for _, by := range []string{"index", "referrer"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				s, l := ocitest.NewStore(), newLedger()
				img := s.AddImage("", ocitest.Image{Layers: [][]byte{base(), app("1.0.0")}})
				att := s.AddAttestation(img.Digest,
					map[string]any{"predicateType": name, "subject": subject(img), "predicate": provenance},
					map[string]any{"predicateType": "https://spdx.dev/Document", "subject": subject(img), "predicate": bom})
				top := img
				if by == "index" {
					top = s.AddIndex("t", img, att)
				} else {
					s.Attach(img.Digest, att)
				}
				if _, err := index.New(l, index.Options{}).Image(t.Context(), s, top.Digest); err != nil {
					t.Fatal(err)
				}
				got := l.images[img.Digest]
				want := inventory.Origin{
					Source: "https://git.test/app", Revision: "abc", Builder: "https://ci.test", Dockerfile: "Dockerfile", Evidence: "provenance",
					Instructions: "FROM debian\nENV LICENCE=<redacted> OTHER=<redacted>\nRUN curl -H \"Authorization: <redacted> <redacted>\" https://x\n",
				}
				if diff := cmp.Diff(want, got.Origin); diff != "" {
					t.Error(diff)
				}
				var boms []*inventory.Comparison
				for _, a := range got.Attached {
					if a.SBOM != nil {
						boms = append(boms, a.SBOM)
					}
				}
				if diff := cmp.Diff([]*inventory.Comparison{wantBOM}, boms); diff != "" || len(got.Problems) != 0 {
					t.Error(diff, got.Problems)
				}
			})
		}
	}
}

// A bill of materials that is an artifact of its own, without a statement around it;
// one that is broken, or about another image, costs nothing else.
func TestAttachedBillsOfMaterials(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	img := s.AddImage("", ocitest.Image{Layers: [][]byte{base(), app("1.0.0")}})
	other := s.AddImage("", ocitest.Image{Layers: [][]byte{base()}})
	artifact := func(mediaType, body string) {
		blob, empty := s.AddBlob(mediaType, []byte(body)), s.AddBlob("application/vnd.oci.empty.v1+json", []byte("{}"))
		raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaOCIManifest, "artifactType": mediaType, "config": empty, "layers": []any{blob}})
		if err != nil {
			t.Fatal(err)
		}
		s.Attach(img.Digest, s.AddManifest("", oci.MediaOCIManifest, raw))
	}
	artifact("application/vnd.cyclonedx+json", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"library","name":"left","version":"1.0.0","purl":"pkg:npm/left@1.0.0"}]}`)
	artifact("application/spdx+json", `{"spdxVersion":`)
	s.Attach(img.Digest, s.AddAttestation(other.Digest, map[string]any{"predicateType": "https://spdx.dev/Document", "subject": subject(other), "predicate": spdx("pkg:npm/z@1")}))
	got, err := index.New(l, index.Options{}).Image(t.Context(), s, img.Digest)
	if err != nil || got.State != inventory.StateWaiting || len(got.Attached) != 3 {
		t.Fatalf("state %s, attached %+v, %v", got.State, got.Attached, err)
	}
	want := &inventory.Comparison{Packages: 1, Both: 1, OnlyHere: 1, ThereNames: []string{}, HereNames: []string{"pkg:deb/libc6@2.36"}}
	for _, a := range got.Attached {
		if strings.Contains(a.PredicateType, "cyclonedx") {
			if diff := cmp.Diff(want, a.SBOM); diff != "" {
				t.Error(diff)
			}
		} else if a.SBOM != nil {
			t.Errorf("%+v was compared", a)
		}
	}
	if len(got.Problems) != 1 || !strings.Contains(got.Problems[0].Problem, "not valid JSON") {
		t.Errorf("problems %+v", got.Problems)
	}
}

func TestArtifactsAreNoImages(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	d := s.AddManifest("t", oci.MediaOCIManifest, []byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"`+oci.Digest(nil)+`","size":0},"layers":[]}`))
	img, err := index.New(l, index.Options{}).Image(context.Background(), s, d.Digest)
	if err != nil || img.State != inventory.StateUnsupported || img.Kind != inventory.ArtifactKind || !strings.Contains(img.Problem, "helm") {
		t.Errorf("%+v, %v", img, err)
	}
}

func TestLeasedLayerIsWaitedFor(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	d := s.AddImage("t", ocitest.Image{Layers: [][]byte{base()}})
	first := index.New(l, index.Options{Holder: "first"})
	if _, err := first.Image(context.Background(), s, d.Digest); err != nil {
		t.Fatal(err)
	}
	// A second watcher met the same layer while the first was reading it.
	diff := l.images[d.Digest].Layers[0].DiffID
	body := l.bodies[diff]
	delete(l.bodies, diff)
	l.leases[diff] = "first"
	done := make(chan error, 1)
	var read atomic.Int64
	go func() {
		_, err := index.New(l, index.Options{Holder: "second", OnLayer: func(string, int64) { read.Add(1) }}).Image(context.Background(), s, d.Digest)
		done <- err
	}()
	l.mu.Lock()
	l.bodies[diff] = body
	l.mu.Unlock()
	if err := <-done; err != nil || read.Load() != 0 {
		t.Errorf("error %v, %d layers read", err, read.Load())
	}
}

func TestCancelledReadingIsNoVerdict(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	d := s.AddImage("t", ocitest.Image{Layers: [][]byte{base()}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := index.New(l, index.Options{}).Image(ctx, s, d.Digest); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if len(l.images) != 0 {
		t.Error("a cancelled reading left a verdict behind")
	}
}

func TestLocalTakesThePlatformAskedFor(t *testing.T) {
	s := ocitest.NewStore()
	amd := s.AddImage("", ocitest.Image{Layers: [][]byte{app("1.0.0")}})
	arm := s.AddImage("", ocitest.Image{Arch: "arm64", Layers: [][]byte{app("2.0.0")}})
	s.AddIndex("t", arm, amd)
	for platform, version := range map[string]string{"": "1.0.0", "linux/arm64": "2.0.0"} {
		res, err := index.Local(context.Background(), s, "t", platform, index.Options{})
		if err != nil || len(res.Packages) != 1 || res.Packages[0].Version != version {
			t.Errorf("%q: %+v, %v", platform, res.Packages, err)
		}
	}
	if _, err := index.Local(context.Background(), s, "t", "linux/s390x", index.Options{}); !errors.Is(err, inventory.ErrNotFound) {
		t.Errorf("a platform that is not there: %v", err)
	}
}

func TestLimitsAreProblemsOfTheLayer(t *testing.T) {
	bomb := ocitest.Gzip(ocitest.Tar(ocitest.File("zeros", strings.Repeat("\x00", 8<<20)), ocitest.File("a/package.json", npm("left", "1.0.0"))))
	tests := []struct {
		name   string
		limits index.Limits
		layer  []byte
		state  string
		says   string
		keeps  int
	}{
		{"bytes", index.Limits{LayerBytes: 1 << 20}, bomb, inventory.StateFailed, "more bytes than the limit", 0},
		{"entries", index.Limits{LayerFiles: 2}, layer(ocitest.File("a/package.json", npm("left", "1.0.0")), ocitest.File("x", ""), ocitest.File("y", ""), ocitest.File("z", "")), inventory.StateWaiting, "more than 2 entries", 1},
		{"one file", index.Limits{SpoolFile: 100}, layer(ocitest.File("a/package.json", npm("left", "1.0.0")+strings.Repeat(" ", 200)), ocitest.File("b/package.json", npm("b", "1.0.0"))), inventory.StateWaiting, "files up to 100 are read", 1},
		{"path", index.Limits{PathLength: 50}, layer(ocitest.File(strings.Repeat("d/", 40)+"package.json", "{}"), ocitest.File("b/package.json", npm("b", "1.0.0"))), inventory.StateWaiting, "its path has", 1},
		{"packages", index.Limits{Packages: 1}, layer(ocitest.File("a/package.json", npm("a", "1.0.0")), ocitest.File("b/package.json", npm("b", "1.0.0"))), inventory.StateWaiting, "more than 1 packages", 1},
		{"broken file", index.Limits{}, layer(ocitest.File("a/package.json", "{"), ocitest.File("b/package.json", npm("b", "1.0.0"))), inventory.StateWaiting, "unexpected end of JSON", 1},
		{"broken archive", index.Limits{}, layer(ocitest.File("a.jar", strings.Repeat("no zip ", 10)), ocitest.File("b/package.json", npm("b", "1.0.0"))), inventory.StateWaiting, "not a Java archive", 1},
		{"broken database", index.Limits{}, layer(ocitest.File("var/lib/rpm/rpmdb.sqlite", "SQLite format 3\x00"+strings.Repeat("x", 5000)), ocitest.File("b/package.json", npm("b", "1.0.0"))), inventory.StateWaiting, "rpm", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, l := ocitest.NewStore(), newLedger()
			d := s.AddImage("t", ocitest.Image{Layers: [][]byte{tt.layer}})
			img, err := index.New(l, index.Options{Limits: tt.limits}).Image(context.Background(), s, d.Digest)
			if err != nil || img.State != tt.state {
				t.Fatalf("state %s (%s), error %v", img.State, img.Problem, err)
			}
			said := img.Problem
			for _, p := range img.Problems {
				said += " " + p.Path + ": " + p.Problem
			}
			if !strings.Contains(said, tt.says) {
				t.Errorf("problems %q do not say %q", said, tt.says)
			}
			if got := len(index.Place(img.Layers, l.stack(img))); got != tt.keeps {
				t.Errorf("%d packages kept, want %d", got, tt.keeps)
			}
		})
	}
}

func TestInstructionsFitTheirLayers(t *testing.T) {
	s, l := ocitest.NewStore(), newLedger()
	d := s.AddImage("t", ocitest.Image{Layers: [][]byte{base(), app("1.0.0")}, History: []string{"ADD rootfs.tar /", "!ENV A=b", "RUN npm install"}})
	img, err := index.New(l, index.Options{}).Image(context.Background(), s, d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, layer := range img.Layers {
		got = append(got, layer.CreatedBy)
	}
	if !slices.Equal(got, []string{"ADD rootfs.tar /", "RUN npm install"}) {
		t.Errorf("instructions %q", got)
	}
}
