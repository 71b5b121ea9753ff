package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
	"github.com/tallyman-dev/tallyman/internal/seal"
)

func newKey(t *testing.T) seal.Key {
	t.Helper()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSealOpen(t *testing.T) {
	key := newKey(t)
	box, err := key.Seal([]byte("hunter2"), "password of 7")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(box, []byte("hunter2")) {
		t.Error("the box shows the secret")
	}
	got, err := key.Open(box, "password of 7")
	if err != nil || string(got) != "hunter2" {
		t.Fatalf("Open = %q, %v", got, err)
	}
	again, err := key.Seal([]byte("hunter2"), "password of 7")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(box, again) {
		t.Error("the same secret sealed twice gives the same box")
	}
}

func TestOpenRefuses(t *testing.T) {
	key := newKey(t)
	box, err := key.Seal([]byte("hunter2"), "password of 7")
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(box)
	flipped[len(flipped)-1] ^= 1
	for _, tc := range []struct {
		name    string
		key     seal.Key
		box     []byte
		purpose string
		want    error
	}{
		{"another purpose", key, box, "password of 8", inventory.ErrForbidden},
		{"another key", newKey(t), box, "password of 7", inventory.ErrForbidden},
		{"no key", seal.Key{}, box, "password of 7", inventory.ErrForbidden},
		{"changed", key, flipped, "password of 7", inventory.ErrForbidden},
		{"short", key, box[:20], "password of 7", inventory.ErrInvalid},
		{"empty", key, nil, "password of 7", inventory.ErrInvalid},
		{"unknown version", key, append([]byte{9}, box[1:]...), "password of 7", inventory.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tc.key.Open(tc.box, tc.purpose)
			if !errors.Is(err, tc.want) {
				t.Errorf("Open: %v, want %v", err, tc.want)
			}
		})
	}
	if _, err := (seal.Key{}).Seal([]byte("x"), "y"); !errors.Is(err, inventory.ErrForbidden) {
		t.Errorf("Seal without a key: %v", err)
	}
}

func TestRotation(t *testing.T) {
	dir := t.TempDir()
	old, err := seal.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	box, err := old.Seal([]byte("hunter2"), "p")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Rotate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ring.Open(box, "p"); err != nil || string(got) != "hunter2" {
		t.Fatalf("an old box after rotation: %q, %v", got, err)
	}
	if !ring.Stale(box) || old.Stale(box) {
		t.Error("Stale does not tell old boxes from new ones")
	}
	fresh, err := ring.Seal([]byte("new"), "p")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Open(fresh, "p"); err == nil {
		t.Error("the old key opens what the new one sealed")
	}
	again, err := seal.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Open(fresh, "p"); err != nil {
		t.Errorf("the file does not hold the new ring: %v", err)
	}
}

func TestLoadOrCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on demand")
	var wg sync.WaitGroup
	boxes := make([][]byte, 8)
	for i := range boxes {
		wg.Go(func() {
			key, err := seal.LoadOrCreate(dir)
			if err != nil {
				t.Error(err)
				return
			}
			if boxes[i], err = key.Seal([]byte("x"), "p"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	key, err := seal.LoadOrCreate(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, box := range boxes {
		if _, err := key.Open(box, "p"); err != nil {
			t.Errorf("starter %d had a key of its own: %v", i, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind in the directory: %v, %v", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, seal.FileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestKeyFileRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, seal.FileName)
	if _, err := seal.LoadOrCreate(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreate(dir); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
		t.Errorf("world-readable: %v", err)
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.LoadOrCreate(dir); !errors.Is(err, inventory.ErrInvalid) || strings.Contains(err.Error(), "short") {
		t.Errorf("damaged: %v", err)
	}
}

func TestParseKey(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb}, 32)
	for _, text := range []string{
		base64.StdEncoding.EncodeToString(raw),
		base64.RawURLEncoding.EncodeToString(raw) + "\n",
		"# comment\n" + base64.URLEncoding.EncodeToString(raw) + " , " + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)),
	} {
		key, err := seal.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, shown := range []string{key.String(), fmt.Sprintf("%v %+v %#v", key, key, key)} {
			if strings.Contains(shown, "251") || strings.Contains(shown, "fb") || strings.Contains(shown, "+/") {
				t.Errorf("the key shows: %s", shown)
			}
		}
	}
	for _, text := range []string{"", "# nothing\n", "abc", strings.Repeat("A", 44) + "!"} {
		if _, err := seal.ParseKey(text); !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("ParseKey(%q): %v", text, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add("")
	f.Add(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)))
	f.Fuzz(func(t *testing.T, text string) {
		key, err := seal.ParseKey(text)
		if err == nil && key.IsZero() {
			t.Error("no error and no key")
		}
	})
}

func FuzzOpen(f *testing.F) {
	key, err := seal.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	box, err := key.Seal([]byte("secret"), "p")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := key.Open(data, "p")
		if err == nil && !bytes.Equal(data, box) {
			t.Errorf("opened a box nobody made: %q", got)
		}
	})
}
