package e2e

import (
	"compress/gzip"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

const realKey = "docker-real-local"

// TestRealInput is the way from packages of the real archives to the SBOMs that the
// program prints: none missing, none invented.
func TestRealInput(t *testing.T) {
	needTools(t, "mmdebstrap", "npm", "go", "dpkg", "dpkg-query", "tar", "cp", "chroot")
	ctx := t.Context()
	p := program{path: built(t), data: t.TempDir()}
	r := makeRoots(t)
	images := realImages(t, r)
	server, target := simulator(t, demo.Key{Name: realKey, PackageType: "docker"})
	for _, i := range images {
		pushImage(ctx, t, target, i.name, i.image)
	}
	p.connect(ctx, t, server.URL(), realKey)
	serving := p.serve(t)
	status := p.settled(ctx, t, serving, len(images))
	serving.stop(t)
	if status.Analysed != len(images) || status.Failed != 0 {
		t.Errorf("tally %+v, want %d tags analysed", status.Tally, len(images))
	}
	for _, i := range images {
		want := wanted(ctx, t, r, i)
		t.Run(i.name, func(t *testing.T) {
			var sbom inventory.SBOM
			decode(t, p.do(t.Context(), t, "", "sbom", server.Host()+"/"+realKey+"/"+i.name, "--format", "json"), &sbom)
			checkSBOM(t, sbom, want)
		})
	}
}

// wanted is what the tools say of an image's root file system, by ecosystem.
func wanted(ctx context.Context, t *testing.T, r roots, i realImage) map[string][]string {
	t.Helper()
	want := map[string][]string{"Debian:12": debs(ctx, t, i.root)}
	if i.root != r.base {
		want["PyPI"], want["RubyGems"] = pythons(ctx, t, i.root), rubies(ctx, t, i.root)
	}
	if i.apps {
		want["npm"], want["Go"] = npms(ctx, t, r.app), gos(ctx, t, r.bin)
	}
	return want
}

// realImage is one image and the root file system that it holds.
type realImage struct {
	name, root string
	apps       bool
	image      v1.Image
}

// realImages packs the file systems: a base; an application on it, after upgrades;
// and the same with packages removed again.
func realImages(t *testing.T, r roots) []realImage {
	t.Helper()
	started := time.Now()
	dir := t.TempDir()
	base, err := tarball.LayerFromFile(r.baseTar, tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		t.Fatal(err)
	}
	full := diffLayer(t, filepath.Join(dir, "full.tar.gz"), r.base, r.full)
	less := diffLayer(t, filepath.Join(dir, "less.tar.gz"), r.full, r.less)
	apps := diffLayer(t, filepath.Join(dir, "apps.tar.gz"), "", r.app)
	images := []realImage{
		{"debian:12", r.base, false, stack(t, base)},
		{"runtime:12", r.full, false, stack(t, base, full)},
		{"shop:1", r.full, true, stack(t, base, full, apps)},
		{"shop:2", r.less, true, stack(t, base, full, apps, less)},
	}
	t.Logf("images packed in %s", time.Since(started).Round(time.Second))
	return images
}

func stack(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func pushImage(ctx context.Context, t *testing.T, target demo.Target, image string, content v1.Image) {
	t.Helper()
	ref, err := name.NewTag(target.Registry+"/"+realKey+"/"+image, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	auth := &authn.Basic{Username: target.Username, Password: target.Password}
	if err := remote.Write(ref, content, remote.WithContext(ctx), remote.WithAuth(auth)); err != nil {
		t.Fatalf("push %s: %v", image, err)
	}
}

// checkSBOM holds the packages that the program recorded of an image to the truth,
// ecosystem by ecosystem; an ecosystem without truth must have no packages.
func checkSBOM(t *testing.T, sbom inventory.SBOM, want map[string][]string) {
	t.Helper()
	got := map[string][]string{}
	for _, pkg := range sbom.Packages {
		got[pkg.Ecosystem] = append(got[pkg.Ecosystem], line(pkg))
	}
	for _, problem := range sbom.Problems {
		t.Errorf("problem: %+v", problem)
	}
	for ecosystem := range got {
		if want[ecosystem] == nil {
			want[ecosystem] = []string{}
		}
	}
	for ecosystem, truth := range want {
		missing, invented := compare(truth, got[ecosystem])
		t.Logf("%s: %d packages", ecosystem, len(unique(got[ecosystem])))
		if diff := cmp.Diff([]string{}, missing); diff != "" {
			t.Errorf("%s: missing (+):\n%s", ecosystem, diff)
		}
		if diff := cmp.Diff([]string{}, invented); diff != "" {
			t.Errorf("%s: invented (+):\n%s", ecosystem, diff)
		}
	}
}

// line is a recorded package in the words of the tool that knows the truth.
func line(p inventory.Placed) string {
	switch p.Ecosystem {
	case "Debian:12":
		source, version := p.SourceName, p.SourceVersion
		if source == "" {
			source = p.Name
		}
		if version == "" {
			version = p.Version
		}
		return strings.Join([]string{p.Name, p.Version, p.Arch, source, version}, " ")
	case "PyPI":
		return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(p.Name)) + " " + p.Version
	}
	return p.Name + " " + p.Version
}

// compare is what is in the truth only, and what was recorded only; each of a
// package version once, wherever it lies.
func compare(truth, recorded []string) (missing, invented []string) {
	missing, invented = []string{}, []string{}
	truth, recorded = unique(truth), unique(recorded)
	for _, p := range truth {
		if !slices.Contains(recorded, p) {
			missing = append(missing, p)
		}
	}
	for _, p := range recorded {
		if !slices.Contains(truth, p) {
			invented = append(invented, p)
		}
	}
	return missing, invented
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
