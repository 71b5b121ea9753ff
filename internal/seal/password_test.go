package seal

import (
	"errors"
	"strings"
	"testing"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

func TestPassword(t *testing.T) {
	hash, err := HashPassword("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=65536,t=2,p=1$") || strings.Contains(hash, "horse") {
		t.Errorf("hash %s", hash)
	}
	for _, tt := range []struct {
		hash, password string
		ok             bool
	}{
		{hash, "correct horse battery", true},
		{hash, "correct horse batterz", false},
		{hash, "", false},
		{"", "", false},
		{"", "correct horse battery", false},
		{"$argon2id$v=19$m=65536,t=2,p=1$$", "", false},
		{strings.Replace(hash, "m=65536", "m=4294967295", 1), "correct horse battery", false},
		{hash, "correct horse battery" + strings.Repeat("x", MostPassword), false},
	} {
		if ok, _ := CheckPassword(tt.hash, tt.password); ok != tt.ok {
			t.Errorf("CheckPassword(%.40q, %.24q) = %v", tt.hash, tt.password, ok)
		}
	}
	if _, stale := CheckPassword(hash, "whatever"); stale {
		t.Error("a fresh hash is called stale")
	}
	cheap, err := hashPassword("correct horse battery", cost{memory: 64, time: 1, threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if ok, stale := CheckPassword(cheap, "correct horse battery"); !ok || !stale {
		t.Errorf("a hash of another cost: ok %v, stale %v; want both", ok, stale)
	}
}

func TestCheckNewPassword(t *testing.T) {
	for password, want := range map[string]bool{
		"short": false, "": false, strings.Repeat("a", 40): false, "administrator": false,
		"four plain words here": true, strings.Repeat("ab", 600): false,
	} {
		if err := CheckNewPassword("administrator", password); (err == nil) != want || err != nil && !errors.Is(err, inventory.ErrInvalid) {
			t.Errorf("CheckNewPassword(%.20q) = %v", password, err)
		} else if err != nil && password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("the error repeats the password %q", password)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	hash, err := hashPassword("x", cost{memory: 64, time: 1, threads: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hash)
	f.Add("$argon2id$v=19$m=1,t=2,p=3$AAAA$AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		c, salt, want, err := parseHash(text)
		if err == nil && (c.threads == 0 || uint64(c.memory)*uint64(c.time) > mostWork || len(salt) < 8 || len(want) != hashSize) {
			t.Errorf("took %q", text)
		}
	})
}
