package seal

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/tallyman-dev/tallyman/internal/inventory"
)

// Lengths of a password in bytes: short ones are guessed, and nobody types longer ones.
const (
	LeastPassword = 12
	MostPassword  = 1024
)

// cost is what argon2id is asked to do. It is written beside each hash, so that it can
// grow: a hash of another cost is made anew when its password is next seen.
type cost struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

const (
	saltSize = 16
	hashSize = 32
	mostWork = 1 << 22 // KiB times passes that a stored hash may ask for
)

func currentCost() cost { return cost{memory: 64 << 10, time: 2, threads: 1} }

// CheckNewPassword refuses a password that is too short, too long, or the user's name.
func CheckNewPassword(name, password string) error {
	switch {
	case len(password) < LeastPassword:
		return inventory.Errorf(inventory.ErrInvalid, "the password has fewer than %d characters", LeastPassword).
			WithRemedy("choose a longer one; a few words in a row do well")
	case len(password) > MostPassword:
		return inventory.Errorf(inventory.ErrInvalid, "the password has more than %d bytes", MostPassword)
	case strings.EqualFold(password, name), strings.Count(password, password[:1]) == len(password):
		return inventory.Errorf(inventory.ErrInvalid, "the password is too easy to guess").
			WithRemedy("choose another; a few words in a row do well")
	}
	return nil
}

// HashPassword makes a hash to keep, in the usual form: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func HashPassword(password string) (string, error) { return hashPassword(password, currentCost()) }

func hashPassword(password string, c cost) (string, error) {
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	hash := argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, hashSize)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.threads, enc.EncodeToString(salt), enc.EncodeToString(hash)), nil
}

// CheckPassword says whether password made the hash, and whether the hash should be made
// anew because it cost less or more than one does now. A hash that is empty or cannot be
// read matches nothing and takes as long as one that can: who has no account, or none
// with a password, cannot be told from who mistyped.
func CheckPassword(hash, password string) (ok, stale bool) {
	c, salt, want, err := parseHash(hash)
	if err != nil {
		c, salt, want = currentCost(), make([]byte, saltSize), nil
	}
	if len(password) > MostPassword {
		password, want = password[:MostPassword], nil
	}
	got := argon2.IDKey([]byte(password), salt, c.time, c.memory, c.threads, hashSize)
	return subtle.ConstantTimeCompare(got, want) == 1, c != currentCost()
}

func parseHash(text string) (c cost, salt, hash []byte, err error) {
	bad := inventory.Errorf(inventory.ErrInvalid, "the stored hash of a password is damaged").WithRemedy("set the password again")
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, bad
	}
	if n, err := fmt.Sscanf(parts[3]+"\n", "m=%d,t=%d,p=%d\n", &c.memory, &c.time, &c.threads); err != nil || n != 3 {
		return c, nil, nil, bad
	}
	if c.memory < 8 || c.time < 1 || c.threads < 1 || uint64(c.memory)*uint64(c.time) > mostWork {
		return c, nil, nil, bad
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil || len(salt) < 8 || len(salt) > 64 {
		return c, nil, nil, bad
	}
	if hash, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil || len(hash) != hashSize {
		return c, nil, nil, bad
	}
	return c, salt, hash, nil
}
