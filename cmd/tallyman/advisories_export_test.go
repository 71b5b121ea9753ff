package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/advisory"
	"github.com/tallyman-dev/tallyman/internal/demo"
	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// keyPair writes an ed25519 key as OpenSSL does.
func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	der, err := x509.MarshalPKCS8PrivateKey(priv)
	private = write("key.pem", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(pub)
	return private, write("key.pub.pem", "PUBLIC KEY", der, err)
}

// TestAirGap carries what one store knows to another, signed.
func TestAirGap(t *testing.T) {
	outside, inside := newProgram(t), newProgram(t)
	private, public := keyPair(t)
	_, other := keyPair(t)
	file := filepath.Join(t.TempDir(), "b.zip")

	outside.run("", "advisories", "export", "--output", file).want(t, exitError, "nothing to export", "try: tallyman advisories sync")
	if _, err := os.Stat(file); err == nil {
		t.Error("an empty bundle was written")
	}
	feed := t.TempDir() + "/feed"
	if err := demo.WriteAdvisories(feed); err != nil {
		t.Fatal(err)
	}
	outside.run("", "advisories", "import", feed).want(t, 0)
	r := outside.run("", "advisories", "export", "--output", file, "--sign-key", private, "--format", "json")
	r.want(t, 0)
	var made advisory.Bundled
	if err := json.Unmarshal([]byte(r.stdout), &made); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(made.ID, "sha256:") || !made.Signed || made.Files[0].Records == 0 {
		t.Errorf("made %+v", made)
	}

	status := func(p *program) (st inventory.AdvisoryStatus) {
		if err := json.Unmarshal([]byte(p.run("", "advisories", "status", "--format", "json").stdout), &st); err != nil {
			t.Fatal(err)
		}
		return st
	}
	inside.run("", "advisories", "import", "--verify-key", other, file).want(t, exitError, "not of the given key", "nothing of it was taken")
	inside.run("", "advisories", "import", "--verify-key", public, feed).want(t, exitError, "only a bundle can be signed")
	if st := status(inside); st.Records != 0 || len(st.Feeds) != 0 {
		t.Errorf("something was taken: %+v", st)
	}
	inside.run("", "advisories", "import", "--verify-key", public, file).want(t, 0)
	was, is := status(outside), status(inside)
	if is.Records != was.Records || is.Records != made.Files[0].Records || len(is.Feeds) != 1 || !is.Feeds[0].Synced.Equal(was.Feeds[0].Synced) {
		t.Errorf("outside %+v, inside %+v", was, is)
	}
	again := filepath.Join(t.TempDir(), "again.zip")
	r = inside.run("", "advisories", "export", "--output", again, "--format", "json")
	var carried advisory.Bundled
	if err := json.Unmarshal([]byte(r.stdout), &carried); err != nil || carried.ID != made.ID {
		t.Errorf("what was carried is not what was made: %s, %s, %v", carried.ID, made.ID, err)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	p := newProgram(t)
	private, public := keyPair(t)
	p.run("", "advisories", "export", "--sign-key", public).want(t, exitError, public, "ed25519 private key", "openssl genpkey")
	p.run("", "advisories", "export", "--sign-key", "/does/not/exist").want(t, exitError, "/does/not/exist")
	p.run("", "advisories", "import", "--verify-key", private, "x").want(t, exitError, private, "ed25519 public key", "-pubout")
}
