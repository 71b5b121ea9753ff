package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/oci/ocitest"
	"github.com/tallyman-dev/tallyman/internal/report"
)

// unknownImage is an image that no ledger knows: a package of Debian 12 with flaws that the
// demo's advisories know, and one of npm.
func unknownImage(t *testing.T) v1.Image {
	t.Helper()
	blob := ocitest.Gzip(ocitest.Tar(
		ocitest.File("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n"),
		ocitest.File("var/lib/dpkg/status", "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.9-1\n\n"),
		ocitest.File("app/node_modules/left/package.json", `{"name":"left","version":"1.0.0"}`),
	))
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: must(img.ConfigFile()).RootFS, History: must(img.ConfigFile()).History})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// elsewhere asks for images that the ledger does not hold, in every way to name one.
func (q questions) elsewhere(t *testing.T) {
	dir := t.TempDir()
	img := unknownImage(t)
	archive := filepath.Join(dir, "image.tar")
	if err := tarball.WriteToFile(archive, must(name.NewTag("team/small:1")), img); err != nil {
		t.Fatal(err)
	}
	oci := filepath.Join(dir, "layout")
	if err := must(layout.Write(oci, empty.Index)).AppendImage(img); err != nil {
		t.Fatal(err)
	}
	srv, _ := registryOf(t)
	if err := srv.PutImage("docker-local", "team/small", "1", img); err != nil {
		t.Fatal(err)
	}
	host := srv.Host() + "/docker-local/team/small:1"
	digest := must(img.Digest()).String()
	for _, args := range [][]string{
		{"archive:" + archive},
		{"archive://" + archive},
		{"oci-dir:" + oci},
		{"oci-dir://" + oci},
		{host, "--plain-http", "--username", "reader", "--secret-stdin"},
		{"registry://" + host, "--plain-http", "--username", "reader", "--secret-stdin"},
	} {
		r := q.run("hunter2", append([]string{"cves", "--format", "json"}, args...)...)
		r.want(t, 0)
		rep := decoded[inventory.Report](t, r)
		if rep.Digest != digest && !strings.HasPrefix(args[0], "archive:") || rep.Summary.Total() == 0 || rep.Platform != "linux/amd64" || rep.AdvisoriesAsOf == nil {
			t.Errorf("%v: %+v", args, rep.Summary)
		}
		for _, f := range rep.Findings {
			if f.Package != "openssl" || f.Origin != "own" || len(f.Locations) == 0 {
				t.Errorf("%v: %+v", args, f)
			}
		}
		if args[0] == host && strings.Contains(r.stdout+r.stderr, "hunter2") {
			t.Error("the secret is shown")
		}
	}
	doc := filepath.Join(dir, "sbom.cdx.json")
	q.run("", "sbom", "archive:"+archive, "--format", "cyclonedx", "--output", doc).want(t, 0)
	of := ask[inventory.Report](t, q, "cves", "sbom:"+doc, "--format", "json")
	direct := ask[inventory.Report](t, q, "cves", "archive:"+archive, "--format", "json")
	if of.Summary != direct.Summary || len(of.Findings) != len(direct.Findings) || len(of.Unknown) != len(direct.Unknown) {
		t.Errorf("the bill of materials has %+v, the image %+v", of.Summary, direct.Summary)
	}
	piped := q.run(string(must(os.ReadFile(doc))), "cves", "sbom://", "--format", "json")
	if rep := decoded[inventory.Report](t, piped); rep.Summary != of.Summary {
		t.Errorf("from standard input: %+v", rep.Summary)
	}
	q.run("", "cves", "archive:"+archive, "--exit-code").want(t, 2)
	ref := q.reference(t, "docker-dev-local/shop/payments:3.1.0")
	if c := ask[report.Comparison](t, q, "compare", "archive:"+archive, "--to", ref, "--format", "json"); c.A.Reference != ref || c.B.Digest == "" || len(c.Fixed) == 0 || len(c.Packages) == 0 {
		t.Errorf("%+v %+v", c.A, c.B)
	}
	if v := ask[report.Quickview](t, q, "quickview", "oci-dir:"+oci, "--format", "json"); v.Target.Digest != digest || v.Base != nil {
		t.Errorf("%+v", v)
	}
	q.run("", "recommendations", "archive:"+archive).want(t, 0)
	q.refused(t, dir, host)
}

// refused names images that cannot be had, and says why.
func (q questions) refused(t *testing.T, dir, host string) {
	q.env["DOCKER_HOST"] = "unix://" + filepath.Join(dir, "none.sock")
	for _, tt := range []struct {
		stdin string
		args  []string
		say   []string
	}{
		{"", []string{"cves", "local://team/app:1"}, []string{"there is no Docker daemon", "archive:"}},
		{"", []string{"sbom", "docker:team/app:1"}, []string{"there is no Docker daemon"}},
		{"", []string{"cves", "fs://" + dir}, []string{"directories are not indexed"}},
		{"", []string{"cves", "archive:" + filepath.Join(dir, "none.tar")}, []string{"none.tar"}},
		{"", []string{"cves", "oci-dir:" + dir}, []string{dir}},
		{"", []string{"cves", "sbom:" + filepath.Join(dir, "none.json")}, []string{"none.json"}},
		{"not json", []string{"cves", "sbom:-"}, []string{"no bill of materials"}},
		{"", []string{"cves", "team/unknown:1"}, []string{"team/unknown:1", "tallyman images"}},
		{"wrong", []string{"cves", host, "--plain-http", "--username", "reader", "--secret-stdin"}, []string{"authentication failed: invalid credentials or insufficient permissions"}},
		{"", []string{"cves", host, "--plain-http", "--username", "reader"}, []string{"--secret-stdin"}},
		{"", []string{"cves", "127.0.0.1:1/a/b:1", "--plain-http"}, []string{"127.0.0.1:1"}},
		{"", []string{"cves", host, "--ca-file", filepath.Join(dir, "image.tar")}, []string{"holds no certificate"}},
		{"", []string{"compare", "a/b:1"}, []string{"takes A B"}},
		{"", []string{"compare", "a/b:1", "a/b:2", "--exit-on", "policy"}, []string{`knows no "policy"`}},
	} {
		q.run(tt.stdin, tt.args...).want(t, exitError, tt.say...)
	}
}
