package artifactorytest_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/tallyman-dev/tallyman/internal/artifactory/artifactorytest"
)

var ciAuth = &authn.Basic{Username: "ci", Password: "build"}

func TestCranePushesAndPulls(t *testing.T) {
	for _, p := range artifactorytest.Profiles() {
		t.Run(string(p), func(t *testing.T) {
			s := start(t, artifactorytest.Options{Profile: p})
			base := s.Host() + "/docker-local/team/app"
			auth := crane.WithAuth(ciAuth)
			img := image(t, 3)
			if err := crane.Push(img, base+":1.0", auth); err != nil {
				t.Fatal(err)
			}
			pulled, err := crane.Pull(base+":1.0", auth)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(pulled); err != nil {
				t.Error(err)
			}
			if err := crane.Tag(base+":1.0", "2.0", auth); err != nil {
				t.Fatal(err)
			}
			if err := crane.Copy(base+":1.0", s.Host()+"/docker-local/other/name:x", auth); err != nil {
				t.Fatal(err)
			}
			tags, err := crane.ListTags(base, auth)
			if err != nil || !slices.Equal(tags, []string{"1.0", "2.0"}) {
				t.Errorf("tags %v, %v", tags, err)
			}
			if err := crane.Delete(base+":2.0", auth); err != nil {
				t.Error(err)
			}
			want := []artifactorytest.TagTruth{
				{Repo: "docker-local", Image: "other/name", Tag: "x", Digest: digest(t, img)},
				{Repo: "docker-local", Image: "team/app", Tag: "1.0", Digest: digest(t, img)},
			}
			if got := s.Tags(); !slices.Equal(got, want) {
				t.Errorf("tags %v, want %v", got, want)
			}
		})
	}
}

func digest(t *testing.T, img artifactorytest.Image) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func TestCranePushesAnIndex(t *testing.T) {
	s := start(t, artifactorytest.Options{})
	idx, err := random.Index(100, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref := s.Host() + "/docker-local/multi:1"
	if err := pushIndex(t, ref, idx); err != nil {
		t.Fatal(err)
	}
	got, err := crane.Digest(ref, crane.WithAuth(ciAuth))
	if err != nil || got != digest(t, idx) {
		t.Errorf("digest %s, %v; want %s", got, err, digest(t, idx))
	}
	files := storageTree(t, s, "docker-local", "multi")
	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(files, "/1/list.manifest.json") || slices.Contains(files, "/1/manifest.json") {
		t.Errorf("the tag's folder is wrong: %v", files)
	}
	for _, d := range m.Manifests {
		if !slices.Contains(files, "/sha256:"+d.Digest.Hex+"/manifest.json") {
			t.Errorf("no folder of member %s in %v", d.Digest, files)
		}
	}
}

func pushIndex(t *testing.T, ref string, idx v1.ImageIndex) error {
	t.Helper()
	r, err := remoteRef(ref)
	if err != nil {
		return err
	}
	return remote.WriteIndex(r, idx, remote.WithAuth(ciAuth))
}

// skopeo returns the path of the program; in CI it must be there.
func skopeo(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("skopeo")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("skopeo is not installed; CI installs it from the distribution's packages")
		}
		t.Skip("needs skopeo: apt-get install skopeo")
	}
	return path
}

func TestSkopeoPushesAndPulls(t *testing.T) {
	program := skopeo(t)
	for _, p := range []artifactorytest.Profile{artifactorytest.V6, artifactorytest.V7, artifactorytest.Cloud} {
		t.Run(string(p), func(t *testing.T) { skopeoThereAndBack(t, program, p) })
	}
}

func skopeoThereAndBack(t *testing.T, program string, profile artifactorytest.Profile) {
	t.Helper()
	s := start(t, artifactorytest.Options{TLS: true, Profile: profile})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), s.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	img := image(t, 2)
	source := filepath.Join(dir, "image.tar")
	if err := crane.Save(img, "app:x", source); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"--policy", policy(t, dir)}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("skopeo %v: %v\n%s", args, err, out.String())
		}
	}
	ref := "docker://" + s.Host() + "/docker-local/from/skopeo:1"
	run("copy", "--dest-cert-dir", dir, "--dest-creds", ci, "docker-archive:"+source, ref)
	if got := s.Tags(); len(got) != 1 || got[0].Image != "from/skopeo" {
		t.Fatalf("tags %v", got)
	}
	run("inspect", "--cert-dir", dir, "--creds", alice, ref)
	run("list-tags", "--cert-dir", dir, "--creds", alice, "docker://"+s.Host()+"/docker-local/from/skopeo")
	run("copy", "--src-cert-dir", dir, "--src-creds", alice, ref, "dir:"+filepath.Join(dir, "back"))
	run("delete", "--cert-dir", dir, "--creds", ci, ref)
	if got := s.Tags(); len(got) != 0 {
		t.Errorf("tags after delete %v", got)
	}
}

func policy(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "policy.json")
	if err := os.WriteFile(path, []byte(`{"default":[{"type":"insecureAcceptAnything"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTLSByThePrivateAuthority(t *testing.T) {
	s := start(t, artifactorytest.Options{TLS: true, Hosts: []string{"*.artifactory.test"}},
		func(sw *artifactorytest.Switches) { sw.Access = artifactorytest.SubdomainAccess })
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(s.CA()) {
		t.Fatal("no certificate in CA()")
	}
	transport := &http.Transport{DialContext: s.Dial, TLSClientConfig: &tls.Config{RootCAs: pool}}
	defer transport.CloseIdleConnections()
	err := crane.Push(image(t, 1), "docker-local.artifactory.test/app:1", crane.WithAuth(ciAuth), crane.WithTransport(transport))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Tags(); len(got) != 1 || got[0].Image != "app" {
		t.Errorf("tags %v", got)
	}
	if _, err := crane.Digest(s.Host()+"/docker-local/app:1", crane.WithAuth(ciAuth)); err == nil {
		t.Error("a client without the authority was not refused")
	}
}
