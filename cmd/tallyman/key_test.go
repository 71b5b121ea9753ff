package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
	"github.com/tallyman-dev/tallyman/internal/store"
)

// saveSecret saves an integration with a secret, sealed with key.
func saveSecret(t *testing.T, dir string, key seal.Key) {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.AddIntegration(t.Context(), inventory.Integration{Name: "one", URL: "https://one.example"}, inventory.Secrets{Password: "planted-secret"}); err != nil {
		t.Fatal(err)
	}
}

// secretOf opens the ledger with the key that is there now and reads a saved secret.
func secretOf(t *testing.T, dir, integration string) (string, error) {
	t.Helper()
	key, err := seal.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Options{Dir: dir, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	in, err := st.Integration(t.Context(), integration)
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := st.Secrets(t.Context(), in.ID)
	return secrets.Password, err
}

func TestKeyRotate(t *testing.T) {
	p := newProgram(t)
	dir := p.env["TALLYMAN_DATA"]
	path := filepath.Join(dir, seal.FileName)
	key, err := seal.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	saveSecret(t, dir, key)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	// Not while somebody works with the key.
	release, err := seal.Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	p.run("", "key", "rotate").want(t, 1, "is in use", "stop tallyman serve")
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, old) {
		t.Errorf("the key changed although it was in use: %v", err)
	}

	// Interrupted after the new key was made and before anything was sealed again.
	if _, err := seal.Rotate(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := secretOf(t, dir, "one"); got != "planted-secret" || err != nil {
		t.Errorf("after half a rotation: %v", err)
	}
	p.run("", "key", "rotate").want(t, 0, "1 credentials sealed again")
	if got, err := secretOf(t, dir, "one"); got != "planted-secret" || err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	now, err := os.ReadFile(path)
	if err != nil || bytes.Count(now, []byte("\n")) != 2 || bytes.Contains(now, bytes.Split(old, []byte("\n"))[1]) {
		t.Errorf("the file holds more than the new key: %v, %d bytes", err, len(now))
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// Who kept the old key opens nothing with it.
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := secretOf(t, dir, "one"); err == nil {
		t.Errorf("the old key opens %q", got)
	}
	p.run("", "audit").want(t, 0)
}

func TestKeyRotateFromEnvironment(t *testing.T) {
	p := newProgram(t)
	old, fresh := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)), base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 32))
	key, err := seal.ParseKey(old)
	if err != nil {
		t.Fatal(err)
	}
	saveSecret(t, p.env["TALLYMAN_DATA"], key)
	p.env["TALLYMAN_KEY"] = fresh
	p.run("", "key", "rotate").want(t, 1, "a key that is not here")
	p.env["TALLYMAN_KEY"] = fresh + "," + old
	p.run("", "key", "rotate").want(t, 0, "1 credentials sealed again")
	p.env["TALLYMAN_KEY"] = fresh
	p.run("", "key", "rotate").want(t, 0, "0 credentials sealed again")
	if _, err := os.Stat(filepath.Join(p.env["TALLYMAN_DATA"], seal.FileName)); !os.IsNotExist(err) {
		t.Errorf("a key file was made although the environment has the key: %v", err)
	}
}
